"""A walking run in miniature, from the command line to the page, and what it refuses."""

import json
import os
import signal
from pathlib import Path

import pytest

from jaxskills.cli import main
from jaxskills.experiments.h1 import velocity
from jaxskills.training.stage_runner import StageRunner

TINY = [
  "--config.engine=native",
  "--config.rl.worlds=8",
  "--config.rl.unroll=4",
  "--config.rl.iterations_per_chunk=2",
  "--config.rl.env_steps=192",
  "--config.rl.reset_pool=4",
  "--config.rl.reset_refresh=2",
  "--config.rl.evaluate_every_steps=128",
  "--config.rl.eval_episodes=4",
  "--config.rl.eval_steps=10",
  "--config.ppo.hidden=16,16",
]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
  """A finished run of 192 steps."""
  folder = tmp_path_factory.mktemp("h1") / "run"
  assert main.main(["train", "h1/velocity:quick", f"--workdir={folder}", *TINY]) == 0
  return folder


def test_a_run_leaves_what_other_tools_read(workdir: Path):
  summary = json.loads((workdir / "summary.json").read_text())
  assert summary["experiment"] == "h1/velocity"
  assert summary["env_steps"] == 192
  assert summary["updates"] == 6 * 16  # four epochs of four minibatches a rollout
  metrics = summary["metrics"]
  assert 0.0 <= metrics["fall_rate"] <= 1.0
  assert metrics["velocity_error"] > 0.0
  assert metrics["episodes"] == 4
  page = (workdir / "report" / "index.html").read_text()
  assert "h1/velocity:quick" in page


def test_the_same_command_again_does_not_train_again(workdir: Path):
  before = json.loads((workdir / "summary.json").read_text())
  assert main.main(["train", "h1/velocity:quick", f"--workdir={workdir}", *TINY]) == 0
  after = json.loads((workdir / "summary.json").read_text())
  assert after["parameters_sha256"] == before["parameters_sha256"]
  assert after["wall_seconds"] == before["wall_seconds"]


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(
  workdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
  record = StageRunner._record

  def stopping(self, state, progress, *rest):
    if progress.chunk == 1:
      os.kill(os.getpid(), signal.SIGTERM)
    return record(self, state, progress, *rest)

  command = ["train", "h1/velocity:quick", f"--workdir={tmp_path / 'run'}", *TINY]
  with monkeypatch.context() as patch:
    patch.setattr(StageRunner, "_record", stopping)
    assert main.main(command) == 0
  assert not (tmp_path / "run" / "summary.json").exists()
  assert main.main(command) == 0
  whole, parts = (
    json.loads((folder / "summary.json").read_text()) for folder in (workdir, tmp_path / "run")
  )
  assert parts["parameters_sha256"] == whole["parameters_sha256"]
  assert parts["metrics"]["velocity_error"] == whole["metrics"]["velocity_error"]


def test_a_finished_run_can_be_evaluated(workdir: Path, capsys: pytest.CaptureFixture[str]):
  assert main.main(["eval", str(workdir), "--episodes=2"]) == 0
  assert "velocity_error" in capsys.readouterr().out


@pytest.mark.parametrize(
  ("override", "says"),
  [
    ("--config.engine=natve", "unknown engine 'natve'; did you mean native"),
    ("--config.disturbances.latency_seconds=0.05", "latency of 0.05 s"),
    ("--config.rl.eval_episodes=0", "config.rl.eval_episodes must be at least 1"),
    ("--config.ppo.gamma=1.5", "gamma must lie in"),
    ("--config.variation.mass=1.2,0.8", "1.2"),
    ("--config.rl.worlds=0", "worlds"),
    ("--config.ppo.actor_inputs=camera,", "no modality 'camera'"),
    ("--config.rl.worlds=100000000", "fit"),
  ],
)
def test_what_cannot_be_run_is_refused_in_one_line_before_anything_is_made(
  override: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
  folder = tmp_path / "run"
  assert main.main(["train", "h1/velocity", f"--workdir={folder}", *TINY, override]) == 2
  said = capsys.readouterr().err.strip()
  assert says in said and "\n" not in said
  assert not folder.exists()


def test_both_presets_fit_together():
  for preset in velocity.PRESETS:
    velocity.check(velocity.get_config(preset))
