"""The Panda takes a cube off the table and brings it to a place in the air.

Where the cube is, only something outside the robot can measure. With `cube_is_tracked` a tracker
does: the policy sees the cube's place and yaw, with the tracker's noise. Without it they are
privileged, and a policy has to do without them. What the fingers feel is privileged in any case:
the hand has no touch sensors.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.assets.panda import PANDA
from jaxskills.envs import base, terms
from jaxskills.envs.panda import observations, rewards
from jaxskills.envs.panda.arm import JOINTS, ArmData, Disturbances, PandaArm, reward_metrics
from jaxskills.envs.panda.control import Control
from jaxskills.physics import frames
from jaxskills.physics.randomization import Randomizer
from jaxskills.physics.sensors import Sensors
from jaxskills.physics.state import Engine
from jaxskills.types import Key

EDGE = 0.045  # m, of the nominal cube
_CUBE = JOINTS + 2  # where its free joint begins in qpos and qvel
_PRESSING = 0.5  # N of each fingertip that make a grasp
_SINK = 1e-4  # m into the table; whether a cube at 0 touches it depends on an engine's precision
_BETWEEN = 0.03  # m from the gripper within which a touched cube is between the fingers


class Cubes(NamedTuple):
  """Where cubes lie, where they belong, and when one is there.

  Attributes:
    low: least x and y of the cube's centre at the start, world frame, m.
    high: greatest x and y, m.
    goal_low: least coordinates of the goal of its centre, m.
    goal_high: greatest coordinates, m.
    tolerance: greatest distance of its centre from the goal that counts as there, m.
  """

  low: tuple[float, float] = (0.42, -0.15)
  high: tuple[float, float] = (0.58, 0.15)
  goal_low: tuple[float, float, float] = (0.42, -0.15, 0.15)
  goal_high: tuple[float, float, float] = (0.58, 0.15, 0.3)
  tolerance: float = 0.025


class PandaLiftCube(PandaArm):
  """The lifting Panda; made by `make_panda_lift_cube`.

  The last action is the gripper's: 1 opens, -1 closes. `metrics` has `success`, 1 with a grasped
  cube within `Cubes.tolerance` of its goal at the end of the step, `grasped`, `height` of the cube
  above its rest and `distance` to its goal, m.
  """

  grips = True

  def __init__(
    self,
    engine: Engine,
    *,
    control: Control,
    cubes: Cubes,
    cube_is_tracked: bool,
    disturbances: Disturbances,
    randomizer: Randomizer | None,
    reward_weights: Mapping[str, float],
  ):
    super().__init__(engine, control=control, disturbances=disturbances, randomizer=randomizer)
    assert PANDA.gripper is not None
    self.tips = PANDA.gripper.tips
    self.cubes = cubes
    self._weights = dict(reward_weights)
    self._sensors = Sensors(engine.model)
    self._geom = engine.model.geom("cube").id
    of_arm = observations.arm(self)
    of_task = observations.lift(self, cube_is_tracked=cube_is_tracked)
    self.measurable, self.privileged = (
      (*arm, *task) for arm, task in zip(of_arm, of_task, strict=True)
    )
    terms.check((*self.measurable, *self.privileged))

  def begin(
    self, key: Key, parameters: Mapping[str, Array]
  ) -> tuple[Float[Array, "rest"], Float[Array, "3"]]:
    place_key, yaw_key, goal_key = jax.random.split(key, 3)
    low, high = jnp.asarray(self.cubes.low), jnp.asarray(self.cubes.high)
    place = jax.random.uniform(place_key, (2,), minval=low, maxval=high)
    quarter = jnp.pi / 4.0  # a cube looks the same after every quarter turn
    yaw = jax.random.uniform(yaw_key, (), minval=-quarter, maxval=quarter)
    least, most = jnp.asarray(self.cubes.goal_low), jnp.asarray(self.cubes.goal_high)
    goal = jax.random.uniform(goal_key, (3,), minval=least, maxval=most)
    height = self._lying(parameters)[None]
    return jnp.concatenate([place, height, frames.from_yaw(yaw)]), goal

  def begin_again(self, start: ArmData, before: base.State) -> ArmData:
    """Its cube stays the one it was too, and lies on the table."""
    data = super().begin_again(start, before)
    height = self._lying(data.parameters)
    qpos = data.physics.qpos.at[_CUBE + 2].set(height)
    return self._measure(data._replace(physics=data.physics._replace(qpos=qpos)))

  def _lying(self, parameters: Mapping[str, Array]) -> Float[Array, ""]:
    """Height at which a cube lies on the table, m."""
    return self.half_edge(parameters) - _SINK

  def judge(self, data: ArmData) -> tuple[Array, dict[str, Array]]:
    step = self.lifting(data)
    reward, parts = rewards.total(step, rewards.LIFT_TERMS, self._weights, self.step_seconds)
    figures = {
      "success": step.success.astype(jnp.float32),
      "grasped": step.is_grasped.astype(jnp.float32),
      "height": step.height,
      "distance": step.to_goal,
    }
    return reward, {**reward_metrics(parts), **figures}

  def lifting(self, data: ArmData) -> rewards.Lifting:
    """What rewards look at."""
    cube, rest = self.cube(data), self.half_edge(data.parameters)
    to_cube = jnp.linalg.norm(cube - data.gripper.position)
    to_goal = jnp.linalg.norm(data.goal - cube)
    is_grasped = jnp.all(self.touch(data) > _PRESSING) & (to_cube < _BETWEEN)
    return rewards.Lifting(
      motion=rewards.Motion(data.physics.qvel[:JOINTS], data.action, data.previous_action),
      to_cube=to_cube,
      to_goal=to_goal,
      height=cube[2] - rest,
      goal_height=data.goal[2] - rest,
      is_grasped=is_grasped,
      success=is_grasped & (to_goal < self.cubes.tolerance),
    )

  def half_edge(self, parameters: Mapping[str, Array]) -> Float[Array, ""]:
    """Half of the length of the cube's edges, m."""
    return self.own(parameters, "geom_size")[self._geom, 0]

  def cube(self, data: ArmData) -> Float[Array, "3"]:
    """Where the cube's centre truly is, world frame, m."""
    return data.physics.qpos[_CUBE : _CUBE + 3]

  def cube_yaw(self, data: ArmData) -> Float[Array, "2"]:
    """Sine and cosine of four times the cube's yaw: the same after every quarter turn."""
    yaw = frames.yaw(data.physics.qpos[_CUBE + 3 : _CUBE + 7])
    return jnp.stack([jnp.sin(4.0 * yaw), jnp.cos(4.0 * yaw)])

  def cube_velocity(self, data: ArmData) -> Float[Array, "3"]:
    """Of its centre, world frame, m/s."""
    return data.physics.qvel[_CUBE : _CUBE + 3]

  def cube_turn_rate(self, data: ArmData) -> Float[Array, "3"]:
    """Its angular velocity, its own frame, rad/s."""
    return data.physics.qvel[_CUBE + 3 : _CUBE + 6]

  def touch(self, data: ArmData) -> Float[Array, "2"]:
    """Normal force on the left and the right fingertip, N."""
    sides = ("left", "right")
    read = [self._sensors(data.physics.sensordata, f"{side}_tip_contact") for side in sides]
    return jnp.concatenate(read)
