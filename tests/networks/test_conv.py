"""Both forms of the convolution against a loop over output pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxskills.networks.conv import ConvStack, convolve


def loop(image: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
  """The definition: `[into, rows, columns, batch]` to the same, "SAME" padding."""
  side = kernel.shape[0]
  sizes = image.shape[1:3]
  outputs = [-(-n // stride) for n in sizes]
  missing = [max((o - 1) * stride + side - n, 0) for o, n in zip(outputs, sizes, strict=True)]
  result = np.zeros((kernel.shape[3], *outputs, image.shape[3]))
  for row in range(outputs[0]):
    for column in range(outputs[1]):
      for i in range(side):
        for j in range(side):
          r = row * stride + i - missing[0] // 2
          c = column * stride + j - missing[1] // 2
          if 0 <= r < sizes[0] and 0 <= c < sizes[1]:
            result[:, row, column] += kernel[i, j].T @ image[:, r, c]
  return result


@settings(max_examples=8, deadline=None)
@given(
  rows=st.integers(1, 7),
  columns=st.integers(1, 7),
  side=st.integers(1, 4),
  stride=st.integers(1, 3),
)
def test_both_forms_are_the_sum_over_the_kernel(rows, columns, side, stride):
  random = np.random.default_rng(0)
  image = random.normal(size=(2, rows, columns, 3)).astype(np.float32)
  kernel = random.normal(size=(side, side, 2, 4)).astype(np.float32)
  expected = loop(image, kernel, stride)
  for form in ("slices", "lax"):
    result = jax.jit(convolve, static_argnums=(2, 3))(image, kernel, stride, form)
    np.testing.assert_allclose(result, expected, atol=1e-4)


@pytest.mark.parametrize("sides", [(32, 32), (15, 10)])
def test_both_forms_of_a_stack_agree_in_values_and_gradients(sides):
  image = jnp.asarray(np.random.default_rng(0).normal(size=(2, *sides, 5)), jnp.float32)
  slices, lax = (ConvStack((8, 16, 32), form=form) for form in ("slices", "lax"))
  params = jax.jit(slices.init)(jax.random.key(1), image)
  assert jax.tree.structure(params) == jax.tree.structure(
    jax.eval_shape(lax.init, jax.random.key(1), image)
  )

  def outcome(stack):
    def loss(params, image):
      features = stack.apply(params, image)
      return jnp.mean(jnp.sin(features)), features

    return jax.jit(jax.grad(loss, (0, 1), has_aux=True))(params, image)

  backward, forward = zip(*(outcome(stack) for stack in (slices, lax)), strict=True)
  np.testing.assert_allclose(*forward, atol=1e-5)
  assert all(np.any(np.asarray(leaf) != 0) for leaf in jax.tree.leaves(backward[0]))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), *backward)


def test_a_stack_halves_the_sides_and_applies_bias_and_leaky_relu():
  image = jnp.ones((1, 6, 6, 1))
  stack = ConvStack((1,), kernel=1)
  params = {"params": {"conv_0": {"kernel": jnp.full((1, 1, 1, 1), -3.0), "bias": jnp.ones(1)}}}
  np.testing.assert_allclose(stack.apply(params, image), np.full((1, 3, 3, 1), -0.4), rtol=1e-6)


def test_auto_on_a_cpu_leaves_no_convolution_to_xla():
  image, kernel = jnp.zeros((1, 8, 8, 2)), jnp.zeros((3, 3, 1, 4))
  assert "conv_general" in str(jax.make_jaxpr(lambda x: convolve(x, kernel, 2, "lax"))(image))
  if jax.default_backend() == "cpu":
    assert "conv_general" not in str(jax.make_jaxpr(lambda x: convolve(x, kernel, 2))(image))


@pytest.mark.parametrize("padding", [0, 1, 3])
def test_a_number_pads_all_four_sides_alike(padding):
  random = np.random.default_rng(0)
  image = random.normal(size=(2, 8, 11, 3)).astype(np.float32)
  kernel = random.normal(size=(3, 3, 2, 4)).astype(np.float32)
  around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
  windows = np.lib.stride_tricks.sliding_window_view(np.pad(image, around), (3, 3), axis=(1, 2))
  expected = np.einsum("crkbij,ijco->orkb", windows[:, ::2, ::2], kernel)
  for form in ("slices", "lax"):
    result = jax.jit(convolve, static_argnums=(2, 3, 4))(image, kernel, 2, form, padding)
    np.testing.assert_allclose(result, expected, atol=1e-4)


def test_strides_are_those_of_each_layer():
  image = jnp.zeros((1, 13, 8, 2))
  features = jax.eval_shape(
    ConvStack((3, 4, 5), stride=(2, 1, 3)).init_with_output, jax.random.key(0), image
  )[0]
  assert features.shape == (5, 3, 2, 2)
  with pytest.raises(ValueError, match="2 convolutions have 3 strides"):
    ConvStack((3, 4), stride=(2, 1, 3)).init(jax.random.key(0), image)


def test_an_unknown_form_is_refused():
  with pytest.raises(Exception, match="fft"):
    convolve(jnp.zeros((1, 4, 4, 1)), jnp.zeros((3, 3, 1, 1)), 1, "fft")  # type: ignore
