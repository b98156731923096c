"""Asking a run to stop."""

import os
import signal
import threading

import pytest

from jaxskills.training.signals import stop_requests


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


def test_outside_the_main_thread_nothing_is_installed():
  before, seen = signal.getsignal(signal.SIGTERM), []

  def work() -> None:
    with stop_requests() as stop:
      seen.append((bool(stop), signal.getsignal(signal.SIGTERM) is before))

  thread = threading.Thread(target=work)
  thread.start()
  thread.join()
  assert seen == [(False, True)]
