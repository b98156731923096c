"""Tests of `jaxskills bench`: options, tables, files, and how a failed benchmark ends."""

import json
import sys

import pytest

from jaxskills.cli import catalog, figures
from jaxskills.cli.main import main

WALKERS = '''
"""Walks measured."""
import json
from pathlib import Path
from typing import Any, NamedTuple

TARGETS = ("fake/tiny",)
TABLES = {"rows": {"engine": "engine", "rate": "value", "span": "range", "share": "share"},
          "comparisons": {"peer": "peer"}}

class Target(NamedTuple):
  name: str
  config: Any
  make_env: Any

class Peer(NamedTuple):
  name: str
  python: Path | None = None
  worlds: int | None = None
  allow_download: bool = False

class Settings(NamedTuple):
  stages: Any = "all"
  rounds: int = 5
  seconds: float = 2.0

def measure(target, engines=("auto",), envs=(64,), peer=None, settings=None, keep=None):
  called = [target.name, target.config.learner.alpha, target.make_env(), engines, envs]
  called += [peer and [str(part) for part in peer], settings]
  Path("called.json").write_text(json.dumps(called))
  row = {"engine": "native", "value": 12345.6, "range": [12000.0, 13000.0], "share": 0.714}
  refused = [{"engine": "mjx", "envs": 9, "reason": "9 worlds need too much"}]
  if 17 in envs:
    keep({"machine": {}, "rows": [row]})
    raise KeyboardInterrupt
  faults = ["native environment, 64 worlds: overflow 3"] if 13 in envs else []
  rows = [] if 9 in envs else [row]
  parts = {"rows": rows, "comparisons": [], "refused": refused, "faults": faults}
  return {"machine": {"cores": 2}, **parts}

def draw(result, path):
  path.write_text("a picture")
'''


@pytest.fixture
def walkers(folder):
  """`fake/tiny` as a benchmark too."""
  (folder / "benchmarks/walkers.py").write_text(WALKERS)
  tiny = folder / "experiments/fake/tiny.py"
  tiny.write_text(tiny.read_text() + "\ndef make_env():\n  return 'a world'\n")
  yield folder
  sys.modules.pop("jaxskills.benchmarks.walkers", None)


def called(folder):
  return json.loads((folder / "called.json").read_text())


def complaint(capsys) -> str:
  return capsys.readouterr().err


def test_an_experiment_becomes_a_benchmark_by_being_named(walkers, capsys):
  assert catalog.benchmarks()["fake/tiny"] == ("fake/tiny", "Walks measured.", "walkers")
  assert "walkers" not in catalog.benchmarks()
  assert main(["list"]) == 0
  listed = capsys.readouterr().out.partition("benchmarks (")[2]
  assert ["fake/tiny", "Walks measured."] in [
    line.split(maxsplit=1) for line in listed.splitlines()
  ]


def test_its_options_and_overrides_arrive(walkers):
  options = ["--engines=native,mjx", "--envs=64,512", "--stages=engine,training", "--rounds=7"]
  options += ["--seconds=0.5", "--peer=brax", "--peer-python=bin/python", "--peer-envs=16"]
  options += ["--peer-download"]
  assert main(["bench", "fake/tiny:full", *options, "--config.learner.alpha=3"]) == 0
  assert called(walkers) == [
    "fake/tiny:full", 3.0, "a world", ["native", "mjx"], [64, 512],
    ["brax", "bin/python", "16", "True"], [["engine", "training"], 7, 0.5],
  ]  # fmt: skip


def test_what_is_not_given_is_the_benchmarks_own(walkers):
  assert main(["bench", "fake/tiny"]) == 0
  assert called(walkers) == [
    "fake/tiny:quick", 0.1, "a world", ["auto"], [64], None, ["all", 5, 2.0]
  ]  # fmt: skip


def test_its_tables_are_printed_and_what_was_refused(walkers, capsys):
  assert main(["bench", "fake/tiny"]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[2].split() == ["engine", "rate", "span", "share"]
  assert lines[3].split() == ["native", "12,346", "12,000-13,000", "0.71"]
  assert lines[4] == "not measured: mjx: 9 worlds need too much" and len(lines) == 5


def test_where_nothing_fits_one_line_says_so(walkers, capsys):
  assert main(["bench", "fake/tiny", "--envs=9", "--json=all.json"]) == 2
  said = complaint(capsys)
  assert "nothing could be measured; mjx: 9 worlds need too much" in said
  assert len(said.splitlines()) == 1
  assert not (walkers / "all.json").exists()


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_measured(walkers, capsys):
  (walkers / "taken").write_text("")
  assert main(["bench", "fake/tiny", "--json=taken/all.json"]) == 2
  assert "cannot write taken/all.json" in capsys.readouterr().err
  assert not (walkers / "called.json").exists()


def test_json_and_picture_are_written(walkers):
  assert main(["bench", "fake/tiny", "--json=out/all.json", "--png=out/all.png"]) == 0
  assert json.loads((walkers / "out/all.json").read_text())["rows"][0]["value"] == 12345.6
  assert (walkers / "out/all.png").read_text() == "a picture"


def test_what_was_measured_before_a_benchmark_is_stopped_is_kept(walkers):
  assert main(["bench", "fake/tiny", "--envs=17", "--json=all.json"]) == 130
  assert json.loads((walkers / "all.json").read_text())["rows"][0]["value"] == 12345.6
  assert main(["bench", "fake/tiny", "--envs=17"]) == 130  # and nobody has to want a file


def test_a_fault_fails_the_benchmark_after_all_was_printed_and_written(walkers, capsys):
  assert main(["bench", "fake/tiny", "--envs=13", "--json=all.json"]) == 1
  output = capsys.readouterr()
  assert "12,346" in output.out and (walkers / "all.json").exists()
  expected = "the benchmark failed: native environment, 64 worlds: overflow 3"
  assert output.err == f"jaxskills: {expected}\n"


@pytest.mark.parametrize(
  "option",
  ["--engines=native", "--envs=3", "--peer=brax", "--png=x.png", "--rounds=3", "--config.seed=1"],
)
def test_a_benchmark_that_is_no_robots_takes_no_such_option(walkers, option, capsys):
  assert main(["bench", "race", option]) == 2
  assert f"'jaxskills bench race' takes no {option.split('=')[0]}" in complaint(capsys)


def test_a_benchmark_that_is_no_robots_has_no_presets(walkers, capsys):
  assert main(["bench", "race:quick"]) == 2
  assert "benchmark race has no presets" in complaint(capsys)


@pytest.mark.parametrize(
  ("option", "message"),
  [
    ("--envs=64,none", "must be a whole number from 1 on, got 'none'"),
    ("--envs=0", "must be a whole number from 1 on, got '0'"),
    ("--engines=native,,mjx", "must be names with commas between them"),
    ("--seconds=fast", "must be a number of seconds, got 'fast'"),
    ("--seconds=-1", "must be a number of seconds"),
    ("--peer-envs=64", "are for a --peer"),
    ("--peer-download", "--peer-download are for a --peer"),
    ("--config.learner.aplha=3", "did you mean config.learner.alpha"),
  ],
)
def test_a_bad_option_is_one_line(walkers, option, message, capsys):
  assert main(["bench", "fake/tiny", option]) == 2
  said = complaint(capsys)
  assert message in said and said.count("\n") == 1


def test_an_unknown_preset_names_those_that_are(walkers, capsys):
  assert main(["bench", "fake/tiny:huge"]) == 2
  assert "has no preset 'huge'; it has: quick, full" in complaint(capsys)


def test_targets_that_are_computed_are_refused_with_the_files_name(walkers):
  (walkers / "benchmarks/walkers.py").write_text("TARGETS = tuple('ab')\ndef measure(): ...\n")
  with pytest.raises(ValueError, match=r"walkers\.py: TARGETS must be a tuple"):
    catalog.benchmarks()


def test_a_table_shows_a_dash_for_what_is_not_there():
  lines = figures.table([{"a": 1, "b": None}, {"a": 22}], {"A": "a", "B": "b"})
  assert [line.split() for line in lines] == [["A", "B"], ["1", "-"], ["22", "-"]]
