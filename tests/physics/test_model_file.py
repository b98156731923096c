"""A model that a user gives: what loads, what is refused in one line, and no more than that."""

import os
import shutil
import signal
import threading
from pathlib import Path

import mujoco
import numpy as np
import pytest

from jaxskills.physics import model_file
from jaxskills.physics.model_file import load_model
from tests.physics.model_files import BALL, MESHES, make_robot, picture, refusal, write


@pytest.fixture
def robot(tmp_path):
  return make_robot(tmp_path)


def numbers(model):
  """All of a model's arrays, but for where files lie."""
  names = [name for name in dir(model) if "path" not in name and not name.startswith("_")]
  found = {}
  for name in names:
    value = getattr(model, name)
    if isinstance(value, np.ndarray):
      found[name] = value
  return found


def test_a_model_with_files_is_what_mujoco_makes_of_it(robot):
  loaded = load_model(robot / "robot.xml")
  expected = numbers(mujoco.MjModel.from_xml_path(str(robot / "robot.xml")))
  found = numbers(loaded)
  assert set(found) == set(expected)
  for name in expected:
    np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
  assert loaded.names == mujoco.MjModel.from_xml_path(str(robot / "robot.xml")).names


def test_our_own_robots_pass():
  assets = Path(model_file.__file__).parents[1] / "assets"
  for path in assets.glob("*.xml"):
    assert load_model(path).nv > 0


def test_a_model_may_be_named_from_where_one_is_or_from_home(robot, monkeypatch):
  monkeypatch.chdir(robot)
  monkeypatch.setenv("HOME", str(robot))
  assert load_model("robot.xml").nmesh == load_model("~/robot.xml").nmesh == 2


@pytest.mark.parametrize("gone", ["meshes/Tetra.Hedron.STL", "meshes/hills.png", "wood.png"])
def test_a_missing_file_is_named_with_its_line(robot, gone):
  (robot / gone).unlink()
  line = 1 + MESHES[: MESHES.index(Path(gone).name)].count("\n")
  message = refusal(robot / "robot.xml")
  assert message == f"{robot / 'robot.xml'}, line {line}: file '{gone}' does not exist."


@pytest.mark.parametrize("gone", ["meshes/Tetra.Hedron.STL", "meshes/hills.png", "wood.png"])
def test_a_broken_file_is_named_as_the_user_knows_it(robot, gone):
  (robot / gone).write_bytes(b"\x89PNG not at all")
  message = refusal(robot / "robot.xml")
  assert message.startswith(f"{robot / 'robot.xml'} does not compile: ")
  assert Path(gone).stem in message and "file-0000" not in message


def test_a_file_outside_of_the_folder_is_not_read_through_a_link(robot, tmp_path):
  (robot / "meshes" / "hills.png").unlink()
  (tmp_path / "secret.png").write_bytes(picture())
  (robot / "meshes" / "hills.png").symlink_to(tmp_path / "secret.png")
  assert "'meshes/hills.png' is a link out of the model's folder" in refusal(robot / "robot.xml")


def test_a_folder_outside_is_not_read_through_a_link(robot, tmp_path):
  shutil.move(robot / "meshes", tmp_path / "elsewhere")
  (robot / "meshes").symlink_to(tmp_path / "elsewhere")
  assert "is a link out of the model's folder" in refusal(robot / "robot.xml")


def test_a_link_inside_of_the_folder_is_fine(robot):
  (robot / "wood.png").rename(robot / "oak.png")
  (robot / "wood.png").symlink_to(robot / "oak.png")
  assert load_model(robot / "robot.xml").ntex == 1


def test_a_model_that_is_a_link_to_another_folder_is_refused(robot, tmp_path):
  (tmp_path / "link.xml").symlink_to(robot / "robot.xml")
  assert "is a link to another folder; name the file" in refusal(tmp_path / "link.xml")


def test_links_that_lead_in_a_circle_are_refused(robot):
  (robot / "wood.png").unlink()
  (robot / "wood.png").symlink_to(robot / "wood.png")
  assert "wood.png" in refusal(robot / "robot.xml")
  (robot / "round.xml").symlink_to(robot / "round.xml")
  assert "round.xml is not readable" in refusal(robot / "round.xml")


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
  assert "does not exist" in refusal(tmp_path / "nothing.xml")
  assert "does not exist" in refusal(write(tmp_path, BALL) / "below.xml")
  assert "is a folder" in refusal(tmp_path)
  assert "is a folder" in refusal(".")
  os.mkfifo(tmp_path / "pipe.xml")
  assert "is not a plain file" in refusal(tmp_path / "pipe.xml")
  assert "not a plain file" in refusal("/dev/zero")
  assert "not readable" in refusal("a\0b.xml")
  assert "not readable" in refusal("x" * 5000)
  assert "not readable" in refusal("~nobody-of-this-name/model.xml")


def test_a_file_that_one_may_not_read_is_refused(tmp_path, monkeypatch):
  path = write(tmp_path, BALL)

  def forbidden(*_, **__):
    raise PermissionError(13, "Permission denied")

  monkeypatch.setattr(model_file.os, "open", forbidden)
  assert refusal(path) == f"{path} is not readable: permission denied."


def test_files_beyond_the_limits_are_refused(robot, monkeypatch):
  monkeypatch.setattr(model_file, "MAX_FILES", 300)
  assert "and those before it are more than 0 MiB together" in refusal(robot / "robot.xml")
  monkeypatch.setattr(model_file, "MAX_FILE", 100)
  assert "file 'meshes/Tetra.Hedron.STL' is larger than 0 MiB" in refusal(robot / "robot.xml")


def test_names_in_messages_are_printable(tmp_path):
  path = write(tmp_path, "<robot/>", "bad\n\x1b[31mname.xml")
  assert refusal(path).startswith(f"{tmp_path}/bad ?[31mname.xml, line 1: this is a URDF")


WRONG = {
  "attribute": (
    '<mujoco>\n<worldbody>\n<geom siz="1"/>\n</worldbody></mujoco>',
    ["'siz'", "line 3"],
  ),
  "element": ("<mujoco>\n<worldbody>\n\n<gem/></worldbody></mujoco>", ["'gem'", "line 4"]),
  "no mass": (
    "<mujoco><worldbody>\n<body><joint/></body></worldbody></mujoco>",
    ["mass", "line 2"],
  ),
  "mesh": ('<mujoco><worldbody><geom mesh="q"/></worldbody></mujoco>', ["mesh 'q' not found"]),
  "too large": ('<mujoco><worldbody><geom size="1e999"/></worldbody></mujoco>', ["too large"]),
  "count": (
    '<mujoco><worldbody><replicate count="1e3"><geom size="1"/></replicate></worldbody></mujoco>',
    ["bad format in attribute 'count'"],
  ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_mujoco_finds_wrong_is_one_line_with_its_line_number(tmp_path, case):
  text, words = WRONG[case]
  path = write(tmp_path, text)
  message = refusal(path)
  assert message.startswith(f"{path} does not compile: ")
  assert "Error: " not in message
  for word in words:
    assert word in message


def test_numbers_that_overflow_when_compiled_are_refused(tmp_path):
  text = BALL.replace('size=".1"', 'size=".1" pos="0x1p2000 0 0"')
  assert "does not compile" in refusal(write(tmp_path, text))
  text = BALL.replace('size=".1"', 'size="1e200"')
  assert "does not compile" in refusal(write(tmp_path, text))


def test_nothing_is_left_behind(robot, tmp_path, monkeypatch, capfd):
  """Neither by a model as it should be nor by one that MuJoCo warns of, in the child and here."""
  (tmp_path / "here").mkdir()
  monkeypatch.chdir(tmp_path / "here")
  load_model(robot / "robot.xml")
  warned = BALL.replace("<worldbody>", '<compiler settotalmass="3"/><worldbody>')
  assert load_model(write(tmp_path, warned)).body_mass.sum() == pytest.approx(3)
  assert not list((tmp_path / "here").iterdir())
  assert not [path for path in tmp_path.rglob("*") if path.suffix == ".TXT"]
  assert capfd.readouterr() == ("", "")


def test_a_signal_and_other_threads_stay_as_they_were(tmp_path):
  before = signal.getsignal(signal.SIGINT), threading.active_count()
  load_model(write(tmp_path, BALL))
  assert (signal.getsignal(signal.SIGINT), threading.active_count()) == before
