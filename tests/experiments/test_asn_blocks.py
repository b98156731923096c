"""Runs of `asn/blocks` with small pictures: what they train, report and refuse."""

import json

import numpy as np
import pytest

from jaxskills.config import apply_overrides
from jaxskills.errors import UserError
from jaxskills.experiments.asn import blocks, methods, stages
from jaxskills.learners.metric_loss import make_metric_loss, normalizes, over_videos
from tests.experiments import drawn_tasks

OVERRIDES = (
  "--config.num_seeds=2",
  "--config.data.rows=16",
  "--config.data.columns=16",
  "--config.embedder.channels=4,4",
  "--config.embedder.strides=2,1",
  "--config.pairs.times=3",
  "--config.training.updates=4",
  "--config.training.updates_per_chunk=2",
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
  return drawn_tasks.write(tmp_path_factory.mktemp("videos") / "store")


@pytest.fixture
def drawn(monkeypatch, store):
  """Runs get these videos."""
  monkeypatch.setattr(blocks, "build_videos", lambda config: store)
  return store


def configure(*overrides, preset="quick"):
  return apply_overrides(blocks.get_config(preset), [*OVERRIDES, *overrides])


def test_a_run_leaves_a_table_of_methods_and_baselines_with_intervals(tmp_path, drawn):
  config = configure()
  written = blocks.train(config, tmp_path / "run", preset="quick")
  table = written["metrics"]["alignment"]
  assert list(table)[:2] == ["tcn_lifted", "asn"]
  for name in ("chance", "middle", "pixels", "random_features", "state"):
    assert "AB->C" in table[name]
  for name in ("tcn_lifted", "asn"):
    figure = table[name]["AB->C"]
    assert len(figure["by_seed"]) == 2 and figure["videos"] == 3
    assert figure["low"] <= figure["mean"] <= figure["high"]
    assert figure["mean"] == pytest.approx(np.mean(figure["by_seed"]))
  assert table["middle"]["AB->C"]["mean"] == pytest.approx(0.25)
  assert "AB->C" in written["metrics"]["alignment_unseen_view"]["asn"]
  assert written["updates"] == 4
  page = (tmp_path / "run" / "report" / "index.html").read_text()
  assert "ASN" in page and "Raw pixels" in page and "left out" not in page, page[:4000]
  shifted = blocks.evaluate(tmp_path / "run", episodes=2, video=False)
  assert shifted["shapes"]["asn"]["AB->C"]["videos"] == 2
  with pytest.raises(UserError, match="leave out --video"):
    blocks.evaluate(tmp_path / "run", episodes=2, video=True)


def test_fakes_are_among_pairs_and_never_among_skills(store):
  config = configure()
  sampler = methods.make_sampler(config, methods.METHODS["asn"], store, "AB")
  settings = sampler.settings
  assert settings["pairs"]["videos_drawn_from"] == 6
  assert settings["skills"]["videos_drawn_from"] == 4


def test_labels_of_skills_count_the_training_tasks(store):
  import jax

  config = configure("--config.columns=AC->B")
  sampler = methods.make_sampler(config, methods.METHODS["asn"], store, "AC")
  tasks = [sampler.draw(jax.random.key(seed)).skills.task for seed in range(4)]
  assert set(np.concatenate(tasks).tolist()) == {0, 1}


def test_every_loss_has_the_margin_and_the_lengths_that_it_was_published_with():
  config = blocks.get_config()
  found = {}
  for name, method in methods.METHODS.items():
    options = methods.metric_options(config, method)
    found[name] = (options.name, options.margin, normalizes(options))
  assert found == {
    "tcn_lifted": ("lifted", None, False),
    "tcn_triplet": ("triplet", None, True),
    "tcn_npairs": ("npairs", None, False),
    "mftcn_lifted": ("lifted", None, False),
    "single_view": ("triplet", None, True),
    "shuffle_and_learn": ("lifted", None, False),
    "asn": ("asn_lifted", None, False),
    "asn_normal_lifted": ("lifted", None, False),
    "asn_1_frame": ("asn_lifted", None, False),
    "asn_4_frames": ("asn_lifted", None, False),
    "asn_short_stride": ("asn_lifted", None, False),
    "asn_fc": ("asn_lifted", None, False),
    "asn_no_encoder_entropy": ("asn_lifted", None, False),
    "asn_no_entropy": ("asn_lifted", None, False),
    "tcn_contrastive": ("contrastive", None, True),
    "tcn_infonce": ("infonce", None, True),
    "tcn_tcc": ("tcc", None, False),
  }


@pytest.mark.parametrize(
  ("name", "published"),
  [("tcn_triplet", 0.2), ("tcn_lifted", 1.0), ("tcn_contrastive", 1.0), ("asn", 1.0)],
)
def test_no_margin_is_the_published_one(name, published):
  import jax

  options = methods.metric_options(blocks.get_config(), methods.METHODS[name])
  embeddings = 0.3 * jax.random.normal(jax.random.key(0), (4, 2, 8))
  loss = make_metric_loss(options)(embeddings)
  assert loss == pytest.approx(make_metric_loss(options._replace(margin=published))(embeddings))
  assert loss != pytest.approx(make_metric_loss(options._replace(margin=0.5))(embeddings))


def test_across_videos_instants_of_another_video_are_negatives(store):
  import jax

  config = configure("--config.pairs.across_videos")
  method = methods.METHODS["tcn_lifted"]
  alone = methods.make_sampler(configure(), method, store, "AB").draw(jax.random.key(0))
  picks = methods.make_sampler(config, method, store, "AB").draw(jax.random.key(0)).frames
  assert alone.frames.video.shape == (2, 3, 2) and picks.video.shape == (1, 6, 2)
  assert len(set(picks.video[0, :, 0].tolist())) == 2
  loss = make_metric_loss(methods.metric_options(config, method))
  far = 9.0 * jax.numpy.eye(3)[:, None].repeat(2, axis=1)  # one video's, [time, view, dim]
  two = jax.numpy.stack([far, far])  # the same embeddings in both videos
  assert over_videos(loss, two, "sum") == 0
  assert over_videos(loss, two.reshape(1, 6, 2, 3), "sum") > 0.5


@pytest.mark.parametrize("name", list(methods.METHODS))
def test_every_method_learns_from_what_its_sampler_draws(name, store):
  import jax

  config = configure()
  stage = stages.embedding_stage(config, "embed/one", name, "AB", 0, store)
  state = jax.eval_shape(stage.init, jax.random.key(0))
  after, metrics = jax.eval_shape(stage.chunk, state, stage.feed.next())
  assert jax.tree.map(lambda leaf: leaf.shape, after) == jax.tree.map(lambda x: x.shape, state)
  shown = set(stage.headline) & set(metrics)
  assert shown & {"loss", "encoder_loss"}


def test_offsets_are_of_the_rate_of_the_videos(store):
  assert stages.offsets("asn", store) == [0]  # a skill is two frames, an embedding is one
  assert stages.offsets("mftcn_lifted", store) == [-6, 0]  # .6 s at ten frames a second


def test_the_paper_preset_has_all_columns_and_trains_no_adversary_on_one_task():
  config = blocks.get_config("paper")
  assert [column.name for column in stages.columns(config)][0] == "C->C"
  assert stages.all_tasks(config) == ["A", "B", "C", "D"]
  assert set(methods.METHODS) - set(config.methods) == {
    "tcn_contrastive", "tcn_infonce", "tcn_tcc"
  }  # fmt: skip
  names = [name for name, _ in stages.make_stages(config, None)]
  assert "embed/tcn_lifted_C_seed0" in names and "embed/asn_C_seed0" not in names
  assert len(names) == len(set(names))


@pytest.mark.parametrize(
  ("override", "message"),
  [
    ("--config.methods=asm", "no method asm; did you mean asn?"),
    ("--config.methods=asn,asn", "needs different names"),
    ("--config.columns=AB", "takes such as AB->C or pour.wipe->stack, not 'AB'"),
    ("--config.columns=BA->C", "alphabetical order"),
    ("--config.columns=AE->C", "no task 'E'"),
    ("--config.columns=A+->C", "takes such as"),
    ("--config.data.views=front,top", "no view 'top' for config.data.views; there are front"),
    ("--config.data.views=front,front", "must all differ"),
    ("--config.data.unseen_view=left", "must all differ"),
    ("--config.data.views=front", "two of config.data.views or more"),
    ("--config.training.updates=0", "must be at least 1"),
    ("--config.num_seeds=0", "must be at least 1"),
    ("--config.embedder.backbone=big", "backbone"),
    ("--config.metric.bound=loose", "bound must be one of"),
  ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_made(tmp_path, override, message):
  with pytest.raises(UserError, match=message):
    blocks.train(configure(override), tmp_path / "run", preset="quick")
  assert not (tmp_path / "run").exists()


def test_temporal_cycles_have_no_order_across_videos(tmp_path):
  config = configure("--config.methods=tcn_tcc", "--config.pairs.across_videos")
  with pytest.raises(UserError, match="tcn_tcc goes by the order of instants"):
    blocks.train(config, tmp_path / "run", preset="quick")


def test_asn_alone_on_one_task_is_refused(tmp_path):
  config = configure("--config.methods=asn", "--config.columns=C->C")
  with pytest.raises(UserError, match="no method of .* learns from task C alone"):
    blocks.train(config, tmp_path / "run", preset="quick")


def test_the_configuration_is_plain(tmp_path):
  from jaxskills.config import to_plain

  assert json.loads(json.dumps(to_plain(blocks.get_config("paper"))))["columns"][0] == "C->C"
