"""The three engines move the real robots alike; see `agreement.TOLERANCES`."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from jaxskills.physics import agreement
from jaxskills.physics.agreement import Row

OTHERS = ("mjx", "warp") if importlib.util.find_spec("warp") else ("mjx",)


@pytest.fixture(scope="module", params=["h1", "panda"])
def report(request: pytest.FixtureRequest) -> dict:
  """What `agree.py` says of a robot."""
  command = [sys.executable, "-m", "tests.physics.agree", request.param, *OTHERS]
  environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
  done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment)
  assert done.returncode == 0, done.stderr
  said = json.loads(done.stdout.strip().split("\n")[-1])
  return {**said, "rows": [Row(*row) for row in said["rows"]]}


def test_engines_agree_within_the_stated_tolerances(report: dict):
  rows = [row for row in report["rows"] if row.engine in OTHERS]
  assert [(row.engine, row.steps) for row in rows] == [
    (name, steps) for name in OTHERS for steps in (1, 10, 100)
  ]
  assert all(row.within() for row in rows), rows
  assert report["spread"] > 0.01  # worlds really did different things


def test_a_difference_is_seen(report: dict):
  """Controls that are one part in a hundred larger are outside of the tolerances."""
  rows = [row for row in report["rows"] if row.engine == "stronger"]
  assert not rows[-1].within()
  assert not all(row.within(agreement.STOPPED_EARLY) for row in rows)


@pytest.mark.parametrize("steps", agreement.HORIZONS)
@pytest.mark.parametrize("part", agreement.Tolerance._fields)
def test_the_median_world_and_the_worst_have_to_be_within(part: str, steps: int):
  limits = agreement.TOLERANCES[steps]
  row = Row("warp", steps, **limits._asdict(), overflow=0)
  assert row.within()
  assert not row._replace(**{part: 1.01 * getattr(limits, part)}).within()
  assert not row._replace(**{part: float("nan")}).within()


def test_an_overflow_is_never_within():
  row = Row("warp", 1, 0.0, 0.0, 0.0, 0.0, 0)
  assert row.within()
  assert not row._replace(overflow=1).within()
