"""Gaussians against scipy-free closed forms and NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxskills.distributions import (
  LOG_STD_MAX,
  LOG_STD_MIN,
  Gaussian,
  clamped,
  kl,
  log_prob,
  sample,
  squash,
  squash_log_det,
  standard_like,
)

NUMBERS = st.floats(-2.0, 2.0, width=32)
PAIRS = st.tuples(NUMBERS, NUMBERS)


def gaussian(*rows: tuple[float, float]) -> Gaussian:
  """One event whose dimensions are (mean, log_std) pairs."""
  mean, log_std = zip(*rows, strict=True)
  return Gaussian(jnp.array(mean, jnp.float32), jnp.array(log_std, jnp.float32))


def test_log_prob_is_the_density_of_independent_normals():
  value = log_prob(gaussian((1.0, math.log(2.0)), (0.0, 0.0)), jnp.array([3.0, 0.5]))
  by_hand = math.log(math.exp(-0.5) / (2.0 * math.sqrt(2 * math.pi)))
  by_hand += math.log(math.exp(-0.125) / math.sqrt(2 * math.pi))
  assert value == pytest.approx(by_hand, rel=1e-6)


def test_kl_of_a_shifted_unit_gaussian_is_half_the_squared_shift():
  q, p = gaussian((0.5, 0.0), (0.0, 0.0)), gaussian((0.0, 0.0), (2.0, 0.0))
  assert kl(q, p) == pytest.approx(0.5 * (0.25 + 4.0), rel=1e-6)


def test_kl_weighs_a_gap_by_the_second_gaussian():
  narrow, wide = gaussian((0.0, 0.0)), gaussian((1.0, math.log(2.0)))
  forward = math.log(2.0) + (1.0 + 1.0) / (2 * 4.0) - 0.5
  backward = -math.log(2.0) + (4.0 + 1.0) / 2.0 - 0.5
  assert kl(narrow, wide) == pytest.approx(forward, rel=1e-6)
  assert kl(wide, narrow) == pytest.approx(backward, rel=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(PAIRS, PAIRS), min_size=1, max_size=3))
def test_kl_is_never_negative_and_zero_only_against_itself(rows):
  q, p = (gaussian(*side) for side in zip(*rows, strict=True))
  assert kl(q, p) >= -1e-5
  assert kl(q, q) == pytest.approx(0.0, abs=1e-6)


def test_kl_equals_its_integral():
  q, p = gaussian((0.3, -0.5)), gaussian((-0.4, 0.2))
  grid = np.linspace(-8.0, 8.0, 20_001)
  density_q = np.exp(-0.5 * ((grid - 0.3) / math.exp(-0.5)) ** 2)
  density_p = np.exp(-0.5 * ((grid + 0.4) / math.exp(0.2)) ** 2)
  density_q, density_p = (d / np.sum(d) for d in (density_q, density_p))
  integral = np.sum(density_q * (np.log(density_q) - np.log(density_p)))
  assert kl(q, p) == pytest.approx(integral, rel=1e-4)


def test_standard_like_is_the_unit_gaussian():
  unit = standard_like(gaussian((3.0, 1.0), (2.0, 0.5)))
  np.testing.assert_array_equal(unit.mean, np.zeros(2))
  np.testing.assert_array_equal(np.exp(unit.log_std), np.ones(2))


def test_samples_have_the_mean_and_spread_that_they_should():
  batch = Gaussian(jnp.full((20_000, 2), 3.0), jnp.full((20_000, 2), math.log(0.5)))
  values = sample(batch, jax.random.key(0))
  assert np.mean(values) == pytest.approx(3.0, abs=0.02)
  assert np.std(values) == pytest.approx(0.5, abs=0.01)
  assert abs(np.corrcoef(np.asarray(values).T)[0, 1]) < 0.03


def test_samples_carry_gradients_to_mean_and_spread():
  def drawn(gaussian: Gaussian) -> jax.Array:
    return sample(gaussian, jax.random.key(3))[0]

  value, gradient = jax.value_and_grad(drawn)(gaussian((1.0, 0.5)))
  assert gradient.mean[0] == pytest.approx(1.0)
  assert gradient.log_std[0] == pytest.approx(float(value) - 1.0, rel=1e-5)


def test_log_std_is_kept_within_the_published_range():
  kept = clamped(jnp.zeros(3), jnp.array([-50.0, 0.5, 9.0]))
  np.testing.assert_array_equal(kept.log_std, [LOG_STD_MIN, 0.5, LOG_STD_MAX])


def test_squash_leaves_small_values_alone_and_bounds_large_ones():
  slope = jax.grad(lambda value: jnp.sum(squash(value, 2.0)))(jnp.zeros(1))
  np.testing.assert_allclose(slope, [1.0])
  np.testing.assert_allclose(squash(jnp.array([30.0, -30.0]), 2.0), [2.0, -2.0])


@settings(max_examples=50, deadline=None)
@given(st.floats(-3.0, 3.0, width=32), st.floats(0.5, 4.0, width=32))
def test_squash_log_det_is_the_log_of_the_slope(value, limit):
  slope = 1.0 - math.tanh(value / limit) ** 2
  assert squash_log_det(jnp.array([value]), limit) == pytest.approx(math.log(slope), abs=1e-4)


def test_squash_log_det_survives_saturation_and_sums_over_dimensions():
  value = squash_log_det(jnp.array([40.0, -40.0]), 1.0)
  assert value == pytest.approx(2 * (2 * math.log(2.0) - 80.0), rel=1e-6)
