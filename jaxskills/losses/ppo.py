"""Proximal policy optimisation: advantages of a rollout and the clipped objectives.

PPO (Schulman et al. 2017), with generalised advantage estimation (Schulman et al. 2016). Axes:
`time` and `worlds` of a rollout, `batch` rows of a minibatch. A row of weight 0 is of a world that
was not finite: it contributes neither value nor gradient, as long as what it holds here is finite.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.distributions import Gaussian
from jaxskills.losses.sac import masked_mean
from jaxskills.types import Metrics, Scalar


def generalized_advantage(
  reward: Float[Array, "time worlds"],
  value: Float[Array, "time worlds"],
  next_value: Float[Array, "time worlds"],
  terminated: Float[Array, "time worlds"],
  done: Float[Array, "time worlds"],
  weight: Float[Array, "time worlds"] | None = None,
  *,
  gamma: float | Scalar | Float[Array, "time worlds"],
  gae_lambda: float | Scalar,
) -> Float[Array, "time worlds"]:
  """What each action was worth beyond what its state promised, over all later steps seen.

  Schulman et al. 2016, equation 16: `A_t = d_t + gamma lambda A_{t+1}` with
  `d_t = r_t + gamma (1 - terminated) V(s_{t+1}) - V(s_t)`. An episode that a time limit cut goes on
  unseen, so that its last step counts the value of what was truly seen last; the sum over later
  steps stops there as it does at a real end.

  Args:
    reward: of each step.
    value: of each step's observation.
    next_value: of what was seen after the step, before any reset.
    terminated: 1 where the world ended, so that its future is worth nothing.
    done: 1 where the episode ended, for whatever reason: the next row is of another one.
    weight: 0 where the world was not finite; 0 is its advantage, and earlier steps of its episode
      sum up to the value before it.
    gamma: discount per step.
    gae_lambda: 0 trusts the values, 1 the rewards.
  """
  weight = jnp.ones_like(reward) if weight is None else weight
  goes_on = jnp.where(weight > 0, 1.0 - jnp.maximum(terminated, done), 0.0)
  surprise = reward + gamma * (1.0 - terminated) * next_value - value
  surprise = jnp.where(weight > 0, surprise, 0.0)

  def backward(later: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
    surprise, factor = step
    advantage = surprise + factor * later
    return advantage, advantage

  factor = gamma * gae_lambda * goes_on
  nothing = jnp.zeros_like(surprise[0])
  return jax.lax.scan(backward, nothing, (surprise, factor), reverse=True)[1]


def normalized(
  advantage: Float[Array, "batch"], weight: Float[Array, "batch"]
) -> Float[Array, "batch"]:
  """Advantages with mean 0 and deviation 1 over the rows that count."""
  centred = advantage - masked_mean(advantage, weight)
  return centred * jax.lax.rsqrt(masked_mean(centred**2, weight) + 1e-8)


def surrogate_loss(
  log_prob: Float[Array, "batch"],
  old_log_prob: Float[Array, "batch"],
  advantage: Float[Array, "batch"],
  weight: Float[Array, "batch"],
  *,
  clip: float | Scalar,
) -> tuple[Scalar, Metrics]:
  """Minus the clipped surrogate: `-E[min(r A, clip(r, 1 - c, 1 + c) A)]`, `r = exp(lp - lp_old)`.

  Schulman et al. 2017, equation 7. The gradient of a row is zero where its ratio has already gone
  further than `clip` in the direction that its advantage asks for.

  Args:
    log_prob: of the actions under the policy as it is, nats.
    old_log_prob: under the policy that acted.
    advantage: of the actions.
    weight: 0 for rows that do not count.
    clip: how far the ratio may go from 1.

  Returns:
    The loss, and with it `approximate_kl`, the estimate `E[r - 1 - log r]` of the divergence of the
    policy that acted from this one (Schulman 2020, "k3"), and the share of rows beyond the clip.
  """
  log_ratio = log_prob - old_log_prob
  ratio = jnp.exp(log_ratio)
  clipped = jnp.clip(ratio, 1.0 - clip, 1.0 + clip)
  loss = -masked_mean(jnp.minimum(ratio * advantage, clipped * advantage), weight)
  return loss, {
    "policy_loss": loss,
    "approximate_kl": masked_mean(jnp.expm1(log_ratio) - log_ratio, weight),
    "clip_fraction": masked_mean((jnp.abs(ratio - 1.0) > clip).astype(ratio.dtype), weight),
  }


def value_loss(
  value: Float[Array, "batch"],
  old_value: Float[Array, "batch"],
  target: Float[Array, "batch"],
  weight: Float[Array, "batch"],
  *,
  clip: float | Scalar = 0.0,
) -> tuple[Scalar, Metrics]:
  """Half the squared error of the values, or the worse of it and that of the clipped values.

  The clipped form is that of OpenAI's baselines: a value that has moved further than `clip` from
  the one that the policy acted on, towards its target, gets no gradient.

  Args:
    value: of the rows' observations.
    old_value: what the values were when the rollout was made.
    target: what they are drawn to.
    weight: 0 for rows that do not count.
    clip: how far a value may move; 0 means no limit.
  """
  clip = jnp.where(jnp.asarray(clip) > 0, clip, jnp.inf)
  near = old_value + jnp.clip(value - old_value, -clip, clip)
  squared_error = jnp.maximum((value - target) ** 2, (near - target) ** 2)
  loss = masked_mean(0.5 * squared_error, weight)
  return loss, {"value_loss": loss}


def bound_loss(
  mean: Float[Array, "batch action"], weight: Float[Array, "batch"], *, limit: float
) -> Scalar:
  """How far a policy's means lie beyond the limit of actions, squared and summed over dimensions.

  Worlds clip what is beyond, so that nothing else draws a mean back: it drifts until the policy
  forgets what it could (rl_games has the same term as its bounds loss).

  Args:
    mean: of the policy.
    weight: 0 for rows that do not count.
    limit: of actions, in every dimension.
  """
  beyond = jax.nn.relu(jnp.abs(mean) - limit)
  return masked_mean(jnp.sum(beyond**2, axis=-1), weight)


def entropy(gaussian: Gaussian) -> Float[Array, "..."]:
  """Differential entropy of a diagonal Gaussian in nats."""
  return jnp.sum(gaussian.log_std + 0.5 * math.log(2 * math.pi * math.e), axis=-1)


def explained_variance(
  value: Float[Array, "batch"], target: Float[Array, "batch"], weight: Float[Array, "batch"]
) -> Scalar:
  """The part of the targets' variance that the values explain: 1 is all, 0 none; 0 without any."""

  def variance(of: Array) -> Scalar:
    return masked_mean((of - masked_mean(of, weight)) ** 2, weight)

  total = variance(target)
  return jnp.where(total > 0, 1.0 - variance(target - value) / jnp.where(total > 0, total, 1.0), 0)
