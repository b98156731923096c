"""Inception-v3 (Szegedy et al. 2016) up to Mixed_5d: the trunk of TCN's and ASN's network.

299x299 pixels become 35x35x288; other sizes work. Names are torchvision's. Published weights come
in two kinds that differ in more than their format (see `image_weights`): torchvision's average
pooling counts the padding as zeros, that of Keras and TensorFlow leaves it out, which changes the
outermost pixels of each block. Both add 1e-3 to variances, which is neither one's usual figure, and
both pad convolutions by the same zeros.
"""

import functools

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.networks.conv import Form
from jaxskills.networks.conv_unit import ConvUnit
from jaxskills.networks.pooling import average_pool, max_pool

EPSILON = 1e-3
SMALLEST = 27
"""Pixels on a side that leave one number of the map; Keras asks for 75, which leave seven."""
BLOCKS = {"Mixed_5b": 32, "Mixed_5c": 64, "Mixed_5d": 64}
"""Outputs of each block's pooling branch, the only thing that the blocks differ in."""


class InceptionTrunk(nn.Module):
  """From pictures in [-1, 1] to the maps of Mixed_5d.

  Attributes:
    counts_padding: whether average pooling counts the padding: true for torchvision's weights.
    momentum: share of the running statistics that one update keeps.
    form: how convolutions are computed; see `conv.ConvStack`.
  """

  counts_padding: bool = False
  momentum: float = 0.9
  form: Form = "auto"

  @nn.compact
  def __call__(
    self, frames: Float[Array, "batch rows columns 3"], *, uses_batch: bool = False
  ) -> Float[Array, "batch rows_out columns_out 288"]:
    """Gives feature maps.

    Args:
      frames: pictures, `SMALLEST` or more pixels on each side.
      uses_batch: whether to normalise by the batch's statistics, recording them, instead of by the
        running ones.

    Raises:
      ValueError: if the pictures are too small.
    """
    if min(frames.shape[1:3]) < SMALLEST:
      rows, columns = frames.shape[1:3]
      raise ValueError(f"Inception-v3 needs {SMALLEST}x{SMALLEST} pixels, not {rows}x{columns}")
    unit = functools.partial(ConvUnit, epsilon=EPSILON, momentum=self.momentum, form=self.form)
    value = frames.transpose(3, 1, 2, 0)
    value = unit(32, 3, stride=2, padding=0, name="Conv2d_1a_3x3")(value, uses_batch)
    value = unit(32, 3, padding=0, name="Conv2d_2a_3x3")(value, uses_batch)
    value = unit(64, 3, name="Conv2d_2b_3x3")(value, uses_batch)
    value = max_pool(value, side=3, stride=2)
    value = unit(80, 1, name="Conv2d_3b_1x1")(value, uses_batch)
    value = unit(192, 3, padding=0, name="Conv2d_4a_3x3")(value, uses_batch)
    value = max_pool(value, side=3, stride=2)
    for name, pooled in BLOCKS.items():
      block = _Mixed(pooled, self.counts_padding, self.momentum, self.form, name=name)
      value = block(value, uses_batch)
    return value.transpose(3, 1, 2, 0)


class _Mixed(nn.Module):
  """Four branches side by side: 1x1, 5x5, two 3x3, and average pooling (figure 5 there)."""

  pooled: int
  counts_padding: bool
  momentum: float
  form: Form

  @nn.compact
  def __call__(
    self, value: Float[Array, "into rows columns batch"], uses_batch: bool
  ) -> Float[Array, "out rows columns batch"]:
    unit = functools.partial(ConvUnit, epsilon=EPSILON, momentum=self.momentum, form=self.form)
    one = unit(64, 1, name="branch1x1")(value, uses_batch)
    five = unit(48, 1, name="branch5x5_1")(value, uses_batch)
    five = unit(64, 5, name="branch5x5_2")(five, uses_batch)
    three = unit(64, 1, name="branch3x3dbl_1")(value, uses_batch)
    three = unit(96, 3, name="branch3x3dbl_2")(three, uses_batch)
    three = unit(96, 3, name="branch3x3dbl_3")(three, uses_batch)
    mean = average_pool(value, side=3, counts_padding=self.counts_padding)
    mean = unit(self.pooled, 1, name="branch_pool")(mean, uses_batch)
    return jnp.concatenate([one, five, three, mean])
