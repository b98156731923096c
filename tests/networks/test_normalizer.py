"""Running statistics are those of all rows that counted, however they came."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.networks import normalizer


def batches(seed=0):
  """Three rollouts `[time, worlds, width]` of different scales, and which rows count."""
  random = np.random.default_rng(seed)
  values = [random.normal(3.0 * scale, scale, (4, 6, 2)) for scale in (0.5, 2.0, 5.0)]
  return [(value.astype(np.float32), random.integers(0, 2, (4, 6)) * 1.0) for value in values]


def merged(parts, **options):
  moments = normalizer.blank((2,))
  for values, weight in parts:
    moments = normalizer.merge(
      moments, jnp.asarray(values), jnp.asarray(weight, jnp.float32), **options
    )
  return moments


def test_moments_are_those_of_all_rows_that_counted():
  parts = batches()
  moments = merged(parts)
  kept = np.concatenate([values[weight == 1] for values, weight in parts])
  np.testing.assert_allclose(moments.mean, kept.mean(0), rtol=1e-5)
  np.testing.assert_allclose(moments.variance, kept.var(0), rtol=1e-5)
  assert moments.rows == len(kept)


def test_a_large_offset_does_not_swallow_the_variance():
  values = 1e4 + np.random.default_rng(0).normal(size=(5, 50, 40, 2)).astype(np.float32)
  moments = merged([(part, np.ones((50, 40))) for part in values])
  np.testing.assert_allclose(moments.variance, values.reshape(-1, 2).var(0), rtol=0.02)


def test_nothing_seen_leaves_values_and_moments_as_they_are():
  blank = normalizer.blank((2,))
  value = jnp.array([[0.3, -4.0]])
  seen = normalizer.normalize({"state": blank}, {"state": value})
  np.testing.assert_array_equal(seen["state"], value)
  (values, weight), *_ = batches()
  again = merged([(values, 0 * weight)])
  np.testing.assert_array_equal(again.mean, blank.mean)
  np.testing.assert_array_equal(again.variance, blank.variance)
  assert again.rows == 0


def test_a_limit_lets_the_new_replace_the_old():
  old, new = np.zeros((10, 100, 2)), np.ones((10, 10, 2))
  parts = [(old, np.ones((10, 100))), (new, np.ones((10, 10)))]
  assert merged(parts).mean[0] == pytest.approx(100 / 1100)
  assert merged(parts, limit=100.0).mean[0] == pytest.approx(100 / 200)


def test_rows_that_are_not_finite_are_left_out():
  (values, weight), (more, _), _ = batches()
  before = merged([(values, weight)])
  more[2, 3, 1] = np.inf
  after = merged([(values, weight), (more, np.ones((4, 6)))])
  jax.tree.map(np.testing.assert_array_equal, after, before)


def test_normalised_values_have_unit_scale_within_a_limit_and_others_pass():
  (values, _), *_ = batches()
  moments = {"state": merged([(values, np.ones((4, 6)))])}
  image = jnp.zeros((4, 6, 3), jnp.uint8)
  seen = normalizer.normalize(moments, {"state": jnp.asarray(values), "view": image})
  assert seen["view"] is image
  assert np.mean(seen["state"]) == pytest.approx(0, abs=1e-5)
  np.testing.assert_allclose(np.std(seen["state"], axis=(0, 1)), 1.0, rtol=1e-3)
  far = normalizer.normalize(moments, {"state": jnp.array([1e6, -1e6])})
  np.testing.assert_array_equal(far["state"], [normalizer.LIMIT, -normalizer.LIMIT])


def test_an_entry_that_never_changed_is_not_blown_up_without_bound():
  constant = np.full((4, 6, 2), 2.0)
  moments = {"state": merged([(constant, np.ones((4, 6)))])}
  seen = normalizer.normalize(moments, {"state": jnp.array([2.0, 2.001])})["state"]
  np.testing.assert_allclose(seen, [0.0, 1.0], atol=1e-3)
