"""Runs of `asn/blocks` on imported films: their tasks, views, splits and size of picture."""

import jax
import numpy as np
import pytest

from jaxskills.config import apply_overrides
from jaxskills.data_builders.multiview_video.importer import ImportSettings, import_films
from jaxskills.errors import UserError
from jaxskills.experiments.asn import blocks, stages
from jaxskills.experiments.asn.task_sets import in_file_names, read_column, tasks_in
from tests.data_builders import films

FILMS = {"pour_1": "train", "wipe_1": "train", "stack_1": "test", "stack_fake": "test"}
OVERRIDES = (
  "--config.num_seeds=1",
  "--config.columns=pour+wipe->stack",
  "--config.data.views=view0,view1",
  "--config.data.unseen_view=",
  "--config.embedder.channels=4,4",
  "--config.embedder.strides=2,1",
  "--config.pairs.times=3",
  "--config.training.updates=2",
  "--config.training.updates_per_chunk=2",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """Imported films of three tasks."""
  source = tmp_path_factory.mktemp("films")
  rows = ["name,task,split"]
  for seed, (name, split) in enumerate(FILMS.items()):
    films.pair(source, name, frames=16, seed=seed)
    rows.append(f"{name},{name.split('_')[0]},{split}")
  (source / "labels.csv").write_text("\n".join(rows))
  directory = tmp_path_factory.mktemp("imported") / "store"
  import_films(source, directory, ImportSettings(rows=24, columns=32))
  return directory


def configure(folder, *overrides):
  given = (*OVERRIDES, f"--config.data.store={folder}", *overrides)
  return apply_overrides(blocks.get_config(), given)


def test_methods_learn_from_imported_films_of_named_tasks(folder):
  config = configure(folder, "--config.data.rows=24", "--config.data.columns=32")
  store = blocks.build_videos(config)
  builders = stages.make_stages(config, store)
  assert [name for name, _ in builders] == [
    "embed/tcn_lifted_pour+wipe_seed0",
    "embed/asn_pour+wipe_seed0",
  ]
  found = {}
  for name, build in builders:
    stage = build({})
    batches = stage.feed.next()
    state, metrics = jax.jit(stage.chunk)(jax.jit(stage.init)(jax.random.key(0)), batches)
    assert all(np.isfinite(value) for value in metrics.values())
    found[name] = stage.finish(state)
  assert set(np.unique(batches.skills.task)) == {0, 1}
  test = store.frames[store.rows_of(2), 0]
  for embeds in stages.embedders(config, found, "pour+wipe").values():
    assert embeds[0](test).shape == (16, 32)


@pytest.mark.parametrize(
  ("override", "message"),
  [
    ("--config.columns=AB->C", "no task 'A' in .*; there are pour, stack, wipe"),
    ("--config.columns=stack->pour", "no video of task 'stack' in .* is in split 'train'"),
    ("--config.columns=pour->wipe", "no video of task 'wipe' in .* is in split 'test'"),
    ("--config.data.views=front,left", "no view 'front' in .*; there are view0, view1"),
    ("--config.data.unseen_view=high", "no view 'high' in .* for config.data.unseen_view"),
    ("--config.pairs.times=9", "has 16 frames, and 9 instants 0.5 s apart need"),
    ("--config.data.store=nowhere", "there are no videos in nowhere"),
  ],
)
def test_what_the_films_cannot_give_is_refused_before_anything_is_made(
  folder, tmp_path, override, message
):
  config = configure(folder, "--config.methods=tcn_lifted", override)
  with pytest.raises(UserError, match=message):
    blocks.train(config, tmp_path / "run", preset="quick")
  assert not (tmp_path / "run").exists()


def test_names_of_tasks_are_letters_or_joined_by_plus():
  assert tasks_in("AB") == ["A", "B"] and tasks_in("pour") == ["pour"]
  assert read_column("A+pour water->C") == ("A+pour water", "C")
  assert read_column("AB->C+stack").test_tasks == ["C", "stack"]
  for wrong in ("pour+->C", "->C", "wipe+pour->C", "pour+pour->C"):
    with pytest.raises(ValueError, match="config.columns|alphabetical order"):
      read_column(wrong)


def test_sets_of_tasks_name_folders_safely_and_apart():
  assert in_file_names("AB") == "AB" and in_file_names("pour+wipe") == "pour+wipe"
  odd = [in_file_names(written) for written in ("pour_a", "pour a", "../a", "é", "x" * 200)]
  assert len(set(odd)) == 5
  assert all(set(name) <= set("abcdefgh0123456789+-ijklmnopqrstuvwxyz") for name in odd)
  assert max(map(len, odd)) < 80


def test_a_run_on_imported_films_has_a_table_and_a_report_without_what_films_do_not_tell(
  folder, tmp_path
):
  written = blocks.train(configure(folder), tmp_path / "run", preset="quick")
  table = written["metrics"]["alignment"]
  assert {"tcn_lifted", "asn", "pixels", "middle", "random_features"} == set(table) - {
    "chance", "first"
  }  # fmt: skip
  assert 0 <= table["asn"]["pour+wipe->stack"]["mean"] <= 1
  assert "alignment_unseen_view" not in written["metrics"]
  assert blocks.run_config(tmp_path / "run").data.rows == 24
  page = (tmp_path / "run" / "report" / "index.html").read_text()
  assert "Training on pour+wipe" in page
  with pytest.raises(UserError, match="has scored all test videos"):
    blocks.evaluate(tmp_path / "run", episodes=2, video=False)
