"""Reward terms against values worked out by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.envs.panda import rewards

STILL = rewards.Motion(jnp.zeros(7), jnp.zeros(3), jnp.zeros(3))


def reaching(distance: float, **changes) -> rewards.Reaching:
  step = rewards.Reaching(STILL, jnp.asarray(distance), jnp.asarray(distance < 0.02))
  return step._replace(**changes)


def lifting(**changes) -> rewards.Lifting:
  """A grasped cube half way up, 15 cm from its goal."""
  step = rewards.Lifting(
    motion=STILL,
    to_cube=jnp.asarray(0.01),
    to_goal=jnp.asarray(0.15),
    height=jnp.asarray(0.1),
    goal_height=jnp.asarray(0.2),
    is_grasped=jnp.asarray(True),
    success=jnp.asarray(False),
  )
  return step._replace(**{name: jnp.asarray(value) for name, value in changes.items()})


def test_nearness_of_the_target_falls_off_over_ten_centimetres():
  assert rewards.near_target(reaching(0.0)) == 1.0
  assert rewards.near_target(reaching(0.1)) == pytest.approx(1.0 - np.tanh(1.0))
  assert rewards.near_target(reaching(0.5)) < 1e-3


def test_being_at_the_target_is_a_matter_of_two_centimetres():
  assert rewards.at_target(reaching(0.0)) == 1.0
  assert rewards.at_target(reaching(0.02)) == pytest.approx(np.exp(-1.0))
  assert rewards.at_target(reaching(0.06)) == pytest.approx(np.exp(-9.0), rel=1e-4)


def test_a_held_cube_counts_as_near_even_between_open_fingers():
  away = {"to_cube": 0.15, "is_grasped": False}
  assert rewards.near_cube(lifting(**away)) == pytest.approx(1.0 - np.tanh(1.0))
  assert rewards.near_cube(lifting(to_cube=0.02)) == 1.0


def test_only_a_grasped_cube_is_lifted_and_placed():
  held, loose = lifting(), lifting(is_grasped=False)
  assert (rewards.grasp(held), rewards.grasp(loose)) == (1.0, 0.0)
  assert rewards.lift(held) == pytest.approx(0.5) and rewards.lift(loose) == 0.0
  assert rewards.place(held) == pytest.approx(1.0 - np.tanh(1.0)) and rewards.place(loose) == 0.0


def test_lifting_pays_no_more_above_the_goal_and_nothing_below_the_table():
  assert rewards.lift(lifting(height=0.5)) == 1.0
  assert rewards.lift(lifting(height=-0.01)) == 0.0


def test_penalties_are_sums_of_squares():
  motion = rewards.Motion(jnp.full(7, 0.5), jnp.array([1.0, 0.0, -1.0]), jnp.array([0.0, 0.0, 1.0]))
  step = reaching(1.0, motion=motion)
  assert rewards.joint_speed(step) == pytest.approx(7 * 0.25)
  assert rewards.action_rate(step) == pytest.approx(1.0 + 4.0)


def test_a_sparse_reward_is_success_alone():
  weigh = lambda step, terms: rewards.total(step, terms, rewards.SPARSE_WEIGHTS, 0.05)  # noqa: E731
  assert weigh(reaching(0.03), rewards.REACH_TERMS)[0] == 0.0
  total, parts = weigh(reaching(0.01), rewards.REACH_TERMS)
  assert total == pytest.approx(0.05) and set(parts) == {"success"}
  assert weigh(lifting(), rewards.LIFT_TERMS)[0] == 0.0
  assert weigh(lifting(success=True), rewards.LIFT_TERMS)[0] == pytest.approx(0.05)


def test_the_total_is_the_weighted_sum_times_the_control_period():
  weights = {"near_target": 2.0, "at_target": -1.0}
  total, parts = rewards.total(reaching(0.0), rewards.REACH_TERMS, weights, 0.05)
  assert {name: float(part) for name, part in parts.items()} == pytest.approx(
    {"near_target": 0.1, "at_target": -0.05}
  )
  assert total == pytest.approx(0.05)


def test_every_default_weight_is_of_a_term():
  assert set(rewards.REACH_WEIGHTS) <= set(rewards.REACH_TERMS)
  assert set(rewards.LIFT_WEIGHTS) <= set(rewards.LIFT_TERMS)


def test_more_progress_pays_more_at_every_stage_of_lifting():
  away = lifting(is_grasped=False, to_cube=0.2, height=0.0, to_goal=0.3)
  near = lifting(is_grasped=False, height=0.0, to_goal=0.3)
  grasped = lifting(height=0.0, to_goal=0.3)
  up, there = lifting(), lifting(height=0.2, to_goal=0.0, success=True)
  pay = [
    float(rewards.total(step, rewards.LIFT_TERMS, rewards.LIFT_WEIGHTS, 1.0)[0])
    for step in (away, near, grasped, up, there)
  ]
  assert pay == sorted(pay) and np.diff(pay).min() > 0.3
