"""The safety filter: the last thing between a policy and the motors, in every tick.

  limits = limits_of(H1._asdict(), controlled=..., scale=..., offset=..., action_limit=4.0,
                     policy_seconds=.02)
  state = start(limits)
  while True:
    command = Command(stamp, target_of(limits, action), engaged)
    state, output = step(limits, state, now, reading, command)
    send(output)

`step` is a pure function: no clock, no memory but `FilterState`. `safety_c` writes the same for C,
bit for bit. Arrays of joints `[n]` may carry leading batch axes: many filters at once.

Three modes. IDLE: nobody is engaged; all gains are zero. RUN: engaged; set-points move towards the
target within the limits. DAMP: latched by the first fault, and by whoever disengages in RUN; it is
streamed until `reset` comes while nobody is engaged, with no fault left and a reading that is at
most two ticks old; then IDLE. In DAMP a legged robot's joints are damped and else free; an arm with
its own position controller (`Limits.brakes`) brakes to rest within its limits and holds.

In RUN, whatever is asked for: set-points lie within `lower` and `upper` (a joint that starts
outside of them moves only inwards), and their differences from tick to tick within speed,
acceleration and jerk; predicted torque `kp (q* - q) - kd dq` lies within the motor's. To that end
a tracker takes the target's own velocity where it is within the limits, and else goes to it as fast
as it can still brake, at the target and before the end of the range; a moving average then bounds
the jerk. A target that keeps to the limits passes as it is, `(window - 1) / 2` ticks later. Where
the torque would be too great, kp and kd go down together, which adds no energy.

Limits on differences hold for the nominal tick, to rounding (1e-9 of each limit, and of a
position's last digits divided by the tick, its square and its cube); the clock decides only ages.
"""

from typing import Any

import numpy as np

from jaxskills.deploy.safety_limits import Limits, from_json, limits_of, to_json
from jaxskills.deploy.safety_motion import advance, by_joint, clip, output_of, pick
from jaxskills.deploy.safety_records import (
  DAMP,
  FAULTS,
  IDLE,
  NEVER,
  REASONS,
  RUN,
  Command,
  Each,
  Fault,
  FilterState,
  Output,
  Reading,
)

__all__ = [
  "DAMP",
  "FAULTS",
  "IDLE",
  "REASONS",
  "RUN",
  "Command",
  "Fault",
  "FilterState",
  "Limits",
  "Output",
  "Reading",
  "from_json",
  "limits_of",
  "start",
  "step",
  "target_of",
  "to_json",
]

_LATEST = 1e15  # s; a clock that says more is broken
_UPRIGHT_SLACK = 1.000001  # cosines are measured, and rounded
_FRESH_TICKS = 2.0


def start(limits: Limits, batch: tuple[int, ...] = ()) -> FilterState:
  """The state before the first step: nothing read, nobody engaged.

  Args:
    limits: of the robot.
    batch: leading axes, for many filters at once.
  """
  pose = np.broadcast_to(limits.default_pose, (*batch, len(limits.joints)))
  never, zero = np.full(batch, NEVER)[()], np.zeros(batch)[()]
  return FilterState(
    now=never,
    reading_stamp=never,
    position=pose,
    velocity=np.zeros(pose.shape),
    upright=np.ones(batch)[()],
    height=np.full(batch, np.inf)[()],
    command_stamp=never,
    wanted=pose,
    engaged=np.zeros(batch, bool)[()],
    mode=np.full(batch, IDLE)[()],
    reason=np.zeros(batch, int)[()],
    misses=zero,
    held=zero,
    goal=pose,
    goal_velocity=np.zeros(pose.shape),
    speed=np.zeros(pose.shape),
    track=np.repeat(pose[..., None, :], limits.window, axis=-2),
  )


def target_of(limits: Limits, action: np.ndarray) -> np.ndarray:
  """Joint targets of a policy's action, in rad: clipped, scaled, about the offset.

  Joints that are not controlled get the default pose. An action that is not finite gives NaN
  everywhere, which `step` refuses.
  """
  action = np.asarray(action, np.float64)
  is_finite = np.isfinite(action).all(-1, keepdims=True)
  clipped = np.minimum(np.maximum(action, -limits.action_limit), limits.action_limit)
  target = np.broadcast_to(limits.default_pose, (*action.shape[:-1], len(limits.joints))).copy()
  target[..., limits.controlled] = limits.action_offset + limits.action_scale * clipped
  return np.where(is_finite, target, np.nan)


def step(
  limits: Limits,
  state: FilterState,
  now: Each,
  reading: Reading,
  command: Command,
  *,
  late: Each = False,
  reset: Each = False,
) -> tuple[FilterState, Output]:
  """One tick.

  Args:
    limits: of the robot.
    state: from the last step, or `start`.
    now: s of a monotonic clock; the tick itself is taken as `limits.tick` long.
    reading: the newest there is; the same again where none is newer.
    command: likewise.
    late: this tick came after its deadline.
    reset: the operator asks for the latch to be let go.

  Returns:
    The state for the next step, and what to send.
  """
  state, clock_broke = _tell_time(limits, state, _number(now))
  state = _read(limits, state, Reading(*map(_number, reading)))
  state, is_refused = _obey(limits, state, Command(*map(_number, command)))
  before = state.mode
  state = _judge(limits, state, clock_broke, is_refused, late, reset)
  state = advance(limits, state, before)
  return state, output_of(limits, state)


def _number(value: Any) -> Any:
  """A copy in double precision: what a caller does to its arrays afterwards is its own affair."""
  return np.array(value, np.float64)[()]


def _tell_time(limits: Limits, state: FilterState, now: Any) -> tuple[FilterState, Any]:
  """The time, and whether the clock broke; stamps of a broken clock are forgotten."""
  is_time = abs(now) <= _LATEST
  elapsed = pick(is_time, now, 0.0) - state.now
  goes_on = (elapsed >= 0.0) & (elapsed <= limits.clock_seconds)
  broke = ~(is_time & (goes_on | (state.now == NEVER)))
  state = state._replace(
    now=pick(is_time, now, state.now),
    reading_stamp=pick(broke, NEVER, state.reading_stamp),
    command_stamp=pick(broke, NEVER, state.command_stamp),
  )
  return state, broke


def _read(limits: Limits, state: FilterState, reading: Reading) -> FilterState:
  """The reading that holds. A comparison with NaN is false: it is never believed."""
  position, velocity = reading.position, reading.velocity
  likely = (
    (position >= limits.range_lower - limits.reading_margin)
    & (position <= limits.range_upper + limits.reading_margin)
    & (abs(velocity) <= limits.reading_speed)
  ).all(-1)
  likely = likely & (abs(reading.upright) <= _UPRIGHT_SLACK)
  likely = likely & (reading.height <= limits.greatest_height)
  is_newer = (reading.stamp > state.reading_stamp) & (reading.stamp <= state.now + limits.tick)
  taken = likely & is_newer
  stamp = pick(taken, reading.stamp, state.reading_stamp)
  return state._replace(
    reading_stamp=stamp,
    position=pick(by_joint(taken), position, state.position),
    velocity=pick(by_joint(taken), velocity, state.velocity),
    upright=pick(taken, reading.upright, state.upright),
    height=pick(taken, reading.height, state.height),
    held=state.held + (state.now - stamp > _FRESH_TICKS * limits.tick),
  )


def _obey(limits: Limits, state: FilterState, command: Command) -> tuple[FilterState, Any]:
  """The command that holds, and whether this one is refused."""
  target, stamp = command.target, command.stamp
  is_finite = (abs(target) < np.inf).all(-1) & (abs(stamp) < np.inf)
  taken = is_finite & (stamp >= state.command_stamp) & (stamp <= state.now + limits.tick)
  within = clip(target, limits.lower, limits.upper)
  state = state._replace(
    command_stamp=pick(taken, stamp, state.command_stamp),
    wanted=pick(by_joint(taken), within, state.wanted),
    engaged=pick(taken, command.engaged != 0.0, state.engaged),
  )
  return state, ~is_finite


def _judge(
  limits: Limits, state: FilterState, clock_broke: Any, is_refused: Any, late: Any, reset: Any
) -> FilterState:
  """The mode, and what latched it. Of late ticks, no more are remembered than it takes."""
  engaged, has_read = state.engaged, state.reading_stamp > NEVER
  age, command_age = state.now - state.reading_stamp, state.now - state.command_stamp
  more = np.minimum(state.misses + 1.0, limits.miss_limit + 1.0)
  misses = pick(late, more, np.maximum(state.misses - limits.miss_leak, 0.0))
  faults = (
    clock_broke,
    is_refused,
    (age > limits.stale_seconds) & (has_read | engaged),
    engaged & (command_age > limits.command_seconds),
    engaged & (state.upright < limits.least_upright),
    engaged & (state.height < limits.least_height),
    engaged & (misses > limits.miss_limit),
    (state.mode == RUN) & ~engaged,
  )
  found = 0
  for code in range(len(faults), 0, -1):
    found = pick(faults[code - 1], code, found)
  is_idle = ~engaged & (found == 0)
  is_healthy = is_idle & (age <= _FRESH_TICKS * limits.tick)
  latched = pick(reset & is_healthy, 0, state.reason)
  reason = pick(latched > 0, latched, found)
  mode = pick(reason > 0, DAMP, pick(engaged, RUN, IDLE))
  return state._replace(mode=mode, reason=reason, misses=misses)
