"""How the safety filter moves set-points: a tracker, an average, and gains that fit the motor.

Said in `safety.py`; the same sums in the same order are in `c/safety.c`.
"""

from typing import Any

import numpy as np

from jaxskills.deploy.safety_limits import Limits
from jaxskills.deploy.safety_records import DAMP, RUN, FilterState, Output

_NO_TORQUE = 1e-9  # N m; only so that nothing is divided by zero
_SAME = 1.000000001  # a velocity that equals its limit but for rounding is within it


def pick(condition: Any, yes: Any, no: Any) -> Any:
  """`np.where`, and without a batch a plain choice, which costs a tenth of it."""
  if isinstance(condition, np.ndarray):
    return np.where(condition, yes, no)
  return yes if condition else no


def by_joint(condition: Any) -> Any:
  """A condition of each filter, to be picked by for each of its joints."""
  return condition[..., None] if isinstance(condition, np.ndarray) else condition


def clip(values: Any, lower: Any, upper: Any) -> np.ndarray:
  """Within bounds, and never minus zero, of which languages differ in what is less."""
  return np.minimum(np.maximum(values, lower), upper) + 0.0


def advance(limits: Limits, state: FilterState, before: Any) -> FilterState:
  """Moves the tracker by a tick; where nothing is driven, it stays with what is measured."""
  runs = by_joint(state.mode == RUN)
  goes_on = by_joint(_drives(limits, before) & _drives(limits, state.mode))
  here = clip(state.position, limits.range_lower, limits.range_upper)
  still = here[..., None, :] + np.zeros((limits.window, 1))
  past = pick(by_joint(goes_on), state.track, still)
  place, speed = past[..., 0, :], pick(goes_on, state.speed, 0.0)
  last_goal = pick(goes_on, state.goal, here)
  last_velocity = pick(goes_on, state.goal_velocity, 0.0)

  goal = pick(runs, state.wanted, place)
  velocity = pick(runs, (goal - last_goal) / limits.tick, np.zeros_like(place))
  change = abs(velocity - last_velocity)
  keeps = (abs(velocity) <= limits.speed * _SAME) & (change <= limits.speed_step * _SAME) & runs
  lower, upper = np.minimum(limits.lower, place), np.maximum(limits.upper, place)
  away = np.where(keeps, last_goal, goal) - place
  rooms = np.empty((3, *away.shape))
  np.abs(away, out=rooms[0])
  np.subtract(upper, place, out=rooms[1])
  np.subtract(place, lower, out=rooms[2])
  towards, up, down = _brake(limits, rooms)

  fastest = np.minimum(np.minimum(speed + limits.speed_step, limits.speed), up)
  slowest = np.maximum(np.maximum(speed - limits.speed_step, -limits.speed), -down)
  asked = np.where(keeps, velocity, 0.0) + np.copysign(towards, away)
  speed = np.maximum(np.minimum(asked, fastest), slowest) + 0.0
  track = np.empty_like(past)
  track[..., 0, :] = clip(place + speed * limits.tick, lower, upper)
  track[..., 1:, :] = past[..., :-1, :]
  return state._replace(goal=goal, goal_velocity=velocity, speed=speed, track=track)


def _drives(limits: Limits, mode: Any) -> Any:
  """Whether positions matter in this mode."""
  return (mode == RUN) | (limits.brakes & (mode == DAMP))


def _brake(limits: Limits, room: np.ndarray) -> np.ndarray:
  """The greatest speed of this tick after which a joint can still stop within `room`, rad/s.

  In ticks: with `u = (k + f) step` in this one, 0 <= f < 1, and one step less in each that follows,
  it moves by `(k + 1) (k / 2 + f)` stretches. That equation, solved for u.
  """
  stretches = room / limits.stretch
  steps = np.floor(0.5 * (np.sqrt(8.0 * stretches + 1.0) - 1.0))
  return limits.speed_step * (0.5 * steps + stretches / (steps + 1.0))


def output_of(limits: Limits, state: FilterState) -> Output:
  """The average of the track, and gains that ask no motor for more than its torque."""
  total = state.track[..., 0, :]
  for index in range(1, limits.window):
    total = total + state.track[..., index, :]
  position = total / limits.window
  runs, damps = by_joint(state.mode == RUN), by_joint(state.mode == DAMP)
  none = np.zeros_like(limits.stiffness)
  stiffness = pick(runs, limits.stiffness, none)
  damping = pick(runs, limits.damping, pick(damps, limits.damp_damping, none))
  torque = abs(stiffness * (position - state.position) - damping * state.velocity)
  share = np.minimum(limits.torque / np.maximum(torque, _NO_TORQUE), 1.0)
  return Output(state.mode, state.reason, position, stiffness * share, damping * share)
