"""Asking a run to stop."""

import gc
import os
import signal
import sys
import threading
import time

import pytest

from jaxskills.training.signals import Terminated, signals_raise, stop_requests
from tests.training.toy_run import run_toy, toy_stages


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_remembered_and_announced(number, capfd):
  before = signal.getsignal(number)
  with stop_requests() as stop:
    assert not stop
    os.kill(os.getpid(), number)
    assert stop and stop.signal == number.name
  assert signal.getsignal(number) is before
  assert f"{number.name}: finishing the chunk in hand, then saving" in capfd.readouterr().err


def test_a_second_ctrl_c_stops_at_once_but_a_second_sigterm_does_not():
  with pytest.raises(KeyboardInterrupt), stop_requests():
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
  assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_the_process_was_started_to_ignore_stays_ignored():
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  try:
    with stop_requests() as stop:
      os.kill(os.getpid(), signal.SIGINT)
    assert not stop and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
  finally:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_outside_the_main_thread_nothing_is_installed():
  before, seen = signal.getsignal(signal.SIGTERM), []

  def work() -> None:
    with stop_requests() as stop:
      seen.append((bool(stop), signal.getsignal(signal.SIGTERM) is before))

  thread = threading.Thread(target=work)
  thread.start()
  thread.join()
  assert seen == [(False, True)]


def test_a_termination_is_raised_once_asked_for_and_kills_again_afterwards():
  with pytest.raises(Terminated), signals_raise():
    os.kill(os.getpid(), signal.SIGTERM)
  assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(
  ("number", "kind"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_that_comes_while_garbage_is_collected_is_not_lost(number, kind, capfd):
  def collecting(phase, info):
    gc.callbacks.remove(collecting)
    os.kill(os.getpid(), number)

  before = sys.unraisablehook
  with pytest.raises(kind), signals_raise():
    gc.callbacks.append(collecting)
    gc.collect()
    time.sleep(10.0)
  assert sys.unraisablehook is before
  assert "ignored" not in capfd.readouterr().err


def test_a_stage_still_saves_on_a_termination_that_would_be_raised_around_it():
  with signals_raise():
    with stop_requests() as stop:
      os.kill(os.getpid(), signal.SIGTERM)
    assert stop.signal == "SIGTERM"


def test_whoever_ignores_terminations_goes_on_ignoring_them():
  signal.signal(signal.SIGTERM, signal.SIG_IGN)
  try:
    with signals_raise():
      os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
  finally:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_between_stages_ends_at_once_and_the_run_goes_on_afterwards(number, tmp_path):
  (first, build_first), (second, build_second) = toy_stages(chunks=1)

  def explore(results):
    os.kill(os.getpid(), number)
    raise AssertionError("went on exploring")

  kind = Terminated if number == signal.SIGTERM else KeyboardInterrupt
  with pytest.raises(kind), signals_raise():
    run_toy(tmp_path, stages=[(first, build_first), (second, explore)])
  outcome = run_toy(tmp_path, stages=[(first, build_first), (second, build_second)])
  assert f"{first}: finished before" in outcome.said and set(outcome.results) == {first, second}
