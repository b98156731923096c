"""MuJoCo Playground's environments as they are stepped: the real ones, or their loop on our model.

Playground 0.2.0 holds the whole of `mjx.Data` as its state, repeats `mjx.step` with one control in
a scan for a control step, and has Brax's wrappers vectorise, count steps, and put a finished world
back to its first state with a `where` over all of it. `stepped` does just that with our model: no
randomisation, no noise, no latency, no curriculum, and a reward of one line.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import brax.envs.base as brax_base
import jax
import jax.numpy as jnp
import mujoco
from brax.envs.wrappers import training as brax_wrappers
from jaxtyping import Array, Float, Int
from mujoco import mjx

from jaxskills.benchmarks.robot_worlds import Start
from jaxskills.envs import playground
from jaxskills.errors import UserError
from jaxskills.physics.capacity import capacity_of
from jaxskills.physics.mjx import compiler_options, lost
from jaxskills.physics.state import Engine

_EPISODE_STEPS = 1000
_UPRIGHT = 0.85  # Playground's H1 ends where the cosine of its tilt is less
_STEPS = 32


class Likeness(NamedTuple):
  """What Playground has of a robot of ours.

  Attributes:
    environment: of the same task there, by name; None where there is none.
    iterations: of the solver, in its model.
    ls_iterations: of the solver's line search.
    contacts: that Warp's buffers have room for, a world. Playground sets them for all worlds of its
      own training together: 8 * 8192 of its H1, 24 * 2048 of its Panda.
  """

  environment: str | None
  iterations: int
  ls_iterations: int
  contacts: int


LIKENESSES = {
  "h1/velocity": Likeness("H1JoystickGaitTracking", 1, 5, 8),
  "panda/reach": Likeness(None, 5, 8, 24),
  "panda/lift_cube": Likeness("PandaPickCube", 5, 8, 24),
}
_BUFFERS = ("naconmax", "naccdmax")  # of contacts, in Playground's configurations; some have both


class NoCounterpartError(UserError):
  """Of a robot of ours, or a task, that Playground does not have."""


class SteppedPeer(NamedTuple):
  """A batch of the peer's worlds, and what is asked of them.

  Attributes:
    name: of the contender.
    does: what it computes, for the row.
    run: `(state, actions, steps []) -> (state, figures)` as `robot_facts.Meter` takes them.
    qpos: of a state, `[worlds, nq]`.
    state: to begin with.
    model: that is stepped.
    actions: `[steps, worlds, action]`.
  """

  name: str
  does: str
  run: Callable[..., Any]
  qpos: Callable[[Any], Any]
  model: mujoco.MjModel
  state: Any
  actions: Any


def real(experiment: str, impl: str, worlds: int, allow_download: bool = False) -> SteppedPeer:
  """Playground's own environment of the robot.

  Args:
    experiment: ours.
    impl: of MJX, "jax" or "warp".
    worlds: side by side.
    allow_download: see `playground.load`.

  Raises:
    UserError: saying why it cannot be had; `NoCounterpartError` where Playground has none.
  """
  likeness = LIKENESSES.get(experiment)
  name = likeness and likeness.environment
  if likeness is None or name is None:
    raise NoCounterpartError(f"Playground has no environment of {experiment}")
  theirs = playground.package()
  overrides: dict[str, Any] = {"impl": impl}
  if impl == "warp":
    defaults = theirs.registry.get_default_config(name)
    overrides |= {key: likeness.contacts * worlds for key in _BUFFERS if key in defaults}
  world = playground.load(name, allow_download=allow_download, overrides=overrides)
  env = theirs.wrapper.wrap_for_brax_training(world, episode_length=_EPISODE_STEPS)
  shape = (_STEPS, worlds, env.action_size)
  return SteppedPeer(
    f"MuJoCo Playground {name}, {impl}",
    "the environment itself, with its wrappers for Brax's training",
    _stepping(env, impl),
    lambda state: state.data.qpos,
    world.mj_model,
    _begun(env, impl, worlds),
    jax.random.uniform(jax.random.key(1), shape, minval=-1.0, maxval=1.0),
  )


def stepped(experiment: str, impl: str, engine: Engine, start: Start) -> SteppedPeer:
  """Playground's step loop on our model, with its solver settings, from where our worlds are.

  Args:
    experiment: ours.
    impl: of MJX, "jax" or "warp".
    engine: whose model is stepped, as many physics steps a control step.
    start: whose tape's last controls are the motor targets.

  Raises:
    UserError: if Playground has no robot like it.
  """
  if experiment not in LIKENESSES:
    raise UserError(f"Playground has no likeness of {experiment}")
  likeness = LIKENESSES[experiment]
  model = copy.copy(engine.model)
  model.opt.iterations, model.opt.ls_iterations = likeness.iterations, likeness.ls_iterations
  worlds = start.tape.begins.shape[1]
  pool = start.states.info["pool"].data.physics
  env = StepLoop(model, impl, engine.substeps, pool.qpos, worlds)
  wrapped = brax_wrappers.AutoResetWrapper(
    brax_wrappers.EpisodeWrapper(brax_wrappers.VmapWrapper(env), _EPISODE_STEPS, 1)
  )
  state = _begun(wrapped, impl, worlds)
  physics = start.states.data.physics
  middle = state.pipeline_state.replace(qpos=physics.qpos, qvel=physics.qvel)
  return SteppedPeer(
    f"Playground's step loop on our model, {impl}",
    f"mjx.step in a scan over whole mjx.Data, solver iterations {likeness.iterations}, Brax's "
    "wrappers; no randomisation, noise, latency or pushes; a reward of one line",
    _stepping(wrapped, impl),
    lambda state: state.pipeline_state.qpos,
    model,
    state.replace(pipeline_state=middle),
    start.tape.controls[:, :, -1],
  )


def options(impl: str) -> dict[str, bool | str] | None:
  """How programs with that implementation of MJX are compiled: as ours are."""
  return compiler_options() if impl == "jax" else None


def _begun(env: Any, impl: str, worlds: int) -> Any:
  reset = jax.jit(env.reset, compiler_options=options(impl))
  return reset(jax.random.split(jax.random.PRNGKey(0), worlds))


class StepLoop(brax_base.Env):
  """A world that holds `mjx.Data` and steps it with motor targets, as Playground's do."""

  def __init__(
    self,
    model: mujoco.MjModel,
    impl: str,
    substeps: int,
    starts: Float[Array, "starts nq"],
    worlds: int,
  ):
    """Prepares a model.

    Args:
      model: to step.
      impl: of MJX.
      substeps: physics steps in a control step.
      starts: poses that a world may begin in.
      worlds: that share Warp's buffers.
    """
    self._model, self._mjx = model, mjx.put_model(model, impl=impl)
    self._blank: dict[str, Any] = {"impl": impl}
    if impl == "warp":
      room = capacity_of(model)
      self._blank |= {"njmax": room.constraints, "naconmax": worlds * room.contacts}
    self._substeps, self._starts = substeps, starts
    self._has_base = model.njnt > 0 and model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE

  def reset(self, rng: Array) -> brax_base.State:
    """A random one of the starts, at rest."""
    index = jax.random.randint(rng, (), 0, len(self._starts))
    data = mjx.make_data(self._model, **self._blank).replace(qpos=self._starts[index])
    data = mjx.forward(self._mjx, data)
    zero = jnp.zeros(())
    return brax_base.State(data, self._observe(data), zero, zero, {}, {})

  def step(self, state: brax_base.State, action: Float[Array, "nu"]) -> brax_base.State:
    """All physics steps of a control step with the same motor targets."""

    def physics_step(data: Any, _: None) -> tuple[Any, None]:
      return mjx.step(self._mjx, data.replace(ctrl=action)), None

    data, _ = jax.lax.scan(physics_step, state.pipeline_state, None, length=self._substeps)
    reward = 1.0 - 1e-3 * jnp.sum(jnp.square(data.qvel))
    done = jnp.any(jnp.isnan(data.qpos)) | self._fell(data.qpos)
    changes = {"pipeline_state": data, "obs": self._observe(data)}
    return state.replace(  # pyright: ignore[reportAttributeAccessIssue]
      **changes, reward=reward, done=done.astype(jnp.float32)
    )

  def _fell(self, qpos: Float[Array, "nq"]) -> Array:
    """Whether the base, if the robot has one, is no longer upright."""
    if not self._has_base:
      return jnp.zeros((), bool)
    return 1.0 - 2.0 * (qpos[4] ** 2 + qpos[5] ** 2) < _UPRIGHT

  def _observe(self, data: Any) -> Array:
    return jnp.concatenate([data.qpos, data.qvel, data.ctrl, data.sensordata])

  @property
  def observation_size(self) -> int:
    """Numbers that are seen."""
    model = self._model
    return model.nq + model.nv + model.nu + model.nsensordata

  @property
  def action_size(self) -> int:
    """A target for every motor."""
    return self._model.nu

  @property
  def backend(self) -> str:
    """What computes the physics."""
    return "mjx"


def _stepping(env: Any, impl: str) -> Callable[..., Any]:
  """All actions in turn, in a loop of as many steps as asked for."""

  def run(state: Any, actions: Array, steps: Int[Array, ""]) -> tuple[Any, dict[str, Array]]:
    def step(number: Array, loop: tuple) -> tuple:
      state, overflow, total = loop
      after = env.step(state, actions[number])
      seen = sum(jnp.sum(leaf, dtype=jnp.float32) for leaf in jax.tree.leaves(after.obs))
      data = after.pipeline_state if hasattr(after, "pipeline_state") else after.data
      overflow += jnp.sum(lost(data, impl) != 0)
      return after, overflow, total + jnp.sum(after.reward) + seen

    loop = (state, jnp.zeros((), jnp.int32), jnp.zeros(()))
    state, overflow, total = jax.lax.fori_loop(0, steps, step, loop)
    return state, {"overflow": overflow, "sum of rewards and observations": total}

  return run
