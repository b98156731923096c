"""Tests of what the safety filter takes: readings, commands and actions."""

import numpy as np
import pytest

from jaxskills.deploy import safety
from jaxskills.deploy.safety import DAMP, RUN, Command, Reading
from tests.deploy.safety_robots import Driver, column, h1

H1 = h1()


@pytest.mark.parametrize(
  "spoilt",
  [
    {"position": column(H1, np.nan)},
    {"velocity": column(H1, np.inf)},
    {"position": H1.range_upper + 0.21},
    {"position": H1.range_lower - 0.21},
    {"velocity": 2.01 * H1.velocity},
    {"upright": np.nan},
    {"upright": 1.1},
    {"height": np.nan},
    {"height": 2.1},
    {"stamp": np.nan},
    {"stamp": np.inf},
  ],
)
def test_a_reading_that_cannot_be_is_not_taken(spoilt):
  driver = Driver(H1).engage()
  before = driver.state
  fresh = Reading(driver.now + H1.tick, H1.default_pose + 0.1, column(H1, 0.0), 1.0, 1.0)
  driver.reading = fresh._replace(**spoilt)
  assert driver.tick().mode == RUN
  np.testing.assert_array_equal(driver.state.position, before.position)
  assert driver.state.reading_stamp == before.reading_stamp
  driver.reading = fresh
  driver.tick()
  np.testing.assert_array_equal(driver.state.position, fresh.position)


def test_a_reading_at_the_edge_of_belief_is_taken():
  driver = Driver(H1)
  edge = H1.range_upper + H1.reading_margin
  driver.reading = Reading(0.0, edge, 2.0 * H1.velocity, 1.0, 2.0)
  driver.tick()
  np.testing.assert_array_equal(driver.state.position, edge)


def test_a_reading_that_comes_late_does_not_replace_a_newer_one():
  driver = Driver(H1)
  driver.ticks(5)
  driver.reading = Reading(2.0 * H1.tick, H1.default_pose + 0.1, column(H1, 0.0), 1.0, 1.0)
  driver.tick()
  np.testing.assert_array_equal(driver.state.position, H1.default_pose)


def test_a_reading_may_be_ahead_of_the_tick_by_one_and_no_more():
  for ahead, is_taken in ((1.0, True), (1.001, False)):
    driver = Driver(H1)
    driver.reading = Reading(ahead * H1.tick, H1.default_pose + 0.1, column(H1, 0.0), 1.0, 1.0)
    driver.tick()
    assert (driver.state.position[0] != H1.default_pose[0]) == is_taken


def test_readings_count_as_held_when_they_are_older_than_two_ticks():
  driver = Driver(H1).engage()
  driver.now = 0.0
  driver.state = driver.state._replace(now=0.0, reading_stamp=0.0, command_stamp=0.0)
  driver.reading = Reading(0.0, H1.default_pose, column(H1, 0.0), 1.0, 1.0)
  driver.ticks(2)
  assert driver.now == 2.0 * H1.tick and driver.state.held == 0
  driver.tick()
  assert driver.state.held == 1


def test_an_older_command_is_ignored():
  driver = Driver(H1).engage()
  driver.command = Command(driver.now - 0.001, H1.default_pose + 0.3, False)
  assert driver.tick().mode == RUN
  np.testing.assert_array_equal(driver.state.wanted, H1.default_pose)


def test_a_command_from_the_future_is_ignored():
  driver = Driver(H1).engage()
  driver.command = Command(driver.now + 1.0, H1.default_pose + 0.3, True)
  driver.tick()
  np.testing.assert_array_equal(driver.state.wanted, H1.default_pose)


def test_an_action_is_clipped_scaled_and_put_about_the_offset():
  action = np.zeros(10)
  action[:3] = 1.0, 100.0, -100.0
  target = safety.target_of(H1, action)
  expected = np.array(H1.default_pose)
  expected[:3] += 0.25, 1.0, -1.0
  np.testing.assert_allclose(target, expected, rtol=1e-15)


def test_an_action_that_is_not_finite_gives_a_target_that_is_refused():
  action = np.zeros((2, 10))
  action[1, 4] = np.nan
  target = safety.target_of(H1, action)
  np.testing.assert_array_equal(np.isnan(target).all(-1), [False, True])
  driver = Driver(H1).engage()
  driver.target = target[1]
  assert driver.tick().mode == DAMP and driver.reason() == "not finite"


def test_what_a_caller_does_to_its_arrays_later_changes_nothing():
  position = np.array(H1.default_pose)
  driver = Driver(H1, position=position)
  driver.tick()
  position += 1.0
  np.testing.assert_array_equal(driver.state.position, H1.default_pose)
