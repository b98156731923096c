"""What disturbs a robot while it moves: commands that arrive late, and pushes.

What makes one robot differ from the next is `randomization`; the noise of a sensor is declared with
what is measured (`jaxskills.envs.terms`).
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxskills.types import Key, Scalar


def latency(key: Key, seconds: float, timestep: float) -> Int[Array, ""]:
  """Draws a delay in physics steps, uniformly from none to the most that fit into `seconds`.

  Args:
    key: of a world's episode.
    seconds: no delay is longer.
    timestep: of the physics, s.
  """
  return jax.random.randint(key, (), 0, math.floor(seconds / timestep * (1.0 + 1e-9)) + 1)


def late(before: Array, now: Array, latency: Int[Array, ""], substeps: int) -> Array:
  """What reaches the robot in each physics step: the old until the delay is over, then the new.

  Args:
    before: what was sent a control step ago, of any shape.
    now: what is sent now, of the same shape.
    latency: physics steps until `now` arrives, at most `substeps`.
    substeps: physics steps in a control step.

  Returns:
    `[substeps, *shape]`.
  """
  is_late = jnp.arange(substeps) < latency
  return jnp.where(is_late.reshape(-1, *(1,) * jnp.ndim(now)), before, now)


def push(
  key: Key, velocity: Float[Array, "2"], *, chance: float | Scalar, speed: float | Scalar
) -> Float[Array, "2"]:
  """A horizontal velocity after a push, if one comes: a jolt of the base, as Rudin et al. 2022 do.

  Args:
    key: of a world's control step.
    velocity: of the base in the world's frame, m/s.
    chance: of a push in this step.
    speed: greatest size of the jolt, m/s; its size is uniform up to there, and so is its direction.
  """
  when_key, where_key, size_key = jax.random.split(key, 3)
  angle = jax.random.uniform(where_key, maxval=2.0 * jnp.pi)
  size = speed * jax.random.uniform(size_key)
  jolt = size * jnp.stack([jnp.cos(angle), jnp.sin(angle)])
  return velocity + jnp.where(jax.random.uniform(when_key) < chance, jolt, 0.0)
