"""Tests of the guard's two halves by themselves: when it acts, how soon, and when it ends."""

import os

import numpy as np

from jaxskills.deploy.h1 import guard, wire


def heard(monkeypatch, *messages: bytes) -> tuple[str, list]:
  """Why the guard acts after these messages, and how long it waited for each, s."""
  waits, left = [], list(messages)

  def select(pipes, writers, errors, seconds):
    waits.append(seconds)
    return (pipes if left else [], [], [])

  monkeypatch.setattr(guard.select, "select", select)
  monkeypatch.setattr(guard.os, "read", lambda pipe, size: left.pop(0))
  return guard._wait(7), waits


def test_a_controller_that_does_not_beat_for_a_tenth_of_a_second_hangs(monkeypatch):
  assert heard(monkeypatch, b".", b"..") == ("the controller hangs", [None, 0.1, 0.1])


def test_a_pipe_that_closes_is_a_controller_that_died(monkeypatch):
  assert heard(monkeypatch, b".", b"")[0] == "the controller died"
  assert heard(monkeypatch, b"")[0] == "", "it never began"
  assert heard(monkeypatch, b".", b".q")[0] == ""


class Writer(wire.Writer):
  """Counts what is sent; says something into the pipe after the third."""

  def __init__(self, pipe: int, word: bytes) -> None:
    self.sent, self._pipe, self._word = 0, pipe, word

  def write(self, record) -> None:
    self.sent += 1
    if self.sent == 3:
      os.write(self._pipe, self._word) if self._word else os.close(self._pipe)
    if self.sent == 20:
      raise KeyboardInterrupt


def streamed(word: bytes) -> int:
  """How many samples a guard that acts has sent when it ends."""
  read, write = os.pipe()
  writer = Writer(write, word)
  guard._stream(writer, np.zeros(()), read)
  return writer.sent


def test_a_guard_that_damps_ends_when_its_controller_ends_in_order():
  assert streamed(b".q") == 3


def test_a_guard_damps_on_while_its_controller_beats_or_is_gone():
  assert streamed(b".") == 20
  assert streamed(b"") == 20
