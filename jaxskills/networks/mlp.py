"""The fully connected stack that every head in jaxskills stands on.

SPiRL (Pertsch et al. 2020), appendix B.1, uses leaky ReLUs and batch normalisation. Batch
statistics would have to be frozen whenever a prior becomes a policy, so the normalisation here is
optional and per row (LayerNorm); without it the initialisation alone keeps the scale.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
from jaxtyping import Array, Float

LEAK = 0.2  # slope of the leaky ReLU, as in SPiRL's released code
keep_scale = nn.initializers.variance_scaling(2.0 / (1.0 + LEAK**2), "fan_in", "truncated_normal")
"""He initialisation for that slope: activations keep their variance through any depth."""


def leaky_relu(value: Float[Array, "..."]) -> Float[Array, "..."]:
  """The activation of all networks here, slope 0.2 below zero."""
  return jax.nn.leaky_relu(value, LEAK)


class Mlp(nn.Module):
  """Hidden layers of dense, optional LayerNorm, leaky ReLU; ends after an activation.

  Attributes:
    hidden: width of each layer.
    layer_norm: whether to normalise each row before the activation.
  """

  hidden: Sequence[int]
  layer_norm: bool = False

  @nn.compact
  def __call__(self, value: Float[Array, "*batch width"]) -> Float[Array, "*batch features"]:
    for index, width in enumerate(self.hidden):
      value = nn.Dense(width, kernel_init=keep_scale, name=f"dense_{index}")(value)
      if self.layer_norm:
        value = nn.LayerNorm(name=f"norm_{index}")(value)
      value = leaky_relu(value)
    return value
