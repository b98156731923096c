"""From a policy's action to what the arm's servos are told, within the robot's limits.

Three ways to act. "joint_position": how fast each joint's target moves. "joint_velocity": how fast
each joint shall turn, for a robot in its velocity mode. "end_effector": how fast the gripper moves
through space, upright as it began, by damped least squares on the arm's own kinematics. Whatever
the action, targets stay within the joint ranges, and their velocities and accelerations within the
limits: velocities are ramps over the control period, and a joint brakes in time for the end of its
range, so that a servo at a kilohertz is never told to jump. What the joints then do, and with which
torques, is reported (`limit_use`).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxskills.assets.robot import Robot
from jaxskills.config import nearest
from jaxskills.envs.panda import kinematics
from jaxskills.envs.panda.kinematics import Chain

MODES = ("joint_position", "joint_velocity", "end_effector")
_DAMPING = 0.05  # of the least squares; singular values of the arm are about .3 to 1.5
_UPRIGHT, _TURN_LIMIT = 4.0, 1.0  # 1/s and rad/s: how the gripper's attitude is held
_SLOWING = 0.2  # s in which the gripper comes to the end of its workspace
_MARGIN = 0.05  # rad of each joint's range that targets leave free at either end
_POSTURE = 0.5  # 1/s: how the elbow is drawn back to the default pose while the gripper is not


class Control(NamedTuple):
  """How actions are taken.

  Attributes:
    mode: of `MODES`.
    speed: share of each joint's velocity limit that targets keep to, and that an action of 1 asks
      for in the joint modes. Servos overshoot: with .5 and half of the acceleration the joints
      themselves keep within the limits, whatever the policy does.
    acceleration: share of each joint's acceleration limit that targets keep to.
    gripper_speed: of the gripper that an action of 1 asks for along an axis, "end_effector", m/s.
    workspace: lowest and highest place of the commanded gripper, "end_effector", m.
    leash: how far targets run ahead of a joint that does not follow, rad; bounds what the arm
      pushes with.
  """

  mode: str = "joint_position"
  speed: float = 0.5
  acceleration: float = 0.5
  gripper_speed: float = 0.4
  workspace: tuple[tuple[float, float, float], tuple[float, float, float]] = (
    (0.25, -0.5, 0.015),
    (0.75, 0.5, 0.7),
  )
  leash: float = 0.2


class Command(NamedTuple):
  """What the joints are told over one control period: velocities that change evenly.

  Attributes:
    position: target at its beginning, rad; in velocity mode where the joints were.
    begin: velocity at its beginning, rad/s.
    end: velocity at its end, rad/s.
  """

  position: Float[Array, "joints"]
  begin: Float[Array, "joints"]
  end: Float[Array, "joints"]


class ArmControl:
  """Turns actions into commands; holds only what is static."""

  def __init__(self, control: Control, robot: Robot, chain: Chain, step_seconds: float):
    """Prepares a way of acting.

    Args:
      control: how.
      robot: whose limits hold; its acceleration limits are published.
      chain: from the world to the gripper.
      step_seconds: control period.

    Raises:
      ValueError: for an unknown mode or a number that makes no sense, naming it.
    """
    check(control)
    assert robot.acceleration_limit is not None
    self.control, self._chain, self._seconds = control, chain, step_seconds
    limits = (robot.lower, robot.upper, robot.velocity_limit, robot.acceleration_limit)
    lower, upper, speed, acceleration = (np.asarray(limit, np.float32) for limit in limits)
    self._lower, self._upper = lower + _MARGIN, upper - _MARGIN
    self._speed, self._acceleration = control.speed * speed, control.acceleration * acceleration
    self._default = np.asarray(robot.default_pose, np.float32)
    self._upright = np.asarray(kinematics.pose(chain, jnp.asarray(self._default)).rotation)

  @property
  def is_velocity(self) -> bool:
    """Whether the servos are told velocities."""
    return self.control.mode == "joint_velocity"

  @property
  def action_size(self) -> int:
    """Three for the gripper's velocity, or one for each joint."""
    return 3 if self.control.mode == "end_effector" else len(self._default)

  def rest(self, position: Float[Array, "joints"]) -> Command:
    """What keeps joints where they are."""
    still = jnp.zeros_like(position)
    return Command(position, still, still)

  def target(self, command: Command) -> Float[Array, "joints"]:
    """Where a command ends, rad."""
    moved = command.position + 0.5 * self._seconds * (command.begin + command.end)
    return jnp.clip(moved, self._lower, self._upper)

  def follow(
    self, last: Command, action: Float[Array, "action"], position: Float[Array, "joints"]
  ) -> Command:
    """The command that an action means.

    Args:
      last: the command before.
      action: within plus and minus 1.
      position: of the joints now, rad.
    """
    if self.is_velocity:
      place, low, high = position, self._lower, self._upper
    else:
      place, leash = self.target(last), self.control.leash
      low = jnp.maximum(self._lower, position - leash)
      high = jnp.minimum(self._upper, position + leash)
    most = self._seconds * self._acceleration
    if self.control.mode == "end_effector":
      change = self._to_joints(place, action) - last.end
      change /= jnp.maximum(1.0, jnp.max(jnp.abs(change) / most))  # all alike: the path stays
      wanted = last.end + change
    else:
      wanted = self._speed * action
    travelled = 0.5 * self._seconds * last.end
    wanted = jnp.minimum(wanted, self._brake(high - place - travelled))
    wanted = jnp.maximum(wanted, -self._brake(place + travelled - low))
    return Command(place, last.end, last.end + jnp.clip(wanted - last.end, -most, most))

  def told(
    self, last: Command, now: Command, substeps: int, latency: Int[Array, ""]
  ) -> Float[Array, "substeps joints"]:
    """What the servos are told in each physics step: the rest of the last command, then the new.

    Args:
      last: command of the control step before.
      now: this control step's.
      substeps: physics steps in a control step.
      latency: physics steps until `now` arrives, at most `substeps`.

    Returns:
      Targets in rad, or rad/s in velocity mode.
    """
    place = jnp.arange(substeps) - latency
    is_late = place < 0
    share = ((jnp.where(is_late, place + substeps, place) + 1.0) / substeps)[:, None]
    which = [jnp.where(is_late[:, None], old, new) for old, new in zip(last, now, strict=True)]
    position, begin, end = which
    if self.is_velocity:
      return begin + share * (end - begin)
    moved = position + self._seconds * share * (begin + 0.5 * share * (end - begin))
    return jnp.clip(moved, self._lower, self._upper)

  def _brake(self, room: Array | np.ndarray) -> Array:
    """The greatest velocity at the end of a control step from which a joint comes to rest in time.

    It solves `v T / 2 + v T / 2 + v^2 / 2a = room`: half of what is moved before, and what it takes
    to stop in whole control steps at most.
    """
    gain = self._seconds * self._acceleration
    return jnp.sqrt(jnp.maximum(gain**2 + 2.0 * self._acceleration * room, 0.0)) - gain

  def _to_joints(self, target: Array, action: Array) -> Array:
    """Joint velocities that move the commanded gripper as an action asks, all slowed alike."""
    told = kinematics.pose(self._chain, target)
    low, high = jnp.asarray(self.control.workspace)
    fastest, wanted = self.control.gripper_speed, self.control.gripper_speed * action
    down, up = (
      jnp.clip((end - told.position) / _SLOWING, -fastest, fastest) for end in (low, high)
    )
    linear = jnp.clip(wanted, down, up)
    turn = _UPRIGHT * kinematics.rotation_error(told.rotation, jnp.asarray(self._upright))
    turn = jnp.clip(turn, -_TURN_LIMIT, _TURN_LIMIT)
    back = _POSTURE * (jnp.asarray(self._default) - target)
    lacking = jnp.concatenate([linear, turn]) - told.jacobian @ back
    speed = back + kinematics.damped_least_squares(told.jacobian, lacking, _DAMPING)
    return speed / jnp.maximum(1.0, jnp.max(jnp.abs(speed) / self._speed))


def open_gripper(
  opening: Float[Array, ""], action: Float[Array, ""], within: tuple[float, float], most: float
) -> Float[Array, ""]:
  """The fingers' next target: 1 asks for all the way open, -1 for closed, at a bounded speed.

  Args:
    opening: their target so far, of each finger, m.
    action: within plus and minus 1.
    within: least and greatest opening, m.
    most: greatest change in a control step, m.
  """
  low, high = within
  wanted = low + (high - low) * 0.5 * (1.0 + action)
  return opening + jnp.clip(wanted - opening, -most, most)


def limit_use(
  robot: Robot,
  *,
  velocity: Float[Array, "joints"],
  acceleration: Float[Array, "joints"],
  jerk: Float[Array, "joints"],
  torque: Float[Array, "joints"],
  torque_rate: Float[Array, "joints"],
) -> dict[str, Array]:
  """How much of each kind of limit the joint that uses most of it uses; 1 is all of it.

  A kind whose limits are unpublished is left out.

  Args:
    robot: whose limits.
    velocity: of the joints, rad/s.
    acceleration: rad/s^2.
    jerk: rad/s^3.
    torque: N m.
    torque_rate: N m/s.
  """
  used = {
    "velocity": (velocity, robot.velocity_limit),
    "acceleration": (acceleration, robot.acceleration_limit),
    "jerk": (jerk, robot.jerk_limit),
    "torque": (torque, robot.torque_limit),
    "torque_rate": (torque_rate, robot.torque_rate_limit),
  }
  return {
    f"limits/{name}": jnp.max(jnp.abs(value) / jnp.asarray(limit))
    for name, (value, limit) in used.items()
    if limit is not None
  }


def check(control: Control) -> None:
  """Refuses a way of acting that there is not.

  Raises:
    ValueError: naming what is wrong.
  """
  if control.mode not in MODES:
    known = ", ".join(MODES)
    raise ValueError(
      f"unknown control {control.mode!r}{nearest(control.mode, list(MODES))}; there are {known}"
    )
  for name in ("speed", "acceleration"):
    if not 0.0 < getattr(control, name) <= 1.0:
      raise ValueError(f"control {name} must lie in (0, 1], not {getattr(control, name)}")
  for name in ("gripper_speed", "leash"):
    if not getattr(control, name) > 0.0:
      raise ValueError(f"control {name} must be positive, not {getattr(control, name)}")
  low, high = control.workspace
  if not all(below < above for below, above in zip(low, high, strict=True)):
    raise ValueError(f"the workspace needs its lowest corner first, got {control.workspace}")
