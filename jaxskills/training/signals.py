"""Stopping on request: SIGTERM and SIGINT end a stage after the chunk in hand, and all is saved.

A second SIGINT stops at once, as anybody who presses Ctrl-C twice means it to; the checkpoint
before then is whole. `jaxskills.errors.Interrupted` carries the outcome to the command line.
Outside of stages both end the command at once, by an exception that lets files be put in order.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NOTICE = ": finishing the chunk in hand, then saving; Ctrl-C stops at once.\n"


class Terminated(KeyboardInterrupt):
  """SIGTERM, as an exception; for what SIGINT does, Python has the one that this is a kind of."""


@contextmanager
def termination_raises() -> Iterator[None]:
  """Makes SIGTERM raise `Terminated` while the block runs, unless it is ignored or handled."""
  main = threading.current_thread() is threading.main_thread()
  if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
    yield
    return

  def on_signal(number: int, frame: FrameType | None) -> None:
    raise Terminated

  signal.signal(signal.SIGTERM, on_signal)
  try:
    yield
  finally:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


class StopRequest:
  """Whether somebody asked the run to stop, and by which signal."""

  def __init__(self) -> None:
    """Nobody has asked yet."""
    self.signal = ""

  def __bool__(self) -> bool:
    """True once a stop was asked for."""
    return bool(self.signal)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
  """Listens for SIGTERM and SIGINT while the block runs.

  Outside the main thread Python cannot install handlers; then the request never comes and the
  process' own handlers stay.
  """
  request = StopRequest()
  if threading.current_thread() is not threading.main_thread():
    yield request
    return

  def on_signal(number: int, frame: FrameType | None) -> None:
    del frame
    if request and number == signal.SIGINT:
      raise KeyboardInterrupt
    if not request:
      request.signal = signal.Signals(number).name
      # Not through a Python stream: the handler may run in the middle of a write to it.
      os.write(2, f"\n{request.signal}{_NOTICE}".encode())

  # What the process was started to ignore (SIGINT, in a shell's background job) stays ignored.
  numbers = [
    number
    for number in (signal.SIGTERM, signal.SIGINT)
    if signal.getsignal(number) is not signal.SIG_IGN
  ]
  previous = {number: signal.signal(number, on_signal) for number in numbers}
  try:
    yield request
  finally:
    for number, handler in previous.items():
      signal.signal(number, handler)
