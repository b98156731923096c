"""Helper processes that do one kind of job each, for work that Python's threads cannot share.

OpenGL as MuJoCo calls it keeps Python's lock, and so does inverse kinematics: threads gain nothing,
processes do. `multiprocessing` would import the user's main module in each of them, JAX with it,
and its pools outlive a parent that was killed. Here a process is `python -m jaxskills.crew`: it
imports the module that it is told and what that imports, keeps out of the terminal's Ctrl-C, and
ends when its parent does, however that went. Jobs and results are pickled as `multiprocessing`
does, over a socket that only the two have; nothing of it reaches a disk.
"""

import contextlib
import importlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import IO, Any, NamedTuple

import jaxskills
from jaxskills.errors import UserError

_START_SECONDS = 120.0  # until all are ready; 1 s on two idle cores
_END_SECONDS = 1.0  # that an idle process has to end by itself
_LOOK_SECONDS = 0.5  # between looks at whether the parent is alive
_ALONE = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


class CrewError(RuntimeError):
  """A process of a crew could not start, failed in its job or died; the message says how."""


class _Member(NamedTuple):
  """One process, the socket to it, and the file that takes what it prints."""

  process: subprocess.Popen[bytes]
  connection: Connection
  said: IO[bytes]


class Crew:
  """Processes that each run one function on one job at a time; use it as a context or `close` it.

  After an error, or when a `map` is left early, the crew is closed.
  """

  def __init__(
    self,
    target: str,
    *setup: Any,
    processes: int,
    environment: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
  ):
    """Starts the processes, all at once, and waits until they are ready.

    Args:
      target: `module:factory`; each process calls `factory(*setup)` once, and what that returns
        with every job. The module should import little, above all not JAX.
      *setup: arguments of the factory, such as can be pickled.
      processes: how many.
      environment: variables to set in them.
      descriptors: open files that they inherit under the same numbers.

    Raises:
      CrewError: if one of them does not start, with the last line that it printed.
      UserError: if the factory raised that.
    """
    self._members: list[_Member] = []
    self._end = weakref.finalize(self, _end, self._members)
    try:
      for _ in range(processes):
        self._members.append(_start(dict(environment or {}), tuple(descriptors)))
      for member in self._members:
        with contextlib.suppress(OSError):  # it has died; the wait below tells of what
          member.connection.send((target, setup))
      deadline = time.monotonic() + _START_SECONDS
      waiting = {member.connection: member for member in self._members}
      while waiting:
        ready = wait(list(waiting), max(0.0, deadline - time.monotonic()))
        if not ready:
          raise CrewError(f"a process for {target} was not ready after {_START_SECONDS:.0f} s")
        for connection in ready:
          _receive(waiting.pop(connection))  # pyright: ignore[reportArgumentType]
    except BaseException:
      self.close()
      raise

  def __enter__(self) -> "Crew":
    """The crew itself."""
    return self

  def __exit__(self, *error: object) -> None:
    """Ends the processes."""
    self.close()

  @property
  def pids(self) -> tuple[int, ...]:
    """Numbers of the processes; none once it is closed."""
    return tuple(member.process.pid for member in self._members)

  def map(self, jobs: Iterable[Any]) -> Iterator[Any]:
    """Results of the jobs, in their order; whoever is idle gets the next one.

    Args:
      jobs: such as can be pickled; taken no further ahead than there are processes.

    Raises:
      CrewError: if a job raised, with its traceback, or a process died.
      UserError: if a job raised that.
    """
    if not self._members:
      raise CrewError("the crew is closed")
    todo = enumerate(jobs)
    idle, busy, results = list(self._members), {}, {}
    given = told = 0
    is_whole = all_given = False
    try:
      while True:
        while idle and given - told < 2 * len(self._members):
          if (job := next(todo, None)) is None:
            all_given = True
            break
          member = idle.pop()
          with contextlib.suppress(OSError):  # it has died; receiving tells of what
            member.connection.send(job[1])
          busy[member.connection] = (member, job[0])
          given += 1
        while told in results:
          yield results.pop(told)
          told += 1
        if all_given and told == given:
          break
        for connection in wait(list(busy)) if busy else ():
          member, number = busy.pop(connection)
          results[number] = _receive(member)
          idle.append(member)
      is_whole = True
    finally:
      if not is_whole:
        self.close()

  def close(self) -> None:
    """Ends the processes, whatever they do; calling it twice is fine."""
    _end(self._members)


def _start(environment: dict[str, str], descriptors: tuple[int, ...]) -> _Member:
  """Starts one process; a session of its own keeps Ctrl-C at the terminal away from it."""
  package = str(Path(jaxskills.__file__).resolve().parents[1])
  path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
  ours, theirs = socket.socketpair()
  said = tempfile.TemporaryFile()
  with theirs:
    process = subprocess.Popen(
      [sys.executable, "-P", "-m", "jaxskills.crew", str(theirs.fileno()), str(os.getpid())],
      env={**os.environ, **_ALONE, **environment, "PYTHONPATH": path},
      pass_fds=(theirs.fileno(), *descriptors),
      stdin=subprocess.DEVNULL,
      stdout=said,
      stderr=said,
      start_new_session=True,
    )
  return _Member(process, Connection(ours.detach()), said)


def _receive(member: _Member) -> Any:
  """What a process answers, or the error that it has to tell of."""
  try:
    kind, content = member.connection.recv()
  except (EOFError, OSError):
    member.process.wait()
    member.said.seek(0)
    lines = member.said.read().decode(errors="replace").strip().splitlines()
    last = f": {lines[-1].strip()}" if lines else ""
    code = member.process.returncode
    how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    raise CrewError(f"a helper process {how}{last}") from None
  if kind == "refused":
    raise UserError(content)
  if kind == "failed":
    raise CrewError(content)
  return content


def _end(members: list[_Member]) -> None:
  """Ends processes: those that wait for a job see that none will come, the others are killed."""
  for member in members:
    member.connection.close()
  deadline = time.monotonic() + _END_SECONDS
  while members:
    member = members.pop()
    try:
      member.process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
      member.process.kill()
      member.process.wait()
    member.said.close()


def main(descriptor: int, parent: int) -> int:
  """The life of a process: one setup, then jobs until the other end of the socket is gone."""
  threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
  connection = Connection(descriptor)
  with contextlib.suppress(EOFError, OSError):  # the parent is gone, or wants no more
    target, setup = connection.recv()
    module, _, factory = target.partition(":")

    def prepare(_: Any) -> Callable[[Any], Any]:
      return getattr(importlib.import_module(module), factory)(*setup)

    kind, work = _attempt(prepare, None)
    connection.send((kind, None if kind == "done" else work))
    while kind == "done":
      connection.send(_attempt(work, connection.recv()))
  return 0


def _end_with(parent: int) -> None:
  """Ends this process, whatever it does, soon after its parent."""
  while os.getppid() == parent:
    time.sleep(_LOOK_SECONDS)
  os._exit(1)


def _attempt(function: Callable[[Any], Any], job: Any) -> tuple[str, Any]:
  """The result of a job, or what went wrong in words."""
  try:
    return "done", function(job)
  except UserError as error:
    return "refused", str(error)
  except Exception:
    return "failed", traceback.format_exc().strip()


if __name__ == "__main__":
  sys.exit(main(*map(int, sys.argv[1:])))
