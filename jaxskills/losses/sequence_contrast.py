"""Losses that contrast whole sequences: InfoNCE between views, and temporal cycle consistency.

Neither is in TCN or ASN; both are the field's later answers to the same question. InfoNCE: van den
Oord et al. 2018. Temporal cycle consistency (TCC): Dwibedi et al. 2019, cycle-back regression.
Embeddings are those of one video, `[time, view, dim]`; vmap over videos outside.
"""

import itertools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.losses.pairs import squared_distances
from jaxskills.types import Scalar

VARIANCE_FLOOR = 1e-6
"""Ours, in squared lengths of the sequence: a match so sharp that its variance vanishes would
otherwise be a division of zero by zero."""


def info_nce(
  embeddings: Float[Array, "time view dim"],
  *,
  temperature: float | Scalar = 0.1,
  symmetric: bool = True,
) -> Scalar:
  """Which instant of another view is this? Cross-entropy of dot products over a temperature.

  Van den Oord et al. 2018, equation 4, with dot products as scores; of embeddings of length one
  they are cosines. The negatives of an instant are the other instants of the other view.

  Args:
    embeddings: two views or more; with more, the mean over pairs of them.
    temperature: what scores are divided by.
    symmetric: whether each pair of views is asked both ways, or only the first for the second.

  Raises:
    ValueError: if there is one view only.
  """
  views = embeddings.shape[1]
  _check_views(views)
  pairs = itertools.permutations if symmetric else itertools.combinations
  terms = []
  for one, other in pairs(range(views), 2):
    scores = embeddings[:, one] @ embeddings[:, other].T / temperature
    terms.append(-jnp.mean(jnp.diagonal(jax.nn.log_softmax(scores, axis=-1))))
  return jnp.mean(jnp.stack(terms))


def cycle_back(
  embeddings: Float[Array, "time view dim"],
  *,
  temperature: float | Scalar = 0.1,
  variance_weight: float | Scalar = 0.001,
) -> Scalar:
  """`cycle_back_regression` between all ordered pairs of views of a video.

  Instants must be in order of time. TCC goes between videos of one action, and then needs to know
  that they are of one; between views nothing need be known, and nothing says that they are
  synchronous.

  Raises:
    ValueError: if there is one view only.
  """
  times, views = embeddings.shape[:2]
  _check_views(views)
  instants = jnp.arange(times, dtype=embeddings.dtype) / times
  terms = [
    cycle_back_regression(
      embeddings[:, one],
      embeddings[:, other],
      instants,
      temperature=temperature,
      variance_weight=variance_weight,
    )
    for one, other in itertools.permutations(range(views), 2)
  ]
  return jnp.mean(jnp.stack(terms))


def cycle_back_regression(
  sequence: Float[Array, "time dim"],
  other: Float[Array, "other_time dim"],
  instants: Float[Array, "time"],
  *,
  temperature: float | Scalar = 0.1,
  variance_weight: float | Scalar = 0.001,
) -> Scalar:
  """Walks from each instant to the other sequence and back, and asks where it comes out.

  TCC, equations 4 to 6: the soft nearest neighbour `v` of an embedding in `other`; the softmax
  `beta` of the similarities of `v` to `sequence`; with the mean `mu` and the variance `s2` of the
  instants under `beta`, the loss `(t - mu)^2 / s2 + variance_weight log(s2)`, averaged (the
  released code's weight: the paper's is on the logarithm of the standard deviation). Similarity is
  minus the squared distance, per dimension, over the temperature, as in the released code.

  Args:
    sequence: where walks begin and end.
    other: what they pass through.
    instants: the time of each row of `sequence`, in lengths of the sequence.
    temperature: of both softmaxes.
    variance_weight: lambda.
  """

  def similarity(rows: Array, columns: Array) -> Array:
    return -squared_distances(rows, columns) / (rows.shape[-1] * temperature)

  neighbours = jax.nn.softmax(similarity(sequence, other), axis=-1) @ other
  beta = jax.nn.softmax(similarity(neighbours, sequence), axis=-1)
  mean = beta @ instants
  variance = jnp.sum(beta * (instants[None, :] - mean[:, None]) ** 2, axis=-1)
  variance = jnp.maximum(variance, VARIANCE_FLOOR)
  return jnp.mean((instants - mean) ** 2 / variance + variance_weight * jnp.log(variance))


def _check_views(views: int) -> None:
  if views < 2:
    raise ValueError(f"sequences of two views or more are contrasted, not of {views}")
