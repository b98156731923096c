"""ResNet-18 (He et al. 2016) without its classifier, up to a chosen stage.

Torchvision's variant, and its names with `.` written `_`: basic blocks, the stride in the first
convolution of a stage. `image_weights` reads its files. Pictures are normalised by ImageNet's mean
and standard deviation there.
"""

import functools

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from jaxskills.networks.conv import Form
from jaxskills.networks.conv_unit import ConvUnit
from jaxskills.networks.pooling import max_pool

WIDTHS = (64, 128, 256, 512)
"""Channels after each stage; sides are then 1/4, 1/8, 1/16 and 1/32 of the picture's."""


class ResNetTrunk(nn.Module):
  """From pictures to the maps of a stage.

  Attributes:
    stages: how many of the four stages of two blocks are used: 2 turns 64x64 into 8x8x128.
    momentum: share of the running statistics that one update keeps.
    form: how convolutions are computed; see `conv.ConvStack`.
  """

  stages: int = 2
  momentum: float = 0.9
  form: Form = "auto"

  @nn.compact
  def __call__(
    self, frames: Float[Array, "batch rows columns 3"], *, uses_batch: bool = False
  ) -> Float[Array, "batch rows_out columns_out channels"]:
    """Gives feature maps.

    Args:
      frames: pictures.
      uses_batch: whether to normalise by the batch's statistics, recording them, instead of by the
        running ones.

    Raises:
      ValueError: if `stages` is not between 1 and 4.
    """
    if not 1 <= self.stages <= len(WIDTHS):
      raise ValueError(f"ResNet-18 has stages 1 to {len(WIDTHS)}, not {self.stages}")
    unit = ConvUnit(WIDTHS[0], 7, 2, momentum=self.momentum, form=self.form, name="stem")
    value = unit(frames.transpose(3, 1, 2, 0), uses_batch)
    value = max_pool(value, side=3, stride=2, padding=1)
    for stage, width in enumerate(WIDTHS[: self.stages], start=1):
      for index in range(2):
        stride = 2 if stage > 1 and index == 0 else 1
        block = _Block(width, stride, self.momentum, self.form, name=f"layer{stage}_{index}")
        value = block(value, uses_batch)
    return value.transpose(3, 1, 2, 0)


class _Block(nn.Module):
  """Two 3x3 convolutions around a shortcut, which is itself a 1x1 where the shape changes."""

  width: int
  stride: int
  momentum: float
  form: Form

  @nn.compact
  def __call__(
    self, value: Float[Array, "into rows columns batch"], uses_batch: bool
  ) -> Float[Array, "out rows_out columns_out batch"]:
    unit = functools.partial(ConvUnit, self.width, momentum=self.momentum, form=self.form)
    shortcut = value
    if self.stride > 1 or value.shape[0] != self.width:
      shortcut = unit(1, self.stride, rectifies=False, name="downsample")(value, uses_batch)
    value = unit(3, self.stride, name="unit1")(value, uses_batch)
    value = unit(3, rectifies=False, name="unit2")(value, uses_batch)
    return jax.nn.relu(value + shortcut)
