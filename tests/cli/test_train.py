"""Tests of `jaxskills train`, `eval` and `export` on a tiny experiment."""

import json
import sys
import types
from pathlib import Path

import pytest

from jaxskills.cli.main import main


def called(workdir: Path) -> dict:
  """How the tiny experiment was called."""
  return json.loads((workdir / "summary.json").read_text())


def test_the_first_preset_and_a_workdir_under_runs_are_the_defaults(folder, capsys):
  assert main(["train", "fake/tiny"]) == 0
  call = called(folder / "runs" / "fake_tiny_quick")
  assert call["preset"] == call["config"]["preset_was"] == "quick"
  assert call["overwrite"] is False
  shown = capsys.readouterr().out
  assert "fake/tiny:quick  a moment" in shown and "runs/fake_tiny_quick" in shown


def test_preset_workdir_overrides_and_overwrite_reach_the_experiment(folder):
  arguments = ["--workdir=here/it", "--config.learner.alpha=0.5", "--overwrite"]
  assert main(["train", "fake/tiny:full", *arguments]) == 0
  call = called(folder / "here" / "it")
  assert call["preset"] == "full" and call["overwrite"] is True
  assert call["config"]["learner"]["alpha"] == 0.5


def test_overrides_may_stand_before_the_experiment(folder):
  assert main(["train", "--config.seed=4", "fake/tiny"]) == 0
  assert called(folder / "runs" / "fake_tiny_quick")["config"]["seed"] == 4


def test_the_final_figures_are_printed_with_dotted_names(folder, capsys):
  assert main(["train", "fake/tiny"]) == 0
  shown = capsys.readouterr().out.split()
  assert shown[shown.index("success_rate") + 1] == "0.1"
  assert shown[shown.index("baselines.sac.success_rate") + 1] == "0"


def test_a_report_is_named_where_there_is_one(folder, capsys):
  page = folder / "w" / "report" / "index.html"
  page.parent.mkdir(parents=True)
  page.write_text("")
  assert main(["train", "fake/tiny", "--workdir=w"]) == 0
  assert "report  w/report/index.html" in capsys.readouterr().out


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["fake/tyni"], "unknown experiment 'fake/tyni'; did you mean fake/tiny?"),
    (["fake/tiny:fast"], "experiment fake/tiny has no preset 'fast'; it has: quick, full"),
    (["fake/tiny:"], "experiment fake/tiny has no preset ''; it has: quick, full"),
    (
      ["fake/tiny", "--config.learner.aplha=1"],
      "unknown key config.learner.aplha; did you mean config.learner.alpha?",
    ),
    (["fake/tiny", "--config.seed=x"], "config.seed must be an integer, got 'x'"),
  ],
)
def test_a_wrong_name_or_value_is_one_line_and_leaves_nothing(arguments, message, folder, capsys):
  assert main(["train", *arguments]) == 2
  assert capsys.readouterr().err == f"jaxskills: {message}\n"
  assert not (folder / "runs").exists()


def test_eval_finds_the_experiment_of_the_run(folder, capsys):
  main(["train", "fake/tiny", "--workdir=w"])
  assert main(["eval", "w", "--episodes=7", "--video"]) == 0
  shown = capsys.readouterr().out.split()
  assert shown[-6:] == ["success_rate", "0.25", "episodes", "7", "video", "True"]


def test_eval_of_a_folder_without_a_run_says_so(folder, capsys):
  assert main(["eval", "nowhere"]) == 2
  assert "nowhere holds no run" in capsys.readouterr().err


@pytest.mark.parametrize("episodes", ["0", "-1", "many"])
def test_eval_needs_at_least_one_episode(episodes, folder, capsys):
  assert main(["eval", "w", f"--episodes={episodes}"]) == 2
  assert f"must be a whole number from 1 on, got '{episodes}'" in capsys.readouterr().err


@pytest.fixture
def exporter(monkeypatch) -> list:
  """Stands in for the exporter; what it was called with."""
  calls = []
  module = types.ModuleType("jaxskills.deploy.export")

  def export_run(run, **options):
    calls.append((run, options))
    return {"schema": "some/1"}

  monkeypatch.setattr(module, "export_run", export_run, raising=False)
  monkeypatch.setattr(module, "describe", lambda manifest: [*manifest.items()][0], raising=False)
  monkeypatch.setitem(sys.modules, module.__name__, module)
  return calls


def test_export_passes_everything_on_and_describes_what_it_made(folder, exporter, capsys):
  main(["train", "fake/tiny", "--workdir=w"])
  options = {"robot": "none", "out": Path("bundle"), "method": None, "seed_index": 0}
  assert main(["export", "w", "--out=bundle"]) == 0
  assert main(["export", "w", "--out=b", "--robot=h1", "--method=sac", "--seed-index=2"]) == 0
  chosen = {"robot": "h1", "out": Path("b"), "method": "sac", "seed_index": 2}
  assert exporter == [(Path("w"), options), (Path("w"), chosen)]
  assert capsys.readouterr().out.split()[-4:] == ["bundle", "b", "schema", "some/1"]


def test_export_refuses_a_folder_without_a_run(folder, exporter, capsys):
  assert main(["export", "nowhere", "--out=bundle"]) == 2
  assert "nowhere holds no run" in capsys.readouterr().err
  assert not exporter


def test_export_names_the_extra_that_is_missing(folder, capsys, monkeypatch):
  main(["train", "fake/tiny", "--workdir=w"])
  module = types.ModuleType("jaxskills.deploy.export")

  def export_run(*args, **kwargs):
    raise ModuleNotFoundError("No module named 'onnx'", name="onnx")

  monkeypatch.setattr(module, "export_run", export_run, raising=False)
  monkeypatch.setattr(module, "describe", None, raising=False)
  monkeypatch.setitem(sys.modules, module.__name__, module)
  assert main(["export", "w", "--out=bundle"]) == 2
  assert "package onnx is missing; run: pip install 'jaxskills[export]'" in capsys.readouterr().err


def test_a_table_stands_in_the_place_of_too_many_figures(folder, capsys):
  module = folder / "experiments" / "fake" / "tiny.py"
  module.write_text(
    module.read_text()
    + 'def table(metrics):\n  return [{"Model": "SAC", "rate": str(metrics["success_rate"])}]\n'
  )
  assert main(["train", "fake/tiny"]) == 0
  shown = capsys.readouterr().out
  assert "Model  rate\nSAC    0.1\n" in shown
  assert "baselines" not in shown and "summary.json" in shown
