"""A verified bundle of an untrained H1 policy, a DDS domain of a test's own, processes that end."""

import functools
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from jaxskills.deploy import bundle as bundles
from jaxskills.deploy import verification
from jaxskills.deploy.h1 import record

_COUNT = itertools.count()
_STALL_SECONDS = 0.05
_OF_STALLS = re.compile("damp     (stale state|stale policy|deadlines|clock)")


@pytest.fixture(scope="session")
def verified(h1_bundle, tmp_path_factory) -> Path:
  """The untrained bundle with a verification that says it passed; nothing was measured."""
  folder = tmp_path_factory.mktemp("verified") / "h1"
  shutil.copytree(h1_bundle, folder)
  passed = verification.Check("of a test", True, "nothing was measured")
  verification.write(bundles.read(folder), [passed])
  return folder


@pytest.fixture
def domain() -> int:
  """A DDS domain of this test."""
  return new_domain()


def new_domain() -> int:
  """A DDS domain whose ports are below those that the system hands out."""
  return 20 + (7 * os.getpid() + next(_COUNT)) % 75


class Program:
  """A process whose output grows in a file; killed with its guard at the end of the test."""

  def __init__(self, name: str, command: list[str], folder: Path) -> None:
    self.output = folder / f"{name}.txt"
    with open(self.output, "wb") as file:
      self.process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)

  @property
  def text(self) -> str:
    return self.output.read_text()

  def expect(self, words: str, seconds: float = 60.0) -> None:
    """Waits until the output has the words; the bound only keeps a broken test from hanging."""
    end = time.monotonic() + seconds
    while words not in self.text:
      if time.monotonic() > end or self.process.poll() is not None and words not in self.text:
        raise AssertionError(f"no {words!r} in:\n{self.text}")
      time.sleep(0.01)

  def end(self, number: int = signal.SIGINT, seconds: float = 60.0) -> int:
    """Sends a signal and waits; the exit code."""
    self.process.send_signal(number)
    return self.process.wait(timeout=seconds)

  @property
  def guard(self) -> int | None:
    """The process of the controller's guard."""
    found = re.search(r"guard    process (\d+)", self.text)
    return int(found[1]) if found else None

  def kill(self) -> None:
    """Ends it and its guard, whatever state they are in."""
    if self.process.poll() is None:
      self.process.kill()
    self.process.wait()
    if self.guard is not None and is_guard(self.guard):
      os.kill(self.guard, signal.SIGKILL)


def is_guard(process: int) -> bool:
  """Whether that process is there and is a guard."""
  try:
    return b"h1.guard" in Path(f"/proc/{process}/cmdline").read_bytes()
  except OSError:
    return False


class Stage:
  """Starts the programs of one test."""

  def __init__(self, folder: Path, domain: int, bundle: Path) -> None:
    self.folder, self.domain, self.bundle = folder, domain, bundle
    self.programs: list[Program] = []

  def robot(self, *arguments: str) -> Program:
    """A simulated robot, hanging."""
    command = ("simulate", "h1", f"--json={self.folder / 'robot.json'}", *arguments)
    program = self._start("robot", command)
    program.expect("hangs in its harness")
    return program

  def controller(self, *arguments: str, name: str = "controller") -> Program:
    """A controller that stands at once, unless told otherwise, and logs."""
    script = arguments or ("--command=0.5,0,0", "--start-after=0")
    log = f"--log={self.folder / name}.log"
    return self._start(name, ("run", "h1", f"--bundle={self.bundle}", log, *script))

  @property
  def log(self) -> Path:
    """The controller's."""
    return self.folder / "controller.log"

  def program(self, name: str, source: str, *arguments: str) -> Program:
    """Any Python program."""
    return self._add(name, [sys.executable, "-c", source, *arguments])

  def report(self, robot: Program) -> dict:
    """Ends the robot; what it saw."""
    assert robot.end() == 0, robot.text
    return json.loads((self.folder / "robot.json").read_text())

  def kill(self) -> None:
    """Ends all programs."""
    for program in self.programs:
      program.kill()

  def has_stalled(self) -> bool:
    """Whether the robot was damped for being late, and the machine was.

    That is: in the log there are `_STALL_SECONDS` without a tick of the controller, or without a
    step of the robot's own clock.
    """
    said = any(_OF_STALLS.search(program.text) for program in self.programs)
    if not said or not self.log.exists():
      return False
    ticks = [frame for frame in record.read_log(self.log).frames() if frame["kind"] == b"T"]
    now, stamp = ([float(tick[name]) for tick in ticks] for name in ("now", "stamp"))
    clock = [1e-3 * int(tick["sensors"]["tick"]) for tick in ticks]
    robot_stood = (np.diff(stamp) > _STALL_SECONDS) & (np.diff(clock) < 0.5 * _STALL_SECONDS)
    return bool(np.any(np.diff(now) > _STALL_SECONDS) or robot_stood.any())

  def _start(self, name: str, command: tuple[str, ...]) -> Program:
    whole = [sys.executable, "-m", "jaxskills", *command, f"--domain={self.domain}"]
    return self._add(name, whole)

  def _add(self, name: str, command: list[str]) -> Program:
    self.programs.append(Program(name, command, self.folder))
    return self.programs[-1]


@pytest.fixture
def stage(tmp_path, domain, verified) -> Iterator[Stage]:
  """Where a controller meets a simulated robot."""
  made = Stage(tmp_path, domain, verified)
  yield made
  made.kill()


def once_more_after_a_stall(scene: Callable[[Stage], None]) -> Callable[[Stage], None]:
  """Runs a scene in real time; once more, and only once, where the machine itself stood still.

  The safety filter damps the robot then, as it should, so that the scene does not come to what it
  is about. A scene that fails without such a stall in its log fails.
  """

  @functools.wraps(scene)
  def test(stage: Stage) -> None:
    try:
      return scene(stage)
    except AssertionError:
      stage.kill()
      if not stage.has_stalled():
        raise
    folder = stage.folder / "again"
    folder.mkdir()
    stage.folder, stage.domain, stage.programs = folder, new_domain(), []
    scene(stage)

  return test
