"""What the safety filter is told, remembers and sends; its modes, and the faults that latch it."""

from typing import Any, NamedTuple

import numpy as np

Each = Any
"""A number, or with a batch an array `[*batch]` of one for each filter."""

IDLE, RUN, DAMP = 0, 1, 2
NEVER = -1e300  # s, the stamp of what has not come yet; finite, so that ages are numbers


class Fault(NamedTuple):
  """One cause of DAMP.

  Attributes:
    reason: as in `REASONS`.
    when: what the filter sees.
    within: how long after the cause DAMP is sent, at most, besides one tick.
  """

  reason: str
  when: str
  within: str


FAULTS = (
  Fault("clock", "time is no number, goes back, or jumps by more than .1 s", "at once"),
  Fault("not finite", "a command holds NaN or Inf", "at once"),
  Fault("stale state", "no believable reading is newer; engaged without any", ".1 s"),
  Fault("stale policy", "engaged, and no command is newer", "3 policy periods (H1: 60 ms)"),
  Fault("tilt", "engaged, and the base leans by more than 1 rad (H1)", "at once"),
  Fault("height", "engaged, and the base is under .5 m over the lower sole (H1)", "at once"),
  Fault("deadlines", "engaged, and late ticks come faster than they are forgiven", "11 late ticks"),
  Fault("stopped", "whoever was engaged in RUN no longer is", "at once"),
)
"""All causes, by precedence: of several in one tick, the first is the reason."""

REASONS = ("none", *(fault.reason for fault in FAULTS))
"""Names of `Output.reason`."""


class Reading(NamedTuple):
  """What the robot measured.

  It is taken if it is newer than the last, not from the future (by more than a tick) and
  believable: numbers, near the joints' ranges, at most twice their speed. Else the last one holds.

  Attributes:
    stamp: when, s of the monotonic clock that `now` is of.
    position: of the joints, rad. An arm that must not see a step from its own last set-point gives
      that (libfranka's `q_d`).
    velocity: rad/s.
    upright: cosine of the base's tilt; 1 for an arm.
    height: of the base over the lower sole, m; infinite for an arm.
  """

  stamp: Each
  position: np.ndarray
  velocity: np.ndarray
  upright: Each = 1.0
  height: Each = float("inf")


class Command(NamedTuple):
  """What is asked for. It is ignored if it is older than the last or from the future.

  Attributes:
    stamp: when the policy (or whoever makes targets) decided, s of the same clock. Hand the last
      command in again, with its own stamp, until there is a new one.
    target: of the joints, rad; from `target_of`, or any other finite pose, engaged or not.
    engaged: whether the robot shall move to it.
  """

  stamp: Each
  target: np.ndarray
  engaged: Each


class FilterState(NamedTuple):
  """All that the filter remembers. Begin with `start`; fields are the filter's own business.

  Attributes:
    now: time of the last step, s.
    reading_stamp: of the reading that holds, s.
    position: that holds, rad.
    velocity: that holds, rad/s.
    upright: that holds.
    height: that holds, m.
    command_stamp: of the command that holds, s.
    wanted: its target within `lower` and `upper`, rad.
    engaged: whether it is engaged.
    mode: of the last output.
    reason: index into `REASONS`; not 0 while latched.
    misses: late ticks that are not forgiven yet.
    held: ticks so far whose reading was more than two ticks old.
    goal: that was tracked last, rad.
    goal_velocity: its velocity, rad/s.
    speed: of the tracker, rad/s.
    track: the tracker's positions, newest first, rad.
  """

  now: Each
  reading_stamp: Each
  position: np.ndarray
  velocity: np.ndarray
  upright: Each
  height: Each
  command_stamp: Each
  wanted: np.ndarray
  engaged: Each
  mode: Each
  reason: Each
  misses: Each
  held: Each
  goal: np.ndarray
  goal_velocity: np.ndarray
  speed: np.ndarray
  track: np.ndarray


class Output(NamedTuple):
  """What is sent; the targets of velocity and the feed-forward torques are zero.

  Attributes:
    mode: IDLE, RUN or DAMP.
    reason: index into `REASONS`: what latched DAMP, else 0.
    position: set-points, rad; where gains are zero, what was measured (before the first reading,
      the default pose). An arm's controller begins to stream positions in RUN.
    stiffness: kp, N m/rad.
    damping: kd, N m s/rad.
  """

  mode: Each
  reason: Each
  position: np.ndarray
  stiffness: np.ndarray
  damping: np.ndarray
