"""How a recorded walk goes, as numbers: steps, flight, slip, the clock, torques, the command.

A policy that hops, slides or shuffles can follow a velocity command as well as one that walks;
these tell them apart. Gait is looked at while the command asks for steps and nothing fell.
"""

from typing import Any

import numpy as np

from jaxskills.evaluation.walk_record import WalkRecord

LEAST_SWING = 0.1
"""A foot that is up for less (s) bounces or rattles, and its landing is no step."""
SETTLE_SECONDS = 1.0
"""After a change of the command, which tracking leaves out."""
_AMID = (0.2, 0.8)


def diagnose(record: WalkRecord) -> dict[str, Any]:
  """The walk's diagnostics, as JSON values.

  Returns:
    `step_frequency`: touchdowns a second, both feet together. `flight_share`: of the time, both
    feet in the air. `foot_slip`: m/s, mean speed of the soles in contact; landing and rolling over
    count. `clock_agreement`: share of time and feet. `alternation`: see `alternating`.
    `max_torque_share`: of the limit, any joint. `tracking_by_command`: see `tracking`. `fell`,
    `seconds`. What the walk did not have is None.
  """
  moving, contact = walking(record), record.contact
  landings = touchdowns(record)
  share = np.abs(record.torque[upright(record)]) / record.torque_limit
  return {
    "step_frequency": _ratio(len(landings), float(moving.sum() * record.step_seconds)),
    "flight_share": _mean(~np.any(contact[moving], axis=1)),
    "foot_slip": _mean(record.foot_speed[moving][contact[moving]]),
    "clock_agreement": _mean((contact == record.stance)[moving]),
    "alternation": _mean(alternating(landings)),
    "max_torque_share": float(share.max()) if share.size else None,
    "tracking_by_command": tracking(record),
    "fell": bool(record.fell.any()),
    "seconds": round(float(record.time[-1]), 3),
  }


def upright(record: WalkRecord) -> np.ndarray:
  """Where the robot has not fallen yet, `[time]`."""
  return ~np.maximum.accumulate(record.fell)


def walking(record: WalkRecord) -> np.ndarray:
  """Where steps are asked for and the robot has not fallen, `[time]`."""
  return record.is_moving & upright(record)


def touchdowns(record: WalkRecord) -> list[tuple[int, int]]:
  """Steps, as (row, foot) in the order of time: landings after a swing of `LEAST_SWING`."""
  least, counts, found = LEAST_SWING / record.step_seconds, walking(record), []
  for foot in range(2):
    up = 0
    for row, is_down in enumerate(record.contact[:, foot]):
      if is_down and up >= least and counts[row]:
        found.append((row, foot))
      up = 0 if is_down else up + 1
  return sorted(found)


def alternating(landings: list[tuple[int, int]]) -> np.ndarray:
  """For each stride, one landing of a foot to its next, whether the other foot landed amid.

  That is once, in the stride's middle three fifths: a hop lands both feet at once, or nearly.

  Args:
    landings: from `touchdowns`.
  """
  rows = [np.array([row for row, side in landings if side == foot]) for foot in range(2)]
  found = []
  for own, other in (rows, rows[::-1]):
    for begin, end in zip(own[:-1], own[1:], strict=True):
      share = (other - begin) / (end - begin)
      amid = share[(share >= 0) & (share <= 1)]
      found.append(len(amid) == 1 and _AMID[0] <= amid[0] <= _AMID[1])
  return np.array(found, bool)


def segments(record: WalkRecord) -> list[slice]:
  """Stretches of one command each, in the order of time."""
  changed = np.flatnonzero(np.any(record.command[1:] != record.command[:-1], axis=1)) + 1
  ends = [0, *changed.tolist(), len(record.command)]
  return [slice(begin, end) for begin, end in zip(ends[:-1], ends[1:], strict=True)]


def tracking(record: WalkRecord) -> dict[str, dict[str, float]]:
  """For each command of the script, in words, what was done: means without its begin.

  The first `SETTLE_SECONDS` of a command are left out, or its first half if it is as short, and
  all after a fall; a command that comes twice counts as one.

  Returns:
    By `describe`'s words: `forward`, `sideways` (m/s), `yaw_rate` (rad/s).
  """
  stands = upright(record)
  kept: dict[str, list[np.ndarray]] = {}
  for segment in segments(record):
    number = segment.stop - segment.start
    skipped = min(round(SETTLE_SECONDS / record.step_seconds), number // 2)
    rows = np.arange(segment.start + skipped, segment.stop)
    kept.setdefault(describe(record.command[segment.start]), []).append(rows[stands[rows]])
  found = {name: np.concatenate(rows) for name, rows in kept.items()}
  return {
    name: {
      "forward": float(record.velocity[rows, 0].mean()),
      "sideways": float(record.velocity[rows, 1].mean()),
      "yaw_rate": float(record.yaw_rate[rows].mean()),
    }
    for name, rows in found.items()
    if rows.size
  }


def describe(command: Any) -> str:
  """A command in words: `stand`, `forward 0.8 m/s`, `forward 0.5 m/s, left turn 0.5 rad/s`."""
  forward, sideways, turn = (round(float(value), 2) for value in command)
  words = []
  if forward:
    words.append(f"{'forward' if forward > 0 else 'backward'} {abs(forward):g} m/s")
  if sideways:
    words.append(f"{'left' if sideways > 0 else 'right'} {abs(sideways):g} m/s")
  if turn:
    words.append(f"{'left' if turn > 0 else 'right'} turn {abs(turn):g} rad/s")
  return ", ".join(words) or "stand"


def clock_seconds(record: WalkRecord) -> float:
  """Period of the gait clock; nan if it never ran."""
  change = np.diff(record.phase)
  change = change[change > 0]
  return float(record.step_seconds / np.median(change)) if change.size else float("nan")


def gait_mean(record: WalkRecord, values: np.ndarray) -> np.ndarray:
  """Mean over a gait cycle around each step, `[time, ...]`; nan from a fall on."""
  stands, mean = upright(record), np.full(values.shape, np.nan)
  mean[stands] = smoothed(values[stands], clock_seconds(record), record.step_seconds)
  return mean


def smoothed(values: np.ndarray, seconds: float, step_seconds: float) -> np.ndarray:
  """Centred moving mean over about `seconds`, along the first axis; shorter at the ends.

  Nothing is done where `seconds` is nan.
  """
  half = round(0.5 * seconds / step_seconds) if np.isfinite(seconds) else 0
  total = np.concatenate([np.zeros_like(values[:1], np.float64), np.cumsum(values, 0, np.float64)])
  index = np.arange(len(values))
  low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
  return (total[high] - total[low]) / (high - low).reshape(-1, *[1] * (values.ndim - 1))


def _mean(values: np.ndarray) -> float | None:
  return float(np.mean(values)) if values.size else None


def _ratio(number: int, of: float) -> float | None:
  return number / of if of > 0 else None
