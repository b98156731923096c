"""The last layer of a policy, a prior or a posterior: the parameters of a diagonal Gaussian.

SPiRL (Pertsch et al. 2020), appendix B.1: all distributions are diagonal Gaussians whose standard
deviation depends on the input. Samples are not squashed here; see `jaxskills.distributions`.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.distributions import Gaussian, clamped

SMALL = nn.initializers.variance_scaling(0.01, "fan_in", "truncated_normal")
"""Starts every distribution near the unit Gaussian: a few tenths of a nat away, where a unit-scale
head can begin thousands away and blow the first update up."""


class GaussianHead(nn.Module):
  """One linear map to mean and log standard deviation, the latter clamped to [-10, 2].

  Attributes:
    size: dimensions of the event.
  """

  size: int

  @nn.compact
  def __call__(self, features: Float[Array, "*batch features"]) -> Gaussian:
    layer = nn.Dense(2 * self.size, kernel_init=SMALL, name="dense")
    mean, log_std = jnp.split(layer(features), 2, axis=-1)
    return clamped(mean, log_std)
