"""Behaviour cloning of single actions by maximum likelihood.

SPiRL (Pertsch et al. 2020), section 4: the same Gaussian is the BC of "BC + SAC" and the one-step
action prior of "Flat Prior". Both are later executed through `squash`, so the demonstrated
actions can first be taken through its inverse; otherwise a cloned 1.0 would be executed as 0.76.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.distributions import Gaussian, log_prob
from jaxskills.types import Metrics, Scalar

EDGE = 0.99  # of the limit: beyond it the inverse of tanh runs away (demonstrations saturate)


def behavior_cloning(
  policy: Gaussian, action: Float[Array, "batch action"]
) -> tuple[Scalar, Metrics]:
  """Negative log likelihood of demonstrated actions, averaged over the batch, in nats.

  Args:
    policy: unsquashed Gaussian `[batch, action]`.
    action: in the same space as the Gaussian.
  """
  loss = -jnp.mean(log_prob(policy, action))
  error = jnp.mean(jnp.sum((action - policy.mean) ** 2, axis=-1))
  return loss, {"loss": loss, "squared_error": error, "std": jnp.mean(jnp.exp(policy.log_std))}


def unsquash(action: Float[Array, "... action"], limit: float) -> Float[Array, "... action"]:
  """The inverse of `distributions.squash`, with actions first clipped to 0.99 of the limit."""
  return limit * jnp.arctanh(jnp.clip(action / limit, -EDGE, EDGE))
