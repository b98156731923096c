"""Tests of `jaxskills sweep` on a tiny experiment, in real processes."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from jaxskills.cli import sweep
from jaxskills.cli.main import main
from jaxskills.errors import UserError


@pytest.fixture
def trainer(program, monkeypatch) -> None:
  """Lets trials find the tiny experiment."""
  monkeypatch.setattr(sweep, "TRAIN", (*program, "train"))


def test_the_plan_is_every_combination_once_a_seed():
  trials = sweep.plan(["a=1,2", "config.b=(1, 2),(3, 4)"], 2, Path("root"))
  assert [trial.title for trial in trials] == [
    "a=1 b=(1, 2) seed=0", "a=1 b=(1, 2) seed=1",
    "a=1 b=(3, 4) seed=0", "a=1 b=(3, 4) seed=1",
    "a=2 b=(1, 2) seed=0", "a=2 b=(1, 2) seed=1",
    "a=2 b=(3, 4) seed=0", "a=2 b=(3, 4) seed=1",
  ]  # fmt: skip
  assert len({trial.workdir for trial in trials}) == 8
  assert all(trial.workdir.parent == Path("root") for trial in trials)


def test_a_slash_in_a_value_makes_no_folder_of_its_own():
  (trial,) = sweep.plan(["name=a/b"], 1, Path("root"))
  assert trial.workdir == Path("root/name=a-b_seed=0")


@pytest.mark.parametrize("entry", ["alpha", "alpha=", "=1"])
def test_a_grid_without_values_is_explained(entry):
  with pytest.raises(UserError, match="needs values, as in --grid"):
    sweep.plan([entry], 1, Path("root"))


def test_a_sweep_trains_every_trial_and_compares_them(folder, trainer, capsys):
  arguments = ["--seeds=2", "--grid", "learner.alpha=0.1,0.2", "--jobs=2", "--workdir=all"]
  assert main(["sweep", "fake/tiny:full", *arguments]) == 0
  shown = capsys.readouterr().out
  assert shown.count("min\n") == 4
  # The tiny experiment's rate is alpha * (1 + seed): means over seeds of 0.15 and 0.3.
  assert "learner.alpha=0.1  0.15" in shown and "learner.alpha=0.2  0.3" in shown
  summary = json.loads((folder / "all/learner.alpha=0.2_seed=1/summary.json").read_text())
  assert summary["preset"] == "full" and summary["config"]["seed"] == 1
  assert summary["config"]["learner"]["alpha"] == 0.2


def test_a_failed_trial_is_told_and_takes_nothing_with_it(folder, trainer, capsys):
  fault = "assert config.seed == 1, 'unlucky'"
  assert main(["sweep", "fake/tiny", "--seeds=2", f"--config.fault={fault}", "--workdir=all"]) == 1
  shown = capsys.readouterr()
  assert "failed: seed=0; see all/seed=0/log.txt" in shown.err
  assert "unlucky" in (folder / "all/seed=0/log.txt").read_text()
  assert (folder / "all/seed=1/summary.json").exists()


def test_a_wrong_key_stops_the_sweep_before_it_begins(folder, trainer, capsys):
  assert main(["sweep", "fake/tiny", "--grid", "learner.aplha=1", "--workdir=all"]) == 2
  assert "did you mean config.learner.alpha?" in capsys.readouterr().err
  assert not (folder / "all").exists()


def test_a_stopped_sweep_stops_its_trials_and_says_how_to_go_on(folder, program):
  path = Path(program[1])
  path.write_text(
    path.read_text().replace(
      "sys.exit(main())",
      f"from jaxskills.cli import sweep\nsweep.TRAIN = (*{program!r}, 'train')\nsys.exit(main())",
    )
  )
  fault = "import time; print('ready', flush=True); time.sleep(60)"
  arguments = ["fake/tiny", f"--config.fault={fault}", "--seeds=2", "--workdir=all"]
  process = subprocess.Popen(
    [*program, "sweep", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
  )
  log = folder / "all/seed=0/log.txt"
  with process:
    while process.poll() is None and not (log.exists() and "ready" in log.read_text()):
      time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    assert "the same command again goes on with it" in process.stderr.read()
  assert process.returncode == 0
  assert not (folder / "all/seed=1/summary.json").exists()
