"""A process that damps the H1 when its controller dies or hangs, until the operator ends it.

It joins DDS beforehand and waits at a pipe. The controller writes a heartbeat every few
milliseconds and `q` when it ends in order, which ends the guard too. A closed pipe (the process is
gone, however it went) or a missing heartbeat makes the guard stream damping, 500 times a second. It
has a session of its own: what ends the controller from the terminal does not end it.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np

from jaxskills.deploy.h1 import messages, priority, wire
from jaxskills.deploy.h1.machine import Packer
from jaxskills.errors import UserError

HANG_SECONDS = 0.1  # without a heartbeat, after the first
PERIOD_SECONDS = 0.002
_START_SECONDS = 20.0
_BEAT, _BYE = b".", b"q"


class Guard:
  """The controller's side: starts the process and keeps it calm."""

  def __init__(self, interface: str, domain: int, robot: dict[str, Any]) -> None:
    """Starts the process and waits until it is ready.

    Args:
      interface: as the controller's.
      domain: likewise.
      robot: `motors`, `modes` and `damping` of the joints, as lists.

    Raises:
      UserError: if it does not get ready.
    """
    settings = json.dumps({"interface": interface, "domain": domain, **robot})
    command = [sys.executable, "-m", "jaxskills.deploy.h1.guard", settings]
    self._process = subprocess.Popen(
      command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert self._process.stdin is not None and self._process.stdout is not None
    self._pipe = self._process.stdin.fileno()
    os.set_blocking(self._pipe, False)
    ready, _, _ = select.select([self._process.stdout], [], [], _START_SECONDS)
    if not ready or self._process.stdout.readline() != b"ready\n":
      self._process.kill()
      self._process.wait()
      raise UserError("the guard process did not start; see the messages above and try again.")
    self.pid = self._process.pid
    self.is_alive = True

  def beat(self) -> None:
    """All is well; never waits. `is_alive` says whether anybody heard it."""
    try:
      os.write(self._pipe, _BEAT)
    except BlockingIOError:
      pass  # it has heartbeats enough to read
    except OSError:
      self.is_alive = False

  def dismiss(self) -> None:
    """Ends the process: the robot is safe without it."""
    try:
      os.write(self._pipe, _BYE)
    except OSError:
      self.is_alive = False
    try:
      self._process.wait(timeout=2.0)
    except subprocess.TimeoutExpired:
      self._process.kill()
      self._process.wait()


def main(settings: dict[str, Any]) -> int:
  """The process itself."""
  signal.signal(signal.SIGINT, signal.default_int_handler)
  priority.raise_to(priority.GUARD)
  link = wire.Wire(settings["interface"], settings["domain"])
  writer = link.writer(messages.LOW_COMMAND)
  damping = np.asarray(settings["damping"], np.float64)
  zeros = np.zeros_like(damping)
  record = Packer(settings["motors"], settings["modes"]).pack(zeros, zeros, damping)
  print("ready", flush=True)
  cause = _wait(sys.stdin.fileno())
  if cause:
    writer.write(record)
    print(
      f"jaxskills: {cause}; process {os.getpid()} holds the robot in damping. Secure the robot, "
      f"then end it with 'kill {os.getpid()}'.",
      file=sys.stderr,
      flush=True,
    )
    _stream(writer, record, sys.stdin.fileno())
  return 0


def _wait(pipe: int) -> str:
  """Why the guard has to act, or "" where the controller said goodbye."""
  has_beaten = False
  while True:
    ready, _, _ = select.select([pipe], [], [], HANG_SECONDS if has_beaten else None)
    if not ready:
      return "the controller hangs"
    heard = os.read(pipe, 4096)
    if _BYE in heard:
      return ""
    if not heard:  # before the first heartbeat nothing was commanded
      return "the controller died" if has_beaten else ""
    has_beaten = True


def _stream(writer: wire.Writer, record: np.ndarray, pipe: int) -> None:
  """Damps until a signal ends the process, or a controller that only hung ends in order."""
  due, pipes = time.monotonic(), [pipe]
  try:
    while True:
      writer.write(record)
      due = max(due + PERIOD_SECONDS, time.monotonic())
      if select.select(pipes, [], [], max(0.0, due - time.monotonic()))[0]:
        heard = os.read(pipe, 4096)
        if _BYE in heard:
          return
        pipes = pipes if heard else []  # the controller died
  except KeyboardInterrupt:
    pass


if __name__ == "__main__":
  sys.exit(main(json.loads(sys.argv[1])))
