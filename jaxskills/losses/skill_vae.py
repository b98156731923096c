"""The objective of SPiRL's skill model: reconstruction, regularisation and skill prior.

SPiRL (Pertsch et al. 2020), equations 1 and 4 (with the sign of the regularisation put right: it is
added). All divergences are analytic and in nats. The paper sums over time, action and skill
dimensions; its released code averages, and its `beta` of 1e-2 belongs to the averages. Both
scalings are here, and `summed_beta` converts.
"""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.distributions import Gaussian, kl, log_prob, standard_like
from jaxskills.types import Metrics, Scalar

LossScaling = Literal["paper", "released_code"]
PriorObjective = Literal["kl", "sample_nll"]


def skill_vae(
  actions: Float[Array, "batch horizon action"],
  decoded: Float[Array, "batch horizon action"],
  posterior: Gaussian,
  skill: Float[Array, "batch skill"],
  prior: Gaussian,
  *,
  beta: float | Scalar,
  scaling: LossScaling = "paper",
  prior_objective: PriorObjective = "kl",
) -> tuple[Scalar, Metrics]:
  """Equation 4: squared error + `beta` KL(q || N(0, I)) + KL(stop_gradient(q) || p).

  Args:
    actions: the action windows.
    decoded: mean actions that the decoder gives for `skill`.
    posterior: `q(z | actions)`, `[batch, skill]`.
    skill: the sample of the posterior that was decoded.
    prior: `p(z | s_1)`, `[batch, skill]`.
    beta: weight of the regularisation, in the convention of `scaling`.
    scaling: "paper" sums over time and dimensions; "released_code" takes half the mean squared
      error and the means of both divergences over skill dimensions.
    prior_objective: "kl", or "sample_nll": the released code's `-log p(skill)`, which has the same
      optimum and more noise.

  Returns:
    The loss averaged over the batch, and its three terms: summed squared error and nats, whatever
    the scaling.

  Raises:
    ValueError: if `scaling` or `prior_objective` is unknown.
  """
  for value, known in ((scaling, LossScaling), (prior_objective, PriorObjective)):
    if value not in get_args(known):
      raise ValueError(f"{value!r} is none of {get_args(known)}")
  error = jnp.mean(reconstruction(actions, decoded))
  regularization = jnp.mean(kl(posterior, standard_like(posterior)))
  divergence = prior_divergence if prior_objective == "kl" else prior_nll
  fit = jnp.mean(divergence(posterior, skill, prior))
  if scaling == "paper":
    loss = error + beta * regularization + fit
  else:
    horizon, action_size = actions.shape[1:]
    skill_size = skill.shape[-1]
    loss = 0.5 * error / (horizon * action_size) + (beta * regularization + fit) / skill_size
  metrics = {
    "loss": loss,
    "reconstruction": error,
    "regularization": regularization,
    "prior": fit,
  }
  return loss, metrics


def reconstruction(
  actions: Float[Array, "batch horizon action"], decoded: Float[Array, "batch horizon action"]
) -> Float[Array, "batch"]:
  """Squared error summed over the window: twice the unit-variance negative log likelihood."""
  return jnp.sum((actions - decoded) ** 2, axis=(1, 2))


def prior_divergence(
  posterior: Gaussian, skill: Float[Array, "batch skill"], prior: Gaussian
) -> Float[Array, "batch"]:
  """`KL(stop_gradient(q) || p)`, which makes the prior cover every skill seen in a state."""
  del skill
  return kl(jax.lax.stop_gradient(posterior), prior)


def prior_nll(
  posterior: Gaussian, skill: Float[Array, "batch skill"], prior: Gaussian
) -> Float[Array, "batch"]:
  """`-log p(stop_gradient(skill))`: the same up to the posterior's entropy, in expectation."""
  del posterior
  return -log_prob(prior, jax.lax.stop_gradient(skill))


def summed_beta(mean_beta: float, horizon: int, action_size: int, skill_size: int) -> float:
  """The `beta` of "paper" scaling that weighs as `mean_beta` does in "released_code".

  Multiplying `0.5 mean(error^2) + b mean(KL)` by `2 H A` gives `sum(error^2) + b (2 H A / nz) KL`:
  the maze's published 1e-2 is 0.04 on sums.
  """
  return mean_beta * 2.0 * horizon * action_size / skill_size
