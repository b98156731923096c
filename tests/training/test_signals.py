"""Asking a run to stop."""

import os
import signal
import threading

import pytest

from jaxskills.training.signals import Terminated, stop_requests, termination_raises
from tests.training.toy_run import hashes, run_toy, toy_stages


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
  with pytest.raises(Terminated), termination_raises():
    os.kill(os.getpid(), signal.SIGTERM)
  assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_stage_still_saves_on_a_termination_that_would_be_raised_around_it():
  with termination_raises():
    with stop_requests() as stop:
      os.kill(os.getpid(), signal.SIGTERM)
    assert stop.signal == "SIGTERM"


def test_whoever_ignores_terminations_goes_on_ignoring_them():
  signal.signal(signal.SIGTERM, signal.SIG_IGN)
  try:
    with termination_raises():
      os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
  finally:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_between_stages_ends_at_once_and_the_run_goes_on_as_if_it_had_not_come(
  number, tmp_path
):
  (first, build_first), (second, build_second) = toy_stages()

  def explore(results):
    os.kill(os.getpid(), number)
    raise AssertionError("went on exploring")

  kind = Terminated if number == signal.SIGTERM else KeyboardInterrupt
  with pytest.raises(kind), termination_raises():
    run_toy(tmp_path / "run", stages=[(first, build_first), (second, explore)])
  outcome = run_toy(tmp_path / "run")
  assert f"{first}: finished before" in outcome.said
  assert hashes(outcome) == hashes(run_toy(tmp_path / "undisturbed"))
