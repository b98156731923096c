"""Positions under a softmax: by the formula, on maps that are not square, and what values add."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.networks import spatial_softmax as layer

spatial_softmax = jax.jit(layer.spatial_softmax, static_argnames="with_values")


def formula(features: Any, temperature: float) -> np.ndarray:
  """Levine et al. 2016, one channel and image at a time: `[batch, x of all, y of all, values]`."""
  features = np.asarray(features, np.float64)
  channels, rows, columns, batch = features.shape
  result = np.zeros((batch, 3, channels))
  for image in range(batch):
    for channel in range(channels):
      plane = features[channel, :, :, image]
      weights = np.exp(plane / temperature)
      weights /= weights.sum()
      for row in range(rows):
        for column in range(columns):
          place = (-1 + 2 * column / (columns - 1), -1 + 2 * row / (rows - 1), plane[row, column])
          result[image, :, channel] += weights[row, column] * np.array(place)
  return result.reshape(batch, -1)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_positions_and_values_are_means_under_the_softmax(temperature):
  features = np.random.default_rng(0).normal(size=(2, 4, 7, 3)).astype(np.float32)
  expected = formula(features, temperature)
  result = spatial_softmax(jnp.asarray(features), temperature, with_values=True)
  np.testing.assert_allclose(result, expected, atol=1e-5)
  np.testing.assert_allclose(
    spatial_softmax(jnp.asarray(features), temperature), expected[:, :4], atol=1e-5
  )


@pytest.mark.parametrize(
  ("row", "column", "x", "y"), [(0, 0, -1, -1), (0, 8, 1, -1), (2, 0, -1, 1), (1, 6, 0.5, 0)]
)
def test_a_peak_on_a_wide_map_is_found_where_it_is(row, column, x, y):
  features = np.zeros((1, 3, 9, 1), np.float32)
  features[0, row, column, 0] = 100.0
  np.testing.assert_allclose(spatial_softmax(jnp.asarray(features)), [[x, y]], atol=1e-6)


def test_an_even_map_is_at_its_centre_and_a_single_pixel_too():
  for shape in ((2, 5, 8, 1), (2, 1, 1, 1)):
    result = spatial_softmax(jnp.full(shape, 3.0), with_values=True)
    np.testing.assert_allclose(result, [[0, 0, 0, 0, 3, 3]], atol=1e-6)


def test_only_values_tell_how_active_a_channel_is():
  features = np.random.default_rng(0).normal(size=(4, 5, 6, 2)).astype(np.float32)
  weak, strong = (
    spatial_softmax(jnp.asarray(features + more), with_values=True) for more in (0.0, 2.0)
  )
  np.testing.assert_allclose(weak[:, :8], strong[:, :8], atol=1e-5)
  np.testing.assert_allclose(strong[:, 8:] - weak[:, 8:], 2.0, atol=1e-5)


def test_large_activations_stay_finite():
  features = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 4, 2)) * 1e6, jnp.float32)
  gradient = jax.jit(jax.grad(lambda f: jnp.sum(spatial_softmax(f, with_values=True) ** 2)))
  assert np.all(np.isfinite(gradient(features)))


@pytest.mark.parametrize("learns", [False, True])
def test_a_layer_begins_at_its_temperature(learns):
  features = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 5, 3)), jnp.float32)
  module = layer.SpatialSoftmax(temperature=0.3, learn_temperature=learns)
  variables = module.init(jax.random.key(0), features)
  assert bool(jax.tree.leaves(variables)) == learns
  np.testing.assert_allclose(
    module.apply(variables, features), spatial_softmax(features, 0.3), atol=1e-5
  )


def test_a_learned_temperature_begins_at_one_and_has_a_gradient():
  features = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 5, 3)), jnp.float32)
  module = layer.SpatialSoftmax(learn_temperature=True)
  variables = module.init(jax.random.key(0), features)
  apply = jax.jit(module.apply)
  np.testing.assert_allclose(apply(variables, features), formula(features, 1.0)[:, :4], atol=1e-5)
  warmer = {"params": {"log_temperature": jnp.log(2.0)}}
  np.testing.assert_allclose(apply(warmer, features), formula(features, 2.0)[:, :4], atol=1e-5)
  gradient = jax.jit(jax.grad(lambda v: jnp.sum(module.apply(v, features) ** 2)))(variables)
  assert gradient["params"]["log_temperature"] != 0
  assert not layer.SpatialSoftmax().init(jax.random.key(0), features)
