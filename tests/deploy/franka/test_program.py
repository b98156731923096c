"""The bundle's C++ program against the simulated Panda, over the stand-in for libfranka."""

import numpy as np
import pytest

from jaxskills.deploy import bundle as bundles
from jaxskills.deploy.franka import closed_loop, replay
from jaxskills.deploy.franka.motion import TICK_SECONDS
from jaxskills.deploy.franka.simulated import Goals, Network
from tests.deploy.franka.conftest import TARGETS, drive, lock_step, simulated

PLACES = [f"--target={','.join(map(str, place))}" for place in TARGETS.tolist()]


@pytest.fixture(scope="module")
def trip(reaching_bundle, program, tmp_path_factory):
  """Two targets in 5 s with 5 % of the packets lost, each way: report, log and result."""
  log = tmp_path_factory.mktemp("trip") / "log"
  goals = Goals(TARGETS, dwell_seconds=2.5)
  with simulated(network=lock_step(loss=0.05), goals=goals) as server:
    options = [*PLACES, "--dwell=2.5", "--seconds=5", f"--log={log}"]
    done = drive(program, reaching_bundle, server, *options)
  return server.report(), log, done


def test_targets_are_reached_without_a_reflex_though_packets_are_lost(trip):
  report, _, done = trip
  (motion,) = report["motions"]
  assert done.returncode == 0, done.stderr
  assert motion["reflex"] is None and motion["end"] == "finished"
  assert motion["missed"] > 300
  assert all(share < 1.0 for share in motion["limits"].values()), motion["limits"]
  assert [visit["reached"] for visit in motion["targets"]] == [True, True]
  assert motion["reached"] == motion["settled"] == 1.0
  assert max(visit["mean_distance"] for visit in motion["targets"]) < 0.02


def test_the_log_gives_the_same_commands_to_the_bit(trip, reaching_bundle):
  bundle = bundles.read(reaching_bundle)
  records = replay.read(trip[1], bundle)
  found = replay.replay(bundle, records)
  assert found.differing == 0 and found.is_same
  assert found.callbacks > 4500 and found.actions > 90
  assert found.action_difference < 1e-5


def test_one_bit_of_a_log_shows_in_its_replay(trip, reaching_bundle):
  bundle = bundles.read(reaching_bundle)
  records = replay.read(trip[1], bundle)[:700].copy()
  records["told"].view(np.uint64)[500, 3] ^= 1
  found = replay.replay(bundle, records)
  assert (found.differing, found.first_differing, found.is_same) == (1, 500, False)


def test_callbacks_keep_to_their_budget(trip, reaching_bundle):
  records = replay.read(trip[1], bundles.read(reaching_bundle))
  median, *_ = replay.microseconds(records["nanoseconds"])
  assert median < 300.0
  used = records["processor_nanoseconds"]
  assert (used > 0).all() and (used <= records["nanoseconds"]).all()
  _, most, *_ = replay.microseconds(used)  # of their own, whatever else the machine does
  assert most < 100.0


def test_three_seconds_of_real_time_have_no_reflex(reaching_bundle, program, tmp_path):
  log = tmp_path / "log"
  with simulated(network=Network(), goals=Goals(TARGETS[:1], dwell_seconds=3.0)) as server:
    done = drive(program, reaching_bundle, server, PLACES[0], "--seconds=3", f"--log={log}")
  (motion,) = server.motions
  bundle = bundles.read(reaching_bundle)
  records = replay.read(log, bundle)
  assert replay.replay(bundle, records).is_same
  if motion["reflex"] is not None:
    assert done.returncode == 3 and motion["reflex"] == "communication_constraints_violation"
    stalled = stall_milliseconds(records)
    assert stalled > 20.0, "a reflex, though the machine kept real time"
    pytest.skip(f"the machine stalled for {stalled:.0f} ms: the reflex was right")
  assert done.returncode == 0 and motion["end"] == "finished"
  assert motion["targets"][0]["settled"]


def stall_milliseconds(records) -> float:
  """How long the machine kept the robot or its controller from running, by a log's own times.

  The longest time between two callbacks, or over which the robot's ticks were late in a row: it
  does without what comes after a tick's time.
  """
  gap = np.diff(records["now"]).max()
  behind = records["now"] - TICK_SECONDS * records["milliseconds"]
  late = behind - behind.min() > TICK_SECONDS
  rows = np.flatnonzero(np.diff(np.concatenate([[False], late, [False]])))
  longest = max((rows[1::2] - rows[::2]).tolist(), default=0)
  return 1e3 * max(float(gap), TICK_SECONDS * longest)


def test_a_stall_is_told_by_the_logs_own_times():
  records = np.zeros(200, replay.RECORD)
  records["milliseconds"] = np.arange(200)
  records["now"] = 7.0 + TICK_SECONDS * np.arange(200)
  assert stall_milliseconds(records) < 2.0
  records["now"][100:] += 0.030
  assert stall_milliseconds(records) > 30.0
  records["now"][100:130] -= 0.028  # two milliseconds late for thirty ticks
  records["now"][130:] -= 0.030
  assert 29.0 < stall_milliseconds(records) < 31.0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_a_minute_of_reaching_has_no_reflex(reaching_bundle, program, tmp_path, loss):
  places = closed_loop.targets(bundles.read(reaching_bundle), 15)
  near = TARGETS.mean(axis=0) + 0.4 * (places - places.mean(axis=0))  # where a fixed Jacobian holds
  goals, log = Goals(near, dwell_seconds=4.0), tmp_path / "log"
  words = [f"--target={','.join(map(repr, place))}" for place in near.tolist()]
  with simulated(network=lock_step(loss=loss), goals=goals) as server:
    done = drive(program, reaching_bundle, server, *words, "--seconds=60", f"--log={log}")
  (motion,) = server.motions
  assert done.returncode == 0 and motion["reflex"] is None
  assert all(share < 1.0 for share in motion["limits"].values()), motion["limits"]
  assert [visit["reached"] for visit in motion["targets"]] == [True] * 15
  bundle = bundles.read(reaching_bundle)
  begin = replay.read(log, bundle)[:15_000]  # all of it takes minutes here
  assert replay.replay(bundle, begin).is_same
