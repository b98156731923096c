"""The stages of a robot's benchmark as contenders: engine, environment, policy, training.

`engine` plays the tape (`robot_worlds`) and nothing else: the ceiling. For "native" that is
`mujoco.batch` called from Python, with no JAX, one control step a call; for the others a compiled
loop of `Engine.step`. `environment` steps the worlds as training has them, with automatic reset and
random actions; `policy` has PPO's actor choose them; `training` is one iteration of the experiment:
a rollout and all gradient steps on it.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import mujoco.batch
import numpy as np
from jaxtyping import Array, Int

from jaxskills.benchmarks import measuring
from jaxskills.benchmarks.measuring import Contender
from jaxskills.benchmarks.robot_facts import Meter, PeakMemory
from jaxskills.benchmarks.robot_worlds import Start, Tape, Target, make_worlds, random_actions
from jaxskills.envs.base import State
from jaxskills.envs.wrappers.auto_reset import AutoReset
from jaxskills.experiments import on_policy as experiment
from jaxskills.learners.ppo import make_ppo
from jaxskills.physics.processor import cores
from jaxskills.physics.quiet import FULL
from jaxskills.physics.state import Engine, PhysicsState
from jaxskills.training import on_policy
from jaxskills.training.on_policy import OnPolicyState

STAGES = ("engine", "environment", "policy", "training")
_CALL_TURNS = 20.0  # turns that one call of training may last; it cannot be cut at will


class Cell(NamedTuple):
  """One contender, and what belongs to its row.

  Attributes:
    contender: whose name is `<engine> <stage>`.
    unroll: control steps of every world in a call.
    compile_seconds: of tracing and compiling; 0 where nothing is compiled.
    peak_memory_mib: over what the process or device held before.
    meter: its `run`.
    qpos: `() -> [worlds, nq]`, where its worlds are now.
  """

  contender: Contender
  unroll: int
  compile_seconds: float
  peak_memory_mib: float
  meter: Meter
  qpos: Callable[[], np.ndarray]


class Program(NamedTuple):
  """A stage as pure functions.

  Attributes:
    run: `(carry, held, steps) -> (carry, figures)`; `steps` is an int32 `[]`, so that one compiled
      program serves any number of them.
    carry: to begin with; calls overwrite it.
    held: what stays.
    physics: of a carry.
  """

  run: Callable[..., Any]
  carry: Any
  held: Any
  physics: Callable[[Any], PhysicsState]


class Bench:
  """Makes the cells of one engine and one number of worlds."""

  def __init__(self, target: Target, engine: str, start: Start, seconds: float):
    """Prepares the engine.

    Args:
      target: what is measured.
      engine: its name.
      start: where all begins.
      seconds: that a call may last, about; training may take twenty times that.
    """
    self._target, self._start, self._seconds = target, start, seconds
    self._tape_steps, self.worlds = start.tape.begins.shape
    self.engine = engine
    self.env, self._batch = make_worlds(target, self.worlds, engine)
    self._rate = 0.0  # control steps a second, of the stage made last

  @property
  def physics(self) -> Engine:
    """The engine as the environment has it."""
    return self.env.engine

  def cell(self, stage: str) -> Cell:
    """Sets a stage up, compiled and called once; `engine` first, where it is wanted."""
    if stage == "engine" and self.engine == "native":
      return self._native()
    if stage == "training":
      return self._training()
    if stage == "engine":
      program = engine_program(self.physics, self._start.tape)
    else:
      program = worlds_program(self._target, self._batch, self._start, stage == "policy")
    return self._compiled(stage, program)

  def _compiled(self, stage: str, program: Program) -> Cell:
    one = jnp.ones((), jnp.int32)
    shapes = jax.eval_shape(lambda: (program.carry, program.held, one))
    options = self.physics.compiler_options
    compiled, seconds = measuring.compiled(program.run, *shapes, donate=True, options=options)
    with PeakMemory(compiled) as memory:
      carry = _copied(program.carry)
      held = jax.tree.map(jnp.asarray, program.held)
      carry, figures = jax.block_until_ready(compiled(carry, held, one))
    began = time.perf_counter()
    carry, figures = jax.block_until_ready(compiled(carry, held, one))
    spent = time.perf_counter() - began
    steps = int(np.clip(self._seconds / spent, 1, self._tape_steps))
    self._rate = self.worlds / spent
    number = jnp.asarray(steps, jnp.int32)

    def run() -> Mapping[str, float]:
      nonlocal carry
      carry, figures = compiled(carry, held, number)
      return _floats(figures)

    return self._cell(
      stage, run, steps, seconds, memory.mib, lambda: np.asarray(program.physics(carry).qpos)
    )

  def _training(self) -> Cell:
    config = self._target.config
    learner = make_ppo(experiment.ppo_config(config), self._batch.spec())
    unroll = self._training_unroll(config.rl.unroll, config.ppo.minibatches)
    sizes = experiment.loop_config(config)
    sizes = sizes._replace(worlds=self.worlds, unroll=unroll, iterations_per_chunk=1)
    loop = on_policy.make_on_policy(sizes, self._batch, learner)
    learner_state = jax.jit(learner.init)(jax.random.key(1))
    zero = jnp.zeros((), jnp.int32)
    state = OnPolicyState(learner_state, self._start.states, jax.random.key(2), zero, zero, zero)
    shapes, options = jax.eval_shape(lambda: state), self.physics.compiler_options
    compiled, seconds = measuring.compiled(loop.chunk, shapes, donate=True, options=options)
    with PeakMemory(compiled) as memory:
      state = _copied(state)
      state, metrics = jax.block_until_ready(compiled(state))

    def run() -> Mapping[str, float]:
      nonlocal state
      state, metrics = compiled(state)
      return _training_figures(_floats(metrics), self.worlds * unroll)

    qpos = lambda: np.asarray(state.worlds.data.physics.qpos)  # noqa: E731
    return self._cell("training", run, unroll, seconds, memory.mib, qpos)

  def _training_unroll(self, wanted: int, minibatches: int) -> int:
    """The experiment's, or fewer steps where a call would last far too long."""
    if not self._rate:
      return wanted
    fitting = int(_CALL_TURNS * self._seconds * self._rate / self.worlds)
    return min(wanted, max(1, fitting // minibatches) * minibatches)

  def _native(self) -> Cell:
    with PeakMemory(None) as memory:
      alone = NativeAlone(self.physics.model, self._start.tape)
      alone.run(1)
    began = time.perf_counter()
    alone.run(1)
    spent = time.perf_counter() - began
    steps = int(np.clip(self._seconds / spent, 1, self._tape_steps))
    self._rate = self.worlds / spent
    return self._cell("engine", lambda: alone.run(steps), steps, 0.0, memory.mib, alone.qpos)

  def _cell(
    self,
    stage: str,
    run: Callable[[], Mapping[str, float]],
    unroll: int,
    compile_seconds: float,
    memory: float,
    qpos: Callable[[], np.ndarray],
  ) -> Cell:
    meter = Meter(run)
    contender = Contender(f"{self.engine} {stage}", meter, unroll * self.worlds)
    return Cell(contender, unroll, compile_seconds, memory, meter, qpos)


class NativeAlone:
  """C MuJoCo at its best: a batch with its own thread pool, no JAX, the tape in its own numbers."""

  def __init__(self, model: mujoco.MjModel, tape: Tape):
    worlds = tape.begins.shape[1]
    threads = min(cores(), worlds)
    self._batch = mujoco.batch.Batch(model, worlds, threads)
    for name, field in tape.parameters.items():
      self._batch.expand(name)[:] = field
    self._controls = tape.controls.astype(np.float64)
    self._begins = [np.flatnonzero(row) for row in tape.begins]
    states = tape.states._asdict() | {"qacc_warmstart": tape.states.warmstart}
    names = ("qpos", "qvel", "act", "time", "qacc_warmstart")
    self._views = [(self._batch.bind(name), states[name]) for name in names]
    self._number = 0  # of the next step

  def run(self, steps: int) -> dict[str, float]:
    """Plays the tape's next steps; after its last comes its first."""
    overflow = 0
    for _ in range(steps):
      number, self._number = self._number, (self._number + 1) % len(self._begins)
      worlds = self._begins[number]
      for view, states in self._views:
        view[worlds] = states[number, worlds]
      controls = self._controls[number]
      self._batch.rollout(controls.shape[1], controls, record=())
      warnings = self._batch.warning[..., 1]
      overflow += int(warnings[:, FULL].any(axis=1).sum())
      warnings[:] = 0  # so that the next step's count again
    return {"overflow": float(overflow), "sum": float(self._batch.bind("qpos").sum())}

  def qpos(self) -> np.ndarray:
    """Where the worlds are."""
    return self._batch.bind("qpos").copy()


def engine_program(engine: Engine, tape: Tape) -> Program:
  """An engine alone, in a compiled loop over the tape, which goes on where it last ended."""

  def run(carry: tuple[PhysicsState, Array], tape: Tape, steps: Int[Array, ""]) -> tuple[Any, Any]:
    def step(_: Array, loop: tuple) -> tuple:
      state, number, overflow = loop
      begins = tape.begins[number]
      state = jax.tree.map(
        lambda leaf, new: jnp.where(begins.reshape(-1, *(1,) * (leaf.ndim - 1)), new[number], leaf),
        state,
        tape.states,
      )
      state = jax.vmap(engine.step)(state, tape.controls[number], tape.parameters)
      after = (number + 1) % len(tape.begins)
      return state, after, overflow + jnp.sum(state.overflow != 0)

    loop = (*carry, jnp.zeros((), jnp.int32))
    state, number, overflow = jax.lax.fori_loop(0, steps, step, loop)
    return (state, number), {"overflow": overflow, "sum": jnp.sum(state.qpos)}

  first = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), tape.states)
  return Program(run, (first, jnp.zeros((), jnp.int32)), tape, lambda carry: carry[0])


def worlds_program(target: Target, batch: AutoReset, start: Start, has_policy: bool) -> Program:
  """Worlds that begin anew by themselves, with random actions or PPO's own."""
  steps, worlds = start.tape.begins.shape
  learner = make_ppo(experiment.ppo_config(target.config), batch.spec())
  if has_policy:
    held = jax.jit(learner.init)(jax.random.key(1)).params
  else:
    held = random_actions(batch, jax.random.key(1), (steps, worlds))

  def choose(held: Any, states: State, number: Array) -> Array:
    if not has_policy:
      return held[number]
    key = jax.random.fold_in(jax.random.key(2), number)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, states.info["world"])
    return learner.act(held, states.obs, keys)

  def run(states: State, held: Any, steps: Int[Array, ""]) -> tuple[State, Any]:
    def step(number: Array, loop: tuple) -> tuple:
      states, overflow, total = loop
      after = batch.step(states, choose(held, states, number))
      seen = sum(jnp.sum(leaf, dtype=jnp.float32) for leaf in jax.tree.leaves(after.obs))
      overflow += jnp.sum(after.metrics["overflow"] > 0)
      return after, overflow, total + jnp.sum(after.reward) + seen

    loop = (states, jnp.zeros((), jnp.int32), jnp.zeros(()))
    states, overflow, total = jax.lax.fori_loop(0, steps, step, loop)
    quarantined = jnp.sum(states.info["quarantined"])
    return states, {"overflow": overflow, "quarantined": quarantined, "sum": total}

  return Program(run, start.states, held, lambda states: states.data.physics)


def _training_figures(metrics: dict[str, float], steps: int) -> dict[str, float]:
  """What a chunk's metrics say of faults; all of them have to be finite."""
  overflow = metrics["step/overflow"] * steps  # a mean, and 0 only where there was none
  faults = {
    "overflow": float(np.ceil(overflow)) if np.isfinite(overflow) else 0.0,
    "quarantined": metrics["worlds/quarantined"],
  }
  if metrics.get("skipped_minibatches", 0.0) > 0.0:
    faults["skipped"] = float("nan")
  return {**metrics, **faults}


def _copied(tree: Any) -> Any:
  """The same in memory of its own, since calls overwrite what they are given."""
  return jax.tree.map(lambda leaf: leaf.copy(), tree)


def _floats(metrics: Mapping[str, Any]) -> dict[str, float]:
  return {name: float(value) for name, value in metrics.items()}
