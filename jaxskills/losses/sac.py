"""Soft actor-critic whose entropy term is a divergence from a prior: four equations and a mean.

SPiRL (Pertsch et al. 2020), algorithm 1 and appendix A, after SAC (Haarnoja et al. 2018). With a
uniform prior the divergence is the negative entropy up to a constant, and this is plain SAC.

Axes: `batch` rows; `critic`, the ensemble whose least value counts; `alternative`, the actions that
an expectation over the policy is written out for (one sample of a Gaussian; every discrete skill
with its argument in EXTRACT, Xu et al. 2024, equation 5), whose weights sum to one; `component`,
the divergences that are added up, each with its own alpha (EXTRACT: of the skill, of its argument).
Networks and action types are `jaxskills.learners.sac`'s business, not this file's.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.types import Metrics, Scalar


def masked_mean(values: Float[Array, "batch"], weight: Float[Array, "batch"]) -> Scalar:
  """The mean over rows in proportion to their weight; 0 where every weight is 0.

  Args:
    values: finite everywhere, also where they do not count.
    weight: at least 0; a row of weight 0 contributes neither value nor gradient.
  """
  total = jnp.sum(weight)
  return jnp.sum(weight * values) / jnp.where(total > 0, total, 1.0)


def soft_value(
  values: Float[Array, "alternative critic batch"],
  weights: Float[Array, "alternative batch"],
  divergence: Float[Array, "component batch"],
  alpha: Float[Array, "component"],
) -> Float[Array, "batch"]:
  """What a state is worth to the policy: `E_pi[min Q] - alpha D(pi, prior)`.

  SPiRL, appendix A (`V(s)`, with the temperature of algorithm 1); EXTRACT, equation 5.

  Args:
    values: every critic's value of every alternative action.
    weights: the policy's probability of each alternative.
    divergence: of the policy from its prior, nats.
    alpha: weight of each divergence.
  """
  expected = jnp.sum(weights * jnp.min(values, axis=1), axis=0)
  return expected - alpha @ divergence


def bellman_target(
  reward: Float[Array, "batch"],
  discount: Float[Array, "batch"],
  terminated: Float[Array, "batch"],
  truncated: Float[Array, "batch"],
  next_value: Float[Array, "batch"],
  *,
  gamma: float | Scalar,
  reward_scale: float | Scalar = 1.0,
  timeouts_terminate: bool | float | Array = False,
  limit: float | Scalar = 0.0,
) -> Float[Array, "batch"]:
  """What the critics are drawn to: `r + gamma (1 - terminated) V(s')`, without gradient.

  SPiRL, algorithm 1, line 9. A world that a time limit cut off goes on unseen, so the value of its
  last observation counts; one that ended is worth nothing afterwards, even if both happened.

  Args:
    reward: of the whole decision.
    discount: the transition's own factor on the future; multiplies `gamma`.
    terminated: 1 where the world ended.
    truncated: 1 where a time limit cut the episode.
    next_value: `soft_value` of the next observation under the target critics.
    gamma: discount per decision (SPiRL: .99 per skill).
    reward_scale: multiplies the reward.
    timeouts_terminate: take time limits for ends, as SPiRL's released code does.
    limit: keep targets within plus and minus this (EXTRACT: `1 / (1 - gamma)`); 0 means no limit.
  """
  ended = jnp.maximum(terminated, truncated * timeouts_terminate)
  target = reward_scale * reward + gamma * discount * (1.0 - ended) * next_value
  limit = jnp.where(jnp.asarray(limit) > 0, limit, jnp.inf)
  return jax.lax.stop_gradient(jnp.clip(target, -limit, limit))


def critic_loss(
  values: Float[Array, "critic batch"],
  target: Float[Array, "batch"],
  weight: Float[Array, "batch"],
) -> tuple[Scalar, Metrics]:
  """Half the squared error of every critic, summed over critics, averaged over rows.

  SPiRL, algorithm 1, line 11.

  Args:
    values: of the actions that were taken.
    target: from `bellman_target`.
    weight: 0 for rows that do not count.
  """
  squared_error = jnp.sum((values - jax.lax.stop_gradient(target)) ** 2, axis=0)
  loss = masked_mean(0.5 * squared_error, weight)
  return loss, {
    "critic_loss": loss,
    "value": masked_mean(jnp.mean(values, axis=0), weight),
    "target_value": masked_mean(target, weight),
  }


def policy_loss(
  values: Float[Array, "alternative critic batch"],
  weights: Float[Array, "alternative batch"],
  divergence: Float[Array, "component batch"],
  alpha: Float[Array, "component"],
  weight: Float[Array, "batch"],
) -> tuple[Scalar, Metrics]:
  """Minus the mean `soft_value` of the policy's own actions: what the policy descends.

  SPiRL, algorithm 1, line 10, whose printed sign is that of ascent; appendix A has this one.

  Args:
    values: every critic's value of every alternative, differentiable in the action.
    weights: the policy's probability of each alternative.
    divergence: of the policy from its prior, nats.
    alpha: weight of each divergence; receives no gradient.
    weight: 0 for rows that do not count.
  """
  value = soft_value(values, weights, divergence, jax.lax.stop_gradient(alpha))
  loss = -masked_mean(value, weight)
  return loss, {"policy_loss": loss}


def alpha_loss(
  log_alpha: Float[Array, "component"],
  divergence: Float[Array, "component batch"],
  target_divergence: Float[Array, "component"],
  weight: Float[Array, "batch"],
) -> tuple[Scalar, Metrics]:
  """The dual of `D <= target`: descending it raises alpha where the policy strays too far.

  SPiRL, appendix A: `alpha (target - D)`, with `alpha = exp(log_alpha)` so that it stays positive.
  Algorithm 1, line 12, prints the opposite sign, which would reward straying.

  Args:
    log_alpha: of each divergence.
    divergence: of the policy from its prior, nats; receives no gradient.
    target_divergence: nats allowed.
    weight: 0 for rows that do not count.
  """
  gap = target_divergence[:, None] - jax.lax.stop_gradient(divergence)
  loss = masked_mean(jnp.exp(log_alpha) @ gap, weight)
  return loss, {"alpha_loss": loss}
