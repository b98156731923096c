"""Which metric loss a learner uses, and with what constants: one record for all of them.

TCN (Sermanet et al. 2018), section IV, compares triplet, npairs and lifted structure; ASN (Mees et
al. 2020) adds its own. `losses.metric` and `losses.sequence_contrast` have the formulas.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.losses import metric, sequence_contrast
from jaxskills.losses.metric import ASN_BOUND, Bound
from jaxskills.losses.pairs import root, same_instant, squared_distances
from jaxskills.types import Metrics, Scalar

MetricName = Literal["triplet", "npairs", "lifted", "contrastive", "asn_lifted", "infonce", "tcc"]
Reduction = Literal["sum", "mean"]

MetricFunction = Callable[[Float[Array, "time view dim"]], Scalar]

ON_SPHERE = ("triplet", "contrastive", "infonce")
"""Losses that are given embeddings of length one: TCN's released code does so for the first two;
for InfoNCE the dot products then are cosines."""


class MetricOptions(NamedTuple):
  """A metric loss and its constants; each reads only those that it has.

  Attributes:
    name: of the loss.
    margin: of triplet (.2), lifted, ASN's lifted and contrastive (1); None is that default.
    bound: form of ASN's bound on positive pairs; see `losses.metric.positive_bound`.
    threshold: of that bound.
    regularization: of npairs.
    temperature: of infonce and tcc.
    symmetric: whether infonce asks both ways.
    variance_weight: of tcc.
    normalize: whether embeddings have length one; None does what the loss was published with.
  """

  name: MetricName = "lifted"
  margin: float | None = None
  bound: Bound = "hinge"
  threshold: float | Scalar = ASN_BOUND
  regularization: float | Scalar = 0.002
  temperature: float | Scalar = 0.1
  symmetric: bool = True
  variance_weight: float | Scalar = 0.001
  normalize: bool | None = None


def normalizes(options: MetricOptions) -> bool:
  """Whether the embeddings of this loss have length one."""
  return options.name in ON_SPHERE if options.normalize is None else options.normalize


def make_metric_loss(options: MetricOptions) -> MetricFunction:
  """The loss of the embeddings `[time, view, dim]` of one video.

  Raises:
    ValueError: if the name of the loss or of its bound is unknown.
  """
  if options.bound not in get_args(Bound):
    raise ValueError(f"bound must be one of {get_args(Bound)}, not {options.bound!r}")
  margin = {} if options.margin is None else {"margin": options.margin}
  losses: dict[str, MetricFunction] = {
    "triplet": lambda e: metric.triplet(e, **margin),
    "npairs": lambda e: metric.npairs(e, regularization=options.regularization),
    "lifted": lambda e: metric.lifted(e, **margin),
    "contrastive": lambda e: metric.contrastive(e, **margin),
    "asn_lifted": lambda e: metric.asn_lifted(
      e, bound=options.bound, threshold=options.threshold, **margin
    ),
    "infonce": lambda e: sequence_contrast.info_nce(
      e, temperature=options.temperature, symmetric=options.symmetric
    ),
    "tcc": lambda e: sequence_contrast.cycle_back(
      e, temperature=options.temperature, variance_weight=options.variance_weight
    ),
  }
  if options.name not in losses:
    raise ValueError(f"the metric loss must be one of {sorted(losses)}, not {options.name!r}")
  return losses[options.name]


def over_videos(
  loss: MetricFunction, embeddings: Float[Array, "video time view dim"], reduction: Reduction
) -> Scalar:
  """The loss of each video by itself, summed (ASN's released code) or averaged.

  Raises:
    ValueError: if `reduction` is neither.
  """
  if reduction not in get_args(Reduction):
    raise ValueError(f"reduction must be 'sum' or 'mean', not {reduction!r}")
  values = jax.vmap(loss)(embeddings)
  return jnp.sum(values) if reduction == "sum" else jnp.mean(values)


def distances(embeddings: Float[Array, "video time view dim"]) -> Metrics:
  """How far apart views of an instant are, and instants; and how far embeddings spread at all.

  Losses that have collapsed show here: all three go to 0 together.
  """
  videos, times, views, dim = embeddings.shape
  rows = embeddings.reshape(videos, times * views, dim)
  apart = root(jax.vmap(squared_distances)(rows, rows))
  masks = same_instant(times, views)

  def mean_over(mask: Array) -> Array:
    return jnp.sum(jnp.where(mask, apart, 0.0)) / jnp.maximum(videos * jnp.sum(mask), 1)

  return {
    "positive_distance": mean_over(masks.is_positive),
    "negative_distance": mean_over(masks.is_negative),
    "spread": spread(embeddings),
  }


def spread(embeddings: Float[Array, "*batch dim"]) -> Scalar:
  """Root of the summed variances of an embedding's entries: its typical distance from the mean."""
  rows = embeddings.reshape(-1, embeddings.shape[-1])
  return root(jnp.sum(jnp.var(rows, axis=0)))
