"""What a walking H1 is told to do, and what disturbs it: drawn at random, as hard as its level.

The level is a curriculum's, 0 to 1; commands and pushes grow with it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxskills.envs.h1 import rewards
from jaxskills.physics import disturbance
from jaxskills.types import Key


class Commands(NamedTuple):
  """What is asked of the robot, drawn anew from time to time.

  Attributes:
    forward: range of the forward velocity, m/s.
    sideways: range of the sideways velocity, m/s; to the left is positive.
    yaw_rate: range, rad/s.
    seconds: a command holds.
    standing_share: of commands, that are to stand.
    first_level: part of the ranges that a world begins with (a curriculum); 1 for all at once.
  """

  forward: tuple[float, float] = (0.0, 1.0)
  sideways: tuple[float, float] = (0.0, 0.0)
  yaw_rate: tuple[float, float] = (-0.5, 0.5)
  seconds: float = 5.0
  standing_share: float = 0.1
  first_level: float = 1.0


class Disturbances(NamedTuple):
  """What keeps the simulated robot from being the one robot that it was trained on.

  Attributes:
    noise: factor on the measurement noise that the observations declare.
    latency_seconds: greatest delay between a measurement and what the motors do of it; drawn for
      each episode from 0 on, in physics steps, one control period at most.
    push_speed: greatest change of the base's planar velocity by a push, m/s; any direction.
    push_seconds: between pushes, on average.
    start_joint: half width of the joint positions' spread at the start, rad.
  """

  noise: float = 1.0
  latency_seconds: float = 0.02
  push_speed: float = 0.6
  push_seconds: float = 5.0
  start_joint: float = 0.1


def draw_command(commands: Commands, key: Key, level: Float[Array, ""]) -> Float[Array, "3"]:
  """Forward and sideways velocity, m/s, and yaw rate, rad/s; zeros to stand."""
  value_key, stand_key = jax.random.split(key)
  ranges = (commands.forward, commands.sideways, commands.yaw_rate)
  low, high = jnp.asarray(ranges).T
  command = jax.random.uniform(value_key, (3,), minval=level * low, maxval=level * high)
  stands = jax.random.uniform(stand_key) < commands.standing_share
  return jnp.where(stands, 0.0, command)


def push(
  disturbances: Disturbances,
  key: Key,
  qvel: Float[Array, "nv"],
  level: Float[Array, ""],
  step_seconds: float,
) -> Float[Array, "nv"]:
  """The same velocities, or in some control steps with a jolt of the base in the plane."""
  chance = step_seconds / disturbances.push_seconds
  speed = level * disturbances.push_speed
  return qvel.at[:2].set(disturbance.push(key, qvel[:2], chance=chance, speed=speed))


def next_level(
  commands: Commands, level: Float[Array, ""], stride: rewards.Stride, is_due: Bool[Array, ""]
) -> Float[Array, ""]:
  """Up by a tenth where a command was followed to its end, down by one at a fall.

  Args:
    commands: that are drawn.
    level: so far.
    stride: the step's.
    is_due: whether the command ends with this step.
  """
  if commands.first_level >= 1.0:
    return level
  followed = is_due & (rewards.tracking_velocity(stride) > 0.7)
  change = jnp.where(stride.fell, -0.1, jnp.where(followed, 0.1, 0.0))
  return jnp.clip(level + change, commands.first_level, 1.0)
