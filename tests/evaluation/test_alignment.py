"""Alignment errors at their closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxskills.evaluation import alignment


def views(*curves) -> np.ndarray:
  """One-dimensional embeddings of several views, `[time, view, 1]`."""
  return np.stack(curves, axis=1)[:, :, None].astype(np.float64)


TIME = np.arange(10)


def test_views_that_agree_have_no_error():
  assert alignment.same_demonstration_error(views(TIME, TIME, TIME)) == 0.0


def test_a_reversed_view_is_wrong_by_half_the_video():
  assert alignment.same_demonstration_error(views(TIME, TIME[::-1])) == pytest.approx(0.5)


def test_a_delay_costs_its_share_of_the_video():
  # One view lags by a frame: nine frames each way err by 1, and one, beyond the end, not at all.
  lagging = views(TIME, TIME - 1)
  assert alignment.same_demonstration_error(lagging) == pytest.approx(0.9 * 1 / 10)


def test_both_directions_and_all_pairs_of_views_count():
  # The second view stands still: frames of the first find all of it, its own frames find frame 0.
  forth, back = np.abs(TIME[:, None] - TIME).mean() / 10, TIME.mean() / 10
  still = np.zeros(10)
  error = alignment.same_demonstration_error(views(TIME, still))
  assert error == pytest.approx((forth + back) / 2)
  error = alignment.same_demonstration_error(views(TIME, TIME, still))
  assert error == pytest.approx((0 + 0 + 2 * forth + 2 * back) / 6)


def test_a_collapsed_embedding_is_worth_chance_or_the_first_frame():
  collapsed = np.full((24, 2, 32), 0.7, np.float32)
  by_mean = alignment.same_demonstration_error(collapsed)
  assert by_mean == pytest.approx(alignment.chance_error(24))
  by_first = alignment.same_demonstration_error(collapsed, ties="first")
  assert by_first == pytest.approx(alignment.first_error(24))


def test_embeddings_without_meaning_err_by_a_third():
  rng = np.random.default_rng(0)
  errors = [alignment.same_demonstration_error(rng.standard_normal((60, 2, 2))) for _ in range(60)]
  assert np.mean(errors) == pytest.approx(1 / 3, abs=0.01)


def test_one_view_cannot_be_aligned():
  with pytest.raises(ValueError, match="got 1"):
    alignment.same_demonstration_error(views(TIME))


@pytest.mark.parametrize("length", [1, 2, 7, 10, 141])
def test_blind_errors_are_those_of_counting(length):
  time = np.arange(length)
  chance = np.abs(time[:, None] - time).mean() / length
  assert alignment.chance_error(length) == pytest.approx(chance)
  middle = np.abs(time - length // 2).mean() / length
  assert alignment.middle_error(length) == pytest.approx(middle)
  assert alignment.first_error(length) == pytest.approx(time.mean() / length)


def test_blind_errors_come_near_a_third_a_quarter_and_a_half():
  blind = alignment.chance_error(500), alignment.middle_error(500), alignment.first_error(500)
  np.testing.assert_allclose(blind, [1 / 3, 1 / 4, 1 / 2], atol=2e-3)


def parts(*lengths) -> alignment.Segments:
  return alignment.segments(np.repeat(np.arange(len(lengths)), lengths))


def test_parts_begin_where_the_phase_changes():
  found = alignment.segments(np.array([2, 2, 5, 5, 5, 2]))
  assert found.phases == (2, 5, 2)
  np.testing.assert_array_equal(found.edges, [0, 2, 5, 6])


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.sampled_from(["segment", "video"]))
@settings(max_examples=25)
def test_a_demonstration_has_no_error_against_itself(lengths, scale):
  own = parts(*lengths)
  curve = np.arange(float(own.edges[-1]))[:, None]
  assert alignment.cross_demonstration_error(curve, curve, own, own, scale=scale) == 0.0


def test_true_places_are_piecewise_linear_between_key_frames():
  # The second part takes twice as long in the target; embeddings tell the true place exactly.
  source, target = parts(4, 4), parts(4, 8)
  place = np.array([0, 1, 2, 3, 4, 6, 8, 10.0])[:, None]
  frames = np.arange(12.0)[:, None]
  assert alignment.cross_demonstration_error(place, frames, source, target) == 0.0


def test_errors_across_demonstrations_are_divided_by_the_targets_part_or_by_all_of_it():
  source, target = parts(4, 4), parts(4, 8)
  late = np.array([0, 1, 2, 3, 4 + 2, 6 + 2, 8 + 2, 10.0])[:, None]  # three frames, two too late
  frames = np.arange(12.0)[:, None]
  error = alignment.cross_demonstration_error(late, frames, source, target)
  assert error == pytest.approx(3 * 2 / 8 / 8)
  error = alignment.cross_demonstration_error(late, frames, source, target, scale="video")
  assert error == pytest.approx(3 * 2 / 12 / 8)


def test_demonstrations_in_another_order_do_not_correspond():
  curve = np.zeros((4, 1))
  other = alignment.segments(np.array([1, 1, 0, 0]))
  with pytest.raises(ValueError, match=r"\(0, 1\) do not correspond to \(1, 0\)"):
    alignment.cross_demonstration_error(curve, curve, parts(2, 2), other)


def test_only_the_whole_video_as_scale_gives_random_frames_the_papers_value():
  five = parts(20, 20, 20, 20, 20)
  chance, middle = alignment.cross_demonstration_blind_errors(five, five)
  assert (chance, middle) == (pytest.approx(5 / 3, abs=0.01), pytest.approx(1.25, abs=0.01))
  chance, middle = alignment.cross_demonstration_blind_errors(five, five, scale="video")
  assert (chance, middle) == (pytest.approx(1 / 3, abs=0.01), pytest.approx(0.25, abs=0.01))


def test_chance_across_demonstrations_is_what_a_collapsed_embedding_has():
  source, target, constant = parts(3, 6), parts(5, 2), np.ones((9, 4))
  chance, _ = alignment.cross_demonstration_blind_errors(source, target)
  error = alignment.cross_demonstration_error(constant, constant[:7], source, target)
  assert error == pytest.approx(chance)


def tau(source, target, stride_seconds=1.0):
  source, target = (np.asarray(curve, float)[:, None] for curve in (source, target))
  return alignment.kendalls_tau(
    source, target, stride_seconds=stride_seconds, seconds_per_frame=1.0
  )


def test_tau_is_one_in_order_minus_one_reversed_and_zero_without_order():
  assert tau(TIME, TIME) == pytest.approx(1.0)
  assert tau(TIME, TIME[::-1]) == pytest.approx(-1.0)
  assert tau(np.zeros(10), TIME) == 0.0


def test_tau_counts_pairs():
  # Neighbours 0, 2, 1, 3: five pairs in order, one not.
  assert tau([0, 2, 1, 3], TIME) == pytest.approx((5 - 1) / 6)


def test_taus_stride_is_in_seconds():
  restless = np.array([0, 9, 2, 9, 4, 9, 6, 9, 8, 9])
  assert tau(restless, TIME, 2.0) == pytest.approx(1.0)
  assert tau(restless, TIME, 1.0) < 0.9


def test_taus_stride_is_of_both_videos():
  decoy = np.array([0, 8, 2, 6, 4, 4, 6, 2, 8, 0])  # in order where it is looked at
  assert tau(TIME, decoy, 2.0) == pytest.approx(1.0)
