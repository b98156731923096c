"""`summary.json`."""

import json

import pytest

from jaxskills.training import summary
from jaxskills.training.run_state import Progress, StageReport
from jaxskills.training.workdir import Workdir

RUN = {"experiment": "spirl/maze", "preset": "quick", "seed": 3, "config": {}}
REPORTS = {
  "pretrain": StageReport(Progress(4, 0, 40, 10.0, 8.0, 1.5, {"loss": 1.0}), 5.0, "aa"),
  "rl/spirl": StageReport(Progress(2, 320, 8, 20.5, 16.0, 2.5, {}), 20.0, "bb"),
}


def test_the_keys_are_those_that_other_tools_read(tmp_path):
  figures = {"success_rate": 0.9, "baselines": {"sac": {"success_rate": 0.0}}}
  written = summary.write(Workdir(tmp_path), RUN, figures, REPORTS, "rl/spirl")
  assert written == json.loads((tmp_path / "summary.json").read_text())
  assert list(written) == [
    "experiment",
    "preset",
    "seed",
    "metrics",
    "env_steps",
    "updates",
    "wall_seconds",
    "steps_per_second",
    "compile_seconds",
    "device",
    "versions",
    "git",
    "parameters_sha256",
  ]
  assert written["metrics"] == figures
  assert (written["env_steps"], written["updates"]) == (320, 8)
  assert (written["wall_seconds"], written["compile_seconds"]) == (30.5, 4.0)
  assert written["steps_per_second"] == 20.0
  assert written["parameters_sha256"] == "bb"
  assert "matmul precision highest" in written["device"]


def test_versions_name_what_computes():
  found = summary.versions()
  assert {"python", "jaxskills", "jax", "jaxlib", "orbax-checkpoint"} <= set(found)


def test_a_package_outside_a_repository_has_no_commit(tmp_path, monkeypatch):
  copy = tmp_path / "summary.py"
  copy.write_text("")
  monkeypatch.setattr(summary, "__file__", str(copy))
  assert summary.git_commit() is None


def test_a_commit_with_changes_says_so(tmp_path, monkeypatch):
  file = tmp_path / "summary.py"
  file.write_text("1")
  identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
  for command in (["init"], ["add", "."], [*identity, "commit", "-m", "one"]):
    if summary._git(tmp_path, *command) is None:
      pytest.skip("git is not installed")
  monkeypatch.setattr(summary, "__file__", str(file))
  commit = summary.git_commit()
  assert commit is not None and len(commit) == 40
  file.write_text("2")
  assert summary.git_commit() == f"{commit}-dirty"
