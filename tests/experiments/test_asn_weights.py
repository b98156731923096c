"""Runs of `asn/blocks` on published weights: where they go, what is cached, and what is refused."""

import jax
import numpy as np
import pytest

from jaxskills.config import apply_overrides
from jaxskills.data.augment import AugmentConfig, normalize
from jaxskills.errors import UserError
from jaxskills.experiments.asn import blocks, methods, stages
from jaxskills.networks.resnet import ResNetTrunk
from tests.experiments import drawn_tasks
from tests.networks.torchvision_state import random_state

OVERRIDES = (
  "--config.num_seeds=1",
  "--config.methods=tcn_lifted",
  "--config.data.rows=16",
  "--config.data.columns=16",
  "--config.pairs.times=3",
  "--config.training.updates=2",
  "--config.training.updates_per_chunk=2",
  "--config.embedder.backbone=resnet18",
  "--config.embedder.freeze_trunk",
  "--config.augment.normalization=imagenet",
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
  return drawn_tasks.write(tmp_path_factory.mktemp("videos") / "store")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
  """Random weights that stand for published ones."""
  path = tmp_path_factory.mktemp("weights") / "resnet18.npz"
  np.savez(path, **random_state())
  return path


def configure(file, *overrides):
  given = (*OVERRIDES, f"--config.embedder.weights={file}", *overrides)
  return apply_overrides(blocks.get_config(), given)


def check_trunk(params, config):
  """The trunk is the file's, and the head is there."""
  weights = methods.image_weights(config)
  assert weights is not None
  for collection in ("params", "batch_stats"):
    trunk = params["encoder"][collection]["trunk"]
    assert set(trunk) == {"stem", "layer1_0", "layer1_1", "layer2_0", "layer2_1"}
    theirs = {name: weights.variables[collection][name] for name in trunk}
    jax.tree.map(np.testing.assert_array_equal, trunk, theirs)
  assert "embedding" in params["encoder"]["params"]["head"]


def trained(config, store):
  """State and result of a stage after one chunk."""
  stage = stages.embedding_stage(config, "one", "tcn_lifted", "AB", 0, store)
  before = jax.jit(stage.init)(jax.random.key(0))
  after, _ = jax.jit(stage.chunk)(before, stage.feed.next())
  return before, after, jax.jit(stage.finish)(after)


def test_a_frozen_trunk_begins_and_ends_with_the_weights_of_the_file(file, store):
  config = configure(file)
  before, _, params = trained(config, store)
  check_trunk(before.learner.params, config)
  check_trunk(params, config)
  heads = (x["encoder"]["params"]["head"]["embedding"] for x in (before.learner.params, params))
  assert not np.array_equal(*(head["kernel"] for head in heads))


def test_on_cached_features_the_head_is_trained_and_the_result_sees_frames(file, store, tmp_path):
  videos = drawn_tasks.write(tmp_path / "store")
  config = configure(file, "--config.embedder.cache")
  features = stages.training_store(config, videos)
  assert features.frames.shape[2:] == (2, 2, 128)
  of_ab = videos.select(tasks=["A", "B"], splits=("train",))
  assert features.names == tuple(videos.names[video] for video in of_ab)
  assert features.views == ("front", "left", "right")
  _, after, params = trained(config, features)
  assert set(after.learner.params["encoder"]["params"]) == {"head"}
  check_trunk(params, config)
  method = methods.METHODS["tcn_lifted"]
  whole = methods.make_learner(config, method, methods.make_spec(config, "AB"))
  of_head = methods.make_learner(config, method, methods.make_training_spec(config, "AB"))
  frames = videos.frames[videos.rows_of(int(of_ab[1]))][:5, 0]
  seen = jax.jit(whole.act)(params, frames)
  expected = jax.jit(of_head.act)(after.learner.params, features.frames[features.rows_of(1)][:5, 0])
  assert np.std(expected) > 0.01
  np.testing.assert_allclose(seen, expected, atol=0.02)  # cached as float16


def test_a_run_on_cached_features_is_scored_on_frames(file, tmp_path, monkeypatch):
  videos = drawn_tasks.write(tmp_path / "store")
  monkeypatch.setattr(blocks, "build_videos", lambda config: videos)
  mine = tmp_path / "mine.npz"
  mine.write_bytes(file.read_bytes())
  config = configure(mine, "--config.embedder.cache", "--config.data.unseen_view=high")
  written = blocks.train(config, tmp_path / "run", preset="quick")
  assert 0 <= written["metrics"]["alignment"]["tcn_lifted"]["AB->C"]["mean"] <= 1
  assert len(written["metrics"]["alignment"]["imagenet"]["AB->C"]["by_seed"]) == 1
  np.savez(mine, **{**random_state(), "bn1.bias": np.ones(64, np.float32)})
  with pytest.raises(UserError, match="holds another run: weights_sha256 is"):
    blocks.train(config, tmp_path / "run", preset="quick")


def test_image_features_are_the_mean_of_the_map_of_the_trunk_alone(file):
  config = configure(file)
  weights = methods.image_weights(config)
  assert weights is not None
  frames = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
  (embed,) = stages.image_features(config)
  seen = normalize(frames, AugmentConfig(normalization="imagenet"))
  expected = jax.jit(ResNetTrunk(2, form="lax").apply)(weights.variables, seen).mean((1, 2))
  np.testing.assert_allclose(embed(frames), expected, rtol=1e-4, atol=1e-4)
  assert stages.image_features(blocks.get_config()) == []


def test_random_features_are_random_in_the_trunk_too(file):
  config = configure(file, f"--config.embedder.weights={file}.gone")
  (embed,) = stages.untrained(config, "AB")
  assert embed(np.zeros((1, 16, 16, 3), np.uint8)).shape == (1, 32)


@pytest.mark.parametrize(
  ("override", "message"),
  [
    (
      "--config.augment.normalization=signed",
      "want pictures with augment.normalization 'imagenet'",
    ),
    ("--config.embedder.backbone=small", "weights are of resnet18 or inception"),
    ("--config.embedder.weights=gone.npz", "there are no weights at gone.npz"),
    ("--config.embedder.backbone=inception", "inception takes pictures of 27 pixels"),
  ],
)
def test_weights_that_do_not_fit_are_refused_before_anything_is_made(
  file, tmp_path, override, message
):
  with pytest.raises(UserError, match=message):
    blocks.train(configure(file, override), tmp_path / "run", preset="quick")
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
  "override",
  [
    "--noconfig.embedder.freeze_trunk",
    "--config.embedder.bn_mode=batch",
    "--config.embedder.weights=",
  ],
)
def test_only_a_trunk_that_never_changes_is_cached(file, tmp_path, override):
  config = configure(file, "--config.embedder.cache", override)
  with pytest.raises(UserError, match="config.embedder.cache keeps .* that never changes"):
    blocks.train(config, tmp_path / "run", preset="quick")
