"""Pouring comes as planned and as the paper splits it, is built anew shard by shard, and drawn."""

import collections

import numpy as np
import pytest

from jaxskills.data.render import render_videos
from jaxskills.data.video_store import SPLITS
from jaxskills.data_builders import recorders, registry, shards
from jaxskills.data_builders.multiview_pouring import builder
from jaxskills.data_builders.multiview_pouring.builder import PRESETS, plan
from jaxskills.envs.pouring.demonstration import attempt_once
from jaxskills.envs.pouring.scripts import FAKES
from jaxskills.errors import UserError

FEW = {"successes": (1, 0, 0, 0), "fakes": (0, 1, 0, 0), "shard_records": 1, "seed": 310}
"""Of a seed with few beads: seconds instead of twice as many."""
NAME = "multiview_pouring:small"


def build_few(folder, progress=None):
  """One that pours and one that fails, each its own shard; one process is enough for them."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(recorders, "cores", lambda: 1)
    return registry.build(NAME, folder, progress=progress, **FEW)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
  """A folder with two records."""
  folder = tmp_path_factory.mktemp("pouring")
  build_few(folder)
  return folder


def test_the_paper_preset_has_the_papers_split():
  planned = plan(PRESETS["paper"])
  good = collections.Counter(record.split for record in planned if not record.fake)
  assert good["train"] == 133 and good["val"] == 17 and good["test"] == 30
  assert set(good) < set(SPLITS)


@pytest.mark.parametrize("preset", PRESETS)
def test_no_scene_is_in_two_splits_and_tests_see_through_vessels(preset):
  planned = plan(PRESETS[preset])
  assert len({record.seed for record in planned}) == len(planned)
  conditions = {(record.split, record.condition) for record in planned}
  assert conditions == {
    ("train", "train"),
    ("val", "train"),
    ("test", "test"),
    ("looks", "looks"),
  }
  other = plan(PRESETS[preset]._replace(seed=1))
  assert not {record.seed for record in planned} & {record.seed for record in other}
  kinds = collections.Counter(record.fake for record in planned if record.fake)
  assert set(kinds) == set(FAKES) and max(kinds.values()) - min(kinds.values()) <= 1


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"fakes": (1, 2)}, "there are 4 splits, not 4 and 2"),
    ({"successes": (0,) * 4, "fakes": (0,) * 4}, "1 to 1000000 records, not 0"),
  ],
)
def test_a_recipe_that_makes_no_sense_is_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    builder.multiview_pouring("small", **changes)


def test_a_record_is_the_demonstration_of_its_seed(built):
  good, bad = shards.read_records(built)
  assert good["success"] and not good["fake"] and not bad["success"]
  assert bad["fake"].decode() == FAKES[0] and bad["split"] == b"val"
  made = attempt_once(int(good["seed"]), "train", 0, "", at_most=12)
  assert good["scene"].decode() == made.scene.to_json() and good["length"] == len(good["qpos"])
  for name in ("qpos", "qvel", "ctrl"):
    assert good[name][:12].tobytes() == getattr(made, name).tobytes()
  assert set(good["labels"]) == set(made.labels)
  np.testing.assert_array_equal(good["labels"]["tilt"][:12], made.labels["tilt"])


def test_a_lost_shard_is_made_again_and_no_other(built):
  before = {path.name: path.read_bytes() for path in built.glob("*array_record*")}
  lost = built / max(before)
  lost.unlink()
  told = []
  build_few(built, lambda done, total: told.append((done, total)))
  assert told == [(1, 2), (2, 2)]
  assert {path.name: path.read_bytes() for path in built.glob("*array_record*")} == before


def test_info_tells_of_records_and_labels(built):
  about = registry.info(NAME, built)
  assert about["records"] == 2 and about["recipe"]["successes"] == [1, 0, 0, 0]
  assert "flowing" in about["features"]["labels"]


def test_videos_show_what_was_recorded(built):
  try:
    store = render_videos(built, views=("front", "high"), rows=32, columns=32)
  except UserError as error:
    if "no OpenGL" in str(error):
      pytest.skip(str(error))
    raise
  good, _ = shards.read_records(built)
  assert store.tasks == ("pouring",) and list(store.index.is_success) == [True, False]
  rows = store.rows_of(0)
  np.testing.assert_array_equal(store.labels["flowing"][rows], good["labels"]["flowing"])
  np.testing.assert_array_equal(store.labels["joints"][rows], good["qpos"][:, :7])
  np.testing.assert_array_equal(store.labels["objects"][rows], good["qpos"][:, 7:21])
  frames = store.frames[rows].astype(int)
  assert frames.shape == (good["length"], 2, 32, 32, 3)
  assert abs(frames[len(frames) // 2] - frames[0]).max(axis=(1, 2, 3)).min() > 40  # something moved
