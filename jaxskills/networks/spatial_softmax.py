"""Where each channel of a feature map is active: its softmax-weighted mean position.

Levine et al. 2016 ("End-to-end training of deep visuomotor policies"), equation 2 of section 5.1;
TCN (Sermanet et al. 2018) and ASN (Mees et al. 2020) end their convolutions with it. A channel
becomes two numbers, and what is lost is how strongly it was active: a block that has left the
picture still has a position. `with_values` gives that back; the papers do without.

Maps are batch-last as in `conv`.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class SpatialSoftmax(nn.Module):
  """`spatial_softmax` with a temperature that is fixed, or learned from there on.

  Attributes:
    temperature: to begin with; one in the papers' code.
    learn_temperature: adds the parameter `log_temperature` `[]`. ASN's code keeps the temperature
      at one; the layer in TCN's code learns it.
    with_values: appends each channel's softmax-weighted mean value.
  """

  temperature: float = 1.0
  learn_temperature: bool = False
  with_values: bool = False

  @nn.compact
  def __call__(
    self, features: Float[Array, "channels rows columns batch"]
  ) -> Float[Array, "batch coordinates"]:
    """Gives `[batch, 2 * channels]`, or `[batch, 3 * channels]` with values."""
    temperature: float | jax.Array = self.temperature
    if self.learn_temperature:
      start = nn.initializers.constant(math.log(self.temperature))
      temperature = jnp.exp(self.param("log_temperature", start, ()))
    return spatial_softmax(features, temperature, with_values=self.with_values)


def spatial_softmax(
  features: Float[Array, "channels rows columns batch"],
  temperature: float | Float[Array, ""] = 1.0,
  *,
  with_values: bool = False,
) -> Float[Array, "batch coordinates"]:
  """Mean position of every channel under `softmax(features / temperature)` over the map.

  Args:
    features: feature maps, batch-last.
    temperature: small follows the peak, large tends to the centre of the map.
    with_values: whether to append the mean of the features under the same softmax.

  Returns:
    All columns' means (x, left -1 to right 1), then all rows' means (y, top -1 to bottom 1), then
    all values if wanted: `[batch, 2 or 3 times channels]`. A map one pixel wide has position 0.
  """
  weights = jax.nn.softmax(features / temperature, axis=(1, 2))
  along_rows, along_columns = (_grid(size) for size in features.shape[1:3])
  x = jnp.sum(weights * along_columns[None, None, :, None], axis=(1, 2))
  y = jnp.sum(weights * along_rows[None, :, None, None], axis=(1, 2))
  parts = [x, y]
  if with_values:
    parts.append(jnp.sum(weights * features, axis=(1, 2)))
  return jnp.concatenate(parts).T


def _grid(size: int) -> Float[Array, " size"]:
  return jnp.linspace(-1.0, 1.0, size) if size > 1 else jnp.zeros(1)
