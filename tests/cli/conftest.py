"""A tiny experiment and a tiny benchmark for the command line to find."""

import sys
from pathlib import Path

import pytest

import jaxskills.benchmarks
import jaxskills.experiments

TINY = '''
"""A tiny experiment.

It writes down how it was called.
"""
import json
from ml_collections import ConfigDict

PRESETS: dict[str, str] = {"quick": "a moment", "full": "two moments"}

def get_config(preset):
  return ConfigDict({"seed": 0, "preset_was": preset, "learner": {"alpha": 0.1}, "fault": ""})

def train(config, workdir, *, preset, overwrite):
  if config.fault:
    exec(config.fault)
  workdir.mkdir(parents=True, exist_ok=True)
  run = {"experiment": "fake/tiny", "preset": preset, "seed": config.seed}
  (workdir / "config.json").write_text(json.dumps(run))
  rate = config.learner.alpha * (1 + config.seed)
  called = {"config": config.to_dict(), "preset": preset, "overwrite": overwrite}
  summary = {"metrics": {"success_rate": rate, "baselines": {"sac": {"success_rate": 0.0}}}}
  (workdir / "summary.json").write_text(json.dumps(summary | called))
  return summary

def evaluate(workdir, *, episodes, video):
  return {"success_rate": 0.25, "episodes": episodes, "video": video}
'''
RACE = '''
"""A race against nobody."""
def measure():
  row = {"name": "steps", "value": 123456.0, "unit": "1/s", "peer": "nobody", "ratio": 2.5}
  return {"machine": {"cores": 2}, "rows": [row]}
'''


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
  """A current folder whose `fake/tiny` is an experiment and whose `race` is a benchmark."""
  for package, place, source in (
    (jaxskills.experiments, "experiments/fake/tiny.py", TINY),
    (jaxskills.benchmarks, "benchmarks/race.py", RACE),
  ):
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(source)
    root = tmp_path / place.split("/")[0]
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(root)])
  monkeypatch.chdir(tmp_path)
  yield tmp_path
  for name in [name for name in sys.modules if name.endswith((".fake", ".tiny", ".race"))]:
    del sys.modules[name]


@pytest.fixture
def program(folder) -> list[str]:
  """The command line as a program of its own that knows `fake/tiny` too."""
  path = folder / "program.py"
  path.write_text(
    "import sys\n"
    "import jaxskills.experiments\n"
    f"jaxskills.experiments.__path__.append({str(folder / 'experiments')!r})\n"
    "from jaxskills.cli.main import main\n"
    "sys.exit(main())\n"
  )
  return [sys.executable, str(path)]
