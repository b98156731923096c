"""Figures of `asn/blocks` without a network: which rows are in every table, and on which videos."""

import numpy as np
import pytest

from jaxskills.config import apply_overrides
from jaxskills.evaluation import alignment
from jaxskills.experiments.asn import blocks, results
from jaxskills.training.workdir import Workdir
from tests.experiments import drawn_tasks

BLIND = {"chance": alignment.chance_error, "middle": alignment.middle_error}
BLIND |= {"first": alignment.first_error}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
  return drawn_tasks.write(tmp_path_factory.mktemp("videos") / "store")


@pytest.fixture
def config(monkeypatch):
  monkeypatch.setattr(results, "eyes", lambda config, found, column: {})
  return apply_overrides(blocks.get_config("quick"), ["--config.columns=AB->ABC"])


def test_what_looks_at_nothing_is_in_the_table_of_the_unseen_camera(config, store, tmp_path):
  (tmp_path / "run").mkdir()
  made = results.figures(config, {}, store, Workdir(tmp_path / "run"))
  for score in ("alignment", results.UNSEEN):
    for name, error in BLIND.items():
      figure = made[score][name]["AB->ABC"]
      assert figure["mean"] == pytest.approx(error(drawn_tasks.FRAMES)), (score, name)
      assert figure["videos"] == made[score]["pixels"]["AB->ABC"]["videos"] == 9


def test_another_split_is_judged_beside_what_looks_at_nothing(config, store):
  made = results.alignment_of(config, {}, store, split="looks", most=4)
  for name, error in BLIND.items():
    assert made[name]["AB->ABC"]["mean"] == pytest.approx(error(drawn_tasks.FRAMES)), name
  assert {figure["AB->ABC"]["videos"] for figure in made.values()} == {4}


@pytest.mark.parametrize(("most", "of_each_task"), [(3, {1}), (5, {1, 2}), (6, {2}), (100, {3})])
def test_few_videos_of_a_column_are_of_all_its_tasks(store, most, of_each_task):
  all_of_them = store.select(splits=("shapes",))
  some = results.evenly(store, all_of_them, most)
  assert len(set(some)) == len(some) == min(most, 9) and set(some) <= set(all_of_them)
  assert set(np.bincount(store.index.task[some], minlength=3)) == of_each_task


def test_few_videos_are_successes_and_fakes(store):
  some = results.evenly(store, store.select(tasks=("B",), splits=("test",)), 2)
  assert sorted(store.index.is_success[some]) == [False, True]
  assert len(results.evenly(store, np.zeros(0, int), 2)) == 0
