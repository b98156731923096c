"""Do the engines agree? Trajectories from the same states under the same controls, side by side.

C MuJoCo computes in double precision and is the reference. MJX and Warp compute in single precision
and solve contacts by other routes, so that trajectories part with time; how fast is what
`TOLERANCES` states and the tests hold them to, `SHAKEN` for the benchmark's robots. A solver that
is stopped early, for speed, ends at another place on every engine, because line searches differ:
`STOPPED_EARLY`.
"""

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float

from jaxskills.physics.state import Engine, Parameters, PhysicsState

HORIZONS = (1, 10, 100)  # physics steps


class Tolerance(NamedTuple):
  """How far an engine's worlds may be from the reference's.

  Attributes:
    qpos: greatest difference of any position in the median world, m or rad.
    qpos_worst: the same, in the worst world.
    qvel: greatest difference of any velocity in the median world, m/s or rad/s.
    qvel_worst: the same, in the worst world.
  """

  qpos: float
  qpos_worst: float
  qvel: float
  qvel_worst: float


TOLERANCES: Mapping[int, Tolerance] = {
  1: Tolerance(1e-6, 1e-6, 5e-5, 5e-5),
  10: Tolerance(1e-5, 1e-4, 5e-4, 2e-2),
  100: Tolerance(1e-3, 1e-2, 5e-2, 1e-1),
}
"""By horizon. The H1 on its feet, eight worlds and every one another robot, measured 4e-9, 5e-7 and
8e-7 for positions of the median world, 3e-7, 2e-5 and 3e-5 for velocities. A world in which a foot
touches down a step later parts at once; the worst had 1e-7, 2e-5 and 1e-3, and 5e-6, 4e-3 and 3e-3.
The Panda beside a falling cube stays below 5e-6 and 8e-4 in every world."""

SHAKEN: Mapping[int, Tolerance] = {
  1: Tolerance(1e-6, 2e-6, 5e-5, 5e-4),
  10: Tolerance(1e-5, 1e-4, 5e-4, 2e-2),
  100: Tolerance(1e-3, 5e-2, 5e-2, 2.0),
}
"""By horizon, for robots that are shaken by random actions, with a solver that is run out
(`with_solver_run_out`). The H1, 64 worlds and every one another robot, measured 6e-8, 5e-7 and 1e-6
for positions of the median world on MJX and Warp, 1e-5, 2e-5 and 2e-5 for velocities; in the worst
world 2e-7, 4e-6 and .012, and 5e-5, 9e-5 and 1.4: that one of 64 parts on MJX, none on Warp. The
Panda with its cube stays below 3e-6 in every world."""

STOPPED_EARLY: Mapping[int, Tolerance] = {
  1: Tolerance(1e-6, 1e-3, 5e-5, 2e-1),
  10: Tolerance(1e-4, 5e-2, 5e-3, 2.0),
  100: Tolerance(1e-2, 2e-1, 2e-1, 5.0),
}
"""By horizon, for a robot that is shaken while its solver stops before it has converged, as the
H1's does: what is left over is not the same on two engines. As above, median worlds measured 6e-8,
5e-7 and 7e-4, and 1e-5, 2e-5 and .015; the worst 2e-7, .002 and .03, and 5e-5, .5 and 1.9."""


class Row(NamedTuple):
  """One engine against the reference after one horizon, over worlds.

  Attributes:
    engine: its name.
    steps: physics steps.
    qpos: median over worlds of the greatest difference of a position.
    qpos_worst: the same, of the worst world.
    qvel: like `qpos`, of velocities.
    qvel_worst: the same, of the worst world.
    overflow: worlds that lost a contact or a constraint.
  """

  engine: str
  steps: int
  qpos: float
  qpos_worst: float
  qvel: float
  qvel_worst: float
  overflow: int

  def within(self, tolerances: Mapping[int, Tolerance] = TOLERANCES) -> bool:
    """Whether median and worst world are within tolerance and nothing was lost."""
    found = (self.qpos, self.qpos_worst, self.qvel, self.qvel_worst)
    limits = zip(found, tolerances[self.steps], strict=True)
    return all(value <= most for value, most in limits) and not self.overflow


def with_solver_run_out(model: mujoco.MjModel) -> mujoco.MjModel:
  """A copy whose solver ends where it has converged, not where training stops it."""
  model = copy.deepcopy(model)
  model.opt.iterations = model.opt.ls_iterations = 50
  return model


def trajectories(
  engine: Engine,
  qpos: Float[Array, "worlds nq"],
  qvel: Float[Array, "worlds nv"],
  controls: Float[Array, "steps worlds nu"],
  parameters: Parameters,
) -> PhysicsState:
  """States after every control step, each leaf `[steps, worlds, ...]`.

  Args:
    engine: with `substeps` physics steps a control step.
    qpos: where each world starts.
    qvel: likewise.
    controls: held over a control step.
    parameters: of every world, leaves `[worlds, ...]`.
  """

  @functools.partial(jax.jit, compiler_options=engine.compiler_options)
  def run(qpos: Array, qvel: Array, parameters: Parameters) -> PhysicsState:
    state = jax.vmap(engine.start)(qpos, qvel, parameters)

    def step(state: PhysicsState, control: Array) -> tuple[PhysicsState, PhysicsState]:
      held = jnp.repeat(control[:, None], engine.substeps, axis=1)
      state = jax.vmap(engine.step)(state, held, parameters)
      return state, state

    return jax.lax.scan(step, state, controls)[1]

  return jax.block_until_ready(run(qpos, qvel, dict(parameters)))


def compare(
  reference: PhysicsState,
  others: Mapping[str, PhysicsState],
  horizons: Sequence[int] = HORIZONS,
) -> list[Row]:
  """Rows for every other engine and horizon.

  Args:
    reference: of `trajectories`, one physics step a control step.
    others: likewise, by engine.
    horizons: in steps of the trajectories; at most their length.
  """
  rows = []
  for name, states in others.items():
    for steps in horizons:
      qpos = _gaps(reference.qpos[steps - 1], states.qpos[steps - 1])
      qvel = _gaps(reference.qvel[steps - 1], states.qvel[steps - 1])
      lost = int(np.sum(np.any(np.asarray(states.overflow[:steps]) != 0, axis=0)))
      rows.append(Row(name, steps, *qpos, *qvel, lost))
  return rows


def _gaps(ours: Array, theirs: Array) -> tuple[float, float]:
  """Median and worst over worlds of the greatest difference of any entry."""
  worlds = np.max(np.abs(np.asarray(ours) - np.asarray(theirs)), axis=1)
  return float(np.median(worlds)), float(np.max(worlds))
