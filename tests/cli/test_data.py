"""Tests of `jaxskills data`, with the real registry and a stand-in for building."""

import pytest

from jaxskills.cli.main import main
from jaxskills.data_builders import registry
from tests.data_builders import films


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


def test_import_takes_films_into_a_folder_that_can_then_be_described_and_checked(tmp_path, capsys):
  (tmp_path / "films").mkdir()
  films.pair(tmp_path / "films", "pour_1", frames=6)
  store = tmp_path / "store"
  sizes = ["--rows=12", "--columns=16", "--fps=5"]
  assert main(["data", "import", str(tmp_path / "films"), f"--directory={store}", *sizes]) == 0
  assert f"import: 1 videos from 2 views in {store}" in capsys.readouterr().err
  assert main(["data", "info", f"--directory={store}"]) == 0
  shown = capsys.readouterr().out.split()
  assert shown[shown.index("rows") + 1] == "12" and shown[shown.index("frames") + 1] == "3"
  assert main(["data", "verify", f"--directory={store}"]) == 0
  assert "1 videos" in capsys.readouterr().out
  (store / "frames.npy").write_bytes(b"")
  assert main(["data", "verify", f"--directory={store}"]) == 2


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["import", "films"], "say what to import and where to"),
    (["import", "--directory=there"], "say what to import and where to"),
    (["import", "nowhere", "--directory=there"], "there is no folder nowhere"),
    (["info", "maze_demos:quick", "--rows=3"], "'jaxskills data info' takes no --rows"),
    (["build", "maze_demos:quick", "--skip-bad"], "'jaxskills data build' takes no --skip-bad"),
    (["import", "films", "--fps=nan"], "must be a number from 0 on, got 'nan'"),
    (["import", "films", "--rows=0"], "must be a whole number from 1 on"),
  ],
)
def test_what_does_not_belong_to_an_action_is_one_line(arguments, message, capsys):
  assert main(["data", *arguments]) == 2
  error = capsys.readouterr().err
  assert message in error and error.count("\n") == 1
