"""What is done in every callback: lost packets, stale policies, frozen states, and the end."""

import numpy as np
import pytest

from jaxskills.deploy import safety
from jaxskills.deploy.franka import controller, motion
from jaxskills.deploy.franka.arm import Arm
from jaxskills.deploy.franka.controller import Inputs
from jaxskills.deploy.franka.motion import JOINTS, TICK_SECONDS


class Loop:
  """A robot and its controller, tick by tick; the policy goes to and fro as fast as it may."""

  def __init__(self, constants, limits, seed=0):
    self.constants, self.limits, self.random = constants, limits, np.random.default_rng(seed)
    self.arm, self.state, self.told, self.action, self.last = Arm(), None, None, None, 0
    self.arm.start()
    self.thinks, self.frozen, self.is_stopping = True, None, False

  def tick(self, *, state_lost=False, command_lost=False):
    now = self.arm.ticks
    if state_lost and self.state is not None:
      self.arm.tick(None)
      return
    joints = np.stack([self.arm.position, self.arm.velocity, *self.arm.desired])
    milliseconds, period = now, now - self.last
    if self.frozen is not None:
      milliseconds, joints = self.frozen
      period = 0
    action, looked_at = self.action or (None, np.zeros(JOINTS))
    inputs = Inputs(
      period, milliseconds, joints, np.zeros(3), action, looked_at, self.is_stopping, False
    )
    if self.state is None:
      self.state, self.told = controller.begin(self.constants, self.limits, inputs)
    else:
      self.state, self.told = controller.tick(self.constants, self.limits, self.state, inputs)
    self.last, self.action = now, None
    if self.told.sight is not None and self.thinks:
      forth = self.arm.ticks // 400 % 2 == 0
      action = np.array([1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0]) * (1.0 if forth else -1.0)
      self.action = action, self.told.sight.joint_position
    self.arm.tick(None if command_lost else self.told.position)

  def run(self, ticks):
    for _ in range(ticks):
      self.tick()

  @property
  def reason(self):
    return safety.REASONS[self.told.reason]


@pytest.fixture
def loop(constants, limits):
  return Loop(constants, limits)


def test_without_losses_the_filter_changes_nothing(loop):
  loop.run(600)
  assert loop.arm.reflex is None and loop.told.mode == safety.RUN
  assert loop.arm.use.jerk <= 0.1251 and loop.arm.use.acceleration <= 0.5001
  assert loop.arm.use.velocity > 0.3


def test_a_policy_of_extremes_survives_a_fifth_of_all_packets_lost(loop):
  for _ in range(1500):
    loop.tick(state_lost=loop.random.random() < 0.1, command_lost=loop.random.random() < 0.1)
  assert loop.arm.reflex is None and loop.told.mode == safety.RUN
  assert loop.arm.missed_in_all > 200 and loop.arm.use.jerk <= 1.0


@pytest.mark.parametrize("lost", ["state_lost", "command_lost"])
def test_nineteen_packets_lost_in_a_row_are_made_up_for(loop, lost):
  loop.run(300)
  assert np.abs(loop.arm.desired.velocity).max() > 0.3
  for _ in range(19):
    loop.tick(**{lost: True})
  loop.run(300)
  assert loop.arm.reflex is None and loop.arm.worst_missed == 19
  gap = np.abs(loop.state.motion.recent.mean(axis=0) - loop.told.position).max()
  assert gap < 5e-3  # back on its way, but for the filter's own delay


def test_a_policy_that_stalls_is_braked_and_held_within_half_a_second(loop):
  loop.run(300)
  loop.thinks = False
  loop.run(210)  # a period that is under way, and three without an action
  assert loop.told.mode == safety.DAMP and loop.reason == "stale policy"
  loop.run(290)
  held = loop.told.position
  loop.thinks = True
  loop.run(300)
  np.testing.assert_allclose(loop.told.position, held, atol=1e-12)
  assert loop.arm.reflex is None and loop.told.mode == safety.DAMP


def test_a_state_that_is_frozen_is_noticed_within_a_tenth_of_a_second(loop):
  loop.run(300)
  loop.frozen = loop.arm.ticks, np.stack([loop.arm.position, loop.arm.velocity, *loop.arm.desired])
  loop.tick()
  loop.run(102)
  assert loop.told.mode == safety.DAMP and loop.reason == "stale state"
  loop.run(500)
  assert loop.arm.reflex is None
  assert np.abs(loop.arm.desired.velocity).max() < 1e-9


def test_an_action_that_is_not_finite_brakes_at_once(loop):
  loop.run(300)
  while loop.action is None:
    loop.tick()
  loop.action = np.full(JOINTS, np.nan), loop.action[1]
  loop.run(motion.LATENCY_TICKS + 2)
  assert loop.told.mode == safety.DAMP and loop.reason == "not finite"
  loop.run(500)
  assert loop.arm.reflex is None and np.isfinite(loop.told.position).all()


def test_an_action_begins_ten_ticks_after_its_look(loop):
  loop.run(1 + motion.LATENCY_TICKS)
  assert not loop.state.motion.action.any()
  loop.tick()
  assert loop.state.motion.action.any() and loop.state.motion.ticks == 1


def test_a_motion_that_shall_stop_is_finished_at_rest(loop):
  loop.run(300)
  loop.is_stopping = True
  for _ in range(800):
    loop.tick()
    if loop.told.is_finished:
      break
  assert loop.told.is_finished and loop.told.mode == safety.RUN
  assert np.abs(loop.arm.desired.velocity).max() < 1e-8


def test_a_filter_that_resumes_goes_on_from_where_the_robot_wants_to_be(constants, limits):
  random = np.random.default_rng(4)
  position = np.array(constants.default_pose)
  velocity, acceleration = random.normal(0.0, 0.5, JOINTS), random.normal(0.0, 3.0, JOINTS)
  filtered = controller.resume(limits, safety.start(limits), position, velocity, acceleration)
  np.testing.assert_allclose(filtered.track.mean(axis=0), position, atol=1e-14)
  rows = np.diff(filtered.track, 2, axis=0) / TICK_SECONDS**2
  np.testing.assert_allclose(rows, np.tile(acceleration, (len(rows), 1)), atol=1e-6)
  before = filtered.track[0] - filtered.speed * TICK_SECONDS
  np.testing.assert_allclose(before, filtered.track[1] + 0.0, atol=2e-5)
