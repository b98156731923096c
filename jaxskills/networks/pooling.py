"""Pooling of batch-last images by shifted slices, along rows and then along columns.

`lax.reduce_window`, and above all its transpose, runs on one thread on XLA's CPU backend; a few
element-wise operations do not.
"""

import functools

import jax.numpy as jnp
from jaxtyping import Array, Float


def max_pool(
  image: Float[Array, "channels rows columns batch"], side: int, stride: int, padding: int = 0
) -> Float[Array, "channels rows_out columns_out batch"]:
  """Greatest value of each `side` x `side` window; padding, on all four sides, never wins."""
  zeros = ((0, 0), (padding, padding), (padding, padding), (0, 0))
  value = jnp.pad(image, zeros, constant_values=-jnp.inf) if padding else image
  for axis in (1, 2):
    value = functools.reduce(jnp.maximum, _shifts(value, side, stride, axis))
  return value


def average_pool(
  image: Float[Array, "channels rows columns batch"], side: int, *, counts_padding: bool
) -> Float[Array, "channels rows columns batch"]:
  """Mean of the `side` x `side` window around each pixel, of an odd side.

  Args:
    image: feature maps.
    side: of the window.
    counts_padding: whether what lies outside counts as zeros, as `torch.nn.functional.avg_pool2d`
      has it, or not at all, as TensorFlow and Keras have it.
  """
  value = _window_sum(image, side)
  if counts_padding:
    return value / (side * side)
  return value / _window_sum(jnp.ones((1, *image.shape[1:3], 1)), side)


def _window_sum(
  image: Float[Array, "channels rows columns batch"], side: int
) -> Float[Array, "channels rows columns batch"]:
  half = side // 2
  value = jnp.pad(image, ((0, 0), (half, half), (half, half), (0, 0)))
  for axis in (1, 2):
    value = functools.reduce(jnp.add, _shifts(value, side, 1, axis))
  return value


def _shifts(value: Float[Array, "..."], side: int, stride: int, axis: int) -> list[Array]:
  """Entry k of every window, for each k, along one axis; windows that do not fit are left out."""
  span = (value.shape[axis] - side) // stride * stride + 1  # from first to last window start
  before = (slice(None),) * axis
  return [value[(*before, slice(shift, shift + span, stride))] for shift in range(side)]
