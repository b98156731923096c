"""Which embeddings of a video belong together, which apart, and how far apart they are.

TCN (Sermanet et al. 2018), section III-A: frames of one instant are positive across views, frames
of other instants are negative; with a single view, nearness in time decides, and frames between
the two radii are neither. Masks are `[n, n]` over rows of embeddings `[n, dim]`.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

TOLERANCE_SECONDS = 1e-3
"""Times are float32 seconds: two frames at 10 a second are .2 apart, give or take."""


class PairMasks(NamedTuple):
  """Symmetric masks over pairs of rows; a pair can be neither, never both."""

  is_positive: Bool[Array, "n n"]
  """False on the diagonal: nothing is its own positive."""
  is_negative: Bool[Array, "n n"]


def same_instant(times: int, views: int) -> PairMasks:
  """Multi-view masks for `[time, view, dim]` flattened to rows, time first."""
  instant = jnp.repeat(jnp.arange(times), views)
  is_same = instant[:, None] == instant[None, :]
  return PairMasks(is_same & ~jnp.eye(times * views, dtype=bool), ~is_same)


def near_in_time(
  seconds: Float[Array, "time"], *, positive_seconds: float = 0.2, negative_seconds: float = 0.4
) -> PairMasks:
  """Single-view masks: positive up to one radius, negative beyond the other, neither between.

  TCN, figure 3 and section IV-A: a positive range of .2 s and a negative multiplier of 2; the
  released code has 6 and 12 frames at 29 a second.

  Args:
    seconds: when each row was seen.
    positive_seconds: positives are at most this far apart.
    negative_seconds: negatives are further apart than this.
  """
  apart = jnp.abs(seconds[:, None] - seconds[None, :])
  is_near = apart <= positive_seconds + TOLERANCE_SECONDS
  is_far = apart > negative_seconds + TOLERANCE_SECONDS
  return PairMasks(is_near & ~jnp.eye(seconds.shape[0], dtype=bool), is_far)


def squared_distances(
  rows: Float[Array, "n dim"], columns: Float[Array, "m dim"]
) -> Float[Array, "n m"]:
  """`||row - column||^2`, from differences: exact where two embeddings nearly coincide."""
  return jnp.sum((rows[:, None] - columns[None, :]) ** 2, axis=-1)


def root(squared: Float[Array, "..."], *, floor: float = 0.0) -> Float[Array, "..."]:
  """Distances from squared ones, with gradient 0 instead of infinity where they are zero.

  Args:
    squared: at least 0.
    floor: least squared distance; below it the root is constant. ASN's released code has 1e-4.
  """
  is_apart = squared > floor
  return jnp.where(is_apart, jnp.sqrt(jnp.where(is_apart, squared, 1.0)), floor**0.5)
