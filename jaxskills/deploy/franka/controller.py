"""What is done in every callback of the robot, once a millisecond: the twin of `franka_policy.hpp`.

Nothing here infers. The policy runs elsewhere, at its own rate: `tick` hands out what it shall look
at, and takes its action whenever it comes. An action begins `latency_ticks` after its look, or when
it comes if that is later; until then, and for ever if none comes, the motion ends its command and
brakes. The safety filter then has the last word.

A packet that is lost, the robot extrapolates, and says so: what it wants of its joints (`q_d`) is
not what it was told. The filter then goes on from there (`resume`), as libfranka's own rate limiter
does, so that the next command is a continuous one for the robot, however many were lost.

Time is the robot's: its ticks are the safety filter's clock, so that a policy is stale after as
many milliseconds of motion, whatever this machine's clock says. A machine that stalls altogether is
the robot's to notice: it waits for twenty commands.

Pure functions of a state and of what the callback got, all of which is logged: `replay.py` does the
same again, to the bit.
"""

from typing import NamedTuple

import numpy as np

from jaxskills.deploy import safety
from jaxskills.deploy.franka import motion
from jaxskills.deploy.franka.motion import JOINTS, TICK_SECONDS, Constants, Motion, Sight
from jaxskills.deploy.safety import FilterState, Limits

SAME = 1e-9  # rad; less between what was told and what the robot wants is its own rounding
QUIET = 1e-12  # rad in a tick; slower is rest
QUIET_TICKS = 20  # of rest before a motion is called finished


class Inputs(NamedTuple):
  """What a callback gets.

  Attributes:
    period: milliseconds of the robot's since the last callback; 0 at the first.
    milliseconds: of the robot's clock.
    joints: `[5, joints]`: measured positions and velocities; positions, velocities and
      accelerations that the robot wants by the last command; rad, s.
    target: where the gripper shall be, world frame, m.
    action: a policy's that has come since, or None.
    action_position: the joints that it looked at, rad.
    is_stopping: the motion shall come to its end.
    late: the last callback took longer than a tick.
  """

  period: int
  milliseconds: int
  joints: np.ndarray
  target: np.ndarray
  action: np.ndarray | None
  action_position: np.ndarray
  is_stopping: bool
  late: bool


class State(NamedTuple):
  """What is remembered between callbacks.

  Attributes:
    motion: before the filter.
    filter: the safety filter.
    ticks: of the robot since the first callback.
    next_look: tick at which a policy looks next.
    due: tick after which an action that has come begins.
    pending: that action and the joints that it looked at, or None.
    milliseconds: of the robot's clock, at the newest state.
    reading_stamp: when that came, s; the filter's clock is that of the ticks.
    command_stamp: when the action that is followed began, s.
    told: the last command, rad.
    quiet: ticks since it changed.
  """

  motion: Motion
  filter: FilterState
  ticks: int
  next_look: int
  due: int
  pending: tuple[np.ndarray, np.ndarray] | None
  milliseconds: int
  reading_stamp: float
  command_stamp: float
  told: np.ndarray
  quiet: int


class Told(NamedTuple):
  """What a callback answers.

  Attributes:
    position: desired joints, rad.
    mode: of the safety filter.
    reason: index into its `REASONS`.
    is_finished: the robot is at rest and the motion may end.
    sight: what a policy shall look at now, or None.
  """

  position: np.ndarray
  mode: int
  reason: int
  is_finished: bool
  sight: Sight | None


def begin(constants: Constants, limits: Limits, inputs: Inputs) -> tuple[State, Told]:
  """The first callback: the robot is told to stay where it wants to be."""
  wanted = inputs.joints[2]
  reading = safety.Reading(0.0, wanted, inputs.joints[1])
  command = safety.Command(0.0, wanted, False)
  filtered, output = safety.step(limits, safety.start(limits), 0.0, reading, command)
  state = State(
    motion=motion.begin(constants, wanted),
    filter=filtered,
    ticks=0,
    next_look=0,
    due=0,
    pending=None,
    milliseconds=inputs.milliseconds,
    reading_stamp=0.0,
    command_stamp=0.0,
    told=wanted,
    quiet=0,
  )
  state, sight = _look(constants, state, inputs)
  return state, Told(wanted, int(output.mode), int(output.reason), False, sight)


def tick(constants: Constants, limits: Limits, state: State, inputs: Inputs) -> tuple[State, Told]:
  """Every other callback."""
  is_fresh, count = inputs.milliseconds > state.milliseconds, max(inputs.period, 1)
  if is_fresh:
    stamp = (state.ticks + count) * TICK_SECONDS
    state = state._replace(milliseconds=inputs.milliseconds, reading_stamp=stamp)
  if inputs.action is not None:
    state = state._replace(pending=(inputs.action, inputs.action_position))
  if inputs.is_stopping:
    state = state._replace(pending=None)
  output = None
  for index in range(count):
    state, target = _advance(constants, state, is_stopping=inputs.is_stopping)
    if index == count - 1 and is_fresh:
      state = _resume_if_lost(limits, state, inputs.joints)
    state, output = _filter(limits, state, inputs, target)
  assert output is not None
  position = output.position
  is_quiet = np.abs(position - state.told).max() <= QUIET
  state = state._replace(told=position, quiet=state.quiet + 1 if is_quiet else 0)
  is_finished = inputs.is_stopping and state.quiet >= QUIET_TICKS
  state, sight = _look(constants, state, inputs)
  return state, Told(position, int(output.mode), int(output.reason), is_finished, sight)


def resume(
  limits: Limits,
  state: FilterState,
  position: np.ndarray,
  velocity: np.ndarray,
  acceleration: np.ndarray,
) -> FilterState:
  """The safety filter as if its last outputs had led to where the robot wants to be.

  The filter's output is the mean of its track, so the track becomes the parabola whose means have
  this position, velocity and acceleration; its next output changes the acceleration by no more than
  the jerk limit allows.

  Args:
    limits: of the robot.
    state: of the filter.
    position: that the robot wants, rad.
    velocity: rad/s.
    acceleration: rad/s^2.
  """
  last = limits.window - 1
  bend = acceleration * limits.tick * limits.tick
  pace = velocity * limits.tick + bend * (0.5 * last)
  newest = position + pace * (0.5 * last) - bend * (last * (last - 1) / 6.0)
  back = range(limits.window)
  rows = [newest - (pace * float(i) - bend * (0.5 * float(i * (i - 1)))) for i in back]
  return state._replace(track=np.stack(rows), speed=pace / limits.tick)


def _advance(constants: Constants, state: State, *, is_stopping: bool) -> tuple[State, np.ndarray]:
  """A tick of the motion; an action begins if it is due. To stop takes no policy."""
  moving, ticks, refused = state.motion, state.ticks + 1, False
  now = ticks * TICK_SECONDS
  if is_stopping:
    state = state._replace(command_stamp=now)
  if state.pending is not None and ticks > state.due:
    action, looked_at = state.pending
    refused = not np.isfinite(action).all()
    if not refused:
      moving = motion.follow(constants, moving, action, looked_at)
      state = state._replace(command_stamp=now)
    state = state._replace(pending=None)
  moving, target = motion.tick(constants, moving)
  state = state._replace(motion=moving, ticks=ticks)
  return state, np.full(JOINTS, np.nan) if refused else target


def _resume_if_lost(limits: Limits, state: State, joints: np.ndarray) -> State:
  wanted, is_idle = joints[2], int(state.filter.mode) == safety.IDLE
  if is_idle or not np.isfinite(joints[2:]).all() or np.abs(wanted - state.told).max() <= SAME:
    return state
  return state._replace(filter=resume(limits, state.filter, *joints[2:]))


def _filter(
  limits: Limits, state: State, inputs: Inputs, target: np.ndarray
) -> tuple[State, safety.Output]:
  """The last word. An idle filter starts from where the robot wants to be, not from where it is."""
  measured, speed, wanted = inputs.joints[:3]
  here = wanted if int(state.filter.mode) == safety.IDLE else measured
  reading = safety.Reading(state.reading_stamp, here, speed)
  command = safety.Command(state.command_stamp, target, True)
  now = state.ticks * TICK_SECONDS
  filtered, output = safety.step(limits, state.filter, now, reading, command, late=inputs.late)
  return state._replace(filter=filtered), output


def _look(constants: Constants, state: State, inputs: Inputs) -> tuple[State, Sight | None]:
  if state.ticks < state.next_look:
    return state, None
  sight = motion.look(constants, state.motion, inputs.joints[0], inputs.joints[1], inputs.target)
  due = state.ticks + constants.latency_ticks
  return state._replace(next_look=state.ticks + constants.period_ticks, due=due), sight
