"""A Panda in C MuJoCo at 1 kHz, with the reflexes that its controller answers bad commands with.

What libfranka documents: every tick the robot takes one desired position of each joint. From the
last three it knows their velocity, acceleration and jerk, by differences, and ends the motion where
one is beyond its limit; the names are libfranka's. A command that does not arrive is extrapolated
with constant acceleration; twenty in a row end the motion. Reflexes brake and are latched. The
numbers are the robot's own (`assets.panda`), not a bundle's. The servo behind the commands is the
model's, as in training; a real Panda's impedance controller is stiffer.
"""

from typing import NamedTuple

import mujoco
import numpy as np

from jaxskills.assets.panda import PANDA, panda_model
from jaxskills.deploy.franka.motion import JOINTS, TICK_SECONDS

MISSED_LIMIT = 20  # commands in a row, by Franka's documentation
START_TOLERANCE = 0.01  # rad between the first command and where the robot is; ours
_ROUNDING = 1e-6  # of a limit
_LOWER, _UPPER = np.array(PANDA.lower), np.array(PANDA.upper)
_ACCELERATION = np.array(PANDA.acceleration_limit)
_COMMANDED = np.array([PANDA.velocity_limit, PANDA.acceleration_limit, PANDA.jerk_limit])
_MEASURED = np.array([PANDA.velocity_limit, PANDA.torque_limit, PANDA.torque_rate_limit])

START_POSE = "joint_position_motion_generator_start_pose_invalid"
POSITION = "joint_motion_generator_position_limits_violation"
VELOCITY = "joint_motion_generator_velocity_limits_violation"
ACCELERATION = "joint_motion_generator_velocity_discontinuity"
JERK = "joint_motion_generator_acceleration_discontinuity"
MEASURED_POSITION = "joint_position_limits_violation"
MEASURED_VELOCITY = "joint_velocity_violation"
MISSED = "communication_constraints_violation"
NOT_FINITE = "joint_motion_generator_not_finite"


class Desired(NamedTuple):
  """What the robot wants of its joints, by the last commands.

  Attributes:
    position: rad.
    velocity: rad/s.
    acceleration: rad/s^2.
  """

  position: np.ndarray
  velocity: np.ndarray
  acceleration: np.ndarray


class Use(NamedTuple):
  """Shares of the robot's limits, 1 is all of it: of the joint that uses most.

  Attributes:
    velocity: of commands.
    acceleration: of commands.
    jerk: of commands.
    measured_velocity: of the joints.
    torque: of the motors.
    torque_rate: of the motors' torques, over a tick.
  """

  velocity: float = 0.0
  acceleration: float = 0.0
  jerk: float = 0.0
  measured_velocity: float = 0.0
  torque: float = 0.0
  torque_rate: float = 0.0


def rest(pose: np.ndarray) -> Desired:
  """Nothing but to stay, rad."""
  return Desired(pose, np.zeros(JOINTS), np.zeros(JOINTS))


def take(last: Desired, command: np.ndarray) -> tuple[Desired, np.ndarray]:
  """What a command makes of what was desired; and its jerk, rad/s^3."""
  velocity = (command - last.position) / TICK_SECONDS
  acceleration = (velocity - last.velocity) / TICK_SECONDS
  return Desired(command, velocity, acceleration), (acceleration - last.acceleration) / TICK_SECONDS


def extrapolate(last: Desired) -> Desired:
  """What the robot makes of a command that did not arrive."""
  velocity = last.velocity + TICK_SECONDS * last.acceleration
  return Desired(last.position + TICK_SECONDS * velocity, velocity, last.acceleration)


def brake(last: Desired) -> Desired:
  """The robot's own way to rest, after a reflex."""
  change = TICK_SECONDS * _ACCELERATION
  velocity = last.velocity - np.clip(last.velocity, -change, change)
  acceleration = (velocity - last.velocity) / TICK_SECONDS
  return Desired(last.position + TICK_SECONDS * velocity, velocity, acceleration)


def reflex_of(desired: Desired, shares: np.ndarray) -> str | None:
  """The reflex that a motion answers with, or None.

  Args:
    desired: after the command.
    shares: of the limits of velocity, acceleration and jerk that the command uses.
  """
  if not np.isfinite(desired.position).all():
    return NOT_FINITE
  if (desired.position < _LOWER).any() or (desired.position > _UPPER).any():
    return POSITION
  for name, share in zip((VELOCITY, ACCELERATION, JERK), shares, strict=True):
    if share > 1.0 + _ROUNDING:
      return name
  return None


def shares_of(desired: Desired, jerk: np.ndarray) -> np.ndarray:
  """Shares of the limits of velocity, acceleration and jerk, of the joint that uses most."""
  return np.abs([desired.velocity, desired.acceleration, jerk] / _COMMANDED).max(axis=1)


class Arm:
  """The robot: call `tick` once a millisecond of its time.

  Attributes:
    desired: by the last commands.
    reflex: that ended the motion, or None.
    ticks: since the arm was made.
    missed: commands in a row that did not arrive.
    missed_in_all: since the motion began.
    worst_missed: most of them in a row.
    moving: whether a motion is under way.
  """

  def __init__(self, pose: np.ndarray | None = None) -> None:
    """At rest at a pose, rad; the default pose if None."""
    self._model = panda_model(timestep=TICK_SECONDS, looks=False)
    self._data = mujoco.MjData(self._model)
    mujoco.mj_resetDataKeyframe(self._model, self._data, self._model.key("home").id)
    start = np.array(PANDA.default_pose if pose is None else pose, np.float64)
    self._data.qpos[:JOINTS] = self._data.ctrl[:JOINTS] = start
    mujoco.mj_forward(self._model, self._data)
    self.desired, self.reflex, self.ticks = rest(start), None, 0
    self._torque = self._data.actuator_force[:JOINTS].copy()
    self.stop()

  @property
  def use(self) -> Use:
    """Worst of each limit since the motion began."""
    return Use(*self._shares.tolist())

  @property
  def position(self) -> np.ndarray:
    """Measured joints, rad."""
    return self._data.qpos[:JOINTS].copy()

  @property
  def velocity(self) -> np.ndarray:
    """Measured joints, rad/s."""
    return self._data.qvel[:JOINTS].copy()

  @property
  def gripper(self) -> np.ndarray:
    """Where the gripper is, world frame, m."""
    return self._data.site("gripper").xpos.copy()

  def start(self) -> None:
    """A motion begins: from now on a command is due at every tick."""
    self.moving, self._is_first = True, True
    self.missed = self.missed_in_all = self.worst_missed = 0
    self._shares = np.zeros(len(Use._fields))

  def stop(self) -> None:
    """The motion is over; the robot stays where it wants to be."""
    self.start()
    self.moving = False

  def recover(self) -> None:
    """Forgets a reflex, at rest."""
    if not self.desired.velocity.any():
      self.reflex, self.desired = None, rest(self.desired.position)

  def tick(self, command: np.ndarray | None) -> None:
    """One millisecond.

    Args:
      command: desired joints, rad; None if none arrived, or none is due.
    """
    if self.moving:
      self._take(command)
    else:
      self.desired = brake(self.desired)
    self._data.ctrl[:JOINTS] = self.desired.position
    mujoco.mj_step(self._model, self._data)
    self.ticks += 1
    self._measure()

  def _take(self, command: np.ndarray | None) -> None:
    if command is None:
      self.missed, self.missed_in_all = self.missed + 1, self.missed_in_all + 1
      self.worst_missed = max(self.worst_missed, self.missed)
      desired, jerk = extrapolate(self.desired), np.zeros(JOINTS)
    else:
      self.missed = 0
      desired, jerk = take(self.desired, command)
    shares = shares_of(desired, jerk)
    if command is not None:
      self._shares[:3] = np.maximum(self._shares[:3], shares)
    reflex = reflex_of(desired, shares)
    if command is not None and self._is_first:
      self._is_first = False
      if not np.abs(command - self.desired.position).max() <= START_TOLERANCE:
        reflex = START_POSE
    if self.missed >= MISSED_LIMIT:
      reflex = MISSED
    if reflex is None:
      self.desired = desired
    else:
      self._react(reflex)

  def _measure(self) -> None:
    velocity, position = self.velocity, self.position
    torque = self._data.actuator_force[:JOINTS].copy()
    rate, self._torque = (torque - self._torque) / TICK_SECONDS, torque
    shares = np.abs([velocity, torque, rate] / _MEASURED).max(axis=1)
    self._shares[3:] = np.maximum(self._shares[3:], shares)
    if self.moving and shares[0] > 1.0:
      self._react(MEASURED_VELOCITY)
    if self.moving and ((position < _LOWER).any() or (position > _UPPER).any()):
      self._react(MEASURED_POSITION)

  def _react(self, reflex: str) -> None:
    self.reflex, self.moving = reflex, False
    self.desired = brake(self.desired)
