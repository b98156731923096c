"""The fully connected stack that every head in jaxskills stands on.

SPiRL (Pertsch et al. 2020), appendix B.1, uses leaky ReLUs and batch normalisation. Batch
statistics would have to be frozen whenever a prior becomes a policy, so the normalisation here is
optional and per row (LayerNorm); without it the initialisation alone keeps the scale. Locomotion
policies have ELUs by custom (e.g. Rudin et al. 2022).
"""

from collections.abc import Sequence
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

LEAK = 0.2  # slope of the leaky ReLU, as in SPiRL's released code
keep_scale = nn.initializers.variance_scaling(2.0 / (1.0 + LEAK**2), "fan_in", "truncated_normal")
"""He initialisation for that slope: activations keep their variance through any depth."""

Activation = Literal["leaky_relu", "elu"]


def leaky_relu(value: Float[Array, "..."]) -> Float[Array, "..."]:
  """The activation of all networks here that name no other, slope 0.2 below zero."""
  return jax.nn.leaky_relu(value, LEAK)


@jax.custom_jvp
def elu(value: Float[Array, "..."]) -> Float[Array, "..."]:
  """`value` above zero, `exp(value) - 1` below (Clevert et al. 2016).

  Its slope is taken from its value. Differentiated as it is written, or as `jax.nn.elu` is, it
  costs a backward pass on a CPU as much again as all matrix products (jax 0.10.2, layers of 256).
  """
  return jnp.where(value > 0, value, jnp.exp(jnp.minimum(value, 0.0)) - 1.0)


@elu.defjvp
def _elu_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
  result = elu(*primals)
  return result, jnp.where(result > 0, 1.0, result + 1.0) * tangents[0]


_ACTIVATIONS = {"leaky_relu": leaky_relu, "elu": elu}
_INITIALIZERS = {"leaky_relu": keep_scale, "elu": nn.initializers.lecun_normal()}


class Mlp(nn.Module):
  """Hidden layers of dense, optional LayerNorm, activation; ends after an activation.

  Attributes:
    hidden: width of each layer.
    layer_norm: whether to normalise each row before the activation.
    activation: "leaky_relu" or "elu"; decides the initialisation, too.
  """

  hidden: Sequence[int]
  layer_norm: bool = False
  activation: Activation = "leaky_relu"

  @nn.compact
  def __call__(self, value: Float[Array, "*batch width"]) -> Float[Array, "*batch features"]:
    kernel_init, activate = _INITIALIZERS[self.activation], _ACTIVATIONS[self.activation]
    for index, width in enumerate(self.hidden):
      value = nn.Dense(width, kernel_init=kernel_init, name=f"dense_{index}")(value)
      if self.layer_norm:
        value = nn.LayerNorm(name=f"norm_{index}")(value)
      value = activate(value)
    return value
