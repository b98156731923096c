"""Diagonal Gaussians, and the tanh that turns one into a bounded action.

All divergences are analytic and summed over the last axis, hence in nats. Policies, priors and
posteriors are unsquashed Gaussians; because `squash` is invertible, the divergence between
two squashed ones equals that between the unsquashed ones.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.types import Key

LOG_STD_MIN, LOG_STD_MAX = -10.0, 2.0  # SPiRL's released code clamps every Gaussian so


class Gaussian(NamedTuple):
  """A diagonal Gaussian; the last axis is the event, all others are batch."""

  mean: Float[Array, "... size"]
  log_std: Float[Array, "... size"]


def clamped(mean: Float[Array, "... size"], log_std: Float[Array, "... size"]) -> Gaussian:
  """A Gaussian whose log standard deviation is kept within [-10, 2]."""
  return Gaussian(mean, jnp.clip(log_std, LOG_STD_MIN, LOG_STD_MAX))


def sample(gaussian: Gaussian, key: Key) -> Float[Array, "... size"]:
  """A reparameterised sample."""
  noise = jax.random.normal(key, gaussian.mean.shape, gaussian.mean.dtype)
  return gaussian.mean + jnp.exp(gaussian.log_std) * noise


def log_prob(gaussian: Gaussian, value: Float[Array, "... size"]) -> Float[Array, "..."]:
  """Log density in nats."""
  scaled = (value - gaussian.mean) * jnp.exp(-gaussian.log_std)
  terms = -0.5 * scaled**2 - gaussian.log_std - 0.5 * math.log(2 * math.pi)
  return jnp.sum(terms, axis=-1)


def kl(q: Gaussian, p: Gaussian) -> Float[Array, "..."]:
  """`D_KL(q || p)` in nats."""
  ratio = jnp.exp(2 * (q.log_std - p.log_std))
  gap = (q.mean - p.mean) * jnp.exp(-p.log_std)
  return jnp.sum(p.log_std - q.log_std + 0.5 * (ratio + gap**2 - 1.0), axis=-1)


def standard_like(gaussian: Gaussian) -> Gaussian:
  """The unit Gaussian of the same shape."""
  return Gaussian(jnp.zeros_like(gaussian.mean), jnp.zeros_like(gaussian.log_std))


def squash(value: Float[Array, "... size"], limit: float) -> Float[Array, "... size"]:
  """`limit * tanh(value / limit)`: an action in `(-limit, limit)`, and `value` itself near 0.

  SPiRL's released code has `2 tanh(value)`, which doubles small skills: a prior that was fitted to
  skills as they are would not act as it learned.
  """
  return limit * jnp.tanh(value / limit)


def squash_log_det(value: Float[Array, "... size"], limit: float) -> Float[Array, "..."]:
  """Log of the volume change of `squash` at `value`, stable for large values."""
  inner = value / limit
  return jnp.sum(2.0 * (math.log(2.0) - inner - jax.nn.softplus(-2.0 * inner)), axis=-1)
