"""What a safety filter is fuzzed with, and an oracle of what it may send.

The oracle knows the limits, the readings and commands that were handed in and the outputs, nothing
of the filter: no state of it, none of its code.
"""

from typing import Any, NamedTuple

import numpy as np

from jaxskills.deploy.safety import DAMP, IDLE, REASONS, RUN, Command, Limits, Output, Reading

WILD = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 1.7e308, -1e15, 0.0])
SLACK = 1e-9  # relative, of every limit
LAST_DIGITS = 8e-15  # rad: what adding up positions may lose, before differences are divided


class Ticks(NamedTuple):
  """Inputs of `[ticks, filters]`."""

  now: np.ndarray
  reading: Reading
  command: Command
  late: np.ndarray
  reset: np.ndarray


def draw(rng: np.random.Generator, limits: Limits, ticks: int, filters: int) -> Ticks:
  """Robots that move about, with all kinds of trouble; each filter has its own rate of each."""
  trouble = Trouble(rng, ticks, filters)
  now = _clock(rng, limits, trouble)
  truth = _motion(rng, limits, ticks, filters)
  delivered = _order(rng, trouble, int(1.5 * limits.stale_seconds / limits.tick))
  pick = (delivered, np.arange(filters))
  position, velocity = truth[pick], np.gradient(truth, limits.tick, axis=0)[pick]
  upright = 1.0 - np.abs(_wander(rng, ticks, filters, 0.02))
  height = np.where(np.isfinite(limits.least_height), 1.0 + _wander(rng, ticks, filters, 0.01), 9.9)
  reading = Reading(now[pick], position, velocity, upright, np.where(height == 9.9, np.inf, height))
  for values in reading:
    _spoil(rng, values, trouble.at(0.0, 0.002))
  command = _commands(rng, limits, now, truth, trouble)
  late = rng.random((ticks, filters)) < rng.choice([0.0, 0.0, 0.02, 0.2], filters)
  return Ticks(now, reading, command, late, rng.random((ticks, filters)) < 0.03)


class Trouble:
  """Draws when things go wrong; filters differ by orders of magnitude."""

  def __init__(self, rng: np.random.Generator, ticks: int, filters: int) -> None:
    self.shape, self._rng = (ticks, filters), rng

  def at(self, least: float, most: float) -> np.ndarray:
    """Where, `[ticks, filters]`; half of the filters are spared."""
    rate = least + (most - least) * self._rng.random(self.shape[1]) ** 3
    rate = np.where(self._rng.random(self.shape[1]) < 0.5, 0.0, rate)
    return self._rng.random(self.shape) < rate


def _wander(rng: np.random.Generator, ticks: int, filters: int, size: float) -> np.ndarray:
  return np.cumsum(size * rng.normal(size=(ticks, filters)), axis=0)


def _clock(rng: np.random.Generator, limits: Limits, trouble: Trouble) -> np.ndarray:
  elapsed = np.full(trouble.shape, limits.tick)
  jumps = trouble.at(0.0, 0.005)
  sizes = [-5.0, -1e-9, 0.0, 0.04, 0.0999, 0.1001, 0.15, 30.0, 1e7, -1e7]
  elapsed[jumps] = rng.choice(sizes, jumps.sum())
  now = rng.choice([0.0, 1e-3, 12345.678, -77.0, 1e6], trouble.shape[1]) + np.cumsum(elapsed, 0)
  _spoil(rng, now, trouble.at(0.0, 0.001))
  return now


def _motion(rng: np.random.Generator, limits: Limits, ticks: int, filters: int) -> np.ndarray:
  """Positions over most of the range, at times a little out of it."""
  shape = (filters, len(limits.joints))
  middle = 0.5 * (limits.range_lower + limits.range_upper)
  size = (0.52 * (limits.range_upper - limits.range_lower)) * rng.random(shape) ** 0.5
  pace = 0.5 * limits.velocity / np.maximum(size, 0.1) * rng.random(shape)
  time = limits.tick * np.arange(ticks)[:, None, None]
  return middle + size * np.sin(pace * time + 6.3 * rng.random(shape))


def _order(rng: np.random.Generator, trouble: Trouble, frozen: int) -> np.ndarray:
  """Index of the reading that is there in each tick: late, reordered, the same again, frozen."""
  ticks, filters = trouble.shape
  index = np.arange(ticks)[:, None] - rng.integers(0, 3, filters)
  index = index - trouble.at(0.0, 0.3) * rng.integers(0, 12, trouble.shape)
  return _freeze(np.clip(index, 0, None), trouble.at(0.0, 0.004), frozen)


def _freeze(index: np.ndarray, begins: np.ndarray, length: int) -> np.ndarray:
  """The same index again for a while, wherever it begins."""
  for tick in range(1, len(index)):
    stuck = begins[max(0, tick - length) : tick].any(0)
    index[tick] = np.where(stuck, index[tick - 1], index[tick])
  return index


def _spoil(rng: np.random.Generator, values: np.ndarray, where: np.ndarray) -> None:
  """Wild numbers, in place: of joints, in one."""
  count = where.sum()
  if values.ndim == 3:
    values[(*np.nonzero(where), rng.integers(0, values.shape[2], count))] = rng.choice(WILD, count)
  else:
    values[where] = rng.choice(WILD, count)


def _commands(
  rng: np.random.Generator, limits: Limits, now: np.ndarray, truth: np.ndarray, trouble: Trouble
) -> Command:
  """Steps held for a while, noise, motion, wild numbers; pauses; whoever engages and not."""
  ticks, filters = trouble.shape
  patience = int(limits.command_seconds / limits.tick)
  hold = rng.integers(1, max(2, patience // 2), filters)
  index = np.arange(ticks)[:, None] // hold * hold
  delays = trouble.at(0.0, 0.1) * rng.integers(0, patience, trouble.shape)
  index, pause = np.clip(index - delays, 0, None), patience + patience // 2
  pick = (_freeze(index, trouble.at(0.0, 0.004), pause), np.arange(filters))
  size = (limits.range_upper - limits.range_lower) * rng.choice([0.01, 0.2, 2.0], (filters, 1))
  drawn = truth + size * (rng.random(truth.shape) - 0.5)
  speed = limits.speed * rng.uniform(-1.0, 1.0, (filters, len(limits.joints)))
  ramp = truth[0] + speed * limits.tick * np.arange(ticks)[:, None, None]  # into a limit
  kind = rng.random((filters, 1))
  target = np.where(kind < 0.2, truth, np.where(kind < 0.4, ramp, drawn[pick]))
  huge = trouble.at(0.0, 0.05)
  target[huge] = rng.choice([1e30, -1e30, 1e300, 7.0], (huge.sum(), 1))
  stamp = np.where(np.isfinite(now[pick]), now[pick], 0.0)
  _spoil(rng, target, trouble.at(0.0, 0.001))
  _spoil(rng, stamp, trouble.at(0.0, 0.001))
  switches = np.cumsum(rng.random(trouble.shape) < 0.01, axis=0)
  return Command(stamp, target, (switches + rng.integers(0, 4, filters)) % 4 > 0)


class Oracle:
  """Watches a batch of filters, tick by tick, and counts what they were seen to do."""

  def __init__(self, limits: Limits, filters: int) -> None:
    self.limits = limits
    pose = np.broadcast_to(limits.default_pose, (filters, len(limits.joints)))
    self._now = self._stamp = np.full(filters, -np.inf)
    self._position, self._velocity = pose, np.zeros(pose.shape)
    self._upright, self._height = np.ones(filters), np.full(filters, np.inf)
    self._mode, self._reason = np.zeros(filters, int), np.zeros(filters, int)
    self._past = [pose] * 3  # last set-points, newest first
    self.modes, self.reasons = np.zeros(3, int), np.zeros(len(REASONS), int)

  def watch(self, ticks: Ticks, tick: int, output: Output) -> None:
    """Fails at the first thing that must not be."""
    at: Any = ticks.reading._replace(**{k: v[tick] for k, v in ticks.reading._asdict().items()})
    sane = self._hear(ticks.now[tick], at)
    command_is_finite = np.isfinite(ticks.command.target[tick]).all(-1)
    command_is_finite &= np.isfinite(ticks.command.stamp[tick])
    numbers = (output.position, output.stiffness, output.damping)
    assert all(np.isfinite(value).all() for value in numbers)
    self._check_modes(output, ticks.reset[tick], sane, command_is_finite)
    self._check_gains(output)
    self._check_motion(output)
    self._mode, self._reason = output.mode, output.reason
    self.modes += np.bincount(output.mode, minlength=3)
    self.reasons += np.bincount(output.reason, minlength=len(REASONS))

  def _hear(self, now: np.ndarray, reading: Any) -> np.ndarray:
    """Keeps the newest credible reading; returns where the clock makes sense."""
    limits = self.limits
    with np.errstate(all="ignore"):
      is_time = np.isfinite(now) & (np.abs(now) <= 1e15)
      gone = now - self._now
      first = np.isneginf(self._now)
      sane = is_time & (first | ((gone >= 0.0) & ~(gone > limits.clock_seconds)))
      self._now = np.where(is_time, now, self._now)
      self._stamp = np.where(sane, self._stamp, -np.inf)
      both = np.concatenate([reading.position, reading.velocity], axis=-1)
      credible = np.isfinite(both).all(-1) & np.isfinite(reading.stamp)
      out = np.maximum(limits.range_lower - reading.position, reading.position - limits.range_upper)
      credible &= out.max(-1) <= limits.reading_margin + 1e-12
      credible &= ~(np.abs(reading.velocity) > limits.reading_speed).any(-1)
      credible &= ~np.isnan(reading.height) & ~(reading.height > limits.greatest_height)
      credible &= ~np.isnan(reading.upright) & ~(np.abs(reading.upright) > 1.000001)
      new = credible & (reading.stamp > self._stamp) & (reading.stamp - self._now <= limits.tick)
    self._stamp = np.where(new, reading.stamp, self._stamp)
    self._position = np.where(new[:, None], reading.position, self._position)
    self._velocity = np.where(new[:, None], reading.velocity, self._velocity)
    self._upright = np.where(new, reading.upright, self._upright)
    self._height = np.where(new, reading.height, self._height)
    return sane

  def _check_modes(self, output: Output, reset: Any, sane: Any, is_finite: Any) -> None:
    limits, runs = self.limits, output.mode == RUN
    assert np.isin(output.mode, (IDLE, RUN, DAMP)).all()
    np.testing.assert_array_equal(output.mode == DAMP, output.reason > 0)
    age = self._now - self._stamp
    for healthy in (
      sane,
      is_finite,
      age <= limits.stale_seconds,
      self._upright >= limits.least_upright,
      self._height >= limits.least_height,
    ):
      assert healthy[runs].all()
    stays = (self._mode == DAMP) & ~reset
    np.testing.assert_array_equal(output.reason[stays], self._reason[stays])
    freed = (self._mode == DAMP) & (output.mode != DAMP)
    assert (output.mode[freed] == IDLE).all() and (age[freed] <= 2.0 * limits.tick).all()
    assert (output.mode[self._mode == RUN] != IDLE).all()

  def _check_gains(self, output: Output) -> None:
    limits, mode = self.limits, output.mode[:, None]
    most_kp = np.where(mode == RUN, limits.stiffness, 0.0)
    most_kd = np.select([mode == RUN, mode == DAMP], [limits.damping, limits.damp_damping], 0.0)
    assert ((output.stiffness >= 0.0) & (output.stiffness <= most_kp)).all()
    assert ((output.damping >= 0.0) & (output.damping <= most_kd)).all()
    error = output.position - self._position
    torque = np.abs(output.stiffness * error - output.damping * self._velocity)
    assert (torque <= limits.torque * (1.0 + SLACK)).all()

  def _check_motion(self, output: Output) -> None:
    limits, tick = self.limits, self.limits.tick
    held = np.clip(self._position, limits.range_lower, limits.range_upper)
    drives = output.mode == RUN
    went_on = self._mode == RUN
    if limits.brakes:
      drives, went_on = drives | (output.mode == DAMP), went_on | (self._mode == DAMP)
    begins = (drives & ~went_on)[:, None]
    past = [np.where(begins, held, value) for value in self._past]
    run = [output.position, *past]
    first = run[0] - run[1]
    second = first - (run[1] - run[2])
    third = second - ((run[1] - run[2]) - (run[2] - run[3]))
    bounds = (
      (first, limits.velocity, 1),
      (second, limits.acceleration, 2),
      (third, limits.jerk, 3),
      (limits.stiffness * first, limits.torque_rate, 1),
    )
    for change, most, order in bounds:
      allowed = most * (1.0 + SLACK) * tick**order + LAST_DIGITS
      assert (np.abs(change) <= allowed)[drives].all(), order
    lowest, highest = np.minimum(limits.lower, run[1]), np.maximum(limits.upper, run[1])
    within = (run[0] >= lowest - LAST_DIGITS) & (run[0] <= highest + LAST_DIGITS)
    assert within[drives].all()
    self._past = run[:3]
