"""The simulated Panda's reflexes, each by libfranka's name."""

import numpy as np
import pytest

from jaxskills.assets.panda import PANDA
from jaxskills.deploy.franka import arm as arms
from jaxskills.deploy.franka.arm import Arm
from jaxskills.deploy.franka.motion import TICK_SECONDS

POSE = np.array(PANDA.default_pose)


def moving(pose: np.ndarray = POSE) -> Arm:
  """An arm whose motion has begun with where it is."""
  arm = Arm(pose)
  arm.start()
  arm.tick(pose)
  return arm


def push(arm: Arm, jerk: float, ticks: int, joint: int = 0) -> None:
  """Commands with a jerk of one joint, rad/s^3, for so many ticks or until a reflex."""
  for _ in range(ticks):
    place, velocity, acceleration = (value.copy() for value in arm.desired)
    acceleration[joint] += TICK_SECONDS * jerk
    velocity += TICK_SECONDS * acceleration
    if arm.reflex is None:
      arm.tick(place + TICK_SECONDS * velocity)


def test_a_motion_within_the_limits_has_no_reflex():
  arm = moving()
  push(arm, 0.9 * PANDA.jerk_limit[0], 2)
  push(arm, -0.9 * PANDA.jerk_limit[0], 2)
  assert arm.reflex is None and arm.use.jerk == pytest.approx(0.9)
  assert arm.use.acceleration == pytest.approx(2 * 0.9 * 7.5 / 15.0)


def test_too_much_jerk_is_a_discontinuity_of_acceleration():
  arm = moving()
  push(arm, 1.01 * PANDA.jerk_limit[0], 1)
  assert arm.reflex == "joint_motion_generator_acceleration_discontinuity"


def test_too_much_acceleration_is_a_discontinuity_of_velocity():
  arm = moving()
  push(arm, 0.99 * PANDA.jerk_limit[0], 3)
  assert arm.reflex == "joint_motion_generator_velocity_discontinuity"


def test_too_much_velocity_violates_its_limit():
  arm = moving()
  push(arm, 7000.0, 2)
  push(arm, 0.0, 200)
  assert arm.reflex == "joint_motion_generator_velocity_limits_violation"


def test_a_joint_is_not_led_out_of_its_range():
  pose = POSE.copy()
  pose[0] = PANDA.upper[0] - 1e-3
  arm = moving(pose)
  push(arm, 5000.0, 2)
  push(arm, 0.0, 50)
  assert arm.reflex == "joint_motion_generator_position_limits_violation"


def test_a_motion_begins_where_the_robot_is():
  arm = Arm()
  arm.start()
  arm.tick(POSE + 0.02)
  assert arm.reflex == "joint_position_motion_generator_start_pose_invalid"


def test_nothing_but_numbers_is_taken():
  arm = moving()
  arm.tick(np.full(7, np.nan))
  assert arm.reflex == arms.NOT_FINITE
  assert np.isfinite(arm.desired.position).all()


def test_the_twentieth_command_missed_in_a_row_is_one_too_many():
  arm = moving()
  for _ in range(arms.MISSED_LIMIT - 1):
    arm.tick(None)
  assert arm.reflex is None
  arm.tick(arm.desired.position)
  for _ in range(arms.MISSED_LIMIT):
    arm.tick(None)
  assert arm.reflex == "communication_constraints_violation"


def test_what_is_missed_is_extrapolated_with_constant_acceleration():
  arm = moving()
  push(arm, 5000.0, 2)
  before = arm.desired
  arm.tick(None)
  np.testing.assert_array_equal(arm.desired.acceleration, before.acceleration)
  velocity = before.velocity + TICK_SECONDS * before.acceleration
  np.testing.assert_allclose(arm.desired.velocity, velocity, atol=1e-15)
  np.testing.assert_allclose(arm.desired.position, before.position + TICK_SECONDS * velocity)


def test_after_a_reflex_the_robot_brakes_and_lets_nobody_command():
  arm = moving()
  push(arm, 7000.0, 2)
  push(arm, 0.0, 20)
  push(arm, 1e5, 1)
  assert arm.reflex is not None and not arm.moving
  for _ in range(300):
    arm.tick(POSE)
  assert not arm.desired.velocity.any()
  assert np.abs(arm.velocity).max() < 0.05
  arm.recover()
  assert arm.reflex is None
