"""A verified bundle of an untrained H1 policy, a DDS domain of a test's own, processes that end."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaxskills.deploy import bundle as bundles
from jaxskills.deploy import verification

_COUNT = itertools.count()


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
    """A controller that stands at once."""
    script = ("--command=0.5,0,0", "--start-after=0")
    return self._start(name, ("run", "h1", f"--bundle={self.bundle}", *script, *arguments))

  def program(self, name: str, source: str, *arguments: str) -> Program:
    """Any Python program."""
    return self._add(name, [sys.executable, "-c", source, *arguments])

  def report(self, robot: Program) -> dict:
    """Ends the robot; what it saw."""
    assert robot.end() == 0, robot.text
    return json.loads((self.folder / "robot.json").read_text())

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
  for program in made.programs:
    program.kill()
