"""Metric losses on the embeddings of one video, `[time, view, dim]`; vmap over videos outside.

TCN (Sermanet et al. 2018), section III-A, with the losses that its section IV compares; ASN (Mees
et al. 2020), equation 1. What the papers leave open follows TensorFlow's metric losses (Schroff et
al. 2015, Sohn 2016, Oh Song et al. 2016, Hadsell et al. 2006), which TCN was trained with. Only
instants of the same video are contrasted: it is for the caller to keep videos apart.

Where nothing is positive, or nothing negative, the losses of triplets and of lifted structure are
0 with gradient 0. Coinciding embeddings give finite gradients everywhere.
"""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxskills.losses.pairs import (
  PairMasks,
  near_in_time,
  root,
  same_instant,
  squared_distances,
)
from jaxskills.types import Scalar

Bound = Literal["hinge", "released_code", "paper", "none"]

TRIPLET_MARGIN = 0.2  # TCN, section IV-A: "a gap value of 0.2"
LIFTED_MARGIN = 1.0  # TensorFlow's; ASN, section III-B: lambda
ASN_BOUND = 1.2  # ASN's released code: xi
ASN_FLOOR = 1e-4  # ASN's released code: least squared distance


def triplet(
  embeddings: Float[Array, "time view dim"], *, margin: float | Scalar = TRIPLET_MARGIN
) -> Scalar:
  """Semi-hard triplets between instants: TCN's loss. TCN gives it embeddings of length one."""
  rows, masks = _flat(embeddings)
  return semi_hard(rows, masks.is_positive, masks.is_negative, margin=margin)


def single_view_triplet(
  embeddings: Float[Array, "time dim"],
  seconds: Float[Array, "time"],
  *,
  margin: float | Scalar = TRIPLET_MARGIN,
  positive_seconds: float = 0.2,
  negative_seconds: float = 0.4,
) -> Scalar:
  """Semi-hard triplets within one view, told apart by time: single-view TCN (figure 3).

  Args:
    embeddings: of consecutive frames.
    seconds: when each was seen.
    margin: see `semi_hard`.
    positive_seconds: see `near_in_time`.
    negative_seconds: see `near_in_time`.
  """
  masks = near_in_time(
    seconds, positive_seconds=positive_seconds, negative_seconds=negative_seconds
  )
  return semi_hard(embeddings, masks.is_positive, masks.is_negative, margin=margin)


def semi_hard(
  rows: Float[Array, "n dim"],
  is_positive: Bool[Array, "n n"],
  is_negative: Bool[Array, "n n"],
  *,
  margin: float | Scalar,
) -> Scalar:
  """`max(0, D_ap - D_an + margin)` on squared distances, averaged over ordered positive pairs.

  Schroff et al. 2015 as TensorFlow has it, with which TCN was trained: the negative of a pair is
  the nearest one that is further away than the positive, or the furthest if none is.

  Args:
    rows: embeddings.
    is_positive: `[anchor, other]`.
    is_negative: `[anchor, other]`; pairs of an anchor without negatives do not count.
    margin: least gap between the two squared distances.
  """
  squared = squared_distances(rows, rows)
  to_positive = squared[:, :, None]  # [anchor, positive, 1]
  to_negative = squared[:, None, :]  # [anchor, 1, negative]
  is_beyond = is_negative[:, None, :] & (to_negative > to_positive)
  nearest = jnp.argmin(jnp.where(is_beyond, to_negative, jnp.inf), axis=-1)
  furthest = jnp.argmax(jnp.where(is_negative, squared, -jnp.inf), axis=-1)
  chosen = jnp.where(jnp.any(is_beyond, axis=-1), nearest, furthest[:, None])
  gap = squared - jnp.take_along_axis(squared, chosen, axis=1)
  counts = is_positive & jnp.any(is_negative, axis=-1, keepdims=True)
  return _mean(jax.nn.relu(gap + margin), counts)


def npairs(
  embeddings: Float[Array, "time view dim"], *, regularization: float | Scalar = 0.002
) -> Scalar:
  """Classifies which instant of the second view an embedding of the first belongs to.

  Sohn 2016 as TensorFlow has it, and the default of TCN's released pouring model: cross-entropy of
  unnormalised dot products, in one direction only, plus `regularization / 4` times the two views'
  mean squared lengths. With more views, the mean over all pairs of them.

  Raises:
    ValueError: if there is one view only.
  """
  views = embeddings.shape[1]
  if views < 2:
    raise ValueError(f"npairs contrasts two views or more, not {views}")
  terms = []
  for one in range(views):
    for other in range(one + 1, views):
      anchors, positives = embeddings[:, one], embeddings[:, other]
      scores = anchors @ positives.T
      right = jnp.mean(jnp.diagonal(jax.nn.log_softmax(scores, axis=-1)))
      lengths = jnp.mean(jnp.sum(anchors**2, axis=-1)) + jnp.mean(jnp.sum(positives**2, axis=-1))
      terms.append(-right + 0.25 * regularization * lengths)
  return jnp.mean(jnp.stack(terms))


def lifted(
  embeddings: Float[Array, "time view dim"], *, margin: float | Scalar = LIFTED_MARGIN
) -> Scalar:
  """Lifted structure: every positive pair against all negatives of both its ends.

  Oh Song et al. 2016, equation 4, with which TCN's best tables were made; distances are not
  squared: `1/(2|P|) sum_P max(0, J_ij)^2` with
  `J_ij = log(sum_{k not i} e^(m - d_ik) + sum_{k not j} e^(m - d_jk)) + d_ij`.
  """
  rows, masks = _flat(embeddings)
  return _lifted(root(squared_distances(rows, rows)), masks, margin)


def contrastive(
  embeddings: Float[Array, "time view dim"], *, margin: float | Scalar = 1.0
) -> Scalar:
  """`y d^2 + (1 - y) max(0, margin - d)^2`, averaged over all pairs of embeddings.

  Hadsell et al. 2006 without their factor 1/2, as TensorFlow has it; TCN's released code names it
  among its losses and gives it embeddings of length one.
  """
  rows, masks = _flat(embeddings)
  squared = squared_distances(rows, rows)
  apart = jax.nn.relu(margin - root(squared)) ** 2
  return _mean(jnp.where(masks.is_positive, squared, apart), masks.is_positive | masks.is_negative)


def asn_lifted(
  embeddings: Float[Array, "time view dim"],
  *,
  margin: float | Scalar = LIFTED_MARGIN,
  bound: Bound = "hinge",
  threshold: float | Scalar = ASN_BOUND,
) -> Scalar:
  """Lifted structure plus a bound on positive pairs: ASN, equation 1.

  Distances have a floor of .01 (gradient 0 below it), as in ASN's released code.

  Args:
    embeddings: of one video.
    margin: lambda, 1 in the paper.
    bound: see `positive_bound`; "none" is the paper's "normal lifted".
    threshold: xi.
  """
  rows, masks = _flat(embeddings)
  distance = root(squared_distances(rows, rows), floor=ASN_FLOOR)
  loss = _lifted(distance, masks, margin)
  if bound == "none":
    return loss
  return loss + positive_bound(embeddings, form=bound, threshold=threshold)


def positive_bound(
  embeddings: Float[Array, "time view dim"],
  *,
  form: Bound = "hinge",
  threshold: float | Scalar = ASN_BOUND,
) -> Scalar:
  """What positive pairs further apart than a threshold cost: the second part of ASN's equation 1.

  The equation cannot be read in the text that is left of the paper, which says that the bound
  penalises "large distances of positive view-pairs" by "a similarity threshold" on a "squared
  pairwise similarity distance matrix". Three forms keep to that or to the code:

  - "hinge", ours: the mean over pairs of `max(0, d - xi)`, without a jump, in the code's unit;
  - "paper", what the text allows: the same of squared distances, `max(0, d^2 - xi)`;
  - "released_code": `2 / (n - 3) sum d 1[d > xi]` over n embeddings, which jumps by 2.4 / (n - 3)
    where a pair passes xi = 1.2 and is never felt before.

  Raises:
    ValueError: if `form` is unknown, or "released_code" is asked for 3 embeddings or fewer.
  """
  if form not in get_args(Bound):
    raise ValueError(f"bound must be one of {get_args(Bound)}, not {form!r}")
  rows, masks = _flat(embeddings)
  pairs = jnp.triu(masks.is_positive)
  squared = squared_distances(rows, rows)
  distance = root(squared, floor=ASN_FLOOR)
  if form == "none":
    return jnp.zeros_like(distance[0, 0])
  if form == "released_code":
    if rows.shape[0] <= 3:
      raise ValueError(f"the released bound needs more than 3 embeddings, not {rows.shape[0]}")
    beyond = jnp.where(pairs & (distance > threshold), distance, 0.0)
    return 2.0 / (rows.shape[0] - 3) * jnp.sum(beyond)
  value = squared if form == "paper" else distance
  return _mean(jax.nn.relu(value - threshold), pairs)


def _lifted(
  distance: Float[Array, "n n"], masks: PairMasks, margin: float | Scalar
) -> Float[Array, ""]:
  """`lifted` for given distances."""
  repelling = jnp.where(masks.is_negative, margin - distance, -jnp.inf)
  repulsion = jax.nn.logsumexp(repelling, axis=-1)
  hinge = jax.nn.relu(jnp.logaddexp(repulsion[:, None], repulsion[None, :]) + distance)
  return 0.5 * _mean(hinge**2, jnp.triu(masks.is_positive))


def _flat(embeddings: Float[Array, "time view dim"]) -> tuple[Float[Array, "n dim"], PairMasks]:
  """Rows of all instants and views, and their masks."""
  times, views, dim = embeddings.shape
  return embeddings.reshape(times * views, dim), same_instant(times, views)


def _mean(values: Float[Array, "n n"], counts: Bool[Array, "n n"]) -> Scalar:
  """The mean over the pairs that count; 0 where none does."""
  total = jnp.sum(counts).astype(values.dtype)
  return jnp.sum(jnp.where(counts, values, 0.0)) / jnp.maximum(total, 1.0)
