"""Tests of how the safety filter moves set-points: within the limits, and no slower than that."""

import numpy as np
import pytest

from jaxskills.deploy.safety import DAMP, RUN, Limits
from tests.deploy.safety_robots import ROBOTS, Driver, awkward, column, h1, panda

H1, PANDA = h1(), panda()
SETTLED = 1e-12  # rad: the bound on overshoot, and on what is left


def follow(driver: Driver, targets: np.ndarray) -> np.ndarray:
  sent = []
  for target in targets:
    driver.target = target
    output = driver.tick()
    assert np.all(output.mode == RUN)
    sent.append(output.position)
  return np.array(sent)


def slow_wave(limits: Limits, ticks: int) -> np.ndarray:
  """A pose that swings with .8 of the speed and of the acceleration, from rest, then ramps on."""
  time = limits.tick * np.arange(1, ticks + 1)[:, None]
  pace = limits.acceleration / limits.speed
  size = 0.8 * limits.speed**2 / limits.acceleration
  size = np.minimum(size, 0.3 * (limits.upper - limits.lower))
  middle = 0.5 * (limits.lower + limits.upper)
  return middle + size * (1.0 - np.cos(pace * time))


@pytest.mark.parametrize("limits", [H1, PANDA], ids=lambda limits: limits.robot)
def test_targets_within_the_limits_pass_as_they_are_but_for_the_average(limits):
  targets = slow_wave(limits, 400)
  start = 0.5 * (limits.lower + limits.upper)
  driver = Driver(limits, position=start).engage()
  sent = follow(driver, targets)
  padded = np.concatenate([np.tile(start, (limits.window - 1, 1)), targets])
  average = np.mean([padded[i : i + len(targets)] for i in range(limits.window)], axis=0)
  np.testing.assert_allclose(sent, average, atol=1e-12)


def test_the_average_delays_slow_signals_by_two_milliseconds_for_the_h1():
  assert 0.5 * (H1.window - 1) * H1.tick == pytest.approx(0.002)
  assert 0.5 * (PANDA.window - 1) * PANDA.tick == pytest.approx(0.0015)


@pytest.mark.parametrize("limits", [H1, PANDA, awkward()], ids=lambda limits: limits.robot)
def test_a_step_is_reached_without_overshoot_and_stays_reached(limits):
  step = np.array([[0.0005], [0.01], [0.1], [0.3]]) * (limits.upper - limits.lower)
  start = np.broadcast_to(limits.lower + 0.2 * (limits.upper - limits.lower), step.shape)
  driver = Driver(limits, position=start).engage()
  seconds = step / limits.speed + limits.speed / limits.acceleration
  ticks = int(np.ceil(seconds.max() / limits.tick)) + limits.window + 1
  sent = follow(driver, np.tile(start + step, (ticks, 1, 1)))
  np.testing.assert_allclose(sent[-1], start + step, atol=SETTLED)
  assert (np.diff(sent, axis=0) >= -SETTLED).all()
  assert (sent <= start + step + SETTLED).all()


def test_small_steps_while_it_brakes_do_not_make_it_overshoot():
  driver = Driver(PANDA).engage(PANDA.default_pose + 0.2)
  nudges = 0.001 * np.minimum(np.arange(500) // 5, 40)[:, None]
  sent = follow(driver, PANDA.default_pose + 0.2 + nudges)
  assert (np.diff(sent, axis=0) >= -SETTLED).all()
  np.testing.assert_allclose(sent[-1], PANDA.default_pose + 0.24, atol=SETTLED)


@pytest.mark.parametrize(("step", "milliseconds"), [(0.1, 14.0), (0.25, 20.0)])
def test_a_step_of_a_hip_is_followed_as_fast_as_documented(step, milliseconds):
  driver = Driver(H1).engage()
  sent = follow(driver, np.tile(H1.default_pose + step, (50, 1)))
  share = (sent[:, 0] - H1.default_pose[0]) / step
  assert (np.argmax(share > 0.5) + 1) * H1.tick <= 0.010
  assert (np.argmax(share > 1.0 - 1e-9) + 1) * H1.tick * 1e3 <= milliseconds


def test_a_target_that_turns_back_in_flight_is_passed_by_the_braking_distance_at_most():
  driver = Driver(PANDA).engage(PANDA.default_pose + 1.0)
  driver.ticks(250)
  place, speed = np.array(driver.state.track[0]), np.array(driver.state.speed)
  sent = follow(driver, np.tile(place, (700, 1)))
  beyond = speed**2 / (2.0 * PANDA.acceleration)
  assert (sent.max(0) <= place + beyond + 1e-9).all()
  assert (sent.min(0) >= place - 0.1).all()
  np.testing.assert_allclose(sent[-1], place, atol=SETTLED)


@pytest.mark.parametrize("name", ROBOTS)
def test_wild_targets_end_at_the_soft_limits_and_never_beyond(name):
  limits = ROBOTS[name]()
  edges = np.stack([limits.lower, limits.upper])
  start = 0.2 * edges + 0.8 * limits.default_pose
  wild = np.stack([column(limits, -1e30), column(limits, 1e30)])
  driver = Driver(limits, position=start).engage(wild)
  seconds = np.abs(edges - start) / limits.speed + limits.speed / limits.acceleration
  ticks = int(seconds.max() / limits.tick) + limits.window + 1
  sent = follow(driver, np.tile(wild, (ticks, 1, 1)))
  np.testing.assert_allclose(sent[-1], edges, atol=SETTLED)
  assert (sent >= limits.lower - SETTLED).all() and (sent <= limits.upper + SETTLED).all()


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_target_that_runs_into_the_end_of_the_range_is_let_go_in_time_to_brake(side):
  edge = PANDA.upper if side > 0 else PANDA.lower
  away = side * np.maximum(0.0, 0.4 - 0.9 * PANDA.speed * PANDA.tick * np.arange(520)[:, None])
  driver = Driver(PANDA, position=edge - away[0]).engage()
  sent = follow(driver, edge - away)
  change = np.diff(sent, n=2, axis=0) / PANDA.tick**2
  assert (np.abs(change) <= PANDA.acceleration * (1.0 + 1e-8)).all()
  assert (np.abs(np.diff(sent, axis=0)).max(0) > 0.8 * PANDA.speed * PANDA.tick).all()
  assert (side * (sent - edge) <= SETTLED).all()
  np.testing.assert_allclose(sent[-1], edge, atol=SETTLED)


def test_a_joint_that_starts_outside_comes_in_and_is_never_driven_further_out():
  start = np.array(H1.range_upper)
  start[1::2] = H1.range_lower[1::2]
  driver = Driver(H1, position=start).engage(np.where(start > 0, 1e30, -1e30))
  first = driver.ticks(1)
  assert (np.abs(first.position - start) < 0.03).all()
  sent = follow(driver, np.tile(driver.target, (50, 1)))
  outwards = np.where(np.arange(len(start)) % 2, -1.0, 1.0)
  assert (outwards * np.diff(sent, axis=0) <= SETTLED).all()
  np.testing.assert_allclose(sent[-1], np.where(outwards > 0, H1.upper, H1.lower), atol=SETTLED)


def test_a_joint_that_was_measured_beyond_its_range_starts_at_the_end_of_it():
  driver = Driver(H1, position=H1.range_upper + 0.1)
  driver.tick()
  driver.engaged = True
  assert (driver.tick().position <= H1.range_upper).all()


def test_engaging_starts_at_the_pose_of_that_very_tick_at_rest():
  driver = Driver(PANDA)
  driver.ticks(3)
  driver.position = PANDA.default_pose + 0.3
  driver.velocity, driver.engaged = column(PANDA, 1.0), True
  driver.target = driver.position
  np.testing.assert_allclose(driver.tick().position, driver.position, atol=1e-15)


def test_after_a_reset_motion_begins_anew_from_where_the_robot_is():
  driver = Driver(H1).engage(H1.default_pose + 0.3)
  driver.ticks(3)
  driver.engaged = False
  assert driver.tick().mode == DAMP
  driver.position = H1.default_pose - 0.1
  driver.tick(reset=True)
  driver.engaged, driver.target = True, driver.position
  np.testing.assert_allclose(driver.ticks(5).position, driver.position, atol=1e-15)


def test_gains_go_down_together_where_the_torque_would_be_too_great():
  driver = Driver(H1).engage(H1.default_pose)
  driver.velocity = column(H1, 8.0)
  driver.position = np.clip(H1.default_pose - 0.8, H1.range_lower, H1.range_upper)
  output = driver.tick()
  asked = np.abs(H1.stiffness * (output.position - driver.position) - H1.damping * 8.0)
  over = asked > H1.torque
  assert over.any() and not over.all()
  torque = output.stiffness * (output.position - driver.position) - output.damping * 8.0
  np.testing.assert_allclose(np.abs(torque)[over], H1.torque[over], rtol=1e-9)
  np.testing.assert_allclose(output.stiffness / H1.stiffness, output.damping / H1.damping)
  np.testing.assert_array_equal(output.stiffness[~over], H1.stiffness[~over])


def test_damping_alone_asks_no_motor_for_more_than_its_torque():
  driver = Driver(H1).engage()
  driver.velocity, driver.upright = 1.9 * H1.velocity, 0.0
  output = driver.tick()
  assert output.mode == DAMP
  assert (output.damping * driver.velocity <= H1.torque * (1.0 + 1e-9)).all()
  assert (output.damping < 8.0).any()


def test_many_filters_at_once_do_what_each_would_do_alone():
  targets = H1.default_pose + np.random.default_rng(0).uniform(-0.4, 0.4, (30, 2, 19))
  lone = [follow(Driver(H1).engage(), targets[:, robot]) for robot in range(2)]
  both = follow(Driver(H1, position=np.tile(H1.default_pose, (2, 1))).engage(), targets)
  np.testing.assert_array_equal(both, np.stack(lone, axis=1))
