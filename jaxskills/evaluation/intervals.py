"""Confidence intervals for the figures that runs report, in NumPy.

A success rate of one run is a proportion of episodes (Wilson's score interval); a figure of several
seeds is a mean over few independent runs (Student's t, because with three seeds a bootstrap has
only ten distinct resamples and is far too narrow). One seed says nothing about the spread between
seeds: then the interval of a mean is NaN, and plots draw no band.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy import special

CONFIDENCE = 0.95


class Interval(NamedTuple):
  """Lower and upper bound; arrays where several intervals were asked for at once."""

  low: Any
  high: Any


def wilson(successes, trials, confidence: float = CONFIDENCE) -> Interval:
  """Wilson's score interval for a proportion (Wilson 1927).

  Unlike the normal approximation it is honest at 0 and 1: no success in 100 episodes still allows
  a rate of up to .037.

  Args:
    successes: how many trials succeeded, scalar or array.
    trials: how many there were, at least 1.
    confidence: coverage of the two-sided interval.

  Raises:
    ValueError: if there are no trials, or more successes than trials.
  """
  successes, trials = np.asarray(successes, np.float64), np.asarray(trials, np.float64)
  if np.any(trials < 1):
    raise ValueError(f"a success rate needs at least one trial, got {trials.min():g}")
  if np.any(successes < 0) or np.any(successes > trials):
    raise ValueError(f"successes must lie in 0..{trials.max():g}, got {successes.max():g}")
  z = special.ndtri(0.5 + confidence / 2)
  rate = successes / trials
  shrink = 1.0 / (1.0 + z**2 / trials)
  centre = shrink * (rate + z**2 / (2 * trials))
  half = shrink * z * np.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
  # At 0 and 1 the bound is exact; rounding must not push it past the rate itself.
  return Interval(
    np.minimum(np.maximum(centre - half, 0.0), rate),
    np.maximum(np.minimum(centre + half, 1.0), rate),
  )


def mean_interval(values, confidence: float = CONFIDENCE) -> Interval:
  """Student's t interval of the mean over the first axis (the seeds).

  Args:
    values: `[seeds, ...]`; NaN marks a seed that has no value there.
    confidence: coverage of the two-sided interval.

  Returns:
    Bounds of shape `[...]`, NaN where fewer than two seeds have a value.
  """
  values = np.asarray(values, np.float64)
  known = np.isfinite(values)
  count = known.sum(axis=0)
  divisor = np.maximum(count, 1)
  mean = np.where(known, values, 0.0).sum(axis=0) / divisor
  squares = np.where(known, (values - mean) ** 2, 0.0).sum(axis=0)
  degrees = np.maximum(count - 1, 1)
  reach = special.stdtrit(degrees, 0.5 + confidence / 2)
  half = np.where(count >= 2, reach * np.sqrt(squares / degrees / divisor), np.nan)
  return Interval(mean - half, mean + half)


def rate_interval(rates, episodes: int | float, confidence: float = CONFIDENCE) -> Interval:
  """The interval that a success rate is reported with, for one seed or several.

  One seed has Wilson's interval of its episodes. Several have Student's t over seeds, cut to
  [0, 1] and never narrower than Wilson's of all their episodes together: three seeds that all
  happen to score 1.0 do not prove certainty.

  Args:
    rates: success rate of each seed, `[seeds, ...]` or a scalar; NaN where a seed has none.
    episodes: evaluation episodes of each seed.
    confidence: coverage of the two-sided interval.

  Returns:
    Bounds of shape `[...]`, NaN where no seed has a value.
  """
  rates = np.atleast_1d(np.asarray(rates, np.float64))
  known = np.isfinite(rates)
  trials = episodes * known.sum(axis=0)
  successes = np.clip(episodes * np.where(known, rates, 0.0).sum(axis=0), 0.0, trials)
  pooled = wilson(successes, np.where(trials > 0, trials, 1.0), confidence)
  between = mean_interval(rates, confidence)
  low = np.clip(np.fmin(pooled.low, between.low), 0.0, 1.0)
  high = np.clip(np.fmax(pooled.high, between.high), 0.0, 1.0)
  return Interval(np.where(trials > 0, low, np.nan), np.where(trials > 0, high, np.nan))


def score_interval(values, confidence: float = CONFIDENCE) -> Interval:
  """The interval of a mean over seeds of training and over test videos, both of them samples.

  Random effects of seed and video, crossed: with the variance `A` of the seeds' means, `B` of the
  videos' means and `E` of what neither explains, the mean of `S` seeds and `V` videos has the
  squared error `A / S + B / V - E / (S V)` (what neither explains is in both of the others). Its
  degrees of freedom are Satterthwaite's (1946). Estimated from few seeds it can come out too small:
  the interval is never narrower than Student's t over the seeds' means or over the videos' means.

  A baseline that has no seeds has the interval of the videos alone, one value that several seeds
  agree on has that of the seeds alone.

  Args:
    values: `[seeds, videos]`, the same videos for every seed; one row or one column is fine.
    confidence: coverage of the two-sided interval.

  Returns:
    Two floats, NaN where there is a single value.
  """
  return _crossed_interval([np.asarray(values, np.float64)], confidence)


def difference_interval(first, second, confidence: float = CONFIDENCE) -> Interval:
  """The interval of the difference of two models' means on the same videos.

  As `score_interval`, of differences: `B` is the variance of the videos' differences, which does
  not count how hard a video is for both; seeds of one model have nothing to do with those of the
  other, so that `A / S` and `E / (S V)` are sums over both. Of one video it is Welch's t (1947).

  Args:
    first: `[seeds, videos]`.
    second: `[seeds, videos]` on the same videos, as many seeds or not.
    confidence: coverage of the two-sided interval.

  Returns:
    Bounds of the first mean less the second, of the videos alone where a model has a single seed;
    NaN where there is a single video as well.
  """
  first, second = (np.asarray(values, np.float64) for values in (first, second))
  return _crossed_interval([first, -second], confidence)


class _Error(NamedTuple):
  """An estimate of the squared error of a mean, and its degrees of freedom."""

  square: float
  degrees: int


def _crossed_interval(samples: list[np.ndarray], confidence: float) -> Interval:
  """Of the sum of the means of samples `[seeds, videos]`: seeds of its own each, videos shared."""
  videos = samples[0].shape[1]
  means = [_mean_error(values.mean(axis=1)) for values in samples if len(values) > 1]
  over_seeds = means if len(means) == len(samples) else []
  total = np.sum([values.mean(axis=0) for values in samples], axis=0)
  over_videos = [_mean_error(total)] if videos > 1 else []
  halves = [_reach(errors, [], confidence) for errors in (over_seeds, over_videos) if errors]
  if over_seeds and over_videos:
    twice = [_rest_error(values) for values in samples]
    if sum(error.square for error in twice) < min(
      sum(error.square for error in errors) for errors in (over_seeds, over_videos)
    ):  # else the larger of the two terms is all that there is
      halves.append(_reach(over_seeds + over_videos, twice, confidence))
  middle, half = float(np.mean(total)), max(halves, default=math.nan)
  return Interval(middle - half, middle + half)


def _mean_error(values: np.ndarray) -> _Error:
  """Of the mean of independent values `[values]`, at least two."""
  return _Error(float(values.var(ddof=1)) / len(values), len(values) - 1)


def _rest_error(values: np.ndarray) -> _Error:
  """Of what neither seed nor video explains of `[seeds, videos]`, at least two of each."""
  rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
  degrees = (values.shape[0] - 1) * (values.shape[1] - 1)
  return _Error(float(np.sum(rest**2)) / degrees / values.size, degrees)


def _reach(errors: list[_Error], less: list[_Error], confidence: float) -> float:
  """Half the width of Student's t interval; squared errors add up, those of `less` are taken off.

  Degrees of freedom after Satterthwaite (1946).
  """
  square = sum(error.square for error in errors) - sum(error.square for error in less)
  spread = sum(error.square**2 / error.degrees for error in (*errors, *less))
  if square <= 0 or spread == 0:
    return 0.0
  return float(special.stdtrit(square**2 / spread, 0.5 + confidence / 2) * math.sqrt(square))


def format_interval(interval: Interval | tuple[float, float] | list[float]) -> str:
  """`0.93 to 0.99`, for tables and legends; an em dash where it is unknown."""
  low, high = (float(bound) for bound in interval)
  if not (math.isfinite(low) and math.isfinite(high)):
    return "\u2014"
  return f"{low:.2f} to {high:.2f}"
