"""What samplers of frames may draw, what they must never draw, and that they favour nothing."""

import functools
import itertools

import jax
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxskills.data import clips, samplers
from jaxskills.data.catalog import (
  Catalog,
  check_lengths,
  frames_of_instants,
  frames_of_triples,
  gap_frames,
  make_catalog,
)
from jaxskills.errors import UserError
from tests.data import numbered_videos as numbered

DRAWS, VIDEOS, TIMES = 32, 3, 4
RATES = st.sampled_from([1 / 10, 1 / 12, 1 / 24, 1 / 29, 1 / 30])


def catalog_of(lengths, seconds_per_frame=0.1, views=(0, 2, 3)):
  """Videos one after the other, with numbers that differ from their rows; camera 1 is held out."""
  lengths = np.asarray(lengths, np.int32)
  return Catalog(
    video=10 + np.arange(len(lengths), dtype=np.int32),
    start=(np.cumsum(lengths) - lengths).astype(np.int32),
    length=lengths,
    seconds_per_frame=np.full(len(lengths), seconds_per_frame, np.float32),
    task=np.arange(len(lengths), dtype=np.int32) % 2,
    views=np.asarray(views, np.int32),
  )


@functools.cache
def drawing(sampler, **static):
  """Many draws of a sampler at once, compiled once whatever the lengths and times."""

  @jax.jit
  def draw(key, catalog, traced):
    return jax.vmap(lambda key: sampler(key, catalog, **static, **traced))(
      jax.random.split(key, DRAWS)
    )

  def call(seed, catalog, **traced):
    return jax.tree.map(np.asarray, draw(jax.random.key(seed), catalog, traced))

  return call


def instants(picks, catalog):
  """The number of each picked frame within its video."""
  return picks.frame - catalog.start[picks.video - 10]


def check_they_exist(picks, catalog):
  """Every frame is one of its own video, every view an allowed one, every time the frame's."""
  rows = picks.video - 10
  assert rows.min() >= 0 and rows.max() < len(catalog.video)
  times = instants(picks, catalog)
  assert np.all(times >= 0) and np.all(times < catalog.length[rows])
  assert set(np.unique(picks.view)) <= set(catalog.views)
  assert {leaf.dtype for leaf in picks[:3]} == {np.dtype("int32")}
  np.testing.assert_allclose(picks.seconds, times * catalog.seconds_per_frame[rows], rtol=1e-5)


@st.composite
def catalogs(draw, needed, videos=VIDEOS):
  """A catalog of videos that have at least the frames that `needed(catalog)` says."""
  seconds = draw(RATES)
  least = np.asarray(needed(catalog_of([1] * videos, seconds)))
  more = draw(st.lists(st.integers(0, 40), min_size=videos, max_size=videos))
  return catalog_of(least + np.array(more), seconds)


@settings(max_examples=25)
@given(st.data(), st.integers(0, 2**31 - 1), st.sampled_from([0.0, 0.08, 0.2, 0.5]))
def test_pairs_are_one_instant_from_two_views_and_others_are_never_within_the_margin(
  data, seed, margin
):
  catalog = data.draw(catalogs(lambda c: frames_of_instants(c, times=TIMES, margin_seconds=margin)))
  draw = drawing(clips.sample_view_pairs, videos=VIDEOS, times=TIMES)
  picks = draw(seed, catalog, margin_seconds=margin)
  assert picks.frame.shape == (DRAWS, VIDEOS, TIMES, 2)
  check_they_exist(picks, catalog)
  np.testing.assert_array_equal(picks.frame[..., 0], picks.frame[..., 1])
  assert np.all(picks.view[..., 0] != picks.view[..., 1])
  assert np.all(picks.view == picks.view[:, :, :1])  # the same two cameras for a whole video
  assert np.all(picks.video == picks.video[:, :, :1, :1])  # negatives are of the same video
  gaps = np.diff(picks.seconds[..., 0], axis=2)
  assert np.all(gaps > 0) and gaps.min() >= margin - 1e-4


@settings(max_examples=15)
@given(st.data(), st.integers(0, 2**31 - 1), st.sampled_from([0.1, 0.25, 0.6]))
def test_stacked_frames_lie_before_their_instant_and_never_before_the_video(data, seed, stride):
  static = {"times": 2, "frames": 3}
  times = {"margin_seconds": 0.2, "stride_seconds": stride}
  catalog = data.draw(catalogs(lambda c: frames_of_instants(c, **static, **times)))
  picks = drawing(clips.sample_view_pairs, videos=VIDEOS, **static)(seed, catalog, **times)
  assert picks.frame.shape == (DRAWS, VIDEOS, 2, 2, 3)
  check_they_exist(picks, catalog)
  steps = np.diff(picks.seconds, axis=-1)
  assert np.all(np.abs(steps - stride) <= catalog.seconds_per_frame[0] / 2 + 1e-4)
  assert np.ptp(np.diff(picks.frame, axis=-1)) == 0
  assert np.diff(picks.seconds[..., 0, -1], axis=2).min() >= 0.2 - 1e-4
  np.testing.assert_array_equal(picks.frame[..., 0, :], picks.frame[..., 1, :])


@settings(max_examples=15)
@given(st.data(), st.integers(0, 2**31 - 1), st.integers(1, 8))
def test_windows_are_consecutive_frames_of_one_view(data, seed, extra):
  catalog = data.draw(catalogs(lambda c: np.full(len(c.video), 5 + extra)))
  picks = drawing(clips.sample_windows, videos=VIDEOS, times=5)(seed, catalog)
  check_they_exist(picks, catalog)
  assert np.all(np.diff(picks.frame, axis=2) == 1)
  assert np.all(picks.view == picks.view[:, :, :1]) and np.all(picks.video == picks.video[:, :, :1])


def test_windows_begin_anywhere_from_the_first_frame_to_the_last_possible_one():
  catalog = catalog_of([6, 7, 8])
  picks = drawing(clips.sample_windows, videos=VIDEOS, times=5)(0, catalog)
  for row, length in enumerate(catalog.length):
    starts = instants(picks, catalog)[..., 0][picks.video[..., 0] == 10 + row]
    assert set(starts.tolist()) == set(range(length - 4))


@settings(max_examples=15)
@given(st.data(), st.integers(0, 2**31 - 1), st.sampled_from([0.1, 0.3, 0.6]))
def test_skills_are_the_same_frames_from_two_views_with_their_task(data, seed, stride):
  catalog = data.draw(
    catalogs(
      lambda c: frames_of_instants(c, times=1, margin_seconds=0.0, frames=2, stride_seconds=stride)
    )
  )
  draw = drawing(clips.sample_skills, clips=5, frames=2)
  picks, task = draw(seed, catalog, stride_seconds=stride)
  assert picks.frame.shape == (DRAWS, 5, 2, 2)
  check_they_exist(picks, catalog)
  np.testing.assert_array_equal(picks.frame[:, :, 0], picks.frame[:, :, 1])
  assert np.all(picks.view[:, :, 0] != picks.view[:, :, 1])
  steps = np.diff(picks.seconds, axis=-1)
  assert np.all(np.abs(steps - stride) <= catalog.seconds_per_frame[0] / 2 + 1e-4)
  np.testing.assert_array_equal(task, (picks.video[:, :, 0, 0] - 10) % 2)


@settings(max_examples=20)
@given(
  st.data(), st.integers(0, 2**31 - 1), st.sampled_from([0.2, 1.0]), st.sampled_from([0.1, 0.5])
)
def test_ordered_triples_hold_their_middle_and_shuffled_ones_keep_it_well_outside(
  data, seed, span, gap
):
  catalog = data.draw(catalogs(lambda c: frames_of_triples(c, min_gap_seconds=gap)))
  draw = drawing(clips.sample_triples, clips=8)
  picks, is_ordered = draw(seed, catalog, max_span_seconds=span, min_gap_seconds=gap)
  assert np.all(is_ordered.sum(axis=1) == 2)  # a quarter of eight
  check_they_exist(picks, catalog)
  assert np.all(picks.video == picks.video[..., :1]) and np.all(picks.view == picks.view[..., :1])
  first, last = np.sort(picks.seconds[..., [0, 2]], axis=-1).transpose(2, 0, 1)
  middle = picks.seconds[..., 1]
  least = 2 * catalog.seconds_per_frame[0]  # a span of fewer frames holds no middle
  assert np.all(last - first <= max(span, least) + 1e-4)
  assert np.all((first < middle) & (middle < last) | ~is_ordered)
  outside = np.maximum(first - middle, middle - last)
  assert np.all(outside[~is_ordered] >= gap - 1e-4)


def test_across_videos_puts_instants_of_different_videos_into_one_group():
  catalog = catalog_of([9, 12, 30, 25])
  draw = drawing(clips.sample_view_pairs, videos=3, times=2, across_videos=True)
  picks = draw(0, catalog, margin_seconds=0.3)
  assert picks.frame.shape == (DRAWS, 1, 6, 2)
  check_they_exist(picks, catalog)
  of_draw = picks.video[:, 0, ::2, 0]
  assert all(len(set(row)) == 3 for row in of_draw.tolist())
  gaps = picks.seconds[:, 0, 1::2, 0] - picks.seconds[:, 0, ::2, 0]
  assert gaps.min() >= 0.3 - 1e-4


def test_across_videos_refuses_to_draw_a_video_twice():
  with pytest.raises(ValueError, match="3 asked for, there are 2"):
    clips.sample_view_pairs(
      jax.random.key(0), catalog_of([9, 9]), videos=3, margin_seconds=0.1, across_videos=True
    )


def test_views_may_be_drawn_anew_for_every_instant_as_in_the_released_code():
  draw = drawing(clips.sample_view_pairs, videos=1, times=6, views_per="instant")
  picks = draw(0, catalog_of([40]), margin_seconds=0.1)
  assert np.all(picks.view[..., 0] != picks.view[..., 1])
  assert np.any(picks.view != picks.view[:, :, :1])


def test_pairs_from_a_single_view_are_refused():
  for sampler in (
    functools.partial(clips.sample_view_pairs, margin_seconds=0.1),
    clips.sample_skills,
  ):
    with pytest.raises(ValueError, match="two or more views, got 1"):
      sampler(jax.random.key(0), catalog_of([20], views=(1,)))


def test_no_video_is_drawn_twice_before_each_was_drawn_once():
  picks = drawing(clips.sample_windows, videos=7, times=1)(0, catalog_of([5] * 3))
  counts = np.array([np.bincount(row - 10, minlength=3) for row in picks.video[..., 0]])
  assert counts.min() == 2 and counts.max() == 3


def _every_set(length, count, gap):
  """All sets of so many numbers below a length that are so far apart, by brute force."""
  sets = itertools.combinations(range(length), count)
  return [chosen for chosen in sets if min(np.diff(chosen)) >= gap]


def _probability(observed, expected):
  return scipy.stats.chisquare(observed, np.broadcast_to(expected, observed.shape)).pvalue


def test_every_valid_set_of_instants_is_drawn_as_often_as_any_other():
  catalog, draws = catalog_of([9]), 6000
  keys = jax.random.split(jax.random.key(0), draws)
  draw = functools.partial(
    clips.sample_view_pairs, catalog=catalog, videos=1, times=3, margin_seconds=0.3
  )
  picks = jax.jit(jax.vmap(draw))(keys)
  valid = _every_set(9, 3, gap=3)
  assert len(valid) == 10
  found = [tuple(row) for row in np.asarray(picks.frame)[:, 0, :, 0].tolist()]
  counts = np.array([found.count(chosen) for chosen in valid])
  assert counts.sum() == draws and _probability(counts, draws / len(valid)) > 1e-3
  pairs = np.asarray(picks.view)[:, 0, 0]
  of_views = np.bincount(4 * pairs[:, 0] + pairs[:, 1], minlength=16)[[2, 3, 8, 11, 12, 14]]
  assert of_views.sum() == draws and _probability(of_views, draws / 6) > 1e-3


def test_videos_are_drawn_alike_whatever_their_length_and_starts_reach_both_ends():
  catalog, draws = catalog_of([4, 40, 13]), 6000
  keys = jax.random.split(jax.random.key(1), draws)
  draw = functools.partial(
    clips.sample_skills, catalog=catalog, clips=1, frames=2, stride_seconds=0.3
  )
  picks, _ = jax.jit(jax.vmap(draw))(keys)
  videos = np.asarray(picks.video)[:, 0, 0, 0] - 10
  assert _probability(np.bincount(videos), draws / 3) > 1e-3
  first, last = np.asarray(picks.frame)[:, 0, 0].T
  starts = np.bincount((first - catalog.start[videos])[videos == 2], minlength=10)
  assert len(starts) == 10 and _probability(starts, starts.mean()) > 1e-3
  assert last.max() == catalog.length.sum() - 1 and first.min() == 0


def test_triples_tell_nothing_by_their_outer_frames():
  picks, is_ordered = jax.jit(
    functools.partial(clips.sample_triples, clips=20000, shuffled_share=0.5)
  )(jax.random.key(0), catalog_of([40] * 5))
  frame, is_ordered = np.asarray(picks.frame), np.asarray(is_ordered)
  for side in (0, 2):
    ordered, shuffled = frame[is_ordered, side], frame[~is_ordered, side]
    assert scipy.stats.ks_2samp(ordered, shuffled).pvalue > 1e-3
  turned = frame[:, 0] > frame[:, 2]
  assert (
    abs(turned[is_ordered].mean() - 0.5) < 0.02 and abs(turned[~is_ordered].mean() - 0.5) < 0.02
  )
  shuffled, turned = frame[~is_ordered], turned[~is_ordered]
  is_before = shuffled[:, 1] < np.minimum(shuffled[:, 0], shuffled[:, 2])
  ways = np.bincount(2 * turned + is_before, minlength=4)
  assert _probability(ways, ways.mean()) > 1e-3


@pytest.mark.parametrize(
  ("seconds", "rate", "frames"),
  [(0.5, 12, 6), (0.2, 29, 6), (0.6, 25, 15), (0.0, 12, 1), (1 / 12, 12, 1), (0.51, 12, 7)],
)
def test_a_margin_in_seconds_is_the_least_number_of_frames_that_lasts_so_long(
  seconds, rate, frames
):
  assert gap_frames(catalog_of([5], 1 / rate), seconds) == frames


def test_the_same_key_draws_the_same_frames():
  draw, catalog = drawing(clips.sample_view_pairs, videos=VIDEOS, times=TIMES), catalog_of([20] * 3)
  one, two, other = (draw(seed, catalog, margin_seconds=0.2) for seed in (3, 3, 4))
  np.testing.assert_array_equal(one.frame, two.frame)
  assert np.any(one.frame != other.frame)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
  return numbered.write(tmp_path_factory.mktemp("videos"))


def test_a_catalog_lists_videos_by_number_and_views_by_name(store):
  catalog = make_catalog(store, store.select(tasks=["push"]), views=["high", "front"])
  assert catalog.video.tolist() == [1, 3, 4] and catalog.views.tolist() == [2, 0]
  assert catalog.start.tolist() == [7, 49, 74] and catalog.length.tolist() == [30, 25, 40]
  with pytest.raises(UserError, match="no view rear in"):
    make_catalog(store, views=["rear"])
  with pytest.raises(UserError, match="no video of"):
    make_catalog(store, store.select(splits=["looks"]))


def test_a_video_that_is_too_short_is_named(store):
  catalog = make_catalog(store)
  for make, settings_ in [
    (samplers.view_pairs, {"margin_seconds": 0.3, "times": 4}),
    (samplers.view_pairs, {"margin_seconds": 0.1, "times": 1, "frames": 2, "stride_seconds": 0.9}),
    (samplers.windows, {"videos": 2, "times": 8}),
    (samplers.skills, {"stride_seconds": 0.7}),
    (samplers.triples, {"clips_drawn": 4}),
  ]:
    with pytest.raises(UserError, match=r"video a has 7 frames, and .* \(1 of 5 videos"):
      make(store, catalog, **settings_)
  samplers.view_pairs(store, catalog, margin_seconds=0.2, times=4)  # 7 frames are just enough
  check_lengths(catalog, 7, store, "windows of 7 frames")


def test_settings_that_mean_nothing_are_refused_before_anything_is_compiled(store):
  catalog = make_catalog(store)
  with pytest.raises(ValueError, match="times=0"):
    samplers.view_pairs(store, catalog, margin_seconds=0.1, times=0)
  with pytest.raises(ValueError, match="views_per is 'video' or 'instant'"):
    samplers.view_pairs(store, catalog, margin_seconds=0.1, views_per="frame")
  with pytest.raises(ValueError, match="shuffled_share"):
    samplers.triples(store, catalog, clips_drawn=4, min_gap_seconds=0.1, shuffled_share=2.0)
  with pytest.raises(ValueError, match="two or more views"):
    samplers.skills(store, make_catalog(store, views=["front"]), stride_seconds=0.1)


def test_settings_tell_what_is_drawn_and_from_what(store):
  one = samplers.skills(store, make_catalog(store), stride_seconds=0.1).settings
  two = samplers.skills(store, make_catalog(store, np.array([1, 2])), stride_seconds=0.1).settings
  assert one["kind"] == "skills" and one["clips"] == 8 and one["videos_drawn_from"] == 5
  assert one["catalog_sha256"] != two["catalog_sha256"]
