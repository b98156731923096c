"""Runs of `tcn/pouring` with small pictures: what they score, print, keep and refuse."""

import numpy as np
import pytest

from jaxskills.config import apply_overrides
from jaxskills.data_builders.multiview_pouring import builder
from jaxskills.envs.pouring.attributes import ATTRIBUTES
from jaxskills.errors import UserError
from jaxskills.experiments.asn import results, stages
from jaxskills.experiments.tcn import pouring
from tests.experiments import drawn_pouring

OVERRIDES = (
  "--config.num_seeds=1",
  "--config.methods=tcn_triplet",
  "--config.data.rows=16",
  "--config.data.columns=16",
  "--config.data.unseen_view=",
  "--config.embedder.channels=4,4",
  "--config.embedder.strides=2,1",
  "--config.pairs.times=3",
  "--config.training.updates=2",
  "--config.training.updates_per_chunk=2",
)
COLUMN = "pouring->pouring"
HEADS = [
  "Model", "Alignment", "Across", "Attributes",
  "Contact", "Distance", "Angle", "Flowing", "Has liquid",
]  # fmt: skip


def configure(*overrides, preset="quick"):
  return apply_overrides(pouring.get_config(preset), [*OVERRIDES, *overrides])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
  return drawn_pouring.write(tmp_path_factory.mktemp("videos") / "store")


@pytest.fixture(scope="module")
def metrics(store):
  """Figures of two seeds that see a few pixels each, in the place of a network."""

  def eyes(config, found, column):
    one, two = (lambda frames: frames[:, 4:8, 1::6, 0].mean(1), lambda frames: frames[:, 0, :5, 0])
    return {"tcn_triplet": [one, two], "random_features": [two, two]}

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(results, "eyes", eyes)
    return pouring.figures(configure("--config.num_seeds=2"), {}, store, None)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, store):
  """A run's folder and what it wrote."""
  folder = tmp_path_factory.mktemp("runs") / "run"
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(pouring, "build_videos", lambda config: store)
    yield folder, pouring.train(configure(), folder, preset="quick")


def test_the_table_has_a_row_a_model_and_a_column_an_attribute(metrics):
  rows = {row["Model"]: row for row in pouring.table(metrics)}
  assert all(list(row) == HEADS for row in rows.values())
  assert next(iter(rows)) == "TCN, triplet"
  for name in ("TCN, triplet", "Raw pixels", "Random features", "Chance"):
    assert all(rows[name][head][0] in "01" for head in HEADS[1:]), rows[name]
  assert rows["Always the middle"]["Alignment"].startswith("0.250")
  assert "[" in rows["TCN, triplet"]["Attributes"] and "[" not in rows["TCN, triplet"]["Angle"]
  assert rows["Always the commonest class"]["Alignment"] == "\u2014"
  assert rows["Always the commonest class"]["Angle"] == "0.750"


def test_attributes_that_pictures_show_are_told_by_pixels_and_others_are_not(metrics):
  for name in ATTRIBUTES:
    error, majority = (
      metrics[f"{name}_error"][model][COLUMN]["mean"] for model in ("pixels", "majority")
    )
    assert majority == pytest.approx(1 - 1 / ATTRIBUTES[name])
    assert error < 0.2 if name in drawn_pouring.SHOWN else abs(error - majority) < 0.15, name
    assert metrics[f"{name}_error"]["chance"][COLUMN]["mean"] == pytest.approx(majority)


def test_the_mean_is_of_the_five_attributes_seed_by_seed(metrics):
  mean = metrics["attributes_error"]["tcn_triplet"][COLUMN]
  parts = [metrics[f"{name}_error"]["tcn_triplet"][COLUMN]["by_seed"] for name in ATTRIBUTES]
  np.testing.assert_allclose(mean["by_seed"], np.mean(parts, axis=0))
  assert len(mean["by_seed"]) == 2 and mean["low"] <= mean["mean"] <= mean["high"]
  assert metrics["attributes_error"]["chance"][COLUMN]["mean"] == pytest.approx(
    (4 * 0.5 + 0.75) / 5
  )


def test_the_report_and_evaluation_have_the_attributes(finished):
  folder, written = finished
  assert [row["Model"] for row in pouring.table(written["metrics"])][0] == "TCN, triplet"
  page = (folder / "report" / "index.html").read_text()
  assert "Attributes, error by neighbours" in page and "Has liquid, error by neighbours" in page
  record = sorted((folder / "report" / "data").iterdir())
  before = [path.stat().st_mtime_ns for path in record]
  scored = pouring.evaluate(folder, episodes=3, video=False)
  assert list(scored) == ["looks"]
  assert scored["looks"]["attributes_error"]["tcn_triplet"][COLUMN]["by_seed"]
  assert scored["looks"]["alignment"]["tcn_triplet"][COLUMN]["videos"] == 3
  assert [path.stat().st_mtime_ns for path in record] == before
  with pytest.raises(UserError, match="leave out --video"):
    pouring.evaluate(folder, episodes=3, video=True)


def test_a_finished_run_is_not_trained_again(finished, monkeypatch):
  folder, written = finished
  monkeypatch.setattr(pouring, "figures", lambda *given: {"found": sorted(given[1])})
  monkeypatch.setattr(results, "write_report", lambda folder: None)
  again = pouring.train(configure(), folder, preset="quick")
  assert again["metrics"]["found"] == sorted(
    name for name, _ in stages.make_stages(configure(), None)
  )
  assert again["wall_seconds"] == written["wall_seconds"]


def test_presets_are_of_data_that_can_be_built_and_long_enough():
  for preset in pouring.PRESETS:
    config = pouring.get_config(preset)
    assert config.data.preset in builder.PRESETS
    assert {"tcn_lifted", "tcn_triplet", "tcn_npairs", "single_view", "shuffle_and_learn"} == set(
      config.methods
    )
    shortest = 3.0  # s, of a demonstration
    assert (config.pairs.times - 1) * config.pairs.margin_seconds < shortest
  with pytest.raises(ValueError, match="no preset 'full'; there are quick, paper"):
    pouring.get_config("full")


def test_the_commonest_class_is_wrong_about_all_others():
  assert pouring.majority_error(np.array([3, 3, 3, 0])) == 0.5
  assert pouring.majority_error(np.array([2, 1, 2, 0])) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
  ("override", "message"),
  [
    ("--config.methods=tcn_lifte", "no method tcn_lifte; did you mean tcn_lifted?"),
    ("--config.methods=tcn_lifted,asn", "asn learns from two tasks or more, and pouring is one"),
    ("--config.columns=A->A", "no task 'A'; there are pouring"),
    ("--config.data.views=front,top", "no view 'top' for config.data.views; there are front"),
    ("--config.data.preset=quik", "no preset quik of data set multiview_pouring; did you mean"),
  ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_made(tmp_path, override, message):
  with pytest.raises(UserError, match=message):
    pouring.train(configure(override), tmp_path / "run", preset="quick")
  assert not (tmp_path / "run").exists()
