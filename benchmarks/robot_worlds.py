"""What every contender of a robot's benchmark begins from: worlds in mid-life, and a tape.

Fresh worlds stand still, and a benchmark of them would measure standing. So worlds first live for a
while with random actions, stepped by the native engine whatever engine is measured: what an
environment keeps of its engine is neutral. Then they live a little longer while everything that the
environment asks of its engine is put on tape. An engine alone plays that tape: the same worlds,
with the same model fields of their own, the same controls, and new beginnings at the same steps. So
a stage's fraction of the ceiling compares the same physics.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float
from ml_collections import ConfigDict

from jaxskills.envs.base import State
from jaxskills.envs.wrappers.auto_reset import AutoReset
from jaxskills.experiments import on_policy
from jaxskills.physics import memory
from jaxskills.physics.state import Engine, Parameters, PhysicsState
from jaxskills.types import Key

_KEPT = ("qpos", "qvel", "act", "time", "warmstart")  # of a state: all that steps depend on


_COPIES = 4  # of a world's whole state besides training's: the other stages, and where all begin


class Target(NamedTuple):
  """An experiment whose environment is measured.

  Attributes:
    name: e.g. `h1/velocity:quick`.
    config: the experiment's, of that preset.
    make_env: `(config, worlds, engine=name) -> environment`; the experiment's own. The environment
      has the attribute `engine`, and its `data` the field `physics`.
  """

  name: str
  config: ConfigDict
  make_env: Callable[..., Any]


class Tape(NamedTuple):
  """What an environment asked of its engine, for some steps of some worlds; NumPy arrays."""

  begins: Bool[Any, "steps worlds"]
  """Where a world is put into `states` before the step; everywhere in the first."""
  states: PhysicsState
  """Leading axes `[steps, worlds]`; `sensordata` and `overflow` are zeros."""
  controls: Float[Any, "steps worlds substeps nu"]
  parameters: Parameters
  """Model fields `[worlds, ...]`, those of the first step throughout."""


class Start(NamedTuple):
  """Where a benchmark of a number of worlds begins.

  Attributes:
    states: of an `AutoReset`, after the taped steps.
    tape: of the last steps before.
  """

  states: State
  tape: Tape


def make_worlds(target: Target, worlds: int, engine: str) -> tuple[Any, AutoReset]:
  """The environment on an engine, and the batch of its worlds as training has it."""
  env = target.make_env(target.config, worlds, engine=engine)
  return env, on_policy.make_worlds(target.config, env)


def check_room(target: Target, engine: str, worlds: int) -> None:
  """Refuses worlds that would not fit into memory.

  Raises:
    UserError: with the number that does.
  """
  env = target.make_env(target.config, worlds, engine=engine)
  state = jax.eval_shape(env.reset, jax.random.key(0))
  copies = _COPIES * memory.bytes_of(state)
  per_world = on_policy.bytes_per_world(target.config, env) + copies
  memory.check_worlds(worlds, per_world, on_policy.free_memory(engine))


def random_actions(worlds: AutoReset, key: Key, shape: tuple[int, ...]) -> Float[Array, "..."]:
  """Normal, within the limits, as an untrained actor's of PPO; `[*shape, action]`.

  So the stages with a policy have worlds like those of the others: as many contacts.
  """
  spec = worlds.spec()
  noise = jax.random.normal(key, (*shape, spec.action_size))
  return jnp.clip(noise, -spec.action_limit, spec.action_limit)


def begin(
  target: Target, worlds: int, warmup: int, steps: int, seed: int = 0, scale: float = 1.0
) -> Start:
  """Lets worlds live with random actions, and tapes the last steps.

  Args:
    target: what is measured.
    worlds: how many.
    warmup: control steps before the tape begins.
    steps: on tape.
    seed: of everything random.
    scale: of the actions.
  """
  env, batch = make_worlds(target, worlds, "native")
  recorder = _Recorder(env.engine)
  env.engine = recorder.engine
  reset_key, action_key = jax.random.split(jax.random.key(seed))
  states = jax.jit(batch.reset)(jax.random.split(reset_key, worlds))

  def step(states: State, number: Array) -> State:
    key = jax.random.fold_in(action_key, number)
    return batch.step(states, scale * random_actions(batch, key, (worlds,)))

  step = jax.jit(step, donate_argnums=0)
  for number in range(warmup + steps):
    recorder.is_on = number >= warmup
    states = jax.block_until_ready(step(states, jnp.asarray(number)))
  return Start(states, recorder.tape())


class _Recorder:
  """Stands between an environment and its engine and writes down what goes past."""

  def __init__(self, engine: Engine):
    self.is_on = False
    self._rows: list[np.ndarray] = []
    self._unravel: Any = None

    def step(
      state: PhysicsState, controls: Float[Array, "substeps nu"], parameters: Parameters
    ) -> PhysicsState:
      row, self._unravel = ravel_pytree((state, controls, dict(parameters)))
      shape = jax.ShapeDtypeStruct(row.shape, row.dtype)
      row = jax.pure_callback(self._take, shape, row, vmap_method="broadcast_all")
      return engine.step(state, self._unravel(row)[1], parameters)  # so that it must be called

    self.engine = engine._replace(step=step)

  def _take(self, rows: Any) -> np.ndarray:
    rows = np.asarray(rows)
    if self.is_on:
      self._rows.append(rows.copy())
    return rows

  def tape(self) -> Tape:
    """What was written down."""
    rows = np.stack(self._rows)
    states, controls, parameters = jax.device_get(jax.vmap(jax.vmap(self._unravel))(rows))
    begins = states.time == 0.0
    begins[0] = True
    kept = {name: getattr(states, name) for name in _KEPT}
    blank = jax.tree.map(np.zeros_like, states)
    first = {name: field[0] for name, field in parameters.items()}
    return Tape(begins, blank._replace(**kept), controls, first)
