"""Features of a frozen trunk on disk: which they are, resuming, room, damage."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.data import feature_cache
from jaxskills.data.augment import AugmentConfig, normalize
from jaxskills.data.catalog import Picks
from jaxskills.data.feature_cache import FEATURES, cache_features
from jaxskills.data.frozen_trunk import FrozenTrunk, make_frozen_trunk, variables_sha256
from jaxskills.data.video_feed import gather
from jaxskills.data.video_plan import StorePlan
from jaxskills.data.video_store import make_index
from jaxskills.data.video_writer import StoreWriter
from jaxskills.errors import UserError
from jaxskills.networks.resnet import ResNetTrunk
from tests.data import numbered_videos


@pytest.fixture(scope="module")
def store(tmp_path_factory):
  return numbered_videos.write(tmp_path_factory.mktemp("videos") / "store")


def halves(frames):
  """Every second row and column, as numbers that tell the frame."""
  return frames[:, ::2, ::2].astype(jnp.float32) * 0.5 - 3.0


TRUNK = FrozenTrunk(halves, {"backbone": "halves"})


def test_every_frame_of_every_view_has_the_features_of_its_pictures(store, tmp_path):
  cache = cache_features(store, TRUNK, tmp_path, batch=7)  # divides neither frames nor views
  expected = np.asarray(store.frames)[:, :, ::2, ::2].astype(np.float32) * 0.5 - 3.0
  assert cache.features.dtype == np.float16 and not cache.features.flags.writeable
  np.testing.assert_array_equal(cache.features, expected.astype(np.float16))


def test_features_take_the_place_of_frames_where_batches_are_picked(store, tmp_path):
  cache = cache_features(store, TRUNK, tmp_path)
  swapped = cache.as_store(store)
  frame, view = np.array([3, 50]), np.array([2, 0])
  picks = Picks(np.zeros(2, int), frame, view, np.zeros(2))
  np.testing.assert_array_equal(gather(swapped.frames, picks), cache.features[frame, view])
  assert swapped.fingerprint != store.fingerprint and swapped.names == store.names


def test_only_the_videos_and_views_asked_for_are_computed(store, tmp_path):
  whole = cache_features(store, TRUNK, tmp_path)
  part = cache_features(
    store, TRUNK, tmp_path, videos=np.array([1, 3]), views=("high", "front"), verify=True
  )
  expected = [whole.features[store.rows_of(video)][:, [2, 0]] for video in (1, 3)]
  np.testing.assert_array_equal(part.features, np.concatenate(expected))
  swapped = part.as_store(store)
  assert swapped.names == ("b", "d") and swapped.views == ("high", "front")
  assert swapped.select(tasks=["push"], success=False).tolist() == [1]
  np.testing.assert_array_equal(swapped.frames[swapped.rows_of(1)], expected[1])
  assert part.fingerprint != whole.fingerprint
  with pytest.raises(ValueError, match="0 videos"):
    cache_features(store, TRUNK, tmp_path, videos=np.array([], int))


def test_a_run_that_was_cut_goes_on_with_the_videos_that_are_missing(store, tmp_path):
  def cut(line: str) -> None:
    if "features of c " in line:
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    cache_features(store, TRUNK, tmp_path, say=cut)
  lines: list[str] = []
  cache = cache_features(store, TRUNK, tmp_path, verify=True, say=lines.append)
  assert [line.split()[2] for line in lines] == ["d", "e"]
  whole = cache_features(store, TRUNK, tmp_path / "other")
  np.testing.assert_array_equal(cache.features, whole.features)


def test_a_complete_cache_is_only_opened(store, tmp_path):
  cache_features(store, TRUNK, tmp_path)
  lines: list[str] = []
  cache_features(store, TRUNK, tmp_path, say=lines.append)
  assert not lines


def test_other_weights_or_videos_are_other_features(store, tmp_path):
  first = cache_features(store, TRUNK, tmp_path)
  other = cache_features(
    store, FrozenTrunk(lambda x: halves(x) + 1, {"backbone": "halves", "bias": 1}), tmp_path
  )
  assert other.fingerprint != first.fingerprint
  np.testing.assert_allclose(other.features - first.features, 1.0)
  plan = StorePlan(
    make_index([2], seconds_per_frame=0.1), ("x",), ("stack",), ("front",), 4, 6, {}, {}
  )
  with StoreWriter(tmp_path / "few", plan) as writer:
    writer.write(0, np.zeros((2, 1, 4, 6, 3), np.uint8))
    few = writer.finish()
  assert cache_features(few, TRUNK, tmp_path).features.shape == (2, 1, 2, 3, 3)


def test_too_little_room_is_refused_with_the_size_before_anything_is_computed(
  store, tmp_path, monkeypatch
):
  usage = shutil.disk_usage(tmp_path)._replace(free=1000)
  monkeypatch.setattr(feature_cache.shutil, "disk_usage", lambda path: usage)
  wide = FrozenTrunk(lambda x: jnp.zeros((len(x), 40, 40, 800)), {"backbone": "wide"})
  # 114 instants, 3 views, 1,280,000 numbers of two bytes
  with pytest.raises(UserError, match=r"take 0\.88 GB .* 0\.00 GB are free"):
    cache_features(store, wide, tmp_path)
  assert not list(tmp_path.rglob("*.npy"))


def test_damage_is_found_where_it_is_asked_for(store, tmp_path):
  cache = cache_features(store, TRUNK, tmp_path)
  path = next(tmp_path.rglob(FEATURES))
  content = bytearray(path.read_bytes())
  content[-1] ^= 1
  path.write_bytes(content)
  with pytest.raises(UserError, match="damaged in video e"):
    cache_features(store, TRUNK, tmp_path, verify=True)
  path.write_bytes(content[:-1])
  with pytest.raises(UserError, match="cut short"):
    cache_features(store, TRUNK, tmp_path)
  assert cache.fingerprint[:16] == path.parent.name


def test_features_that_float16_cannot_hold_are_refused(store, tmp_path):
  for value in (7e4, np.nan):
    trunk = FrozenTrunk(lambda x, v=value: halves(x) * 0 + v, {"value": str(value)})
    with pytest.raises(ValueError, match="float16"):
      cache_features(store, trunk, tmp_path)


def test_a_frozen_trunk_normalizes_and_is_told_by_its_weights():
  frames = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), np.uint8)
  network = ResNetTrunk(1, form="lax")
  shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
  random = np.random.default_rng(1)
  variables = jax.tree.map(lambda x: random.uniform(0, 0.1, x.shape).astype(np.float32), shapes)
  trunk = make_frozen_trunk("resnet18", variables, normalization="imagenet", stages=1)
  seen = normalize(jnp.asarray(frames), AugmentConfig(normalization="imagenet"))
  expected = jax.jit(network.apply)(variables, seen)
  np.testing.assert_allclose(jax.jit(trunk.features)(frames), expected, rtol=1e-4, atol=1e-4)
  assert trunk.identity["weights_sha256"] == variables_sha256(variables)
  variables["params"]["stem"]["bn"]["bias"][0] += 1
  assert trunk.identity["weights_sha256"] != variables_sha256(variables)
