"""Work for the processes of `test_crew.py`; it imports nothing."""

import os
import sys
import time

from jaxskills.errors import UserError


def make_adder(offset):
  """Adds; the slower, the smaller the number."""

  def work(number):
    time.sleep(0.02 * (4 - number % 5))
    return number + offset

  return work


def make_sleeper():
  """Sleeps for so many seconds."""

  def work(seconds):
    time.sleep(seconds)
    return seconds

  return work


def make_teller():
  """Does what it is told, and says who it is."""

  def work(order):
    if order == "die":
      print("the driver is broken", file=sys.stderr, flush=True)
      os.abort()
    if order == "refuse":
      raise UserError("no room; make some")
    if order == "fail":
      raise ValueError("bad number")
    if order == "sleep":
      time.sleep(60)
    return os.getpid(), sorted(sys.modules), os.environ.get("GIVEN")

  return work


def make_refusal():
  """Cannot be set up."""
  raise UserError("nothing to work with")


def make_death():
  """Dies while it is set up."""
  print("no such display", file=sys.stderr, flush=True)
  os.abort()
