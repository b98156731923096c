"""Intervals against closed forms and SciPy's distributions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from jaxskills.evaluation import intervals


@pytest.mark.parametrize(
  ("successes", "trials", "low", "high"),
  [(0, 100, 0.0, 0.03699), (10, 10, 0.72247, 1.0), (5, 10, 0.23659, 0.76341)],
)
def test_wilson_has_its_published_values(successes, trials, low, high):
  np.testing.assert_allclose(intervals.wilson(successes, trials), [low, high], atol=5e-5)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_rate_and_mirrors_failures(counts):
  successes, trials = counts
  low, high = intervals.wilson(successes, trials)
  assert 0.0 <= low <= successes / trials <= high <= 1.0
  mirrored = intervals.wilson(trials - successes, trials)
  np.testing.assert_allclose([low, high], [1 - mirrored.high, 1 - mirrored.low], atol=1e-12)


def test_wilson_names_the_offending_number():
  with pytest.raises(ValueError, match="got 0"):
    intervals.wilson(0, 0)
  with pytest.raises(ValueError, match="got 11"):
    intervals.wilson(11, 10)


def test_mean_interval_is_students_t():
  values = np.random.default_rng(0).normal(3.0, 2.0, (5, 4))
  expected = stats.t.interval(0.95, 4, values.mean(0), stats.sem(values, axis=0))
  np.testing.assert_allclose(intervals.mean_interval(values), expected)


def test_mean_interval_leaves_out_seeds_without_a_value():
  values = np.array([[1.0], [np.nan], [2.0], [4.0]])
  np.testing.assert_allclose(
    intervals.mean_interval(values), intervals.mean_interval(values[[0, 2, 3]])
  )


def test_one_seed_says_nothing_about_the_spread():
  assert np.isnan(intervals.mean_interval([[0.5, 0.6]])).all()
  assert np.isnan(intervals.mean_interval([[0.5], [np.nan]])).all()


def test_rate_of_one_seed_has_wilsons_interval():
  np.testing.assert_allclose(intervals.rate_interval(0.9, 100), intervals.wilson(90, 100))


def test_seeds_that_agree_do_not_prove_certainty():
  low, high = intervals.rate_interval([1.0, 1.0, 1.0], 100)
  assert (low, high) == (pytest.approx(float(intervals.wilson(300, 300).low)), 1.0)


def test_seeds_that_differ_widen_the_interval_within_bounds():
  low, high = intervals.rate_interval([0.2, 0.9, 1.0], 100)
  assert low == 0.0 and high == 1.0  # Student's would reach past both
  low, high = intervals.rate_interval([0.80, 0.85, 0.90], 100)
  expected = stats.t.interval(0.95, 2, 0.85, stats.sem([0.80, 0.85, 0.90]))
  np.testing.assert_allclose([low, high], expected)


def test_rates_of_several_points_are_judged_one_by_one():
  rates = np.array([[0.0, 0.5, np.nan], [0.1, 0.7, np.nan]])
  low, high = intervals.rate_interval(rates, 50)
  for point in range(2):
    one = intervals.rate_interval(rates[:, point], 50)
    assert (low[point], high[point]) == (pytest.approx(one.low), pytest.approx(one.high))
  assert math.isnan(low[2]) and math.isnan(high[2])


def wider_of_two(values) -> intervals.Interval:
  """The wider one of Student's t over seeds and over videos: each ignores the other's part."""
  over = [intervals.mean_interval(values.mean(axis=axis)) for axis in (1, 0)]
  return intervals.Interval(min(one.low for one in over), max(one.high for one in over))


def holds_zero(interval) -> bool:
  return interval.low <= 0.0 <= interval.high


@pytest.mark.parametrize("seeds", [5, 12])
def test_scores_hold_the_truth_as_often_as_they_say_where_seeds_and_videos_matter_alike(seeds):
  rng, draws = np.random.default_rng(0), 4000
  by_seed = np.sqrt(seeds) * rng.standard_normal((draws, seeds, 1))  # as much error of the mean
  by_video = np.sqrt(15) * rng.standard_normal((draws, 1, 15))
  values = by_seed + by_video + rng.standard_normal((draws, seeds, 15))
  coverage, old = (
    np.mean([holds_zero(of(drawn)) for drawn in values])
    for of in (intervals.score_interval, wider_of_two)
  )
  assert 0.94 <= coverage <= 0.97
  assert old < 0.94


@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("by_video", [0.0, 1.0])
def test_scores_of_few_seeds_hold_the_truth_at_least_as_often_as_they_say(seeds, by_video):
  rng, draws = np.random.default_rng(1), 2000
  values = rng.standard_normal((draws, seeds, 1)) + by_video * rng.standard_normal((draws, 1, 10))
  values = values + rng.standard_normal((draws, seeds, 10))
  assert np.mean([holds_zero(intervals.score_interval(drawn)) for drawn in values]) >= 0.94


SIX = np.array([-5.0, -3.0, -1.0, 1.0, 3.0, 5.0])  # of variance 14
SIGNS = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])


def test_errors_of_seeds_and_videos_add_up_less_what_neither_explains():
  crossed = np.outer(SIGNS, SIGNS)  # no seed's and no video's mean changes by it
  error, rest = 14 / 6, 36 / 25 / 36
  square = error + error - rest
  degrees = square**2 / (error**2 / 5 + error**2 / 5 + rest**2 / 25)
  expected = stats.t.interval(0.95, degrees, 2.0, math.sqrt(square))
  found = intervals.score_interval(2.0 + SIX[:, None] + SIX + crossed)
  np.testing.assert_allclose(found, expected)


def test_a_score_of_pure_noise_has_the_larger_error_of_the_two():
  values = np.random.default_rng(3).standard_normal((5, 15))
  np.testing.assert_allclose(intervals.score_interval(values), wider_of_two(values))


@pytest.mark.parametrize("over", ["seeds", "videos"])
def test_a_score_of_which_all_seeds_or_all_videos_agree_has_students_interval(over):
  values = SIX[:, None] + np.zeros(4) if over == "seeds" else SIX + np.zeros((4, 1))
  np.testing.assert_allclose(intervals.score_interval(values), intervals.mean_interval(SIX))


def test_a_score_of_one_seed_or_of_one_value_has_the_interval_that_is_known():
  values = np.array([[0.1, 0.2, 0.4]])
  np.testing.assert_allclose(intervals.score_interval(values), intervals.mean_interval(values[0]))
  np.testing.assert_allclose(intervals.score_interval(values.T), intervals.mean_interval(values[0]))
  assert np.isnan(intervals.score_interval([[0.3]])).all()


def test_a_constant_score_has_no_width():
  np.testing.assert_allclose(intervals.score_interval(np.full((5, 15), 0.1)), 0.1, atol=1e-12)
  both = intervals.difference_interval(np.full((5, 15), 0.1), np.full((3, 15), 0.3))
  np.testing.assert_allclose(both, -0.2, atol=1e-12)


def test_differences_hold_the_truth_as_often_as_they_say():
  rng, draws = np.random.default_rng(4), 3000
  hard = 5.0 * rng.standard_normal((draws, 1, 15))  # for both models: no part of the difference
  samples = [
    hard
    + np.sqrt(seeds) * rng.standard_normal((draws, seeds, 1))
    + np.sqrt(15) * rng.standard_normal((draws, 1, 15))
    + rng.standard_normal((draws, seeds, 15))
    for seeds in (5, 8)
  ]
  found = [intervals.difference_interval(a, b) for a, b in zip(*samples, strict=True)]
  coverage = np.mean([holds_zero(interval) for interval in found])
  assert 0.94 <= coverage <= 0.97
  first, second = samples
  welch = stats.ttest_ind(first.mean(2), second.mean(2), axis=1, equal_var=False)
  over_seeds = welch.confidence_interval(0.95)
  over_videos = intervals.mean_interval((first.mean(1) - second.mean(1)).T)
  low = np.minimum(over_seeds.low, over_videos.low)
  high = np.maximum(over_seeds.high, over_videos.high)
  assert np.mean((low <= 0.0) & (high >= 0.0)) < 0.93


def test_a_difference_counts_the_seeds_of_both_and_its_videos_once():
  first = SIX[:, None] + 3.0 * SIX + np.outer(SIGNS, SIGNS)
  second = SIX[:, None] / 2 + 2.0 * SIX
  seeds, videos = np.array([14 / 6, 14 / 4 / 6]), 14 / 6
  rest = 36 / 25 / 36
  square = seeds.sum() + videos - rest
  degrees = square**2 / (np.sum(seeds**2) / 5 + videos**2 / 5 + rest**2 / 25)
  expected = stats.t.interval(0.95, degrees, 0.0, math.sqrt(square))
  np.testing.assert_allclose(intervals.difference_interval(first, second), expected, atol=1e-12)


def test_a_difference_on_one_video_is_welchs_and_of_one_seed_that_of_the_videos():
  a, b = np.array([[0.1], [0.2], [0.4]]), np.array([[0.3], [0.35]])
  welch = stats.ttest_ind(a[:, 0], b[:, 0], equal_var=False).confidence_interval(0.95)
  np.testing.assert_allclose(intervals.difference_interval(a, b), [welch.low, welch.high])
  several, one = np.array([[1.0, 2.0, 4.0], [1.5, 2.0, 4.0]]), np.array([[0.5, 2.5, 2.0]])
  expected = intervals.mean_interval(several.mean(axis=0) - one[0])
  np.testing.assert_allclose(intervals.difference_interval(several, one), expected)
  assert np.isnan(intervals.difference_interval(a, b[:1])).all()


def test_an_interval_is_written_with_two_digits_or_a_dash():
  assert intervals.format_interval((0.934, 0.987)) == "0.93 to 0.99"
  assert intervals.format_interval((math.nan, math.nan)) == "\u2014"
