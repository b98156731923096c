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


def test_a_score_is_as_uncertain_as_its_seeds_or_its_videos():
  rng = np.random.default_rng(0)
  seeds, videos = rng.standard_normal((5, 1)), rng.standard_normal((1, 8))
  for values, over in ((3 * seeds + videos / 10, 5), (seeds / 10 + 3 * videos, 8)):
    means = values.mean(axis=1 if over == 5 else 0)
    expected = stats.t.interval(0.95, over - 1, means.mean(), stats.sem(means))
    np.testing.assert_allclose(intervals.score_interval(values), expected)


def test_a_score_of_one_seed_or_of_one_value_has_the_interval_that_is_known():
  values = np.array([[0.1, 0.2, 0.4]])
  np.testing.assert_allclose(intervals.score_interval(values), intervals.mean_interval(values[0]))
  np.testing.assert_allclose(intervals.score_interval(values.T), intervals.mean_interval(values[0]))
  assert np.isnan(intervals.score_interval([[0.3]])).all()


def test_an_interval_is_written_with_two_digits_or_a_dash():
  assert intervals.format_interval((0.934, 0.987)) == "0.93 to 0.99"
  assert intervals.format_interval((math.nan, math.nan)) == "\u2014"
