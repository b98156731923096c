"""Tests of `jaxskills data`, with the real registry and a stand-in for building."""

import pytest

from jaxskills.cli.main import main
from jaxskills.data_builders import registry


@pytest.fixture
def built(monkeypatch, tmp_path) -> list:
  """Stands in for the builder; what it was called with."""
  calls = []

  def build(name, directory, *, progress):
    calls.append((name, directory))
    for done in range(4):
      progress(done, 3)

  monkeypatch.setattr(registry, "build", build)
  return calls


def test_build_passes_name_and_folder_on_and_tells_when_done(built, tmp_path, capsys):
  assert main(["data", "build", "maze_demos:quick", f"--directory={tmp_path}"]) == 0
  assert built == [("maze_demos:quick", tmp_path)]
  assert f"maze_demos:quick: complete in {tmp_path}" in capsys.readouterr().err


def test_build_without_a_folder_goes_where_experiments_look(built):
  assert main(["data", "build", "maze_demos:quick"]) == 0
  assert built == [("maze_demos:quick", registry.default_directory("maze_demos:quick"))]


def test_info_without_a_name_lists_them_all(capsys):
  assert main(["data", "info"]) == 0
  assert capsys.readouterr().out.split() == registry.names()


@pytest.mark.parametrize("action", ["build", "verify"])
def test_building_or_verifying_nothing_lists_what_there_is(action, capsys):
  assert main(["data", action]) == 2
  assert f"name a data set to {action}: maze_demos:quick" in capsys.readouterr().err


def test_info_describes_what_is_not_built_yet(tmp_path, capsys):
  assert main(["data", "info", "maze_demos:quick", f"--directory={tmp_path}"]) == 0
  shown = capsys.readouterr().out
  assert "features.walls" in shown and "recipe.trajectories" in shown


def test_a_data_set_that_is_not_there_is_one_line(tmp_path, capsys):
  assert main(["data", "verify", "maze_demos:quick", f"--directory={tmp_path}"]) == 2
  error = capsys.readouterr().err
  assert error.startswith("jaxskills: ") and error.count("\n") == 1


def test_an_unknown_data_set_is_one_line(capsys):
  assert main(["data", "info", "maze_demo"]) == 2
  assert "did you mean maze_demos?" in capsys.readouterr().err
