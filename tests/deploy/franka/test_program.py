"""The bundle's C++ program against the simulated Panda, over the stand-in for libfranka."""

import numpy as np
import pytest

from jaxskills.deploy import bundle as bundles
from jaxskills.deploy.franka import closed_loop, replay
from jaxskills.deploy.franka.simulated import Goals
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
  median, *_ = replay.microseconds(records)
  assert median < 300.0


@pytest.mark.slow
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
  assert replay.replay(bundle, replay.read(log, bundle)).is_same
