"""Tests of the safety filter's modes: what latches it, at which tick, and what lets go."""

import numpy as np
import pytest

from jaxskills.deploy import safety
from jaxskills.deploy.safety import DAMP, IDLE, REASONS, RUN, Command, Reading
from tests.deploy.safety_robots import ROBOTS, Driver, column, h1, panda

H1, PANDA = h1(), panda()


def test_nobody_engaged_gets_no_gains_and_the_measured_pose():
  driver = Driver(H1, position=H1.default_pose + 0.05)
  output = driver.ticks(3)
  assert (output.mode, output.reason) == (IDLE, 0)
  np.testing.assert_array_equal(output.stiffness, 0.0)
  np.testing.assert_array_equal(output.damping, 0.0)
  np.testing.assert_allclose(output.position, H1.default_pose + 0.05)


def test_engaged_it_runs_with_the_gains_of_the_robot():
  driver = Driver(H1).engage()
  output = driver.tick()
  assert (output.mode, output.reason) == (RUN, 0)
  np.testing.assert_array_equal(output.stiffness, H1.stiffness)
  np.testing.assert_array_equal(output.damping, H1.damping)


def test_a_legged_robot_is_damped_and_let_go():
  driver = Driver(H1).engage(H1.default_pose + 0.1)
  driver.ticks(5)
  driver.position = H1.default_pose + 0.02
  driver.upright = 0.0
  output = driver.tick()
  assert output.mode == DAMP
  np.testing.assert_array_equal(output.stiffness, 0.0)
  np.testing.assert_array_equal(output.damping, 8.0)
  np.testing.assert_allclose(output.position, driver.position)


def test_an_arm_brakes_to_rest_and_holds():
  driver = Driver(PANDA).engage(PANDA.default_pose + 1.0)
  moved = [driver.tick().position for _ in range(250)]
  fast = (moved[-1] - moved[-2]) / PANDA.tick
  assert (fast > 1.8).all()
  driver.command = Command(driver.now, column(PANDA, np.nan), True)
  stop = [driver.tick() for _ in range(310)]
  assert all(output.mode == DAMP for output in stop)
  way = stop[-1].position - moved[-1]
  needed = fast**2 / (2.0 * PANDA.acceleration) + PANDA.window * PANDA.tick * fast
  assert (way > 0.0).all() and (way <= needed).all()
  np.testing.assert_array_equal(stop[-1].position, stop[-2].position)


@pytest.mark.parametrize("name", ROBOTS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_command_that_is_not_finite_latches_at_once(name, value):
  driver = Driver(ROBOTS[name]()).engage()
  target = np.array(driver.target)
  target[-1] = value
  driver.target = target
  assert driver.tick().mode == DAMP and driver.reason() == "not finite"


def test_a_command_whose_stamp_is_not_finite_latches_though_nobody_is_engaged():
  driver = Driver(H1)
  driver.command = Command(np.nan, H1.default_pose, False)
  assert driver.tick().mode == DAMP and driver.reason() == "not finite"


def test_a_state_of_exactly_a_tenth_of_a_second_is_borne_and_a_tick_more_is_not():
  driver = Driver(H1)
  driver.tick(now=0.0)
  driver.reading = Reading(0.0, H1.default_pose, column(H1, 0.0), 1.0, 1.0)
  driver.engaged = True
  for now in np.linspace(0.002, 0.098, 49):
    assert driver.tick(now=now).mode == RUN
  assert driver.tick(now=0.1).mode == RUN
  assert driver.tick(now=0.1 + H1.tick).mode == DAMP and driver.reason() == "stale state"


def test_a_frozen_state_damps_a_robot_that_nobody_has_engaged():
  driver = Driver(H1)
  driver.tick(now=0.0)
  driver.reading = Reading(0.0, H1.default_pose, column(H1, 0.0), 1.0, 1.0)
  assert driver.tick(now=0.1).mode == IDLE
  assert driver.tick(now=0.1001).mode == DAMP and driver.reason() == "stale state"


def test_before_the_first_reading_it_waits_and_cannot_be_engaged():
  driver = Driver(H1)
  driver.reading = Reading(np.nan, H1.default_pose, column(H1, 0.0), 1.0, 1.0)
  assert driver.ticks(100).mode == IDLE
  driver.engaged = True
  assert driver.tick().mode == DAMP and driver.reason() == "stale state"


@pytest.mark.parametrize(("limits", "periods"), [(H1, 0.06), (PANDA, 0.15)])
def test_a_policy_of_exactly_three_periods_is_borne_and_a_tick_more_is_not(limits, periods):
  assert limits.command_seconds == pytest.approx(periods)
  driver = Driver(limits)
  driver.tick(now=0.0)
  driver.command = Command(0.0, limits.default_pose, True)
  for now in np.linspace(0.01, limits.command_seconds, 10):
    assert driver.tick(now=now).mode == RUN
  late = driver.tick(now=limits.command_seconds + limits.tick)
  assert late.mode == DAMP and driver.reason() == "stale policy"


def test_a_policy_that_nobody_has_engaged_may_be_as_old_as_it_likes():
  driver = Driver(H1)
  driver.command = Command(0.0, H1.default_pose, False)
  assert driver.ticks(100).mode == IDLE


@pytest.mark.parametrize(
  ("field", "least", "reason"),
  [("upright", np.cos(1.0), "tilt"), ("height", 0.5, "height")],
)
def test_a_fall_latches_just_below_its_bound_and_not_at_it(field, least, reason):
  driver = Driver(H1).engage()
  setattr(driver, field, least)
  assert driver.tick().mode == RUN
  setattr(driver, field, np.nextafter(least, 0.0))
  assert driver.tick().mode == DAMP and driver.reason() == reason


def test_a_robot_that_lies_down_is_not_damped_before_it_is_engaged():
  driver = Driver(H1)
  driver.upright, driver.height = 0.0, 0.2
  assert driver.ticks(10).mode == IDLE
  driver.engaged = True
  assert driver.tick().mode == DAMP and driver.reason() == "tilt"


def test_an_arm_neither_leans_nor_falls():
  driver = Driver(PANDA).engage()
  driver.upright, driver.height = -1.0, -5.0
  assert driver.tick().mode == RUN


def test_ten_late_ticks_are_borne_and_the_eleventh_is_not():
  driver = Driver(H1).engage()
  for _ in range(10):
    assert driver.tick(late=True).mode == RUN
  assert driver.tick(late=True).mode == DAMP and driver.reason() == "deadlines"


def test_sixteen_ticks_in_time_make_up_for_a_late_one():
  for in_time, mode in ((16, RUN), (15, DAMP)):
    driver = Driver(H1).engage()
    for _ in range(10):
      driver.tick(late=True)
    driver.ticks(in_time)
    assert driver.tick(late=True).mode == mode


def test_no_more_late_ticks_are_held_against_it_than_it_takes():
  driver = Driver(H1).engage()
  for _ in range(50):
    driver.tick(late=True)
  driver.engaged = False
  driver.ticks(16)
  assert driver.tick(reset=True).mode == IDLE
  driver.engaged = True
  assert driver.tick().mode == RUN


@pytest.mark.parametrize(
  ("now", "mode"),
  [
    (5.0, RUN),  # no time went by
    (5.1, RUN),
    (5.1 + 1e-9, DAMP),
    (5.0 - 1e-9, DAMP),
    (np.nan, DAMP),
    (np.inf, DAMP),
    (1e30, DAMP),
  ],
)
def test_time_goes_on_and_does_not_jump(now, mode):
  driver = Driver(H1)
  driver.limits = H1._replace(clock_seconds=5.1 - 5.0)  # .1 but for the rounding of 5.1
  driver.tick(now=5.0)
  driver.engaged = True
  driver.tick(now=5.0)
  assert driver.tick(now=now).mode == mode
  assert driver.reason() == ("clock" if mode == DAMP else "none")


def test_whoever_lets_go_while_it_runs_gets_a_damped_robot_not_a_limp_one():
  driver = Driver(H1).engage()
  driver.engaged = False
  assert driver.tick().mode == DAMP and driver.reason() == "stopped"


def test_the_latch_holds_until_a_reset_and_its_first_reason_stays():
  driver = Driver(H1).engage()
  driver.upright = 0.0
  driver.tick()
  driver.upright, driver.height = 1.0, 0.1
  assert driver.ticks(100).mode == DAMP and driver.reason() == "tilt"
  driver.height, driver.engaged = 1.0, False
  assert driver.ticks(100).mode == DAMP and driver.reason() == "tilt"
  assert driver.tick(reset=True).mode == IDLE
  assert driver.reason() == "none"
  driver.engaged = True
  assert driver.tick().mode == RUN


def latched() -> Driver:
  driver = Driver(H1).engage()
  driver.upright = 0.0
  driver.tick()
  driver.upright, driver.engaged = 1.0, False
  driver.tick()
  return driver


def test_a_reset_while_somebody_is_engaged_is_refused():
  driver = latched()
  driver.engaged = True
  assert driver.tick(reset=True).mode == DAMP


def test_a_reset_needs_a_reading_of_at_most_two_ticks():
  for age, mode in ((2.0, IDLE), (2.5, DAMP)):
    driver = latched()
    now = driver.now + H1.tick
    stamp = now - age * H1.tick
    driver.reading = Reading(stamp, H1.default_pose, column(H1, 0.0), 1.0, 1.0)
    driver.state = driver.state._replace(reading_stamp=stamp - 1.0)
    driver.limits = H1._replace(tick=0.5 * (now - stamp) if mode == IDLE else H1.tick)
    assert driver.tick(now=now, reset=True).mode == mode


def test_a_reset_with_a_spoilt_reading_stays_latched_once_the_last_is_old():
  driver = latched()
  driver.reading = Reading(driver.now + H1.tick, column(H1, np.nan), column(H1, 0.0), 1.0, 1.0)
  driver.ticks(5)
  assert driver.tick(reset=True).mode == DAMP


def test_a_reset_with_a_command_that_is_not_finite_stays_latched():
  driver = latched()
  driver.target = column(H1, np.nan)
  assert driver.tick(reset=True).mode == DAMP and driver.reason() == "tilt"


def test_after_the_clock_broke_only_readings_of_the_new_time_count():
  driver = Driver(H1).engage()
  driver.tick(now=1e6)
  assert driver.reason() == "clock"
  driver.tick(now=3.0)
  driver.engaged = False
  driver.reading = Reading(1e6, H1.default_pose, column(H1, 0.0), 1.0, 1.0)
  driver.ticks(5)
  assert driver.tick(reset=True).mode == DAMP
  driver.reading = None
  driver.tick()
  assert driver.tick(reset=True).mode == IDLE


def test_every_reason_has_a_name_and_the_table_names_them_all():
  assert REASONS == ("none", *(fault.reason for fault in safety.FAULTS))
  assert len(set(REASONS)) == 9
