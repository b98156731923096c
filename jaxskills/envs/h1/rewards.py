"""What the H1 is rewarded for when it walks: one named function a term.

Each takes a `Stride`, what one control step amounted to, and returns a rate: a step of `dt` seconds
earns the weighted sum times `dt`. Shapes and weights are ours, after the habits of the field
(legged_gym, MuJoCo Playground); they were tuned on this robot. Standing still must not pay:
with a weaker clock and no penalty for disagreeing with it, it is the optimum that PPO finds.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

SWING_HEIGHT = 0.10  # m, of a sole in mid-swing
STANCE_SHARE = 0.55  # of the clock's period
STEP_STANDING = 0.75  # of what a foot on the ground is worth while standing


class Stride(NamedTuple):
  """What rewards look at; one world after one control step.

  Velocities of the base are in its heading frame: its own position, the world's z, its yaw.
  """

  velocity: Float[Array, "3"]
  """Of the base, m/s."""
  angular_velocity: Float[Array, "3"]
  """Of the base, rad/s, in the base's frame."""
  gravity: Float[Array, "3"]
  """Direction of gravity in the base's frame; (0, 0, -1) when upright."""
  height: Float[Array, ""]
  """Of the base over the ground, m."""
  command: Float[Array, "3"]
  """Forward and sideways velocity, m/s, and yaw rate, rad/s."""
  is_moving: Bool[Array, ""]
  """Whether the command asks for steps; if not, both feet belong on the ground."""
  contact: Bool[Array, "2"]
  """Left and right foot on the ground."""
  phase: Float[Array, ""]
  """Of the gait clock, 0 to 1; the left foot's stance comes first."""
  foot_height: Float[Array, "2"]
  """Of each sole over the ground, m."""
  foot_speed: Float[Array, "2"]
  """Horizontal, m/s."""
  joint_velocity: Float[Array, "joints"]
  """rad/s."""
  torque: Float[Array, "joints"]
  """N m."""
  hip_position: Float[Array, "hips"]
  """Hip yaw and roll of both legs, rad."""
  action: Float[Array, "action"]
  previous_action: Float[Array, "action"]
  fell: Bool[Array, ""]


def tracking_velocity(stride: Stride) -> Array:
  """1 when the planar velocity is as commanded, falling off over .4 m/s."""
  error = jnp.sum((stride.velocity[:2] - stride.command[:2]) ** 2)
  return jnp.exp(-error / 0.15)


def velocity_error(stride: Stride) -> Array:
  """Distance from the commanded planar velocity, m/s; it pulls where the former is flat."""
  return jnp.linalg.norm(stride.velocity[:2] - stride.command[:2])


def tracking_yaw_rate(stride: Stride) -> Array:
  """1 when the yaw rate is as commanded, falling off over .5 rad/s."""
  return jnp.exp(-((stride.angular_velocity[2] - stride.command[2]) ** 2) / 0.25)


def yaw_rate_error(stride: Stride) -> Array:
  """Distance from the commanded yaw rate, rad/s; it pulls where the former is flat."""
  return jnp.abs(stride.angular_velocity[2] - stride.command[2])


def vertical_velocity(stride: Stride) -> Array:
  """Squared, (m/s)^2."""
  return stride.velocity[2] ** 2


def roll_pitch_rate(stride: Stride) -> Array:
  """Squared, (rad/s)^2."""
  return jnp.sum(stride.angular_velocity[:2] ** 2)


def tilt(stride: Stride) -> Array:
  """Squared sine of the angle from upright."""
  return jnp.sum(stride.gravity[:2] ** 2)


def height_error(stride: Stride) -> Array:
  """Squared distance from 1 m, m^2."""
  return (stride.height - 1.0) ** 2


def alive(stride: Stride) -> Array:
  """1, always."""
  return jnp.ones_like(stride.height)


def action_rate(stride: Stride) -> Array:
  """Squared change of the action."""
  return jnp.sum((stride.action - stride.previous_action) ** 2)


def torque(stride: Stride) -> Array:
  """Squared, (N m)^2."""
  return jnp.sum(stride.torque**2)


def joint_speed(stride: Stride) -> Array:
  """Squared, (rad/s)^2."""
  return jnp.sum(stride.joint_velocity**2)


def hip_deviation(stride: Stride) -> Array:
  """Squared yaw and roll of the hips, rad^2."""
  return jnp.sum(stride.hip_position**2)


def clock_contact(stride: Stride) -> Array:
  """For each foot, 1 when its contact agrees with the clock and -1 when it does not, summed.

  When no steps are asked for, a foot on the ground always earns 1, and one that is lifted in time
  with the clock `STEP_STANDING`: a robot that is pushed or told to stop has to step, and where that
  cost as much as a step out of time it rather fell.
  """
  in_time = stride.contact == clock_stance(stride.phase)
  stands = jnp.where(stride.contact, 1.0, jnp.where(in_time, STEP_STANDING, -1.0))
  return jnp.sum(jnp.where(stride.is_moving, jnp.where(in_time, 1.0, -1.0), stands))


def swing_height(stride: Stride) -> Array:
  """Squared distance of a swinging sole from its height in mid-swing, m^2."""
  swinging = ~in_stance(stride)
  return jnp.sum(jnp.where(swinging, (stride.foot_height - SWING_HEIGHT) ** 2, 0.0))


def slip(stride: Stride) -> Array:
  """Squared speed of soles on the ground, (m/s)^2."""
  return jnp.sum(jnp.where(stride.contact, stride.foot_speed**2, 0.0))


def in_stance(stride: Stride) -> Bool[Array, "2"]:
  """Which feet belong on the ground: those the clock wants there; both when no steps are due."""
  return clock_stance(stride.phase) | ~stride.is_moving


def clock_stance(phase: Float[Array, ""]) -> Bool[Array, "2"]:
  """Which feet the clock wants on the ground."""
  return (phase + jnp.array([0.0, 0.5])) % 1.0 < STANCE_SHARE


TERMS: Mapping[str, Callable[[Stride], Array]] = {
  function.__name__: function
  for function in (
    tracking_velocity,
    velocity_error,
    tracking_yaw_rate,
    yaw_rate_error,
    vertical_velocity,
    roll_pitch_rate,
    tilt,
    height_error,
    alive,
    action_rate,
    torque,
    joint_speed,
    hip_deviation,
    clock_contact,
    swing_height,
    slip,
  )
}
WEIGHTS: Mapping[str, float] = {
  "tracking_velocity": 2.0,
  "velocity_error": -0.3,
  "tracking_yaw_rate": 1.0,
  "yaw_rate_error": -0.5,
  "vertical_velocity": -2.0,
  "roll_pitch_rate": -0.1,
  "tilt": -1.0,
  "height_error": -10.0,
  "alive": 0.15,
  "action_rate": -0.01,
  "torque": -1e-6,
  "joint_speed": -1e-3,
  "hip_deviation": -1.0,
  "clock_contact": 1.0,
  "swing_height": -20.0,
  "slip": -0.2,
}
FALL_PENALTY = -1.0
"""Once, not a rate."""


def total(
  stride: Stride, weights: Mapping[str, float], step_seconds: float
) -> tuple[Float[Array, ""], dict[str, Array]]:
  """The reward of a control step, and each term's part in it.

  Args:
    stride: what happened.
    weights: of terms by name, a second.
    step_seconds: control period.
  """
  parts = {name: step_seconds * weight * TERMS[name](stride) for name, weight in weights.items()}
  parts["fall"] = FALL_PENALTY * stride.fell
  return sum(parts.values(), start=jnp.zeros(())), parts
