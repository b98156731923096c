"""Strided 2-D convolutions in two forms that agree: shifted slices and XLA's own.

XLA's CPU backend runs a convolution inside `lax.scan` on one thread through a generic loop, which
made a SAC update on 32x32 images twenty times slower than the same sums written as a few strided
slices and one matrix product. Accelerators want the opposite. Images here are batch-last,
`[channels, rows, columns, batch]`: every slice, and its transpose in the backward pass, then copies
runs of `batch` numbers instead of runs of `channels`, which took a third off the time again. The
parameters are the same in both forms, so a checkpoint moves between machines.
"""

import math
from collections.abc import Sequence
from typing import Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.networks.mlp import keep_scale, leaky_relu
from jaxskills.types import Key

Form = Literal["auto", "slices", "lax"]
Padding = Literal["SAME"] | int
"""`"SAME"`: output sides `ceil(side / stride)`, an odd row of zeros at the end. A number: that many
zeros on each of the four sides, as PyTorch pads."""


class ConvStack(nn.Module):
  """Convolutions of one kernel with "SAME" padding, each followed by a leaky ReLU.

  Parameters lie under `conv_<index>`: `kernel` `[side, side, in, out]` and `bias` `[out]`.

  Attributes:
    channels: outputs of each convolution.
    kernel: side of every kernel.
    stride: along rows and columns; one for all, or one for each.
    form: "slices", "lax", or "auto": slices where the default backend is a CPU.
  """

  channels: Sequence[int]
  kernel: int = 3
  stride: int | Sequence[int] = 2
  form: Form = "auto"

  @nn.compact
  def __call__(
    self, image: Float[Array, "into rows columns batch"]
  ) -> Float[Array, "out rows_out columns_out batch"]:
    """Maps batch-last images to feature maps; each layer's sides are `ceil(side / stride)`.

    Raises:
      ValueError: if `form` is none of the three, or strides are not one for each layer.
    """
    count = len(self.channels)
    strides = (self.stride,) * count if isinstance(self.stride, int) else self.stride
    if len(strides) != count:
      raise ValueError(f"{count} convolutions have {len(strides)} strides: {tuple(strides)}")
    value = image
    for index, (outputs, stride) in enumerate(zip(self.channels, strides, strict=True)):
      layer = Convolution(outputs, self.kernel, stride, form=self.form, name=f"conv_{index}")
      value = leaky_relu(layer(value))
    return value


class Convolution(nn.Module):
  """One square convolution of batch-last images, its parameters the same in both forms.

  Attributes:
    outputs: channels that come out.
    kernel: side of the kernel.
    stride: along rows and columns.
    padding: "SAME", or zeros on every side (0 is what others call "VALID").
    use_bias: whether `bias` `[outputs]` is added; normalised layers have none.
    form: see `ConvStack`.
  """

  outputs: int
  kernel: int = 3
  stride: int = 1
  padding: Padding = "SAME"
  use_bias: bool = True
  form: Form = "auto"

  @nn.compact
  def __call__(
    self, image: Float[Array, "into rows columns batch"]
  ) -> Float[Array, "out rows_out columns_out batch"]:
    """Convolves. Raises ValueError if `form` is unknown."""
    shape = (self.kernel, self.kernel, image.shape[0], self.outputs)
    kernel = self.param("kernel", _keep_scale, shape)
    value = convolve(image, kernel, self.stride, self.form, self.padding)
    if self.use_bias:
      bias = self.param("bias", nn.initializers.zeros, shape[-1:])
      value = value + bias[:, None, None, None]
    return value


def _keep_scale(key: Key, shape: tuple[int, int, int, int]) -> Float[Array, "side side into out"]:
  """`keep_scale` drawn as a matrix: random numbers in four axes take XLA's CPU 2 s to compile."""
  return keep_scale(key, (math.prod(shape[:-1]), shape[-1])).reshape(shape)


def convolve(
  image: Float[Array, "into rows columns batch"],
  kernel: Float[Array, "side side into out"],
  stride: int,
  form: Form = "auto",
  padding: Padding = "SAME",
) -> Float[Array, "out rows_out columns_out batch"]:
  """Convolves (cross-correlates) batch-last images.

  Raises:
    ValueError: if `form` is none of the three.
  """
  if form not in get_args(Form):
    raise ValueError(f"form must be one of {get_args(Form)}, not {form!r}")
  if form == "slices" or (form == "auto" and jax.default_backend() == "cpu"):
    return _convolve_slices(image, kernel, stride, padding)
  layout = ("CHWN", "HWIO", "CHWN")
  zeros = "SAME" if padding == "SAME" else ((padding, padding), (padding, padding))
  return jax.lax.conv_general_dilated(
    image, kernel, (stride, stride), zeros, dimension_numbers=layout
  )


def _convolve_slices(
  image: Float[Array, "into rows columns batch"],
  kernel: Float[Array, "side side into out"],
  stride: int,
  padding: Padding,
) -> Float[Array, "out rows_out columns_out batch"]:
  """Shifted strided slices on top of each other, then one product.

  Columns are shifted first, and rows of the result: as fast as shifting both at once for a kernel
  of 3, and for one of 7 it takes a seventh off the time and half off compiling it.
  """
  side = kernel.shape[0]
  length = image.shape[1:3]
  if padding == "SAME":
    outputs = [-(-n // stride) for n in length]
  else:
    outputs = [(n + 2 * padding - side) // stride + 1 for n in length]
  spans = [(count - 1) * stride + 1 for count in outputs]  # from first to last slice start
  if padding == "SAME":
    missing = [max(s + side - 1 - n, 0) for s, n in zip(spans, length, strict=True)]
    zeros = [(m // 2, m - m // 2) for m in missing]
  else:
    zeros = [(padding, padding)] * 2
  padded = jnp.pad(image, [(0, 0), *zeros, (0, 0)]) if any(map(any, zeros)) else image
  shifted = [padded[:, :, start : start + spans[1] : stride] for start in range(side)]
  wide = jnp.concatenate(shifted, axis=0)  # a row's neighbours first: 2 * side slices, not side^2
  slices = [wide[:, start : start + spans[0] : stride] for start in range(side)]
  patches = jnp.concatenate(slices, axis=0)  # [side * side * into, rows_out, columns_out, batch]
  flat = kernel.reshape(-1, kernel.shape[-1]).T @ patches.reshape(patches.shape[0], -1)
  return flat.reshape(-1, *patches.shape[1:])
