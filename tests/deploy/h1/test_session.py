"""Tests of a run's edges: keys of a terminal, and the order in which it ends."""

import functools
import os
import pty
import signal
import sys
from pathlib import Path

from jaxskills.deploy.h1 import session
from jaxskills.deploy.h1.commands import Joystick, Keyboard, Ranges, Script, pack_remote
from jaxskills.deploy.h1.controller import Controller
from jaxskills.deploy.h1.guard import Guard
from jaxskills.deploy.h1.machine import State
from jaxskills.deploy.h1.record import Recorder

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
  fault = session._drive(ending, Joystick(RANGES), settings, ending, None, lambda line: None)
  assert fault == ""
  assert ending.told == ["start", "stop", "dismiss", "end"]


def test_asking_again_to_stop_does_not_cut_the_damping_short(monkeypatch):
  ending, slept = Ending(), []

  def sleep(seconds):
    if seconds == session.DAMP_SECONDS:
      slept.append(seconds)
      os.kill(os.getpid(), signal.SIGINT)
      os.kill(os.getpid(), signal.SIGTERM)

  monkeypatch.setattr(session.time, "sleep", sleep)
  settings = session.Settings("lo")
  session._drive(ending, Joystick(RANGES), settings, ending, None, lambda line: None)
  assert slept == [session.DAMP_SECONDS]
  assert ending.told == ["start", "stop", "dismiss", "end"]
  assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_operator_hears_at_once_what_the_controls_are_and_that_the_log_ended(monkeypatch):
  monkeypatch.setattr(session, "DAMP_SECONDS", 0.0)

  class Full(Recorder):
    path, ended = Path("walk.log"), "No space left on device"

    def __init__(self) -> None:
      pass

  ending, said = Ending(), []
  settings = session.Settings("lo")
  ending._looks = -1  # one look more
  session._drive(ending, Joystick(RANGES), settings, ending, Full(), said.append)
  assert "B or select: damp" in said[0]
  assert said[1] == "log      walk.log ends here: No space left on device; the robot goes on"


def test_a_script_is_not_said_to_wait_for_anybody():
  script = Script(RANGES, (0.0,), ((0.0, 0.0, 0.0),), 1.0)
  for state in (State.ZERO_TORQUE, State.STAND):
    assert "BY ITSELF" in session._describe(state, "", "", script)
    assert "waits for the operator" in session._describe(state, "", "", Joystick(RANGES))
  assert "begins anew" not in session._describe(State.DAMP, "tilt", "", script)
