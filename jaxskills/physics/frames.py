"""Rotations between the world and a body; quaternions are (w, x, y, z) and of unit length."""

import jax.numpy as jnp
from jaxtyping import Array, Float

DOWN = (0.0, 0.0, -1.0)  # direction of gravity in the world


def rotate(
  quaternion: Float[Array, "*batch 4"], vector: Float[Array, "*batch 3"]
) -> Float[Array, "*batch 3"]:
  """A vector of the body's frame in the world's frame."""
  w, axis = quaternion[..., :1], quaternion[..., 1:]
  twice = 2.0 * jnp.cross(axis, vector)
  return vector + w * twice + jnp.cross(axis, twice)


def rotate_inverse(
  quaternion: Float[Array, "*batch 4"], vector: Float[Array, "*batch 3"]
) -> Float[Array, "*batch 3"]:
  """A vector of the world's frame in the body's frame."""
  return rotate(quaternion * jnp.array([1.0, -1.0, -1.0, -1.0]), vector)


def yaw(quaternion: Float[Array, "*batch 4"]) -> Float[Array, "*batch"]:
  """Heading: the angle about the world's z axis, rad."""
  w, x, y, z = jnp.moveaxis(quaternion, -1, 0)
  return jnp.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))


def about_z(
  angle: Float[Array, "*batch"], vector: Float[Array, "*batch 3"]
) -> Float[Array, "*batch 3"]:
  """A vector turned by an angle in rad about z."""
  cos, sin = jnp.cos(angle), jnp.sin(angle)
  x, y, z = jnp.moveaxis(vector, -1, 0)
  return jnp.stack([cos * x - sin * y, sin * x + cos * y, z], axis=-1)


def from_yaw(angle: Float[Array, "*batch"]) -> Float[Array, "*batch 4"]:
  """The quaternion of a turn about z."""
  zero = jnp.zeros_like(angle)
  return jnp.stack([jnp.cos(angle / 2), zero, zero, jnp.sin(angle / 2)], axis=-1)
