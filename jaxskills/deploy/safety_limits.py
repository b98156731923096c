"""What the safety filter holds a robot to: published limits where there are any, ours where not.

Panda: libfranka's `rate_limiting.h` (kLimitEps .001 off every limit, and velocity as if three
packets were lost). Its own torque controller is behind the set-points: no gains, no torque limits.

H1: per joint 95 % of its record's range and torque, and its speed. Limits on how set-points may
accelerate are unpublished and ours. A set-point is half a torque command (torque is kp times the
distance to it), so they bound how abruptly the motors' torques may change, not how joints move:

- acceleration: full speed within 4 ms, two ticks. The policy's steps (.1 to .3 rad at 50 Hz) then
  take as long as the speed limit asks for and 4 ms more: .1 rad of a hip arrives 10 ms after it was
  asked for, half a policy period; .25 rad of an ankle (9 rad/s) takes 32 ms. As a latency that is
  4 and 16 ms on the average, of the 0 to 20 ms that the policy was trained with.
- jerk: full acceleration within 3 ms. Three ticks are averaged: slow signals come 2 ms late.
- torque rate: the motor's whole torque in no less than 50 ms. It slows no leg's set-point; waist,
  shoulders and elbows, which the policy does not move, to between 7 and 13 rad/s.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxskills.errors import UserError

_H1_TICK, _PANDA_TICK = 0.002, 0.001  # s: 500 Hz streaming; libfranka's kDeltaT
_FULL_SPEED, _FULL_ACCELERATION, _FULL_TORQUE = 0.004, 0.003, 0.05  # s, the H1's; see above
_FRANKA_EPSILON, _FRANKA_LOST = 0.001, 3  # kLimitEps, kTolNumberPacketsLost
_H1_RANGE = 0.95  # of each joint's range, about its middle
_PANDA_MARGIN = 0.04  # rad off either end; the policy's own targets keep .05 rad away
_H1_TORQUE = 0.95  # of each motor's: a reading is late, by a network more than a little
_H1_DAMP = 8.0  # N m s/rad: what Unitree's own deployment damps every joint with
_STALE_SECONDS, _CLOCK_SECONDS = 0.1, 0.1
_PERIODS_WITHOUT_POLICY = 3
_TILT, _LEAST_HEIGHT, _GREATEST_HEIGHT = 1.0, 0.5, 2.0  # rad, m, m
_MISSES, _FORGIVEN = 10.0, 0.0625  # late ticks at once, and how many each tick in time takes off


class Limits(NamedTuple):
  """All that the filter of one robot knows beforehand. `n` joints, in the record's order.

  Arrays are float64 `[n]` unless said otherwise; `math.inf` where there is no limit. The last four
  follow from the others and are not in the JSON.

  Attributes:
    robot: name of the record, "h1" or "panda".
    joints: names.
    tick: nominal time between two steps, s; limits on changes are over this time.
    brakes: DAMP brakes to rest and holds the position, instead of letting go but for damping.
    range_lower: least positions of the joints, rad.
    range_upper: greatest.
    lower: least positions that are commanded, rad; within the range.
    upper: greatest.
    velocity: of set-points, rad/s.
    acceleration: of set-points, rad/s^2.
    jerk: of set-points, rad/s^3.
    torque: of the motors, N m.
    torque_rate: how fast a moving set-point may change the torque, N m/s.
    stiffness: kp in RUN, N m/rad; 0 where the robot has its own controller.
    damping: kd in RUN, N m s/rad.
    damp_damping: kd in DAMP, N m s/rad.
    default_pose: rad.
    controlled: indices of the joints that an action moves, int `[a]`.
    action_scale: rad per 1 of an action, `[a]`.
    action_offset: pose that an action of zero asks for, rad, `[a]`.
    action_limit: actions are clipped to plus and minus this.
    reading_margin: how far outside the range a measured position is still believed, rad.
    reading_speed: greatest measured speed that is believed, rad/s.
    stale_seconds: greatest age of the newest reading.
    command_seconds: greatest age of the newest command while engaged.
    clock_seconds: greatest time between two steps by the clock.
    least_upright: least cosine of the base's tilt while engaged.
    least_height: of the base over the lower sole while engaged, m.
    greatest_height: that is believed, m.
    miss_limit: late ticks that are borne.
    miss_leak: how many of them each tick in time takes off.
    speed: the lower of `velocity` and what `torque_rate` allows, rad/s.
    speed_step: greatest change of the speed in a tick, rad/s.
    stretch: greatest change of the distance in a tick, rad: `acceleration tick^2`.
    window: ticks that are averaged, so that the jerk holds.
  """

  robot: str
  joints: tuple[str, ...]
  tick: float
  brakes: bool
  range_lower: np.ndarray
  range_upper: np.ndarray
  lower: np.ndarray
  upper: np.ndarray
  velocity: np.ndarray
  acceleration: np.ndarray
  jerk: np.ndarray
  torque: np.ndarray
  torque_rate: np.ndarray
  stiffness: np.ndarray
  damping: np.ndarray
  damp_damping: np.ndarray
  default_pose: np.ndarray
  controlled: np.ndarray
  action_scale: np.ndarray
  action_offset: np.ndarray
  action_limit: float
  reading_margin: float
  reading_speed: np.ndarray
  stale_seconds: float
  command_seconds: float
  clock_seconds: float
  least_upright: float
  least_height: float
  greatest_height: float
  miss_limit: float
  miss_leak: float
  speed: np.ndarray
  speed_step: np.ndarray
  stretch: np.ndarray
  window: int


_DERIVED = ("speed", "speed_step", "stretch", "window")
_STATED = tuple(name for name in Limits._fields if name not in _DERIVED)
_PER_ACTION = ("controlled", "action_scale", "action_offset")
_MAY_BE_INFINITE = ("torque", "torque_rate", "least_upright", "least_height", "greatest_height")
_PER_JOINT = tuple(
  name
  for name, kind in Limits.__annotations__.items()
  if kind is np.ndarray and name not in (*_DERIVED, *_PER_ACTION)
)


def limits_of(
  robot: Mapping[str, Any],
  *,
  controlled: Sequence[int],
  scale: Sequence[float],
  offset: Sequence[float],
  action_limit: float,
  policy_seconds: float,
) -> Limits:
  """The limits of a robot that a policy of a bundle drives.

  Args:
    robot: fields of its `Robot` record, `_asdict()` or a manifest's `parts.robot`.
    controlled: indices of the joints that the action moves.
    scale: rad per 1 of the action, one for each controlled joint; where an action is no
      displacement of the pose (an arm with its own command generator), zeros.
    offset: pose that an action of zero asks for, rad, likewise.
    action_limit: actions are clipped to plus and minus this.
    policy_seconds: between two decisions.

  Raises:
    UserError: for a robot whose limits are not known here, or numbers that are no limits.
  """
  own = {"h1": _h1, "panda": _panda}.get(robot["name"])
  if own is None:
    raise UserError(f"no safety limits are known for robot {robot['name']!r}; there are h1, panda.")
  lower, upper = np.asarray(robot["lower"], float), np.asarray(robot["upper"], float)
  return _derive(
    robot=robot["name"],
    joints=tuple(robot["joints"]),
    range_lower=lower,
    range_upper=upper,
    reading_speed=2.0 * np.asarray(robot["velocity_limit"], float),
    default_pose=robot["default_pose"],
    controlled=controlled,
    action_scale=scale,
    action_offset=offset,
    action_limit=action_limit,
    stale_seconds=_STALE_SECONDS,
    command_seconds=_PERIODS_WITHOUT_POLICY * policy_seconds,
    clock_seconds=_CLOCK_SECONDS,
    miss_limit=_MISSES,
    miss_leak=_FORGIVEN,
    **own(robot, lower, upper),
  )


def _h1(robot: Mapping[str, Any], lower: np.ndarray, upper: np.ndarray) -> dict[str, Any]:
  velocity, torque = (np.asarray(robot[f"{name}_limit"], float) for name in ("velocity", "torque"))
  acceleration = velocity / _FULL_SPEED
  middle, half = 0.5 * (lower + upper), 0.5 * _H1_RANGE * (upper - lower)
  return {
    "tick": _H1_TICK,
    "brakes": False,
    "lower": middle - half,
    "upper": middle + half,
    "velocity": velocity,
    "acceleration": acceleration,
    "jerk": acceleration / _FULL_ACCELERATION,
    "torque": _H1_TORQUE * torque,
    "torque_rate": torque / _FULL_TORQUE,
    "stiffness": robot["stiffness"],
    "damping": robot["damping"],
    "damp_damping": np.full_like(torque, _H1_DAMP),
    "reading_margin": 0.2,
    "least_upright": math.cos(_TILT),
    "least_height": _LEAST_HEIGHT,
    "greatest_height": _GREATEST_HEIGHT,
  }


def _panda(robot: Mapping[str, Any], lower: np.ndarray, upper: np.ndarray) -> dict[str, Any]:
  acceleration = np.asarray(robot["acceleration_limit"], float) - _FRANKA_EPSILON
  velocity = np.asarray(robot["velocity_limit"], float) - _FRANKA_EPSILON
  nothing, unlimited = np.zeros_like(lower), np.full_like(lower, math.inf)
  return {
    "tick": _PANDA_TICK,
    "brakes": True,
    "lower": lower + _PANDA_MARGIN,
    "upper": upper - _PANDA_MARGIN,
    "velocity": velocity - _FRANKA_LOST * _PANDA_TICK * acceleration,
    "acceleration": acceleration,
    "jerk": np.asarray(robot["jerk_limit"], float) - _FRANKA_EPSILON,
    "torque": unlimited,
    "torque_rate": unlimited,
    "stiffness": nothing,
    "damping": nothing,
    "damp_damping": nothing,
    "reading_margin": 0.05,
    "least_upright": -math.inf,
    "least_height": -math.inf,
    "greatest_height": math.inf,
  }


def to_json(limits: Limits) -> dict[str, Any]:
  """The limits as JSON values that `from_json` reads back to the bit; null is no limit.

  Whether an infinite limit is plus or minus infinity follows from the field.
  """
  return {name: _plain(getattr(limits, name)) for name in _STATED}


def from_json(values: Mapping[str, Any]) -> Limits:
  """Reads what `to_json` wrote.

  Raises:
    UserError: naming what is missing, unknown, of another shape or not a number.
  """
  if not isinstance(values, Mapping):
    raise UserError("safety limits are no JSON object; export the bundle again.")
  for name in sorted(set(_STATED) ^ set(values)):
    fault = "lack" if name in _STATED else "have an unknown field"
    raise UserError(f"safety limits {fault} {name!r}; export the bundle again.")
  return _derive(**values)


def _plain(value: Any) -> Any:
  if isinstance(value, np.ndarray | tuple | list):
    return [_plain(entry) for entry in value]
  if isinstance(value, float | np.floating):
    return float(value) if math.isfinite(value) else None
  return value.item() if isinstance(value, np.generic) else value


def _derive(**stated: Any) -> Limits:
  """Makes arrays of what is stated, checks it, and adds what follows from it."""
  values = {name: _typed(name, stated[name]) for name in _STATED}
  count, actions = len(values["joints"]), len(values["controlled"])
  for names, length in ((_PER_JOINT, count), (_PER_ACTION, actions)):
    for name in names:
      if values[name].shape != (length,):
        raise UserError(f"safety limits: {name} needs {length} numbers, not {values[name].shape}.")
  _check(values)
  kp, velocity, acceleration = (values[name] for name in ("stiffness", "velocity", "acceleration"))
  tick = values["tick"]
  by_torque = values["torque_rate"] / np.where(kp > 0.0, kp, 1.0)
  window = np.ceil(2.0 * acceleration / (values["jerk"] * tick) - 1e-9).max()
  return Limits(
    **values,
    speed=np.where(kp > 0.0, np.minimum(velocity, by_torque), velocity),
    speed_step=acceleration * tick,
    stretch=acceleration * tick * tick,
    window=max(1, int(window)),
  )


def _typed(name: str, value: Any) -> Any:
  """One field as the type that `Limits` says; null becomes the infinity that means no limit."""
  kind = Limits.__annotations__[name]
  unlimited = -math.inf if name.startswith("least_") else math.inf
  try:
    if kind is np.ndarray:
      entries = [unlimited if entry is None else entry for entry in np.asarray(value).tolist()]
      return np.asarray(entries, np.int64 if name == "controlled" else np.float64)
    if kind is float:
      return unlimited if value is None else float(value)
    if name == "joints":
      return tuple(map(str, value))
    if not isinstance(value, kind):
      raise TypeError(value)
    return value
  except (TypeError, ValueError) as error:
    raise UserError(f"safety limits: {name} is no {kind}; export the bundle again.") from error


def _check(values: Mapping[str, Any]) -> None:
  """Refuses numbers that the filter could not keep to.

  Raises:
    UserError: naming the first.
  """
  for name in _STATED:
    numbers = np.asarray(values[name])
    if numbers.dtype.kind == "f" and name not in _MAY_BE_INFINITE and np.isinf(numbers).any():
      raise UserError(f"safety limits: {name} must be finite; it is {values[name]}.")
    if np.any(numbers != numbers):
      raise UserError(f"safety limits: {name} is not a number.")
  count, indices = len(values["joints"]), values["controlled"]
  if np.any((indices < 0) | (indices >= count)) or len(set(indices.tolist())) < len(indices):
    raise UserError(f"safety limits: controlled joints {indices.tolist()} are not among {count}.")
  positive = ("tick", "velocity", "acceleration", "jerk", "torque", "torque_rate", "action_limit")
  ages = ("stale_seconds", "command_seconds", "clock_seconds", "reading_speed", "miss_limit")
  for name in (*positive, *ages):
    if not np.all(np.asarray(values[name]) > 0.0):
      raise UserError(f"safety limits: {name} must be positive; it is {values[name]}.")
  for name in ("stiffness", "damping", "damp_damping", "reading_margin", "miss_leak"):
    if not np.all(np.asarray(values[name]) >= 0.0):
      raise UserError(f"safety limits: {name} must not be negative; it is {values[name]}.")
  order = [values[name] for name in ("range_lower", "lower", "upper", "range_upper")]
  if not all(np.all(low <= high) for low, high in zip(order, order[1:], strict=False)):
    raise UserError("safety limits: the commanded positions do not lie within the joints' ranges.")
