"""Each reward term by hand, at its best and off it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.envs.h1 import rewards
from jaxskills.envs.h1.rewards import Stride

UPRIGHT = Stride(
  velocity=jnp.array([0.5, 0.0, 0.0]),
  angular_velocity=jnp.array([0.0, 0.0, 0.2]),
  gravity=jnp.array([0.0, 0.0, -1.0]),
  height=jnp.asarray(1.0),
  command=jnp.array([0.5, 0.0, 0.2]),
  is_moving=jnp.asarray(True),
  contact=jnp.array([True, False]),
  phase=jnp.asarray(0.3),  # left in stance, right (.8) in swing
  foot_height=jnp.array([0.0, rewards.SWING_HEIGHT]),
  foot_speed=jnp.array([0.0, 1.0]),
  joint_velocity=jnp.zeros(19),
  torque=jnp.zeros(19),
  hip_position=jnp.zeros(4),
  action=jnp.zeros(10),
  previous_action=jnp.zeros(10),
  fell=jnp.asarray(False),
)


def test_a_perfect_stride_earns_what_the_weights_promise_and_costs_nothing():
  reward, parts = rewards.total(UPRIGHT, rewards.WEIGHTS, 0.02)
  weights = rewards.WEIGHTS
  expected = 0.02 * (
    weights["tracking_velocity"]
    + weights["tracking_yaw_rate"]
    + weights["alive"]
    + 2 * weights["clock_contact"]
  )
  assert reward == pytest.approx(expected, rel=1e-5)
  costs = [name for name, weight in weights.items() if weight < 0]
  np.testing.assert_allclose([parts[name] for name in costs], 0.0, atol=1e-7)


@pytest.mark.parametrize(
  ("term", "change", "value"),
  [
    ("tracking_velocity", {"velocity": jnp.array([0.2, 0.4, 9.0])}, np.exp(-0.25 / 0.15)),
    ("velocity_error", {"velocity": jnp.array([0.2, 0.4, 9.0])}, 0.5),
    ("tracking_yaw_rate", {"angular_velocity": jnp.array([9.0, 9.0, 0.7])}, np.exp(-1.0)),
    ("yaw_rate_error", {"angular_velocity": jnp.array([9.0, 9.0, -0.3])}, 0.5),
    ("vertical_velocity", {"velocity": jnp.array([0.0, 0.0, -0.3])}, 0.09),
    ("roll_pitch_rate", {"angular_velocity": jnp.array([1.0, 2.0, 9.0])}, 5.0),
    ("tilt", {"gravity": jnp.array([0.6, 0.0, -0.8])}, 0.36),
    ("height_error", {"height": jnp.asarray(0.9)}, 0.01),
    ("action_rate", {"action": jnp.full(10, 0.1)}, 0.1),
    ("torque", {"torque": jnp.full(19, 2.0)}, 76.0),
    ("joint_speed", {"joint_velocity": jnp.full(19, 2.0)}, 76.0),
    ("hip_deviation", {"hip_position": jnp.array([0.1, 0.0, -0.2, 0.0])}, 0.05),
    ("clock_contact", {"contact": jnp.array([False, True])}, -2.0),
    ("clock_contact", {"contact": jnp.array([True, True])}, 0.0),
    ("swing_height", {"foot_height": jnp.array([0.5, 0.0])}, 0.01),
    ("slip", {"foot_speed": jnp.array([0.3, 5.0])}, 0.09),
  ],
)
def test_each_term_by_hand(term: str, change: dict, value: float):
  stride = UPRIGHT._replace(**change)
  assert rewards.TERMS[term](stride) == pytest.approx(value, rel=1e-4)


def test_standing_still_on_both_feet_is_asked_for_only_when_nothing_else_is():
  both = UPRIGHT._replace(contact=jnp.array([True, True]))
  assert rewards.clock_contact(both) == 0.0
  assert rewards.clock_contact(both._replace(is_moving=jnp.asarray(False))) == 2.0


def test_a_step_in_time_costs_a_standing_robot_little():
  """Where it cost as much as a step out of time, every fall was one of a robot told to stand."""
  standing = UPRIGHT._replace(is_moving=jnp.asarray(False), phase=jnp.asarray(0.75))  # right's turn
  left_up = standing._replace(contact=jnp.array([False, True]))
  right_up = standing._replace(contact=jnp.array([True, False]))
  assert rewards.clock_contact(left_up) == 1.0 + rewards.STEP_STANDING
  assert rewards.clock_contact(right_up) == 0.0


def test_standing_still_earns_less_than_walking_as_commanded():
  """The trap that low weights of the clock fall into."""
  still = UPRIGHT._replace(
    velocity=jnp.zeros(3),
    angular_velocity=jnp.zeros(3),
    contact=jnp.array([True, True]),
    foot_height=jnp.zeros(2),
    foot_speed=jnp.zeros(2),
  )
  walking, _ = rewards.total(UPRIGHT, rewards.WEIGHTS, 0.02)
  standing, _ = rewards.total(still, rewards.WEIGHTS, 0.02)
  assert standing < 0.5 * walking


def test_a_fall_costs_once():
  fell = UPRIGHT._replace(fell=jnp.asarray(True))
  difference = rewards.total(fell, {}, 0.02)[0] - rewards.total(UPRIGHT, {}, 0.02)[0]
  assert difference == pytest.approx(rewards.FALL_PENALTY)


def test_feet_take_turns_on_the_clock_and_overlap():
  phases = jnp.linspace(0.0, 1.0, 200, endpoint=False)
  stance = np.asarray(
    jax.vmap(lambda phase: rewards.in_stance(UPRIGHT._replace(phase=phase)))(phases)
  )
  np.testing.assert_allclose(stance.mean(axis=0), rewards.STANCE_SHARE, atol=0.01)
  assert stance.any(axis=1).all()  # one foot is always wanted on the ground
  assert stance.all(axis=1).mean() == pytest.approx(2 * rewards.STANCE_SHARE - 1, abs=0.02)
