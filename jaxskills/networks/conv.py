"""Strided 2-D convolutions in two forms that agree: shifted slices and XLA's own.

XLA's CPU backend runs a convolution inside `lax.scan` on one thread through a generic loop, which
made a SAC update on 32x32 images twenty times slower than the same sums written as nine strided
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


class ConvStack(nn.Module):
  """Convolutions of one kernel and stride with "SAME" padding, each followed by a leaky ReLU.

  Parameters lie under `conv_<index>`: `kernel` `[side, side, in, out]` and `bias` `[out]`.

  Attributes:
    channels: outputs of each convolution.
    kernel: side of every kernel.
    stride: along rows and columns.
    form: "slices", "lax", or "auto": slices where the default backend is a CPU.
  """

  channels: Sequence[int]
  kernel: int = 3
  stride: int = 2
  form: Form = "auto"

  @nn.compact
  def __call__(
    self, image: Float[Array, "into rows columns batch"]
  ) -> Float[Array, "out rows_out columns_out batch"]:
    """Maps batch-last images to feature maps; each layer's sides are `ceil(side / stride)`.

    Raises:
      ValueError: if `form` is none of the three.
    """
    value = image
    for index, outputs in enumerate(self.channels):
      shape = (self.kernel, self.kernel, value.shape[0], outputs)
      kernel, bias = _Parameters(shape, name=f"conv_{index}")()
      value = convolve(value, kernel, self.stride, self.form) + bias[:, None, None, None]
      value = leaky_relu(value)
    return value


class _Parameters(nn.Module):
  """Kernel and bias of one convolution, whichever form uses them."""

  shape: tuple[int, int, int, int]

  @nn.compact
  def __call__(self) -> tuple[Float[Array, "side side into out"], Float[Array, " out"]]:
    kernel = self.param("kernel", _keep_scale, self.shape)
    return kernel, self.param("bias", nn.initializers.zeros, self.shape[-1:])


def _keep_scale(key: Key, shape: tuple[int, int, int, int]) -> Float[Array, "side side into out"]:
  """`keep_scale` drawn as a matrix: random numbers in four axes take XLA's CPU 2 s to compile."""
  return keep_scale(key, (math.prod(shape[:-1]), shape[-1])).reshape(shape)


def convolve(
  image: Float[Array, "into rows columns batch"],
  kernel: Float[Array, "side side into out"],
  stride: int,
  form: Form = "auto",
) -> Float[Array, "out rows_out columns_out batch"]:
  """Convolves (cross-correlates) batch-last images with "SAME" padding.

  Raises:
    ValueError: if `form` is none of the three.
  """
  if form not in get_args(Form):
    raise ValueError(f"form must be one of {get_args(Form)}, not {form!r}")
  if form == "slices" or (form == "auto" and jax.default_backend() == "cpu"):
    return _convolve_slices(image, kernel, stride)
  layout = ("CHWN", "HWIO", "CHWN")
  return jax.lax.conv_general_dilated(
    image, kernel, (stride, stride), "SAME", dimension_numbers=layout
  )


def _convolve_slices(
  image: Float[Array, "into rows columns batch"],
  kernel: Float[Array, "side side into out"],
  stride: int,
) -> Float[Array, "out rows_out columns_out batch"]:
  """One strided slice per kernel entry, on top of each other, then one product."""
  side = kernel.shape[0]
  length = image.shape[1:3]
  outputs = [-(-n // stride) for n in length]
  spans = [(count - 1) * stride + 1 for count in outputs]  # from first to last slice start
  missing = [max(s + side - 1 - n, 0) for s, n in zip(spans, length, strict=True)]
  padding = [(0, 0), *((m // 2, m - m // 2) for m in missing), (0, 0)]
  padded = jnp.pad(image, padding)
  slices = [
    padded[:, row : row + spans[0] : stride, column : column + spans[1] : stride]
    for row in range(side)
    for column in range(side)
  ]
  patches = jnp.concatenate(slices, axis=0)  # [side * side * into, rows_out, columns_out, batch]
  flat = kernel.reshape(-1, kernel.shape[-1]).T @ patches.reshape(patches.shape[0], -1)
  return flat.reshape(-1, *patches.shape[1:])
