"""Demonstrations come as planned, are what a replay gives, and a stopped build goes on."""

import collections
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from jaxskills.cli.main import main
from jaxskills.data_builders import recorders, registry, shards
from jaxskills.data_builders.multiview_blocks import builder
from jaxskills.data_builders.multiview_blocks.builder import MultiviewBlocks, plan
from jaxskills.envs.tabletop.demonstration import demonstrate
from jaxskills.envs.tabletop.fakes import FAKES
from jaxskills.envs.tabletop.scene import CONDITIONS, Scene
from tests.data_builders.few_blocks import build
from tests.test_crew import ended

FEW = {"tasks": ("A",), "successes": 3, "fakes": 0, "shard_records": 2}


def text(record, key):
  return record[key].decode()


@pytest.mark.parametrize("preset", ["small", "paper", "quick"])
def test_every_split_has_its_share_of_successes_and_failures(preset):
  config = builder.PRESETS[preset]
  counts = collections.Counter(
    (record.task, record.split, bool(record.fake)) for record in plan(config)
  )
  for task in config.tasks:
    for split in builder.SPLITS:
      assert counts[task, split.name, False] == config.successes * split.tenths / 10
      assert counts[task, split.name, True] == config.fakes * split.tenths / 10
  assert sum(counts.values()) == len(config.tasks) * (config.successes + config.fakes)
  assert len(config.tasks) == (3 if preset == "quick" else 4)


def test_no_scene_is_in_two_splits_and_conditions_follow_them():
  planned = plan(builder.PRESETS["paper"])
  assert len({(record.task, record.seed) for record in planned}) == len(planned)
  conditions = {record.split: record.condition for record in planned}
  assert conditions == {"shapes": "shapes", "looks": "looks"} | dict.fromkeys(
    ("train", "val", "test"), "train"
  )
  assert set(conditions.values()) == set(CONDITIONS)
  other = plan(builder.PRESETS["paper"]._replace(seed=1))
  assert not {record.seed for record in planned} & {record.seed for record in other}


def test_all_kinds_of_failure_take_turns():
  planned = plan(MultiviewBlocks(tasks=("A", "D"), fakes=14))
  for task in ("A", "D"):
    kinds = collections.Counter(record.fake for record in planned if record.task == task)
    assert kinds == {"": 40} | dict.fromkeys(FAKES, 2)
  first = [next(r.fake for r in planned if r.task == task and r.fake) for task in ("A", "D")]
  assert first[0] != first[1]


def test_an_odd_number_is_cut_without_loss():
  for count in range(25):
    assert sum(builder._parts(count)) == count


@pytest.mark.parametrize("changes", [{"tasks": ("A", "E")}, {"tasks": ()}, {"successes": 500_000}])
def test_a_recipe_that_makes_no_sense_is_refused(changes):
  with pytest.raises(ValueError, match="no task 'E'; there are A, B|there must be a task, and"):
    builder.multiview_blocks("small", **changes)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
  """Where three real demonstrations are; one process is enough for them."""
  folder = tmp_path_factory.mktemp("blocks")
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(recorders, "cores", lambda: 1)
    registry.build("multiview_blocks:small", folder, **FEW)
  return folder


def test_a_record_is_the_demonstration_of_its_seed(built):
  records = list(shards.read_records(built))
  assert [text(record, "split") for record in records] == ["train", "train", "shapes"]
  record = records[2]
  made = demonstrate("A", int(record["seed"]), condition="shapes")
  for name in ("qpos", "qvel", "ctrl"):
    np.testing.assert_array_equal(record[name], getattr(made, name))
  assert record["labels"].keys() == made.labels.keys()
  for name, label in made.labels.items():
    np.testing.assert_array_equal(record["labels"][name], label)
    assert record["labels"][name].dtype == label.dtype
  assert Scene.from_json(text(record, "scene")) == made.scene
  assert record["success"] and not text(record, "fake") and record["length"] == len(made.qpos)


def test_the_command_line_describes_and_verifies_it(built, capsys):
  assert main(["data", "verify", "multiview_blocks:small", f"--directory={built}"]) == 0
  assert main(["data", "info", "multiview_blocks:small", f"--directory={built}"]) == 0
  told = capsys.readouterr().out
  assert "complete and undamaged" in told and "features.qpos" in told and "fingerprint" in told


def test_scenes_without_a_demonstration_are_replaced_by_another_seed(monkeypatch):
  from jaxskills.data_builders.multiview_blocks import recording

  tried = []

  def never(task, seed, **options):
    tried.append(seed)
    raise RuntimeError(f"seed {seed}")

  monkeypatch.setattr(recording, "demonstrate", never)
  planned = recording.Planned("A", "train", "train", 7, "")
  with pytest.raises(RuntimeError, match="^seed 7; seed 500007; seed 1000007$"):
    recording.record(planned)


def test_ctrl_c_leaves_no_process_and_the_same_command_goes_on(tmp_path, monkeypatch):
  recorder = "tests.data_builders.slow_recorder:make_recorder"
  program = f"""
import jaxskills.crew
from jaxskills.cli import main
from jaxskills.data_builders import recorders
from jaxskills.data_builders.multiview_blocks import builder
class Crew(jaxskills.crew.Crew):
  def __init__(self, *args, **options):
    super().__init__(*args, **options)
    print(*self.pids, flush=True)
recorders.Crew, builder._RECORDER = Crew, {recorder!r}
builder.PRESETS["small"] = builder.MultiviewBlocks(**{FEW!r})
raise SystemExit(main.main(["data", "build", "multiview_blocks:small", "--directory={tmp_path}"]))
"""
  with subprocess.Popen(
    [sys.executable, "-c", program],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    start_new_session=True,
    text=True,
  ) as command:
    assert command.stdout is not None and command.stderr is not None
    pids = [int(pid) for pid in command.stdout.readline().split()]
    wait_for(lambda: (tmp_path / "manifest.unfinished.json").exists())  # one of two shards is made
    os.killpg(command.pid, signal.SIGINT)
    assert command.wait(30) == 128 + signal.SIGINT
    told = command.stderr.read()
  assert "stopped by SIGINT; run the same command again" in told and "Traceback" not in told
  assert pids and ended(pids)
  assert len(list(tmp_path.glob("*array_record*"))) == 1
  monkeypatch.setattr(builder, "_RECORDER", recorder)
  said = []
  held = registry.build(
    "multiview_blocks:small", tmp_path, progress=lambda done, total: said.append(done), **FEW
  )
  assert said == [2, 3]
  whole = registry.build("multiview_blocks:small", tmp_path / "whole", **FEW)
  assert held.fingerprint == whole.fingerprint


def wait_for(condition):
  deadline = time.monotonic() + 60
  while not condition():
    assert time.monotonic() < deadline
    time.sleep(0.01)


def test_what_other_tests_use_in_place_of_demonstrations_has_the_same_form(built, tmp_path):
  build(tmp_path, **FEW)
  for real, stand_in in zip(shards.read_records(built), shards.read_records(tmp_path), strict=True):
    assert real.keys() == stand_in.keys() and real["labels"].keys() == stand_in["labels"].keys()
    assert real["qpos"].shape[1] == stand_in["qpos"].shape[1]
    for name, label in real["labels"].items():
      assert label.dtype == stand_in["labels"][name].dtype
