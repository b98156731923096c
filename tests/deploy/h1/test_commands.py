"""Tests of what operators ask for."""

import struct

import pytest

from jaxskills.deploy.h1 import commands
from jaxskills.deploy.h1.commands import Joystick, Keyboard, Ranges, Script, Wish, pack_remote
from jaxskills.errors import UserError

RANGES = Ranges((-0.4, -0.2, -0.5), (1.0, 0.2, 0.5))
REST = pack_remote()


def test_the_remotes_bytes_are_read_as_unitree_lays_them_out():
  keys = 1 << 2 | 1 << 8  # start and A
  remote = struct.pack("<2B H 5f 16x", 0x55, 0x51, keys, 0.1, 0.2, 0.3, 0.4, 0.5)
  assert len(remote) == 40
  pressed, sticks = commands.read_remote(remote)
  assert pressed == {"start", "A"}
  assert sticks == pytest.approx((0.1, 0.2, 0.3, 0.5))


def test_the_joystick_stands_walks_stops_and_begins_anew():
  joystick = Joystick(RANGES)
  assert joystick.wish(REST, 0.0, 0.0) == Wish()
  for button, name in (
    ("start", "stand"),
    ("A", "walk"),
    ("select", "stop"),
    ("B", "stop"),
    ("X", "reset"),
  ):
    wish = joystick.wish(pack_remote([button]), 0.0, 0.0)
    assert wish == Wish(**{name: True})


def test_sticks_reach_the_ends_of_the_ranges_and_no_further():
  joystick = Joystick(RANGES)
  read = lambda *sticks: joystick.wish(pack_remote(sticks=sticks), 0.0, 0.0).velocity  # noqa: E731
  assert read(0.0, 0.0, 0.0, 1.0) == (1.0, 0.0, 0.0)
  assert read(0.0, 0.0, 0.0, -1.0) == (-0.4, 0.0, 0.0)
  assert read(-1.0, -1.0, 0.0, 0.0) == (0.0, 0.2, 0.5)
  assert read(0.0, 0.0, 0.0, 7.0) == (1.0, 0.0, 0.0)
  assert read(0.0, 0.0, 0.0, 0.04) == (0.0, 0.0, 0.0)
  assert read(0.0, 0.0, 0.0, float("nan")) == (0.0, 0.0, 0.0)


def test_a_script_stands_after_its_time_and_changes_its_mind_on_time():
  script = Script(RANGES, (0.0, 2.0), ((0.5, 0.0, 0.0), (0.0, 0.0, 0.5)), start_after=1.0)
  assert not script.wish(REST, 0.9, 0.0).stand
  assert script.wish(REST, 1.0, 0.0) == Wish((0.5, 0.0, 0.0), stand=True, walk=True)
  assert script.wish(REST, 9.0, 1.99).velocity == (0.5, 0.0, 0.0)
  assert script.wish(REST, 9.0, 2.0).velocity == (0.0, 0.0, 0.5)
  assert script.wish(pack_remote(["select"]), 9.0, 2.0).stop


def test_keys_set_velocities_within_the_ranges():
  keyboard = Keyboard(RANGES)
  for key in "wwwwwwwwwwwwddq?":
    keyboard.press(key)
  assert keyboard.wish(REST, 0.0, 0.0).velocity == (1.0, 0.1, -0.2)
  keyboard.press(" ")
  assert keyboard.wish(REST, 0.0, 0.0).velocity == (0.0, 0.0, 0.0)


def test_enter_stands_first_and_walks_then():
  keyboard = Keyboard(RANGES)
  keyboard.press("\n")
  assert keyboard.wish(REST, 0.0, 0.0) == Wish(stand=True)
  keyboard.press("\n")
  assert keyboard.wish(REST, 0.0, 0.0) == Wish(stand=True, walk=True)
  keyboard.press("x")
  assert keyboard.wish(REST, 0.0, 0.0) == Wish(stop=True)
  keyboard.press("r")
  assert keyboard.wish(REST, 0.0, 0.0) == Wish(reset=True)
  assert keyboard.wish(REST, 0.0, 0.0) == Wish(), "one press asks once"
  keyboard.press("r")
  assert keyboard.wish(REST, 0.0, 0.0) == Wish(reset=True)


@pytest.mark.parametrize("key", ["\n", "w", " "])
def test_every_other_key_takes_a_wish_to_begin_anew_back(key):
  keyboard = Keyboard(RANGES)
  keyboard.press("r")
  keyboard.press(key)
  assert not keyboard.wish(REST, 0.0, 0.0).reset


@pytest.mark.parametrize("text", ["fast", "1,0", "2,0,0", "nan,0,0"])
def test_a_velocity_that_is_none_or_was_not_trained_is_refused(text):
  with pytest.raises(UserError, match="velocit"):
    commands.parse_velocity(text, RANGES)


def test_a_script_file_is_read_line_by_line(tmp_path):
  path = tmp_path / "walk.txt"
  path.write_text("0 0.5,0,0\n\n2.5 0,0,0.5\n")
  read = commands.read_script(path, RANGES)
  assert read == ((0.0, 2.5), ((0.5, 0.0, 0.0), (0.0, 0.0, 0.5)))


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ("1 0,0,0\n", "begin at 0"),
    ("0 0,0,0\n0 0,0,0\n", "increase"),
    ("", "begin at 0"),
    ("0 0,0,0\nnext\n", "line 2"),
    ("0 9,0,0\n", "beyond"),
  ],
)
def test_a_script_file_with_a_wrong_line_is_refused(tmp_path, content, message):
  path = tmp_path / "walk.txt"
  path.write_text(content)
  with pytest.raises(UserError, match=message):
    commands.read_script(path, RANGES)
