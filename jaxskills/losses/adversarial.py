"""The game between ASN's encoder and discriminator: two entropies and a bottleneck, in nats.

ASN (Mees et al. 2020), equations 2 to 6. The discriminator guesses which of C classes a skill is
of, without labels: it is to be sure of each skill (small conditional entropy) and to use all
classes alike (large marginal entropy), through a latent variable that is kept near the unit
Gaussian. The encoder wants it to be unsure. Both want a large marginal entropy: only the
conditional entropy is contested. Entropies here are positive; who minimises what is in
`jaxskills.learners.asn`.
"""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.types import Scalar

KlReduction = Literal["mean", "skill", "sum"]

EPSILON = 1e-6  # under the logarithm of the marginal; ASN's released code


def conditional_entropy(logits: Float[Array, "skill class"]) -> Scalar:
  """`-1/N sum_i sum_c p_ic log p_ic`: how unsure single guesses are; ASN, equation 2."""
  log_p = jax.nn.log_softmax(logits, axis=-1)
  return -jnp.mean(jnp.sum(jnp.exp(log_p) * log_p, axis=-1))


def marginal_entropy(logits: Float[Array, "skill class"]) -> Scalar:
  """`-sum_c m_c log(m_c + 1e-6)`, `m_c = 1/M sum_i p_ic`: how evenly classes are used; equation 3.

  The 1e-6 is the released code's; with it, log C is missed by about 1e-6 C.
  """
  marginal = jnp.mean(jax.nn.softmax(logits, axis=-1), axis=0)
  return -jnp.sum(marginal * jnp.log(marginal + EPSILON))


def class_information(logits: Float[Array, "skill class"]) -> Scalar:
  """`H_marg - H_cond`: how much a guess tells of which skill it was made for; at most `log C`.

  Ours. Meant for guesses without noise: guesses made from a sample can be sure and even, the best
  of both entropies, and yet tell nothing but the noise.
  """
  return marginal_entropy(logits) - conditional_entropy(logits)


def gaussian_kl(
  mean: Float[Array, "skill latent"],
  log_var: Float[Array, "skill latent"],
  *,
  reduction: KlReduction = "mean",
) -> Scalar:
  """`D_KL[N(mean, var) || N(0, 1)] = -1/2 (1 + log var - mean^2 - var)`; ASN, equation 4.

  Args:
    mean: of the latent variable of each skill.
    log_var: logarithm of its variance.
    reduction: over skills and dimensions. "sum" of both is the released code's; "skill" sums
      dimensions and averages skills, the equation as it stands, in expectation like the entropies
      beside it; "mean" averages both.

  Raises:
    ValueError: if `reduction` is unknown.
  """
  terms = -0.5 * (1.0 + log_var - mean**2 - jnp.exp(log_var))
  if reduction == "sum":
    return jnp.sum(terms)
  if reduction == "skill":
    return jnp.mean(jnp.sum(terms, axis=-1))
  if reduction == "mean":
    return jnp.mean(terms)
  raise ValueError(f"reduction must be one of {get_args(KlReduction)}, not {reduction!r}")


def reverse_gradient(
  value: Float[Array, "..."], strength: float | Scalar = 1.0
) -> Float[Array, "..."]:
  """`value` itself, whose gradient is multiplied by `-strength` (Ganin and Lempitsky 2015).

  Args:
    value: finite.
    strength: 1 makes both players of a game equally eager, 0 takes one of them out of it.
  """
  held = jax.lax.stop_gradient(value)
  return held - strength * (value - held)
