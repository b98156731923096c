"""Running mean and variance of what a network sees, so that every entry has about unit scale.

Statistics are pytrees of arrays, updated with whole batches whose rows may count or not, by the
parallel form of Welford's recurrence (Chan et al. 1979). Images (uint8) are left alone.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.types import Observation, Scalar

EPSILON = 1e-6  # the least variance: an entry that never changes is amplified 1000-fold at most
LIMIT = 10.0  # normalised entries are cut here: an outlier must not throw a policy off


class Moments(NamedTuple):
  """Mean and variance of rows `[..., width]`, and how many rows they are of."""

  mean: Float[Array, "*width"]
  variance: Float[Array, "*width"]
  rows: Scalar


def blank(shape: tuple[int, ...]) -> Moments:
  """The moments of nothing yet, which leave a value as it is."""
  return Moments(jnp.zeros(shape), jnp.ones(shape), jnp.zeros(()))


def merge(
  moments: Moments,
  values: Float[Array, "*rows"],
  weight: Float[Array, "*batch"],
  limit: float | Scalar = 0.0,
) -> Moments:
  """The moments of all rows that counted before and of these.

  Args:
    moments: so far, of rows `[*width]`.
    values: rows `[*batch, *width]`. If one is not finite, counted or not, all are left out.
    weight: 0 for rows that do not count; whole numbers, or numbers at most 1.
    limit: old rows count as at most this many, so that what is new is never without weight; 0 means
      no limit.
  """
  axes = tuple(range(weight.ndim))
  weight = weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
  number = jnp.sum(weight)
  safe = jnp.where(number > 0, number, 1.0)
  mean = jnp.sum(weight * values, axes) / safe
  variance = jnp.sum(weight * (values - mean) ** 2, axes) / safe
  before = jnp.minimum(moments.rows, jnp.where(jnp.asarray(limit) > 0, limit, jnp.inf))
  total = before + number
  share = number / jnp.where(total > 0, total, 1.0)  # of the new rows
  gap = mean - moments.mean
  pooled = (1 - share) * moments.variance + share * variance + share * (1 - share) * gap**2
  merged = Moments(moments.mean + share * gap, pooled, total)
  finite = jnp.all(jnp.isfinite(merged.mean) & jnp.isfinite(merged.variance))
  return jax.tree.map(lambda new, old: jnp.where(finite, new, old), merged, moments)


def deviation(moments: Moments) -> Float[Array, "*width"]:
  """The standard deviation that `normalize` divides by."""
  return jnp.sqrt(jnp.maximum(moments.variance, EPSILON))


def normalize(moments: Mapping[str, Moments], observation: Observation) -> dict[str, Any]:
  """Every modality that has moments with mean 0 and deviation 1, within plus and minus `LIMIT`.

  Args:
    moments: by modality; the others pass unchanged.
    observation: mapping of modalities `[..., *width]`.
  """

  def scaled(name: str, value: Array) -> Array:
    if name not in moments:
      return value
    known = moments[name]
    return jnp.clip((value - known.mean) / deviation(known), -LIMIT, LIMIT)

  return {name: scaled(name, value) for name, value in observation.items()}
