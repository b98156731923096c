"""Batches of frames: the right ones, at the right place, and the same after a kill."""

import jax
import numpy as np
import pytest

from jaxskills.data import samplers
from jaxskills.data.catalog import Picks, make_catalog
from jaxskills.data.video_feed import VideoFeed, draw_resident, gather
from jaxskills.training.run_state import Feed
from tests.data import numbered_videos as numbered


@pytest.fixture(scope="module")
def store(tmp_path_factory):
  return numbered.write(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module")
def asn(store):
  """The sampler of ASN's batch: pairs of all videos, skills of the successful ones."""
  pairs = samplers.view_pairs(store, make_catalog(store), videos=2, times=2, margin_seconds=0.3)
  catalog = make_catalog(store, store.select(success=True))
  return samplers.asn(
    pairs, samplers.skills(store, catalog, clips_drawn=3, frames=2, stride_seconds=0.2)
  )


@pytest.fixture(scope="module")
def windows(store):
  """A sampler that compiles in no time."""
  return samplers.windows(store, make_catalog(store), videos=2, times=3)


def told(frames):
  """Video, instant and view that each picture tells; all its pixels must agree."""
  assert np.all(frames == frames[..., :1, :1, :])
  return np.moveaxis(frames[..., 0, 0, :].astype(int), -1, 0)


def same(one, two):
  jax.tree.map(np.testing.assert_array_equal, one, two)


def test_frames_are_those_that_the_picks_name(store):
  frame, view = np.array([[0, 6], [7, 113]]), np.array([[0, 2], [1, 2]])
  picks = Picks(np.zeros_like(frame), frame, view, np.zeros(frame.shape, np.float32))
  video, instant, seen = told(gather(store.frames, picks))
  assert video.tolist() == [[0, 0], [1, 4]] and instant.tolist() == [[0, 6], [0, 39]]
  np.testing.assert_array_equal(seen, view)


def test_a_batch_has_the_shapes_and_meaning_of_its_axes(store, asn):
  feed: Feed = VideoFeed(store, asn, updates_per_chunk=3)
  pairs, skills = feed.next()
  assert pairs.frames.dtype == np.uint8
  assert pairs.frames.shape == (3, 2, 2, 2, numbered.ROWS, numbered.COLUMNS, 3)
  video, instant, view = told(pairs.frames)
  assert np.all(video == video[:, :, :1, :1])
  np.testing.assert_array_equal(instant[..., 0], instant[..., 1])
  assert np.all(instant[:, :, 1] - instant[:, :, 0] >= 3)
  assert np.all(view[..., 0] != view[..., 1])
  assert skills.frames.shape == (3, 3, 2, 2, numbered.ROWS, numbered.COLUMNS, 3)
  video, instant, view = told(skills.frames)
  assert np.all(video == video[:, :, :1, :1]) and not np.any(video == 3)  # 3 is a fake
  np.testing.assert_array_equal(instant[..., 1] - instant[..., 0], 2)
  np.testing.assert_array_equal(skills.task, store.index.task[video[:, :, 0, 0]])
  assert np.any(pairs.frames[0] != pairs.frames[1])


def test_what_comes_after_a_saved_position_is_what_would_have_come(store, windows):
  feed = VideoFeed(store, windows, updates_per_chunk=2, seed=4)
  feed.next()
  state = feed.get_state()
  expected = [feed.next(), feed.next()]
  resumed = VideoFeed(store, windows, updates_per_chunk=2, seed=4)
  resumed.next()
  resumed.next()
  resumed.set_state(state)
  same([resumed.next(), resumed.next()], expected)
  feed.set_state(state)
  same(feed.next(), expected[0])


def test_updates_see_the_same_however_a_run_is_cut_into_chunks(store, windows):
  whole = VideoFeed(store, windows, updates_per_chunk=4).next()
  halves = VideoFeed(store, windows, updates_per_chunk=2)
  parts = [halves.next(), halves.next()]
  same(jax.tree.map(lambda *x: np.concatenate(x), *parts), whole)


def test_frames_on_the_device_give_the_same_batches(store, windows):
  frames = jax.device_put(store.frames)
  draw = jax.jit(lambda frames, key: draw_resident(frames, windows, key))
  batches = VideoFeed(store, windows, updates_per_chunk=2, seed=7).next()
  for update in range(2):
    batch = draw(frames, jax.random.fold_in(jax.random.key(7), update))
    same(batch, jax.tree.map(lambda x, update=update: x[update], batches))


def test_a_position_of_another_seed_sampler_or_store_is_refused(store, windows):
  feed = VideoFeed(store, windows, updates_per_chunk=2)
  other = samplers.windows(store, make_catalog(store), videos=1, times=2)
  for made, name in [
    (VideoFeed(store, windows, updates_per_chunk=2, seed=1), "seed"),
    (VideoFeed(store, other, updates_per_chunk=2), "sampler"),
  ]:
    with pytest.raises(ValueError, match=f"saved feed position differs in {name}"):
      feed.set_state(made.get_state())


def test_windows_and_triples_come_with_what_their_losses_need(store, windows):
  catalog = make_catalog(store, np.array([1, 4]))
  batch = VideoFeed(store, windows, updates_per_chunk=1).next()
  _, instant, _ = told(batch.frames[0])
  np.testing.assert_allclose(batch.seconds[0], 0.1 * instant, atol=1e-5)
  triples = samplers.triples(store, catalog, clips_drawn=8, min_gap_seconds=0.4)
  batch = VideoFeed(store, triples, updates_per_chunk=1).next()
  _, instant, _ = told(batch.frames[0])
  is_between = (instant[:, 0] < instant[:, 1]) == (instant[:, 1] < instant[:, 2])
  np.testing.assert_array_equal(is_between, batch.is_ordered[0])


def test_a_chunk_without_updates_is_refused(store, asn):
  with pytest.raises(ValueError, match="one or more updates, got 0"):
    VideoFeed(store, asn, updates_per_chunk=0)
