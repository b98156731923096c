"""Tests of the catalogue, `jaxskills list` and `jaxskills bench`."""

import json

import pytest
from ml_collections import ConfigDict

from jaxskills.cli import catalog
from jaxskills.cli.main import main
from jaxskills.config import flatten
from jaxskills.errors import UserError


def test_an_experiment_is_described_without_importing_it(folder):
  (folder / "experiments/fake/tiny.py").write_text(
    '"""Title.\n\nMore."""\nPRESETS = {"a": "b"}\nraise RuntimeError\n'
  )
  assert catalog.experiments()["fake/tiny"] == ("fake/tiny", "Title.", {"a": "b"})


def test_a_file_without_presets_is_no_experiment(folder):
  (folder / "experiments/fake/networks.py").write_text("SIZE = 3\n")
  assert "fake/networks" not in catalog.experiments()


def test_computed_presets_are_refused_with_the_file_s_name(folder):
  (folder / "experiments/fake/tiny.py").write_text("PRESETS = dict(a='b')\n")
  with pytest.raises(ValueError, match=r"tiny\.py: PRESETS must be a dictionary"):
    catalog.experiments()


def test_a_stranger_without_likeness_is_shown_all_names(folder):
  with pytest.raises(UserError, match="unknown experiment 'zzz'; there are: .*fake/tiny"):
    catalog.find_experiment("zzz")


def test_list_shows_titles_presets_and_benchmarks(folder, capsys):
  assert main(["list"]) == 0
  shown = capsys.readouterr().out
  assert "fake/tiny  A tiny experiment." in shown
  assert ":quick  a moment" in shown and ":full   two moments" in shown
  assert "A race against nobody." in shown


def test_list_of_one_experiment_shows_every_key_as_it_would_be(folder, capsys):
  assert main(["list", "fake/tiny:full", "--config.learner.alpha=3"]) == 0
  shown = capsys.readouterr().out
  assert "It writes down how it was called." in shown
  assert "--config.preset_was=full\n" in shown and "--config.learner.alpha=3.0\n" in shown


def test_bench_prints_the_rows_and_writes_them(folder, capsys):
  assert main(["bench", "race", "--json=results/race.json"]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[0] == "cores 2"
  assert lines[1].split() == ["name", "value", "unit", "peer", "ratio"]
  assert lines[2].split() == ["steps", "1.235e+05", "1/s", "nobody", "2.5"]
  written = json.loads((folder / "results/race.json").read_text())
  assert written["rows"][0]["value"] == 123456.0
  assert [path.name for path in (folder / "results").iterdir()] == ["race.json"]


def test_bench_of_a_stranger_names_the_nearest(folder, capsys):
  assert main(["bench", "raec"]) == 2
  assert "unknown benchmark 'raec'; did you mean race?" in capsys.readouterr().err


def test_bench_names_the_extra_of_a_missing_peer(folder, capsys):
  (folder / "benchmarks/race.py").write_text("def measure():\n  import peer_that_is_missing\n")
  assert main(["bench", "race"]) == 2
  assert "pip install 'jaxskills[bench]'" in capsys.readouterr().err


def test_bench_keeps_the_traceback_of_a_module_of_ours(folder):
  (folder / "benchmarks/race.py").write_text("import jaxskills.nothing\ndef measure(): ...\n")
  with pytest.raises(ModuleNotFoundError):
    main(["bench", "race"])


@pytest.mark.parametrize("name", catalog.experiments())
def test_every_experiment_keeps_the_contract(name):
  entry = catalog.experiments()[name]
  experiment = catalog.load_experiment(entry)
  assert entry.title and dict(experiment.PRESETS) == entry.presets
  assert callable(experiment.train) and callable(experiment.evaluate)
  keys = []
  for preset, description in entry.presets.items():
    config = experiment.get_config(preset)
    assert isinstance(config, ConfigDict) and isinstance(config.seed, int)
    assert description and "\n" not in description
    assert f"jaxskills train {name}:{preset}" in (experiment.__doc__ or "")
    keys.append(set(flatten(config)))
  assert all(each == keys[0] for each in keys)
