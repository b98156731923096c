"""What a Panda is rewarded for: one named function a term, for reaching and for lifting.

Each takes what one control step amounted to and returns a rate: a step of `dt` seconds earns the
weighted sum times `dt`. A sparse reward is the term `success` alone. The shape of the dense lifting
reward, stages that open one after the other, is that of ManiSkill's and robosuite's; shapes in
detail and weights are ours.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

_TARGET_NEAR = 0.1  # m, over which nearness falls off; of a place to reach
_CUBE_NEAR, _GOAL_NEAR = 0.15, 0.15  # m, likewise
_SPOT_ON = 0.02  # m


class Motion(NamedTuple):
  """What every task looks at."""

  joint_velocity: Float[Array, "joints"]
  """Of the arm, rad/s."""
  action: Float[Array, "action"]
  previous_action: Float[Array, "action"]


class Reaching(NamedTuple):
  """One world after one control step."""

  motion: Motion
  distance: Float[Array, ""]
  """From the gripper to its target, m."""
  success: Bool[Array, ""]


class Lifting(NamedTuple):
  """One world after one control step."""

  motion: Motion
  to_cube: Float[Array, ""]
  """From the gripper to the cube's centre, m."""
  to_goal: Float[Array, ""]
  """From the cube's centre to its goal, m."""
  height: Float[Array, ""]
  """Of the cube above the table: its centre over that of a cube at rest, m."""
  goal_height: Float[Array, ""]
  """The same, of the goal, m."""
  is_grasped: Bool[Array, ""]
  success: Bool[Array, ""]


def near_target(step: Reaching) -> Array:
  """1 at the target, falling off over 10 cm with a slope that never ends."""
  return 1.0 - jnp.tanh(step.distance / _TARGET_NEAR)


def at_target(step: Reaching) -> Array:
  """1 at the target, next to nothing 4 cm away."""
  return jnp.exp(-((step.distance / _SPOT_ON) ** 2))


def near_cube(step: Lifting) -> Array:
  """1 with the cube's centre between the fingers; stays 1 while it is held."""
  return jnp.maximum(1.0 - jnp.tanh(step.to_cube / _CUBE_NEAR), step.is_grasped)


def grasp(step: Lifting) -> Array:
  """1 while both fingers press on the cube."""
  return step.is_grasped.astype(jnp.float32)


def lift(step: Lifting) -> Array:
  """Share of the goal's height that a grasped cube has."""
  share = jnp.clip(step.height / jnp.maximum(step.goal_height, 1e-3), 0.0, 1.0)
  return step.is_grasped * share


def place(step: Lifting) -> Array:
  """1 with a grasped cube at its goal, falling off over 15 cm."""
  return step.is_grasped * (1.0 - jnp.tanh(step.to_goal / _GOAL_NEAR))


def success(step: Reaching | Lifting) -> Array:
  """1 while the task is solved; the sparse reward."""
  return step.success.astype(jnp.float32)


def action_rate(step: Reaching | Lifting) -> Array:
  """Squared change of the action."""
  return jnp.sum((step.motion.action - step.motion.previous_action) ** 2)


def joint_speed(step: Reaching | Lifting) -> Array:
  """Squared, (rad/s)^2."""
  return jnp.sum(step.motion.joint_velocity**2)


Terms = Mapping[str, Callable[[Any], Array]]
_SHARED = (success, action_rate, joint_speed)
REACH_TERMS: Terms = {term.__name__: term for term in (near_target, at_target, *_SHARED)}
LIFT_TERMS: Terms = {term.__name__: term for term in (near_cube, grasp, lift, place, *_SHARED)}
REACH_WEIGHTS: Mapping[str, float] = {
  "near_target": 1.0,
  "at_target": 1.0,
  "action_rate": -0.02,
  "joint_speed": -0.02,
}
LIFT_WEIGHTS: Mapping[str, float] = {
  "near_cube": 1.0,
  "grasp": 1.0,
  "lift": 2.0,
  "place": 2.0,
  "success": 2.0,
  "action_rate": -0.01,
  "joint_speed": -0.01,
}
SPARSE_WEIGHTS: Mapping[str, float] = {"success": 1.0}


def total(
  step: Reaching | Lifting, terms: Terms, weights: Mapping[str, float], step_seconds: float
) -> tuple[Float[Array, ""], dict[str, Array]]:
  """The reward of a control step, and each term's part in it.

  Args:
    step: what happened.
    terms: by name.
    weights: of terms by name, a second.
    step_seconds: control period.
  """
  parts = {name: step_seconds * weight * terms[name](step) for name, weight in weights.items()}
  return sum(parts.values(), start=jnp.zeros(())), parts
