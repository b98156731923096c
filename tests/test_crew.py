"""Helper processes give results in order, say what went wrong, and never outlive who needs them."""

import os
import signal
import subprocess
import sys
import time

import pytest

from jaxskills.crew import Crew, CrewError
from jaxskills.errors import UserError


def ended(pids, seconds=10.0):
  """Whether all of these processes are gone before long."""
  deadline = time.monotonic() + seconds
  while time.monotonic() < deadline:
    if not any(is_alive(pid) for pid in pids):
      return True
    time.sleep(0.02)
  return False


def is_alive(pid):
  try:
    with open(f"/proc/{pid}/stat") as file:
      return file.read().rpartition(")")[2].split()[0] != "Z"
  except FileNotFoundError:
    return False


def teller(**options):
  return Crew("tests.crew_jobs:make_teller", processes=1, **options)


def test_results_come_in_the_order_of_the_jobs():
  with Crew("tests.crew_jobs:make_adder", 100, processes=3) as crew:
    assert list(crew.map(range(12))) == list(range(100, 112))
    assert list(crew.map([7])) == [107] and list(crew.map([])) == []


def test_a_slow_job_at_the_head_loses_none_behind_it():
  jobs = [0.5, *[0.0] * 7]  # meanwhile the other process fills the window and stands idle
  with Crew("tests.crew_jobs:make_sleeper", processes=2) as crew:
    assert list(crew.map(jobs)) == jobs


def test_ctrl_c_at_the_terminal_reaches_the_parent_alone():
  with teller() as crew:
    assert os.getpgid(crew.pids[0]) != os.getpgid(0)  # a terminal signals a whole group


def test_jobs_are_taken_no_further_ahead_than_needed():
  taken = []

  def jobs():
    for number in range(50):
      taken.append(number)
      yield number

  with Crew("tests.crew_jobs:make_adder", 0, processes=2) as crew:
    for result in crew.map(jobs()):
      assert max(taken) <= result + 5


def test_a_process_imports_what_its_work_does_and_no_more():
  with teller(environment={"GIVEN": "a"}) as crew:
    ((pid, modules, given),) = crew.map([""])
    assert crew.pids == (pid,) and given == "a"
    assert not {"jax", "mujoco", "numpy", "tensorflow"} & set(modules)


@pytest.mark.parametrize(
  ("order", "error", "message"),
  [
    ("refuse", UserError, "^no room; make some$"),
    ("fail", CrewError, "ValueError: bad number"),
    ("die", CrewError, "^a helper process died of SIGABRT: the driver is broken$"),
  ],
)
def test_what_goes_wrong_in_a_job_is_told_and_closes_the_crew(order, error, message):
  with teller() as crew:
    pids = crew.pids
    with pytest.raises(error, match=message):
      list(crew.map(["", order, ""]))
    assert crew.pids == () and ended(pids)
    with pytest.raises(CrewError, match="the crew is closed"):
      next(crew.map([""]))


@pytest.mark.parametrize(
  ("factory", "error", "message"),
  [
    ("make_refusal", UserError, "^nothing to work with$"),
    ("make_death", CrewError, "died of SIGABRT: no such display"),
    ("make_nothing", CrewError, "has no attribute 'make_nothing'"),
  ],
)
def test_a_crew_that_cannot_be_set_up_says_why(factory, error, message):
  with pytest.raises(error, match=message):
    Crew(f"tests.crew_jobs:{factory}", processes=2)


def test_leaving_early_ends_what_still_works():
  crew = teller()
  pids, started = crew.pids, time.monotonic()
  results = crew.map(["", "sleep"])
  next(results)
  results.close()
  assert ended(pids) and time.monotonic() - started < 30 and crew.pids == ()


def test_a_crew_that_nobody_holds_ends():
  crew = teller()
  pids = crew.pids
  del crew
  assert ended(pids)


PROGRAM = """
import os, signal, sys, time
from jaxskills.crew import Crew
crew = Crew("tests.crew_jobs:make_teller", processes=2)
print(*crew.pids, flush=True)
{then}
"""


@pytest.mark.parametrize(
  ("then", "sent", "status"),
  [
    ("", None, 0),
    ("next(crew.map(['sleep']))", signal.SIGINT, -signal.SIGINT),
    ("next(crew.map(['sleep']))", signal.SIGTERM, -signal.SIGTERM),
    ("time.sleep(60)", signal.SIGKILL, -signal.SIGKILL),
  ],
)
def test_no_process_outlives_its_parent(then, sent, status):
  program = PROGRAM.format(then=then)
  with subprocess.Popen(
    [sys.executable, "-c", program],
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
    start_new_session=True,
    text=True,
  ) as parent:
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2 and all(is_alive(pid) for pid in pids)
    if sent is not None:
      time.sleep(0.2)
      os.killpg(parent.pid, sent)  # as a terminal does
    assert parent.wait(30) == status
  assert ended(pids)
