"""What an H1's controller knows at one instant, from one `LowState_`: joints, pelvis, height.

The inertial unit sits in the torso; its reading is turned into the pelvis' frame by the waist's
angle and rate of the same message. The height is that of the pelvis over the lower sole, by the
legs' kinematics: a robot in the air has one too. Plain floats, for this runs 500 times a second.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxskills.deploy import safety

_LEG = ("hip_yaw", "hip_roll", "hip_pitch", "knee", "ankle")
# Offsets between the leg's joints, m, left side (right: mirrored in y), as in the robot's model.
_PELVIS_TO_HIP = (0.0, 0.0875, -0.1742)
_HIP_FORWARD, _HIP_OUTWARD = 0.039468, 0.11536
_THIGH = _SHIN = 0.4
_SOLE = (0.05, -0.07)  # the middle of the sole, ahead of and below the ankle
_UNIT_ERROR = 0.1  # of a quaternion's length, beyond which it is no attitude


class Senses(NamedTuple):
  """One instant, as the robot measured it.

  Attributes:
    tick: the robot's own clock, ms.
    position: of the joints in the policy's order, rad, float64 `[joints]`.
    velocity: likewise, rad/s.
    gyro: of the pelvis in its frame, rad/s, `[3]`.
    gravity: direction of gravity in the pelvis' frame, `[3]`; NaN where the unit gave no attitude.
    height: of the pelvis over the lower sole, m.
    remote: the 40 bytes of the wireless remote.
  """

  tick: int
  position: np.ndarray
  velocity: np.ndarray
  gyro: np.ndarray
  gravity: np.ndarray
  height: float
  remote: bytes

  @property
  def upright(self) -> float:
    """Cosine of the pelvis' tilt: 1 upright, 0 lying."""
    return -float(self.gravity[2])


class Sensing:
  """Turns messages into `Senses` for one robot."""

  def __init__(self, robot: Mapping[str, Any]) -> None:
    """Looks up what the manifest says of the robot.

    Args:
      robot: the manifest's `parts["robot"]`.
    """
    joints = list(robot["joints"])
    self._motors = np.array(robot["motors"])
    self._waist = joints.index(robot["imu"]["waist_joint"])
    self._legs = [
      ([joints.index(f"{side}_{joint}") for joint in _LEG], sign)
      for side, sign in (("left", 1.0), ("right", -1.0))
    ]

  def read(self, state: np.ndarray) -> Senses:
    """The senses of a record of `messages.LOW_STATE`, or of a log with the same fields."""
    unit, motors = state["imu_state"], state["motor_state"]
    position = motors["q"][self._motors].astype(np.float64)
    velocity = motors["dq"][self._motors].astype(np.float64)
    angle, rate = float(position[self._waist]), float(velocity[self._waist])
    cos, sin = math.cos(angle), math.sin(angle)
    turn = lambda x, y, z: (cos * x - sin * y, sin * x + cos * y, z)  # noqa: E731
    x, y, z = turn(*unit["gyroscope"].tolist())
    gravity = turn(*_down(*unit["quaternion"].tolist()))
    reach = [self._reach(position, gravity, *leg) for leg in self._legs]
    return Senses(
      tick=int(state["tick"]),
      position=position,
      velocity=velocity,
      gyro=np.array((x, y, z - rate)),
      gravity=np.array(gravity),
      height=max(reach) if all(map(math.isfinite, reach)) else math.nan,
      remote=state["wireless_remote"].tobytes(),
    )

  def _reach(
    self, position: np.ndarray, gravity: Sequence[float], leg: Sequence[int], side: float
  ) -> float:
    """How far a sole is below the pelvis, m."""
    x, y, z = sole(*position[leg].tolist(), side=side)
    return x * gravity[0] + y * gravity[1] + z * gravity[2]


def reading_of(senses: Senses, stamp: float) -> safety.Reading:
  """What the safety filter looks at.

  Args:
    senses: of one message. Where its rates are no numbers, it is not upright either: the filter has
      no eye of its own for them, and the policy looks only at what the filter believes.
    stamp: when the message came, s.
  """
  upright = senses.upright if np.isfinite(senses.gyro).all() else math.nan
  return safety.Reading(stamp, senses.position, senses.velocity, upright, senses.height)


def sole(
  yaw: float, roll: float, pitch: float, knee: float, ankle: float, *, side: float
) -> tuple[float, float, float]:
  """Where the middle of a sole is in the pelvis' frame, m.

  Args:
    yaw: of the hip, rad; the others likewise, in the order of the joints.
    roll: of the hip.
    pitch: of the hip.
    knee: of the knee.
    ankle: of the ankle.
    side: 1 for the left leg, -1 for the right one.
  """
  shin, foot = pitch + knee, pitch + knee + ankle
  ahead, below = _SOLE
  x = -_THIGH * _sin(pitch) - _SHIN * _sin(shin) + ahead * _cos(foot) + below * _sin(foot)
  z = -_THIGH * _cos(pitch) - _SHIN * _cos(shin) - ahead * _sin(foot) + below * _cos(foot)
  y = side * _HIP_OUTWARD
  y, z = y * _cos(roll) - z * _sin(roll), y * _sin(roll) + z * _cos(roll)
  x += _HIP_FORWARD
  x, y = x * _cos(yaw) - y * _sin(yaw), x * _sin(yaw) + y * _cos(yaw)
  return x + _PELVIS_TO_HIP[0], y + side * _PELVIS_TO_HIP[1], z + _PELVIS_TO_HIP[2]


def _down(w: float, x: float, y: float, z: float) -> tuple[float, float, float]:
  """The world's downward direction in the frame whose attitude a quaternion is."""
  length = math.sqrt(w * w + x * x + y * y + z * z)
  if not abs(length - 1.0) < _UNIT_ERROR:  # nor is NaN
    return math.nan, math.nan, math.nan
  w, x, y, z = w / length, x / length, y / length, z / length
  return 2.0 * (w * y - x * z), -2.0 * (y * z + w * x), 2.0 * (x * x + y * y) - 1.0


def _sin(angle: float) -> float:
  return math.sin(angle) if math.isfinite(angle) else math.nan


def _cos(angle: float) -> float:
  return math.cos(angle) if math.isfinite(angle) else math.nan
