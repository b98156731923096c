"""Tests of what a user installs: the wheel, and the two commands of README."""

import re
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

import jaxskills

ROOT = Path(__file__).resolve().parents[1]
LINKED = ("experiments", "data_builders", "benchmarks")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
  """The wheel of this checkout."""
  (path,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")))
  return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def modules() -> set[str]:
  """Every module of this checkout, by its place in the package."""
  found = {str(path.relative_to(ROOT)) for path in (ROOT / "jaxskills").rglob("*.py")}
  for folder in LINKED:
    found |= {f"jaxskills/{path.relative_to(ROOT)}" for path in (ROOT / folder).rglob("*.py")}
  return found


@pytest.mark.parametrize("folder", LINKED)
def test_the_package_links_to_the_folders_of_the_top_level(folder):
  link = ROOT / "jaxskills" / folder
  assert link.is_symlink() and link.resolve() == ROOT / folder
  assert link.readlink() == Path("..", folder)


def test_the_wheel_holds_every_module(wheel, modules):
  assert {name for name in wheel.namelist() if name.endswith(".py")} == modules
  assert "jaxskills/experiments/__init__.py" in modules


def test_the_source_distribution_holds_every_module(modules, tmp_path):
  (path,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path))
  with tarfile.open(path) as archive:
    names = [name.partition("/")[2] for name in archive.getnames()]
  assert {name for name in names if name.endswith(".py")} == modules


def test_the_wheel_claims_one_global_name(wheel):
  tops = {name.split("/")[0] for name in wheel.namelist()}
  assert {top for top in tops if not top.endswith(".dist-info")} == {"jaxskills"}


def test_the_wheel_has_the_command_and_the_licence(wheel):
  (entry_points,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
  assert b"jaxskills = jaxskills.cli.main:main" in wheel.read(entry_points)
  assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_ci_runs_the_two_commands_of_the_readme_to_the_letter():
  commands = re.findall(r"^pip install .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
  assert commands == [
    "pip install -e . && jaxskills train spirl/maze:quick",
    "pip install -e '.[dev]' && pytest",
  ]
  script = (ROOT / ".ci" / "run").read_text().splitlines()
  assert all(command in script for command in commands)


def test_every_extra_that_the_package_names_is_there_to_install(modules):
  project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
  named = set()
  for name in modules:
    text = (ROOT / name).read_text()
    found = re.findall(r"jaxskills\[([^\]]+)\]|missing_extra\(\w+, \"([^\"]+)\"\)", text)
    named |= {extra for pair in found for extra in "".join(pair).split(",")}
  assert named >= {"bench", "playground", "warp"}
  assert named - {"{extra}"} <= set(project["optional-dependencies"])


def test_the_changelog_tells_of_this_version():
  assert f"## {jaxskills.__version__}" in (ROOT / "CHANGELOG.md").read_text()
