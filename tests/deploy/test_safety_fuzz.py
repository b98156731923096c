"""A million ticks of trouble: nothing beyond the limits is sent, and C does the same to the bit."""

import zlib

import numpy as np
import pytest

from jaxskills.deploy import safety, safety_c
from jaxskills.deploy.safety import Command, Limits, Reading
from jaxskills.deploy.safety_twin import Twin
from tests.deploy import safety_oracle
from tests.deploy.safety_oracle import Oracle, Ticks
from tests.deploy.safety_robots import ROBOTS

TICKS, FILTERS = 500, 250
CAMPAIGNS = {"h1": 3, "panda": 4, "awkward": 1}  # of TICKS * FILTERS ticks each


def same_bits(one: np.ndarray, other: np.ndarray) -> None:
  np.testing.assert_array_equal(one.view(np.int64), other.view(np.int64))


def live(limits: Limits, ticks: Ticks, oracle: Oracle, twin: Twin) -> None:
  """All ticks of all filters: watched by the oracle, and compared with the filter in C."""
  state = safety.start(limits, (FILTERS,))
  for tick in range(TICKS):
    now, late, reset = (value[tick] for value in (ticks.now, ticks.late, ticks.reset))
    reading = Reading(*(value[tick] for value in ticks.reading))
    command = Command(*(value[tick] for value in ticks.command))
    state, ours = safety.step(limits, state, now, reading, command, late=late, reset=reset)
    oracle.watch(ticks, tick, ours)
    theirs = twin.step(now, reading, command, late, reset)
    np.testing.assert_array_equal(ours.mode, theirs.mode)
    np.testing.assert_array_equal(ours.reason, theirs.reason)
    for field in ("position", "stiffness", "damping"):
      same_bits(getattr(ours, field), np.ascontiguousarray(getattr(theirs, field)))


def test_a_million_ticks_are_planned():
  assert TICKS * FILTERS * sum(CAMPAIGNS.values()) >= 1_000_000


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("name", ROBOTS)
def test_nothing_outside_the_limits_is_sent_and_c_does_the_same(name, tmp_path):
  limits = ROBOTS[name]()
  modes, reasons = np.zeros(3, int), np.zeros(len(safety.REASONS), int)
  for campaign in range(CAMPAIGNS[name]):
    rng = np.random.default_rng(zlib.crc32(name.encode()) + campaign)
    oracle = Oracle(limits, FILTERS)
    folder = tmp_path / str(campaign)  # a library that is open must not be written over
    folder.mkdir()
    twin = Twin(safety_c.write(limits), limits, FILTERS, folder)
    live(limits, safety_oracle.draw(rng, limits, TICKS, FILTERS), oracle, twin)
    modes, reasons = modes + oracle.modes, reasons + oracle.reasons
  assert (modes >= 0.08 * modes.sum()).all(), f"too little was seen: {modes}"
  legged_only = (5, 6) if name == "panda" else ()
  assert all(count for code, count in enumerate(reasons) if code not in legged_only), reasons
