"""Tests of a run's edges: keys of a terminal, and the order in which it ends."""

import functools
import os
import pty
import sys

from jaxskills.deploy.h1 import session
from jaxskills.deploy.h1.commands import Joystick, Keyboard, Ranges, pack_remote
from jaxskills.deploy.h1.controller import Controller
from jaxskills.deploy.h1.guard import Guard

REST, RANGES = pack_remote(), Ranges((-1.0,) * 3, (1.0,) * 3)


def test_keys_that_come_at_once_are_all_heard_at_once(monkeypatch):
  terminal, keys = pty.openpty()
  keyboard = Keyboard(RANGES)
  monkeypatch.setattr(sys, "stdin", os.fdopen(keys, "r"))
  with session._keys(keyboard) as look:
    os.write(terminal, b"ww")
    look()
    assert keyboard.wish(REST, 0.0, 0.0).velocity == (0.2, 0.0, 0.0)
    os.write(terminal, b"wx")
    look()
    assert keyboard.wish(REST, 0.0, 0.0).stop
  sys.stdin.close()
  os.close(terminal)


class Ending(Controller, Guard):
  """A controller and its guard; remembers what it is told, and is stopped at the second look."""

  order = walking_since = None
  is_alive, failure = True, ""

  def __init__(self) -> None:
    self.told, self._looks = [], 0
    for name in ("start", "stop", "dismiss", "end"):
      setattr(self, name, functools.partial(self.told.append, name))

  @property
  def is_running(self) -> bool:
    self._looks += 1
    if self._looks == 2:
      raise KeyboardInterrupt
    return True


def test_the_guard_is_dismissed_while_the_controller_still_damps(monkeypatch):
  monkeypatch.setattr(session, "DAMP_SECONDS", 0.0)
  ending = Ending()
  settings = session.Settings("lo")
  fault = session._drive(ending, Joystick(RANGES), settings, ending, lambda line: None)
  assert fault == ""
  assert ending.told == ["start", "stop", "dismiss", "end"]
