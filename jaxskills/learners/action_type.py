"""What SAC must know of an action: how to draw it and how far a policy strays from its prior.

`jaxskills.learners.sac` is written once, over an `ActionType`. Two stand here, both for a policy
that puts out an unsquashed `Gaussian` whose samples go through `distributions.squash`:
`gaussian_prior` (SPiRL's skills and the single-action "flat" prior: Pertsch et al. 2020) and
`uniform_prior` (plain SAC: Haarnoja et al. 2018). A discrete skill with a continuous argument
(EXTRACT, Xu et al. 2024) is another type of this record, with one alternative for each skill.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills import distributions
from jaxskills.distributions import Gaussian
from jaxskills.types import Key


class Alternatives(NamedTuple):
  """Actions over which the policy's expectation is written out."""

  actions: Any
  """A pytree of arrays `[alternative, batch, ...]`."""
  weights: Float[Array, "alternative batch"]
  """The policy's probability of each; they sum to one and carry its gradient."""
  draw: Any
  """What was drawn, for the divergence of the same draw."""


class ActionType(NamedTuple):
  """The part of SAC that depends on what an action is; `output` is what the policy puts out.

  Attributes:
    components: names of the divergences that are added up, each with an alpha of its own.
    alternatives: `(output, key) -> Alternatives`, reparameterised.
    divergence: `(output, prior, draw) -> [component, batch]` in nats, of the policy from the prior.
    sample: `(output, key) -> action`, one for each row.
    sample_prior: `(output, prior, key) -> action` drawn from the prior instead; of `output` only
      the shape counts. For warm-up, and for SPiRL's appendix F, which starts without prior weights.
    mode: `output -> action`, the deterministic choice.
  """

  components: tuple[str, ...]
  alternatives: Callable[[Any, Key], Alternatives]
  divergence: Callable[[Any, Any, Any], Float[Array, "component batch"]]
  sample: Callable[[Any, Key], Any]
  sample_prior: Callable[[Any, Any, Key], Any]
  mode: Callable[[Any], Any]


def gaussian_prior(limit: float = 2.0) -> ActionType:
  """Squashed Gaussian actions regularised towards a Gaussian prior.

  SPiRL, algorithm 1. The prior, too, is unsquashed and goes through the same `squash`, so
  the analytic divergence between the Gaussians is that between the distributions of actions.

  Args:
    limit: actions lie within plus and minus this (SPiRL's skills: 2; robot actions: 1).

  Raises:
    ValueError: if the limit is not positive; when traced, if the transitions bring no prior.
  """
  _check_limit(limit)

  def divergence(output: Gaussian, prior: Any, draw: Any) -> Float[Array, "1 batch"]:
    del draw
    _check_prior(prior)
    return distributions.kl(output, prior)[None]

  def sample_prior(output: Gaussian, prior: Any, key: Key) -> Float[Array, "*batch size"]:
    del output
    _check_prior(prior)
    return distributions.squash(distributions.sample(prior, key), limit)

  return _squashed_gaussian(limit, divergence, sample_prior)


def uniform_prior(limit: float = 1.0) -> ActionType:
  """Squashed Gaussian actions regularised towards the uniform distribution: plain SAC.

  `D(pi, U) = E[log pi(a)] + size * log(2 limit)` from one draw, so that it is a divergence in nats
  like any other (its draws scatter around that and may be negative) and its target is
  `divergence_at_entropy(target_entropy, ...)`. SAC as usually written leaves the constant out: the
  policy and alpha are the same, while every decision is worth `alpha * size * log(2 limit)` more.
  Priors in the transitions are ignored.

  Args:
    limit: actions lie within plus and minus this.

  Raises:
    ValueError: if the limit is not positive.
  """
  _check_limit(limit)

  def divergence(
    output: Gaussian, prior: Any, draw: Float[Array, "batch size"]
  ) -> Float[Array, "1 batch"]:
    del prior
    volume_change = distributions.squash_log_det(draw, limit)
    log_density = distributions.log_prob(output, draw) - volume_change
    return divergence_at_entropy(-log_density, draw.shape[-1], limit)[None]

  def sample_prior(output: Gaussian, prior: Any, key: Key) -> Float[Array, "*batch size"]:
    del prior
    shape, dtype = output.mean.shape, output.mean.dtype
    return jax.random.uniform(key, shape, dtype, minval=-limit, maxval=limit)

  return _squashed_gaussian(limit, divergence, sample_prior)


def divergence_at_entropy(entropy, action_size: int, limit: float):
  """The divergence from uniform of a policy with this differential entropy, nats.

  Plain SAC's usual target entropy of `-action_size` is the target divergence
  `divergence_at_entropy(-action_size, action_size, limit)`.

  Args:
    entropy: of the squashed policy, a number or an array.
    action_size: dimensions of the action.
    limit: actions lie within plus and minus this.
  """
  return action_size * math.log(2.0 * limit) - entropy


def _squashed_gaussian(limit: float, divergence: Callable, sample_prior: Callable) -> ActionType:
  def alternatives(output: Gaussian, key: Key) -> Alternatives:
    draw = distributions.sample(output, key)
    actions = distributions.squash(draw, limit)[None]
    return Alternatives(actions, jnp.ones(actions.shape[:2], actions.dtype), draw)

  def sample(output: Gaussian, key: Key) -> Float[Array, "*batch size"]:
    return distributions.squash(distributions.sample(output, key), limit)

  def mode(output: Gaussian) -> Float[Array, "*batch size"]:
    return distributions.squash(output.mean, limit)

  return ActionType(("action",), alternatives, divergence, sample, sample_prior, mode)


def _check_limit(limit: float) -> None:
  if not limit > 0:
    raise ValueError(f"the action limit must be positive, not {limit}")


def _check_prior(prior: Any) -> None:
  if not isinstance(prior, Gaussian):
    raise ValueError(
      "this action type measures the divergence from a Gaussian prior, but the transitions bring "
      f"{type(prior).__name__} as prior; store the frozen prior's Gaussian in Transition.prior and "
      "Transition.next_prior"
    )
