"""Tests of the controller between network and policy, tick by tick, on a clock of the test."""

import threading
import time

import numpy as np
import pytest

from jaxskills.assets.h1 import H1
from jaxskills.deploy import bundle as bundles
from jaxskills.deploy.h1 import messages
from jaxskills.deploy.h1.commands import Wish
from jaxskills.deploy.h1.controller import Controller, Links
from jaxskills.deploy.h1.machine import TICK_SECONDS, State, read_contract
from jaxskills.deploy.h1.observation import Observation
from jaxskills.deploy.h1.record import Log
from jaxskills.deploy.h1.replay import replay
from jaxskills.deploy.h1.sensing import Sensing

MOTORS = np.array(H1.motors)
UP = Wish(stand=True, walk=True)


class Pipe:
  """A reader of what the test puts in, a writer, a log and an operator."""

  def __init__(self) -> None:
    self.waiting, self.written, self.asked = [], [], Wish()

  def take(self):
    taken, self.waiting = self.waiting, []
    return taken

  def write(self, message) -> None:
    self.written.append(message.copy())

  def add(self, frame) -> None:
    self.written.append(frame.copy())

  def wish(self, remote, elapsed, walking) -> Wish:
    return self.asked


class Swaying:
  """A policy with a memory, which fails at one call where it is asked to."""

  def __init__(self, fails_at: int | None = None) -> None:
    self.seen, self._fails_at, self._memory = [], fails_at, 0.0

  def reset(self) -> None:
    self._memory = 0.0

  def step(self, observation) -> np.ndarray:
    self.seen.append(observation["state"].copy())
    if len(self.seen) == self._fails_at:
      raise ValueError("no such action")
    self._memory += float(observation["state"].sum())
    return np.full(10, 0.2 * np.sin(self._memory), np.float32)


class Rig:
  """A controller without threads; decides every ten ticks while it walks, as its thread does."""

  def __init__(self, manifest, policy) -> None:
    self.contract, self.policy = read_contract(manifest), policy
    self.states, self.foreign, self.out, self.log, self.operator = (Pipe() for _ in range(5))
    self.observation = Observation(manifest)
    parts = Sensing(manifest["parts"]["robot"]), self.observation, policy, self.operator
    links = Links(self.states, self.out, self.foreign, None, self.log)
    self.controller = Controller(self.contract, *parts, links)
    self.now, self._clock, self._walk = 1.0, 0, None

  def run(self, seconds: float, wish: Wish, spoil=None):
    """The last order of so many seconds."""
    self.operator.asked = wish
    for _ in range(max(round(seconds / TICK_SECONDS), 1)):
      self.now += TICK_SECONDS
      self._clock += 2
      self.states.waiting.append(self._state(spoil))
      self.controller._tick(self.now, self.now, late=False)
      self._decide()
    return self.controller.order

  def _state(self, spoil):
    state = messages.blank(messages.LOW_STATE)
    state["imu_state"]["quaternion"][0], state["tick"] = 1.0, self._clock
    random = np.random.default_rng(self._clock)
    state["motor_state"]["q"][MOTORS] = H1.default_pose + random.normal(0.0, 0.01, len(MOTORS))
    if spoil is not None:
      spoil(state)
    return messages.sign(state)

  def _decide(self) -> None:
    since = self.controller.walking_since
    if since != self._walk:
      self._walk, self._step = since, 0
      self._action = np.zeros(10, np.float32)
      self.policy.reset()
      self.observation.reset()
    elif since is not None and self._action is not None and self._clock % 20 == 0:
      self._action = self.controller._act(self.now, self._action, self._step)
      self._step += 1


@pytest.fixture(scope="module")
def manifest(h1_bundle):
  return bundles.read(h1_bundle).manifest


def walk(rig: Rig, seconds: float = 0.3):
  return rig.run(2.0 + seconds, UP)


def far_joint(state) -> None:
  state["motor_state"]["q"][MOTORS[3]] = 1e6


def no_attitude(state) -> None:
  state["imu_state"]["quaternion"] = 0.0


def no_rate(state) -> None:
  state["imu_state"]["gyroscope"][1] = np.nan


@pytest.mark.parametrize("spoil", [far_joint, no_attitude, no_rate])
def test_the_policy_never_sees_a_reading_that_the_filter_refuses(manifest, spoil):
  rig = Rig(manifest, Swaying())
  assert walk(rig).state is State.POLICY
  decided = len(rig.policy.seen)
  assert rig.run(0.08, UP, spoil).state is State.POLICY, "80 ms are bridged"
  assert len(rig.policy.seen) > decided, "it decides meanwhile"
  assert np.abs(rig.policy.seen).max() < 10.0
  assert rig.run(0.1, UP).state is State.POLICY
  assert rig.run(0.12, UP, spoil).reason == "stale state"


def test_a_robot_that_stands_up_begins_at_a_pose_that_can_be(manifest):
  rig = Rig(manifest, Swaying())
  rig.run(0.1, Wish())
  order = rig.run(TICK_SECONDS, UP, far_joint)
  assert order.state is State.STAND
  np.testing.assert_allclose(rig.run(0.05, UP).position, H1.default_pose, atol=0.1)


def test_a_policy_that_failed_damps_and_the_operator_begins_anew(manifest):
  rig = Rig(manifest, Swaying(fails_at=5))
  order = walk(rig)
  assert (order.state, order.reason) == (State.DAMP, "the policy failed")
  assert rig.controller.failure == "ValueError: no such action"
  assert rig.run(0.1, Wish()).state is State.DAMP, "by itself it stays damped"
  assert rig.run(TICK_SECONDS, Wish(reset=True)).state is State.ZERO_TORQUE
  assert rig.controller.failure == ""
  assert walk(rig).state is State.POLICY


def test_foreign_commands_that_ceased_can_be_reset(manifest):
  rig = Rig(manifest, Swaying())
  walk(rig)
  rig.foreign.waiting.append(messages.blank(messages.LOW_COMMAND))
  assert rig.run(TICK_SECONDS, UP).reason == "another process commands this robot"
  assert rig.run(0.1, Wish()).state is State.DAMP
  assert rig.run(TICK_SECONDS, Wish(reset=True)).state is State.ZERO_TORQUE


def test_a_failed_policy_is_not_asked_again_before_the_next_walk(manifest):
  rig = Rig(manifest, Swaying(fails_at=1))
  rig.run(TICK_SECONDS, Wish())
  controller = rig.controller
  controller.walking_since = 1.0
  controller._walks.set()
  thread = threading.Thread(target=controller._decide, daemon=True)
  thread.start()
  time.sleep(0.2)  # ten periods
  controller._ended.set()
  controller._walks.set()
  thread.join(timeout=5.0)
  assert len(rig.policy.seen) == 1


@pytest.mark.parametrize("fails_at", [None, 9])
def test_two_walks_in_one_log_replay_to_the_same_bits(manifest, fails_at):
  rig = Rig(manifest, Swaying(fails_at))
  walk(rig)
  rig.run(0.02, Wish(stop=True))
  assert rig.run(0.02, Wish(reset=True)).state is State.ZERO_TORQUE
  rig.run(0.02, Wish())
  assert walk(rig).state is State.POLICY
  frames = rig.log.written
  begins = [i for i, frame in enumerate(frames) if frame["kind"] == b"D" and not frame["step"]][-1]
  # The streaming thread may still name the decision before while this one is already in the log.
  frames[begins - 1 : begins + 1] = frames[begins], frames[begins - 1]
  log = Log({"manifest_sha256": "own"}, b"".join(frame.tobytes() for frame in frames))
  found = replay(log, manifest, "own", Swaying())
  assert found.is_same, found
  assert found.decisions == len(rig.policy.seen) - (fails_at is not None)
