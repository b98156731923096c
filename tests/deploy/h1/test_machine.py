"""Tests of the controller's states, one tick after the other, without a network."""

import numpy as np
import pytest

from jaxskills.assets.h1 import H1
from jaxskills.deploy import bundle as bundles
from jaxskills.deploy import safety
from jaxskills.deploy.h1 import messages
from jaxskills.deploy.h1.commands import Joystick, Keyboard, Ranges, Wish, pack_remote
from jaxskills.deploy.h1.controller import is_newer
from jaxskills.deploy.h1.machine import (
  STAND_SECONDS,
  Decision,
  Fault,
  Machine,
  Packer,
  State,
  read_contract,
)

TICK = 0.002
DEFAULT = np.array(H1.default_pose)
START = DEFAULT + 0.2


@pytest.fixture(scope="module")
def contract(h1_bundle):
  return read_contract(bundles.read(h1_bundle).manifest)


class Ticks:
  """Runs a machine; the robot stays where it is."""

  def __init__(self, contract) -> None:
    self.machine, self.now = Machine(contract), 1.0

  def run(self, seconds: float, wish: Wish, decide=None, upright=1.0, velocity=0.0, **flags):
    """The last order of so many seconds."""
    order = None
    for _ in range(max(round(seconds / TICK), 1)):
      self.now += TICK
      reading = safety.Reading(self.now, START, np.full(19, velocity), upright, 1.03)
      decision = None if decide is None else Decision(0, self.now, decide)
      order = self.machine.tick(self.now, reading, wish, decision, **flags)
    return order

  def stand(self):
    """Stands and is about to walk."""
    self.run(TICK, Wish())  # a first reading
    return self.run(STAND_SECONDS, Wish(stand=True))


@pytest.fixture
def ticks(contract):
  return Ticks(contract)


def test_nothing_is_held_before_the_operator_asks(ticks):
  order = ticks.run(1.0, Wish(walk=True))
  assert (order.state, order.mode) == (State.ZERO_TORQUE, safety.IDLE)
  assert not order.stiffness.any() and not order.damping.any()


def test_standing_up_takes_two_seconds_from_the_measured_pose(ticks):
  ticks.run(TICK, Wish())
  first = ticks.run(TICK, Wish(stand=True))
  np.testing.assert_allclose(first.position, START, atol=1e-9)
  np.testing.assert_allclose(first.stiffness, H1.stiffness)
  half = ticks.run(1.0, Wish(stand=True))
  np.testing.assert_allclose(half.position, DEFAULT + 0.1, atol=0.002)
  whole = ticks.run(1.1, Wish(stand=True))
  assert whole.state is State.STAND
  np.testing.assert_allclose(whole.position, DEFAULT, atol=1e-3)


def test_the_policy_takes_over_no_sooner_than_the_robot_stands(ticks):
  assert ticks.run(1.9, Wish(stand=True, walk=True)).state is State.STAND
  order = ticks.run(0.2, Wish(stand=True, walk=True), decide=DEFAULT + 0.05)
  assert order.state is State.POLICY
  np.testing.assert_allclose(order.position, DEFAULT + 0.05, atol=1e-2)


def test_a_decision_of_before_the_walk_is_not_obeyed(ticks):
  ticks.stand()
  ticks.now += TICK
  reading = safety.Reading(ticks.now, START, np.zeros(19), 1.0, 1.03)
  old = Decision(7, ticks.now - 1.0, DEFAULT + 0.4)
  wish = Wish(stand=True, walk=True)
  order = ticks.machine.tick(ticks.now + TICK, reading, wish, old)
  assert order.state is State.POLICY
  np.testing.assert_allclose(order.position, DEFAULT, atol=5e-3)


def test_a_policy_that_never_decides_damps_the_robot_within_three_periods(ticks):
  ticks.stand()
  assert ticks.run(0.058, Wish(walk=True)).state is State.POLICY
  order = ticks.run(0.01, Wish(walk=True))
  assert (order.state, order.reason) == (State.DAMP, "stale policy")


@pytest.mark.parametrize("before", ["zero torque", "stand", "policy"])
def test_stopping_damps_at_once_from_every_state(ticks, before):
  if before != "zero torque":
    ticks.stand()
  if before == "policy":
    ticks.run(0.1, Wish(walk=True), decide=DEFAULT)
  order = ticks.run(TICK, Wish(stop=True))
  assert (order.state, order.mode) == (State.DAMP, safety.DAMP)
  assert order.reason == "the operator stopped it"
  assert not order.stiffness.any() and (order.damping > 0).all()
  again = ticks.run(0.1, Wish(stand=True, walk=True))
  assert again.state is State.DAMP and again.mode == safety.DAMP, "damping is latched"


def test_somebody_elses_commands_damp(ticks):
  ticks.stand()
  order = ticks.run(TICK, Wish(stand=True), fault=Fault.FOREIGN_COMMANDS)
  assert order.state is State.DAMP
  assert order.reason == "another process commands this robot"


def test_the_operator_can_begin_anew_after_damping(ticks):
  ticks.stand()
  ticks.run(TICK, Wish(stop=True))
  order = ticks.run(TICK, Wish(reset=True))
  assert (order.state, order.mode) == (State.ZERO_TORQUE, safety.IDLE)
  assert order.reason == ""
  assert ticks.run(TICK, Wish(stand=True)).state is State.STAND


def test_a_wish_to_begin_anew_that_is_kept_up_lets_go_of_one_fault_only(ticks):
  ticks.stand()
  ticks.run(TICK, Wish(stop=True))
  assert ticks.run(TICK, Wish(reset=True)).state is State.ZERO_TORQUE
  kept = Wish(reset=True, stand=True, walk=True)
  assert ticks.run(1.0, kept).state is State.STAND
  assert ticks.run(0.1, kept, upright=0.5).reason == "tilt"
  assert ticks.run(1.0, kept).state is State.DAMP


def test_a_keyboard_that_began_anew_does_not_let_go_of_the_next_fault(ticks):
  keyboard = Keyboard(Ranges((-1.0,) * 3, (1.0,) * 3))
  remote = pack_remote()

  def run(seconds: float, **flags):
    for _ in range(round(seconds / TICK)):
      order = ticks.run(TICK, keyboard.wish(remote, 0.0, 0.0), **flags)
    return order

  ticks.stand()
  for key, state in (("x", State.DAMP), ("r", State.ZERO_TORQUE), ("\n", State.STAND)):
    keyboard.press(key)
    assert run(0.1).state is state
  keyboard.press("\n")
  keyboard.press("w")
  assert run(0.1, upright=0.5).state is State.DAMP
  assert run(1.0).state is State.DAMP
  keyboard.press("r")
  assert run(0.1).state is State.ZERO_TORQUE


def test_stopping_wins_over_beginning_anew(ticks):
  ticks.stand()
  assert ticks.run(0.1, Wish(stop=True, reset=True)).state is State.DAMP
  assert ticks.run(0.1, Wish(stop=True)).state is State.DAMP
  both = Joystick(Ranges((-1.0,) * 3, (1.0,) * 3)).wish(pack_remote(["B", "X"]), 0.0, 0.0)
  assert ticks.run(0.1, both).state is State.DAMP
  assert ticks.run(0.1, Wish(reset=True)).state is State.DAMP, "it was up before the stop went"


def test_damping_from_zero_torque_keeps_to_the_motors_torque_too(ticks, contract):
  limits = contract.limits
  fast = 0.99 * limits.reading_speed
  ticks.run(TICK, Wish(), velocity=fast)
  order = ticks.run(TICK, Wish(stop=True), velocity=fast)
  assert (order.state, order.mode) == (State.DAMP, safety.DAMP)
  assert (limits.damp_damping * fast > limits.torque).any(), "else there is nothing to clamp"
  assert (order.damping * fast <= limits.torque * (1.0 + 1e-9)).all()


def test_states_that_cease_damp_within_a_tenth_of_a_second_and_a_tick(ticks):
  ticks.stand()
  reading = safety.Reading(ticks.now, START, np.zeros(19), 1.0, 1.03)
  held = 0
  while ticks.machine.state is not State.DAMP:
    held += 1
    order = ticks.machine.tick(ticks.now + TICK * held, reading, Wish(stand=True), None)
  assert order.reason == "stale state"
  assert TICK * held <= 0.1 + TICK + 1e-9


def test_a_radian_of_tilt_damps_in_the_tick_that_reads_it(ticks):
  ticks.stand()
  assert ticks.run(TICK, Wish(stand=True), upright=np.cos(0.999)).state is State.STAND
  assert ticks.run(TICK, Wish(stand=True), upright=np.cos(1.001)).reason == "tilt"


def test_a_fault_that_is_still_there_cannot_be_reset(ticks):
  ticks.stand()
  ticks.run(TICK, Wish(), fault=Fault.FOREIGN_COMMANDS)
  order = ticks.run(TICK, Wish(reset=True), fault=Fault.FOREIGN_COMMANDS)
  assert (order.state, order.mode) == (State.DAMP, safety.DAMP)


def test_targets_go_to_the_motors_slots_and_the_unused_one_moves_nothing(contract):
  packer = Packer(contract.motors, contract.modes)
  position, gains = np.arange(19) / 10.0, np.arange(19) + 1.0
  record = packer.pack(position, gains, 2.0 * gains)
  assert messages.is_intact(record)
  slots = record["motor_cmd"]
  for joint, motor in enumerate(H1.motors):
    assert slots[motor]["q"] == np.float32(position[joint])
    assert (slots[motor]["kp"], slots[motor]["kd"]) == (joint + 1.0, 2.0 * (joint + 1.0))
    assert slots[motor]["mode"] == (0x01 if motor >= 10 else 0x0A)
    assert (slots[motor]["dq"], slots[motor]["tau"]) == (0.0, 0.0)
  unused = slots[9]
  assert (unused["mode"], unused["kp"], unused["kd"], unused["tau"]) == (0, 0.0, 0.0, 0.0)


def test_the_robots_clock_goes_on_over_its_end_and_never_back():
  assert is_newer(8, 6)
  assert not is_newer(6, 6)
  assert not is_newer(4, 6)
  assert is_newer(1, 2**32 - 1)
  assert not is_newer(2**32 - 1, 1)
