"""Throws everything at a safety filter that a robot never should, and counts what comes out wrong.

Many filters run side by side. A third of them live calmly, so that they move; the others get, ever
more often, NaN, Inf, 1e30 and impossible values, readings and commands that are stale, dropped,
reordered or from the future, clocks that jump, ticks that are late, and operators who engage and
reset when they like. What is wrong with an output is told from the limits, from what was sent
before and from the reading that the filter says it holds; what is counted in `Report.violations`
must be nothing at all.
"""

from typing import Any, NamedTuple

import numpy as np

from jaxskills.deploy import safety
from jaxskills.deploy.safety import DAMP, IDLE, REASONS, RUN, Command, Limits, Output, Reading
from jaxskills.deploy.safety_twin import Twin

FILTERS = 256
_WILD = (0.0, 0.002, 0.05)  # chance of each kind of fault in each tick, by the kind of filter
_ROUNDING = 1e-9  # of a limit
_DIGITS = 8.0 * np.finfo(np.float64).eps  # of a position, before it is divided by the tick
_BAD = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 1e300])


Claims = dict[str, Any]
"""What is wrong, by the name of the limit: whether it is, `[filters]`."""


class Tick(NamedTuple):
  """What many filters get in one tick; arrays `[filters, ...]`."""

  now: np.ndarray
  reading: Reading
  command: Command
  late: np.ndarray
  reset: np.ndarray


class Report(NamedTuple):
  """What a fuzz came to.

  Attributes:
    ticks: of all filters together.
    modes: ticks in IDLE, RUN and DAMP.
    reasons: ticks in DAMP, by name of what latched it.
    violations: outputs that broke a limit, by its name; limits that none broke are missing.
    different: ticks in which the twin's output was another one, in any bit.
  """

  ticks: int
  modes: tuple[int, int, int]
  reasons: dict[str, int]
  violations: dict[str, int]
  different: int


def fuzz(
  limits: Limits, ticks: int, *, filters: int = FILTERS, seed: int = 0, twin: Twin | None = None
) -> Report:
  """Runs filters through a rough life.

  Args:
    limits: of them all.
    ticks: of all together, at least; a multiple of `filters` is run.
    filters: side by side.
    seed: of the random numbers.
    twin: as many filters in C, just begun, that get the same inputs.
  """
  life = _Life(limits, filters, np.random.default_rng(seed))
  state = safety.start(limits, (filters,))
  past = _Past(limits, filters)
  modes, reasons = np.zeros(3, int), np.zeros(len(REASONS), int)
  violations: dict[str, int] = {}
  different, steps = 0, -(-ticks // filters)
  output: Output | None = None
  for _ in range(steps):
    tick = life.next(output)
    state, output = safety.step(
      limits, state, tick.now, tick.reading, tick.command, late=tick.late, reset=tick.reset
    )
    for name, broken in past.judge(tick, output, state.position, state.velocity).items():
      if count := int(np.count_nonzero(broken)):
        violations[name] = violations.get(name, 0) + count
    modes += np.bincount(output.mode, minlength=3)
    reasons += np.bincount(output.reason, minlength=len(REASONS))
    if twin is not None:
      different += int(np.count_nonzero(_differ(output, twin.step(*tick))))
  return Report(
    steps * filters,
    tuple(modes.tolist()),
    {name: int(count) for name, count in zip(REASONS[1:], reasons[1:], strict=True)},
    violations,
    different,
  )


def _differ(output: Output, other: Output) -> np.ndarray:
  """Filters whose outputs differ in a bit."""
  found = np.zeros(len(output.mode), bool)
  for mine, theirs in zip(output, other, strict=True):
    mine, theirs = (np.asarray(value) for value in (mine, theirs))
    if mine.dtype.kind == "f":
      mine, theirs = (np.ascontiguousarray(value).view(np.int64) for value in (mine, theirs))
    found |= (mine != theirs).reshape(len(found), -1).any(axis=1)
  return found


class _Past:
  """The set-points that were sent last, to judge the next ones by."""

  def __init__(self, limits: Limits, filters: int) -> None:
    self._limits = limits
    self._mode = np.full(filters, IDLE)
    self._sent = np.zeros((3, filters, len(limits.joints)))  # newest first

  def judge(self, tick: Tick, output: Output, position: np.ndarray, velocity: np.ndarray) -> Claims:
    """What is wrong with an output, as claims by filter.

    Args:
      tick: that it answers.
      output: to judge.
      position: of the joints as last believed, rad.
      velocity: likewise, rad/s.
    """
    limits, mode = self._limits, np.asarray(output.mode)
    drives = (mode == RUN) | (limits.brakes & (mode == DAMP))
    drove = (self._mode == RUN) | (limits.brakes & (self._mode == DAMP))
    here = np.clip(position, limits.range_lower, limits.range_upper)
    sent = np.where((drives & drove)[:, None], self._sent, here)
    wrong = {
      **_of_gains(limits, mode, output),
      **_of_torque(limits, output, position, velocity),
      **{name: broken & drives for name, broken in _of_motion(limits, output, sent).items()},
      "latch": (self._mode == DAMP) & (mode != DAMP) & ~(tick.reset & (mode == IDLE)),
    }
    self._mode = mode
    self._sent = np.concatenate([np.asarray(output.position)[None], sent[:2]])
    return wrong


def _of_gains(limits: Limits, mode: np.ndarray, output: Output) -> Claims:
  """Outputs must be numbers, with gains as the mode has them or less."""
  kp, kd = np.asarray(output.stiffness), np.asarray(output.damping)
  runs, damps = (mode == RUN)[:, None], (mode == DAMP)[:, None]
  most_kp = np.where(runs, limits.stiffness, 0.0)
  most_kd = np.where(runs, limits.damping, np.where(damps, limits.damp_damping, 0.0))
  numbers = np.isfinite(kp) & np.isfinite(kd) & np.isfinite(output.position)
  return {
    "finite": ~numbers.all(axis=1),
    "mode": ~np.isin(mode, (IDLE, RUN, DAMP)),
    "gains": ~((kp >= 0.0) & (kp <= most_kp) & (kd >= 0.0) & (kd <= most_kd)).all(axis=1),
  }


def _of_torque(
  limits: Limits, output: Output, position: np.ndarray, velocity: np.ndarray
) -> Claims:
  kp, kd = np.asarray(output.stiffness), np.asarray(output.damping)
  torque = np.abs(kp * (output.position - position) - kd * velocity)
  return {"torque": ~(torque <= limits.torque * (1.0 + _ROUNDING)).all(axis=1)}


def _of_motion(limits: Limits, output: Output, sent: np.ndarray) -> Claims:
  """Set-points and their differences; `sent` `[3, filters, joints]` came before, newest first."""
  position, tick = np.asarray(output.position), limits.tick
  digits = _DIGITS * (1.0 + np.abs(position))
  speed = position - sent[0]
  change = speed - (sent[0] - sent[1])
  jerk = change - (sent[0] - 2.0 * sent[1] + sent[2])
  kp = np.asarray(output.stiffness)
  lower, upper = np.minimum(limits.lower, sent[0]), np.maximum(limits.upper, sent[0])
  within = (position >= lower - digits) & (position <= upper + digits)

  def beyond(value: np.ndarray, greatest: np.ndarray, roundings: float = 1.0) -> Any:
    allowed = greatest * (1.0 + _ROUNDING) + roundings * digits
    return ~(np.abs(value) <= allowed).all(axis=1)

  return {
    "position": ~within.all(axis=1),
    "velocity": beyond(speed, limits.velocity * tick),
    "acceleration": beyond(change, limits.acceleration * tick**2, 2.0),
    "jerk": beyond(jerk, limits.jerk * tick**3, 4.0),
    "torque rate": beyond(kp * speed, limits.torque_rate * tick, kp.max(initial=1.0)),
  }


class _Life:
  """What many filters see and are told, tick after tick."""

  def __init__(self, limits: Limits, filters: int, generator: np.random.Generator) -> None:
    self._limits, self._generator, self._filters = limits, generator, filters
    self._joints = len(limits.joints)
    self._wild = np.array(_WILD)[np.arange(filters) % len(_WILD)]
    self._clock = generator.uniform(0.0, 1e4, filters)
    self._pose = self._any_pose()
    self._velocity = np.zeros((filters, self._joints))
    self._read, self._told = self._clock - 1.0, self._clock - 1.0
    self._target = self._any_pose()
    self._engaged_for = generator.integers(0, 100, filters)
    self._frozen, self._silent, self._busy = (np.zeros(filters, int) for _ in range(3))
    self._hurry = generator.integers(1, 40, filters)  # ticks between two targets
    self._number = 0

  def next(self, output: Output | None) -> Tick:
    """The next tick, after what the filters sent."""
    limits, draw = self._limits, self._generator
    self._number += 1
    self._clock = self._clock + limits.tick * draw.uniform(0.8, 1.2, self._filters)
    self._clock += np.where(self._happens(), draw.choice([0.05, 0.5, 100.0]), 0.0)
    now = self._spoil(self._clock)
    now = np.where(self._happens(), now - draw.choice([1e-6, 0.05, 3.0]), now)
    reading, command = self._measure(output), self._command()
    self._busy = np.where(self._happens(0.3), draw.integers(1, 60), self._busy - 1)
    late = draw.random(self._filters) < np.where(self._busy > 0, 0.9, self._wild)
    reset = (self._engaged_for < 0) & (draw.random(self._filters) < 0.3) | self._happens()
    return Tick(now, reading, command, late, reset)

  def _measure(self, output: Output | None) -> Reading:
    """Calm robots are near their set-points, and others wherever they like."""
    limits, draw, shape = self._limits, self._generator, (self._filters, self._joints)
    self._frozen = np.where(self._happens(), draw.integers(1, 150), self._frozen - 1)
    fresh = (self._frozen <= 0)[:, None]
    if output is not None:
      near = np.asarray(output.position) + draw.normal(0.0, 0.01, shape)
      jumps = self._happens()[:, None]
      pose = np.where(jumps, self._any_pose(), near)
      self._pose = np.where(fresh, np.clip(pose, *self._believable()), self._pose)
    speed = draw.normal(0.0, 0.2, shape) * limits.velocity
    self._velocity = np.where(fresh, np.clip(speed, -limits.velocity, limits.velocity),
                              self._velocity)  # fmt: skip
    stamp = self._clock - limits.tick * draw.uniform(0.0, 1.0, self._filters)
    self._read = np.where(fresh[:, 0], stamp, self._read)
    stamp = np.where(self._happens(), self._read + draw.choice([-0.01, 0.01, 1.0]), self._read)
    falls = np.where(self._happens(), draw.uniform(-1.0, 1.0, self._filters), 1.0)
    sinks = np.where(self._happens(), draw.uniform(-1.0, 3.0, self._filters), 1.0)
    return Reading(
      self._spoil(stamp),
      self._spoil(self._pose),
      self._spoil(self._velocity),
      self._spoil(falls),
      self._spoil(sinks),
    )

  def _command(self) -> Command:
    """New targets as often as each filter's policy gives them; some far beyond every range."""
    draw = self._generator
    self._silent = np.where(self._happens(), draw.integers(1, 100), self._silent - 1)
    due = (self._number % self._hurry == 0) & (self._silent <= 0)
    jump = self._any_pose() * draw.choice([1.0, 1.0, 1.0, 3.0, 1e3])
    nudge = self._target + draw.normal(0.0, 0.05, jump.shape)
    target = np.where((draw.random(self._filters) < 0.5)[:, None], jump, nudge)
    self._target = np.where(due[:, None], target, self._target)
    self._told = np.where(self._silent <= 0, self._clock, self._told)
    self._engaged_for -= 1
    over = self._engaged_for < -20
    self._engaged_for = np.where(over, draw.integers(20, 400, self._filters), self._engaged_for)
    engaged = (self._engaged_for > 0) ^ self._happens()
    stamp = np.where(self._happens(), self._told + draw.choice([-0.01, 0.01, 1.0]), self._told)
    return Command(self._spoil(stamp, 0.1), self._spoil(self._target, 0.1), engaged)

  def _happens(self, share: float = 1.0) -> np.ndarray:
    """Which filters are struck now."""
    return self._generator.random(self._filters) < share * self._wild

  def _spoil(self, values: np.ndarray, share: float = 0.2) -> np.ndarray:
    """Puts what is no number, or a monstrous one, here and there."""
    struck = self._happens(share).reshape(-1, *[1] * (values.ndim - 1))
    places = self._generator.random(values.shape) < (0.2 if values.ndim > 1 else 1.0)
    return np.where(struck & places, self._generator.choice(_BAD, values.shape), values)

  def _any_pose(self) -> np.ndarray:
    lower, upper = self._believable()
    return self._generator.uniform(lower, upper, (self._filters, self._joints))

  def _believable(self) -> tuple[Any, Any]:
    """The positions that a filter takes for true."""
    limits = self._limits
    return limits.range_lower - limits.reading_margin, limits.range_upper + limits.reading_margin
