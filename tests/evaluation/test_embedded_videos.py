"""Every frame is embedded once and stays where it was; states are measured, pixels averaged."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.evaluation import embedded_videos, video_baselines
from tests.evaluation import fake_videos


@pytest.fixture(scope="module")
def store(tmp_path_factory):
  return fake_videos.store(tmp_path_factory.mktemp("videos") / "store")


def brightness(frames: np.ndarray) -> np.ndarray:
  """Two features of a frame that tell it from its neighbours."""
  return np.stack([frames.mean(axis=(1, 2, 3)), frames.max(axis=(1, 2, 3))], axis=1)


@pytest.mark.parametrize("batch", [7, 512])
def test_embeddings_lie_by_video_time_and_view(store, batch):
  sizes = []

  def embed(frames):
    sizes.append(len(frames))
    return brightness(frames)

  found = embedded_videos.embed_videos(embed, store, [4, 1], [1, 0], batch=batch)
  assert [video.name for video in found] == ["v4", "v1"]
  assert set(sizes) == {batch}  # one size, so that it is compiled once
  for video, number in zip(found, (4, 1), strict=True):
    frames = store.frames[store.rows_of(number)]
    expected = np.stack([brightness(frames[:, view]) for view in (1, 0)], axis=1)
    np.testing.assert_allclose(video.embeddings, expected, rtol=1e-6)
    np.testing.assert_array_equal(
      video.labels["phase"], store.labels["phase"][store.rows_of(number)]
    )
    assert (video.task, video.is_success) == ("A", True)
    assert video.seconds_per_frame == pytest.approx(1 / 12)


def test_stacks_reach_back_within_their_own_video(store):
  shapes = []

  def embed(stacks):
    shapes.append(stacks.shape)
    return stacks.mean(axis=(2, 3, 4))

  video = embedded_videos.embed_videos(embed, store, [3], [0], batch=64, offsets=(-5, 0))[0]
  assert shapes == [(64, 2, 16, 16, 3)]
  means = store.frames[store.rows_of(3)][:, 0].mean(axis=(1, 2, 3))
  np.testing.assert_allclose(video.embeddings[:, 0, 1], means, rtol=1e-5)
  before = means[np.maximum(np.arange(len(means)) - 5, 0)]
  np.testing.assert_allclose(video.embeddings[:, 0, 0], before, rtol=1e-5)


def test_an_embedding_that_is_not_finite_is_refused_with_the_videos_name(store):
  def embed(frames):
    return np.where(frames.mean(axis=(1, 2, 3)) > 100, np.nan, 0.0)[:, None]

  with pytest.raises(ValueError, match="video v2 is not finite"):
    embedded_videos.embed_videos(embed, store, [2], [0, 1])


def test_pixels_are_means_of_areas_in_numpy_and_under_jit():
  frames = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 24, 3), dtype=np.uint8)
  small = video_baselines.pixels(frames, 8)
  expected = frames.reshape(2, 3, 8, 4, 8, 3, 3).mean(axis=(3, 5)) / 255.0
  assert small.dtype == np.float32
  np.testing.assert_allclose(small, expected.reshape(2, 3, -1), atol=1e-6)
  jitted = jax.jit(lambda frames: video_baselines.pixels(frames, 8))(jnp.asarray(frames))
  np.testing.assert_allclose(jitted, small, atol=1e-6)


def test_a_size_that_does_not_divide_shares_pixels_by_area():
  row = np.zeros((1, 1, 3, 3), np.uint8)
  row[0, 0, 1] = 255  # the middle one of three columns, half of it in each of two
  np.testing.assert_allclose(video_baselines.pixels(row, 2).reshape(2, 2, 3)[0, :, 0], 1 / 3)


def test_a_state_is_measured_anew_for_each_view(store):
  video = embedded_videos.measure_videos("state", store, [2], [0, 1])[0]
  joints = store.labels["joints"][store.rows_of(2)]
  places = store.labels["objects"][store.rows_of(2)].reshape(len(joints), 2, 7)[:, :, :3]
  true = np.concatenate([joints / 0.01, places.reshape(-1, 6) / 0.005], axis=1)
  error = video.embeddings - true[:, None]
  assert error.std() == pytest.approx(1.0, abs=0.05)
  assert abs(np.corrcoef(error[:, 0].ravel(), error[:, 1].ravel())[0, 1]) < 0.15
  again = embedded_videos.measure_videos("state", store, [2], [0, 1])[0]
  np.testing.assert_array_equal(again.embeddings, video.embeddings)
  other = embedded_videos.measure_videos("state", store, [3], [0, 1])[0]
  assert not np.allclose(other.embeddings[0], video.embeddings[0], atol=1e-3)


@pytest.mark.parametrize(("kind", "width"), [("joint_angles", 7), ("object_positions", 6)])
def test_each_state_holds_what_it_is_named_after(store, kind, width):
  video = embedded_videos.measure_videos(kind, store, [0], [0, 1])[0]
  assert video.embeddings.shape == (store.index.length[0], 2, width)


def test_an_object_that_is_not_there_is_measured_at_the_origin():
  poses = np.full((50, 7), np.nan)
  found = video_baselines.measured_state({"objects": poses}, "object_positions", 2, 0)
  assert abs(found.mean()) < 0.3 and found.std() == pytest.approx(1.0, abs=0.1)
