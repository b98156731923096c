"""Shapes of Inception-v3, its pooling, and its batch normalisation.

What it computes is compared with Keras and torchvision in `test_image_weights`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.networks.inception import InceptionTrunk
from jaxskills.networks.pooling import average_pool, max_pool


def outline(rows: int, columns: int, **options):
  example = jax.ShapeDtypeStruct((2, rows, columns, 3), jnp.float32)
  return jax.eval_shape(InceptionTrunk().init_with_output, jax.random.key(0), example, **options)


def test_a_picture_of_the_papers_gives_the_map_of_the_papers():
  features, variables = outline(299, 299)
  assert features.shape == (2, 35, 35, 288)
  kernels = [x for x in jax.tree.leaves(variables["params"]) if x.ndim == 4]
  assert len(kernels) == 26
  # Counted from torchvision's model: all weights of convolutions up to Mixed_5d.
  assert sum(kernel.size for kernel in kernels) == 987_488


def test_other_sizes_keep_rows_and_columns_apart_down_to_one_number():
  assert outline(75, 91)[0].shape == (2, 7, 9, 288)
  assert outline(27, 27)[0].shape == (2, 1, 1, 288)
  with pytest.raises(ValueError, match="27x27 pixels, not 26x99"):
    outline(26, 99)


def windows(image: np.ndarray, side: int, stride: int, fill: float, padding: int) -> np.ndarray:
  """`[channels, rows_out, columns_out, batch, side, side]`."""
  around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
  padded = np.pad(image, around, constant_values=fill)
  view = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
  return view[:, ::stride, ::stride]


@pytest.mark.parametrize(("rows", "columns", "padding"), [(9, 8, 0), (6, 11, 1)])
def test_max_pool_takes_the_greatest_of_each_window(rows, columns, padding):
  image = -1 - np.random.default_rng(0).uniform(size=(2, rows, columns, 3)).astype(np.float32)
  expected = windows(image, 3, 2, -np.inf, padding).max((-2, -1))
  np.testing.assert_array_equal(max_pool(jnp.asarray(image), 3, 2, padding), expected)


def test_average_pool_counts_the_padding_or_leaves_it_out():
  image = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)
  zeros, absent = windows(image, 3, 1, 0.0, 1), windows(image, 3, 1, np.nan, 1)
  counted, left_out = (
    average_pool(jnp.asarray(image), 3, counts_padding=counts) for counts in (True, False)
  )
  np.testing.assert_allclose(counted, zeros.mean((-2, -1)), atol=1e-6)
  np.testing.assert_allclose(left_out, np.nanmean(absent, (-2, -1)), atol=1e-6)
  inner = np.s_[:, 1:-1, 1:-1]
  np.testing.assert_allclose(counted[inner], left_out[inner], atol=1e-6)


def test_only_the_batch_mode_uses_and_records_the_statistics_of_the_batch():
  trunk = InceptionTrunk(form="lax")
  frames = jnp.asarray(np.random.default_rng(0).normal(size=(2, 27, 27, 3)), jnp.float32)
  shapes = jax.eval_shape(trunk.init, jax.random.key(0), frames)
  variables = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.5, np.float32), shapes)
  kernel = np.random.default_rng(1).normal(size=(3, 3, 3, 32)).astype(np.float32)
  variables["params"]["Conv2d_1a_3x3"]["conv"]["kernel"] = kernel

  @functools.partial(jax.jit, static_argnums=1)
  def statistics(variables, uses_batch):
    result = trunk.apply(variables, frames, uses_batch=uses_batch, mutable=["batch_stats"])
    return result[1]["batch_stats"]

  convolved = jax.lax.conv_general_dilated(
    frames, kernel, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
  )
  expected = 0.9 * 0.5 + 0.1 * np.mean(convolved, axis=(0, 1, 2))
  recorded = statistics(variables, True)["Conv2d_1a_3x3"]["bn"]["mean"]
  np.testing.assert_allclose(recorded, expected, atol=1e-5)
  kept = statistics(variables, False)
  jax.tree.map(np.testing.assert_array_equal, kept, variables["batch_stats"])
