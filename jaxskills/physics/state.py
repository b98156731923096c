"""What an environment and a checkpoint see of a physics engine: the same few arrays for all three.

Everything else that an engine keeps (contacts, constraint forces, bounding volumes) follows from
these, so that replacing a world's state replaces the world: a partial reset is a `where` on every
engine, MuJoCo Warp with its buffers over all worlds included.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import mujoco
from jaxtyping import Array, Float, Int

Parameters = Mapping[str, Array]
"""Fields of `mujoco.MjModel` that one world has of its own, whole arrays by field name, float32;
an empty mapping is the model as it is. `physics.randomization` makes them."""


class PhysicsState(NamedTuple):
  """One world at one instant, float32 but for `overflow`; `jax.vmap` gives a batch.

  As with `mj_step`, `sensordata` is of the state before the last physics step's integration, one
  physics step older than `qpos` and `qvel`.
  """

  qpos: Float[Array, "nq"]
  """Generalised positions: m, rad, unit quaternions (w, x, y, z)."""
  qvel: Float[Array, "nv"]
  """Generalised velocities; of a free joint, linear in the world's frame, angular in the body's."""
  act: Float[Array, "na"]
  """Activations of actuators with dynamics; often none."""
  time: Float[Array, ""]
  """Since the episode began, s."""
  warmstart: Float[Array, "nv"]
  """Last acceleration, where the solver starts from."""
  sensordata: Float[Array, "nsensordata"]
  """Of all sensors, as `physics.sensors.Sensors` takes it apart."""
  overflow: Int[Array, ""]
  """Not 0 where the last step had no room for a contact or a constraint, and dropped it."""


class Engine(NamedTuple):
  """A physics engine made ready for one model; made by `physics.engine.make_engine`.

  Both functions are of one world, pure, and can be mapped over worlds with `jax.vmap`.

  Attributes:
    name: "native", "mjx" or "warp".
    model: what is simulated.
    substeps: physics steps in one control step.
    start: `(qpos [nq], qvel [nv], parameters) -> PhysicsState`, at time 0 with controls of 0.
    step: `(state, controls [substeps, nu], parameters) -> PhysicsState`, one row a physics step.
    compiler_options: for `jax.jit` of a program that steps the engine; None where XLA needs none.
  """

  name: str
  model: mujoco.MjModel
  substeps: int
  start: Callable[..., PhysicsState]
  step: Callable[..., PhysicsState]
  compiler_options: dict[str, bool | str] | None = None

  @property
  def step_seconds(self) -> float:
    """Control period."""
    return self.substeps * self.model.opt.timestep
