"""Tests of the simulated H1: its network, its motors, its harness, and the verification's walk."""

import subprocess
import sys

import numpy as np
import pytest

from jaxskills.assets.h1 import H1
from jaxskills.deploy import bundle as bundles
from jaxskills.deploy.h1 import closed_loop, messages
from jaxskills.deploy.h1.body import CLEARANCE, Body, Harness
from jaxskills.deploy.h1.commands import Ranges
from jaxskills.deploy.h1.machine import Packer
from jaxskills.deploy.h1.network import Channel, Faults

MOTORS = np.array(H1.motors)
DEFAULT, GAINS, DAMPINGS = np.array(H1.default_pose), np.array(H1.stiffness), np.array(H1.damping)
PACKER = Packer(H1.motors, H1.motor_modes)


def hold(pose=DEFAULT, stiffness=GAINS, damping=DAMPINGS) -> np.ndarray:
  """A command to hold a pose."""
  return PACKER.pack(pose, stiffness, damping).copy()


def run(body: Body, command: np.ndarray, seconds: float) -> np.ndarray:
  for _ in range(round(seconds / 0.002)):
    body.obey(command)
    state = body.step()
  return state


def test_a_channel_loses_delays_and_reorders_as_asked():
  channel: Channel[int] = Channel(Faults(0.05, 0.02, 0.01), seed=0)
  arrived, times = [], {}
  for index in range(5000):
    now = 0.002 * index
    channel.send(now, index)
    for number in channel.arrivals(now):
      arrived.append(number)
      times[number] = now - 0.002 * number
  assert channel.lost / channel.sent == pytest.approx(0.05, abs=0.01)
  assert min(times.values()) >= 0.02
  assert max(times.values()) <= 0.03 + 0.002
  assert np.mean(list(times.values())) == pytest.approx(0.026, abs=0.002)
  assert np.mean(np.diff(arrived) < 0) > 0.1, "some overtake others"
  assert len(set(arrived)) == len(arrived)


def test_a_channel_without_faults_is_a_queue():
  channel: Channel[int] = Channel(Faults(), seed=0)
  for number in range(10):
    channel.send(0.0, number)
  assert channel.arrivals(0.0) == list(range(10))
  assert channel.arrivals(1.0) == []


def test_motors_do_what_they_are_told_within_their_torque():
  body = Body(Harness("never"))
  body.obey(hold(DEFAULT + 0.1))
  body.step()
  expected = np.clip(
    GAINS * (DEFAULT + 0.1 - body.data.qpos[7:]), -np.array(H1.torque_limit), H1.torque_limit
  )
  np.testing.assert_allclose(body.data.actuator_force, expected, atol=8.0)
  command = hold(DEFAULT)
  command["motor_cmd"]["mode"] = 0
  body.obey(command)
  body.step()
  np.testing.assert_array_equal(body.data.actuator_force, 0.0)


def test_a_motor_brakes_towards_the_velocity_that_it_is_told():
  body = Body(Harness("never"))
  command = hold(stiffness=np.zeros(19), damping=DAMPINGS)
  command["motor_cmd"]["dq"][MOTORS] = 1.0
  command["motor_cmd"]["tau"][MOTORS] = 0.5
  body.obey(command)
  body.step()
  np.testing.assert_allclose(body.data.actuator_force, DAMPINGS + 0.5, rtol=1e-6)


def test_the_robot_hangs_limp_and_is_lowered_once_it_stands():
  body = Body(Harness("never"))
  run(body, messages.sign(messages.blank(messages.LOW_COMMAND)), 0.5)
  assert body.data.qpos[2] == pytest.approx(H1.base_height + CLEARANCE, abs=1e-3)
  state = run(body, hold(), 3.0)
  assert body.data.qpos[2] == pytest.approx(H1.base_height, abs=1e-3)
  assert body.is_held
  np.testing.assert_allclose(state["motor_state"]["q"][MOTORS], DEFAULT, atol=0.1)
  assert not any(body.counts.values())


def test_the_harness_lets_go_when_the_legs_are_moved():
  body = Body(Harness("policy"))
  run(body, hold(), 3.0)
  assert body.is_held
  moved = DEFAULT.copy()
  moved[H1.joints.index("left_knee")] += 0.1
  run(body, hold(moved), 0.004)
  assert not body.is_held
  assert body.events["released"] == pytest.approx(3.0, abs=0.01)


def test_a_fall_counts_once_while_the_motors_hold():
  body = Body(Harness("seconds", 0.0))
  run(body, hold(), 6.0)  # gains alone do not keep it up
  assert body.counts["falls"] == 1
  assert "fallen" in body.events


def test_sinking_in_damping_is_no_fall():
  body = Body(Harness("seconds", 0.0))
  run(body, hold(), 3.0)
  run(body, hold(stiffness=np.zeros(19), damping=np.full(19, 8.0)), 3.0)
  assert body.counts["falls"] == 0
  assert "damped" in body.events


def test_a_target_beyond_a_joints_range_is_counted():
  body = Body(Harness("never"))
  body.obey(hold(DEFAULT + 3.0))
  assert body.counts["target"] == 1


def test_a_command_that_is_no_number_is_refused():
  body = Body(Harness("never"))
  body.obey(hold())
  body.obey(hold(DEFAULT * np.nan))
  assert body.counts["commands_refused"] == 1
  body.step()
  assert np.isfinite(body.data.actuator_force).all()


def test_a_verification_needs_neither_dds_nor_jax():
  program = (
    "import sys\n"
    "from jaxskills.deploy.h1 import closed_loop\n"
    "loaded = {name.partition('.')[0] for name in sys.modules}\n"
    "print(sorted(loaded & {'cyclonedds', 'jax', 'flax'}))\n"
  )
  done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
  assert done.stdout.strip() == "[]"


def test_a_policy_that_does_nothing_does_not_pass_the_closed_loop(h1_bundle):
  class Nothing:
    def reset(self) -> None:
      pass

    def step(self, observation) -> np.ndarray:
      return np.zeros(10, np.float32)

  outcome = closed_loop.check(bundles.read(h1_bundle), 1.0, Nothing())
  assert not outcome.passed
  assert outcome.figures["seconds_walked"] == pytest.approx(1.0)


def test_the_closed_loop_is_the_same_each_time_and_says_why_an_untrained_policy_fails(h1_bundle):
  bundle = bundles.read(h1_bundle)
  one, two = (closed_loop.check(bundle, 4.0) for _ in range(2))
  assert one == two
  assert not one.passed
  assert one.figures["damped"] in ("tilt", "height")
  assert f"damped: {one.figures['damped']}" in one.lines


def test_the_commands_of_the_closed_loop_lie_within_the_policys_ranges():
  ranges = Ranges((0.0, 0.0, -0.5), (1.0, 0.0, 0.5))
  commands = [closed_loop.script(ranges, share) for share in (0.0, 0.3, 0.6, 0.99, 1.0)]
  assert commands == [
    (0.5, 0.0, 0.0), (1.0, 0.0, 0.0), (0.5, 0.0, 0.5), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
  ]  # fmt: skip
