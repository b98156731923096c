"""Tests of the benchmark of learning from video, at sizes that measure nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is in the extra 'bench'")

from jaxskills.benchmarks import rehost_video, video  # noqa: E402
from jaxskills.data.augment import AugmentConfig, augment  # noqa: E402
from jaxskills.experiments.asn import methods  # noqa: E402
from jaxskills.losses import metric  # noqa: E402

SIZES = video.Sizes(side=16, updates=2, videos=4, frames=60, rounds=1, seconds=0.0)


@pytest.fixture(scope="module")
def config():
  return video.get_config(SIZES)


@pytest.fixture(scope="module")
def pair(config):
  return video.tcn_pair(config)


def test_losses_agree_before_and_after_updates(pair):
  pair.check()


def test_a_re_host_that_differs_is_refused(pair):
  broken = pair._replace(peer_update=lambda noise: {"loss": torch.tensor(1e3)})
  with pytest.raises(AssertionError, match="do not compute the same"):
    broken.check()


def test_augmented_pictures_agree(config):
  frames = np.random.default_rng(0).integers(0, 256, (3, 2, 2, 20, 12, 3), np.uint8)
  options = methods.augmentation(config)._replace(crop_area=(0.3, 0.9), flip=0.5)
  key = jax.random.key(4)
  ours = np.asarray(augment(frames, key, options)).reshape(12, 20, 12, 3)
  drawn = video.draws(key, 12, 3)
  assert 0 < float((drawn[1] < 0.5).sum()) < 3  # some are flipped and some are not
  theirs = rehost_video.augment(torch.from_numpy(frames), options, *drawn)
  np.testing.assert_allclose(ours, theirs.permute(0, 2, 3, 1).numpy(), atol=2e-5)


def test_augmentation_of_another_kind_is_refused():
  with pytest.raises(ValueError, match="every image by itself"):
    rehost_video.augment(torch.zeros(1, 8, 8, 3), AugmentConfig(jitter_per="clip"))


def test_lifted_structure_agrees():
  embeddings = np.random.default_rng(0).normal(size=(3, 4, 2, 5)).astype(np.float32)
  ours = sum(float(metric.lifted(jnp.asarray(video))) for video in embeddings)
  assert float(rehost_video.lifted(torch.from_numpy(embeddings))) == pytest.approx(ours, rel=1e-5)


def test_a_network_that_the_re_host_lacks_is_refused(config):
  options = methods.embedder_options(config)
  with pytest.raises(ValueError, match="small trunk"):
    rehost_video.Embedder(options._replace(backbone="resnet18"), 16, 16)


def test_every_row_has_its_floor_and_a_ratio():
  found = video.measure(SIZES)
  rows = {row["name"]: row for row in found["rows"]}
  assert {name: row["floor"] for name, row in rows.items()} == {
    "augmentation": 1.0,
    "forward": 1.0,
    "training_step": 1.0,
    "feeding": 0.95,
  }
  assert all(row["value"] > 0 and row["ratio"] > 0 for row in rows.values())


def test_what_is_not_the_same_is_not_compared():
  with pytest.raises(AssertionError, match=r"pictures .* differ by 0.5"):
    video.check_equal("pictures", np.zeros(3), np.full(3, 0.5))
  with pytest.raises(AssertionError, match="differ by inf"):
    video.check_equal("pictures", np.zeros(3), np.zeros(2))
