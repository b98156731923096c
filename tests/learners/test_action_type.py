"""Squashed Gaussians: their divergences against quadrature over actions, their draws and limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxskills.distributions import Gaussian
from jaxskills.learners.action_type import divergence_at_entropy, gaussian_prior, uniform_prior

KEY = jax.random.key(0)


def gaussian(mean, std, batch=1):
  rows = jnp.ones((batch, 1))
  return Gaussian(rows * jnp.asarray(mean), rows * jnp.log(jnp.asarray(std)))


def density(action, mean, std, limit):
  """Of `limit * tanh(u / limit)`, `u ~ N(mean, std)`, by the change of variables, in float64."""
  draw = limit * np.arctanh(action / limit)
  normal = np.exp(-0.5 * ((draw - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))
  return normal / (1 - (action / limit) ** 2)


def integral_over_actions(function, limit):
  """Midpoint rule on actions, with nodes crowded towards the limits where densities pile up."""
  edges = limit * np.tanh(np.linspace(-9.0, 9.0, 200_001))
  middle = 0.5 * (edges[1:] + edges[:-1])
  return np.sum(function(middle) * np.diff(edges))


def divergence_by_quadrature(mean, std, prior_density, limit):
  def integrand(action):
    p = density(action, mean, std, limit)
    return p * (np.log(np.maximum(p, 1e-300)) - np.log(np.maximum(prior_density(action), 1e-300)))

  return integral_over_actions(integrand, limit)


# ---- towards a Gaussian prior


@pytest.mark.parametrize("limit", [1.0, 2.0])
def test_divergence_from_a_gaussian_prior_is_that_between_the_squashed_actions(limit):
  output, prior = gaussian(0.4, 0.5), gaussian(-0.2, 0.8)
  [[divergence]] = gaussian_prior(limit).divergence(output, prior, None)
  expected = divergence_by_quadrature(
    0.4, 0.5, lambda action: density(action, -0.2, 0.8, limit), limit
  )
  assert divergence == pytest.approx(expected, rel=1e-4)


def test_divergence_is_of_the_policy_from_the_prior_and_not_the_reverse():
  wide, narrow = gaussian(0.0, 2.0), gaussian(0.0, 1.0)
  [[divergence]] = gaussian_prior().divergence(wide, narrow, None)
  assert divergence == pytest.approx(0.5 * (4.0 - 1.0) - np.log(2.0), rel=1e-5)


def test_divergence_is_summed_over_dimensions():
  output = gaussian([1.0, 2.0, 0.0], [1.0, 1.0, 1.0])
  [[divergence]] = gaussian_prior().divergence(output, gaussian([0.0] * 3, [1.0] * 3), None)
  assert divergence == pytest.approx(0.5 * (1.0 + 4.0))


def test_a_missing_prior_is_named():
  action_type = gaussian_prior()
  with pytest.raises(ValueError, match="Transition.prior"):
    action_type.divergence(gaussian(0.0, 1.0), (), None)
  with pytest.raises(ValueError, match="Transition.prior"):
    action_type.sample_prior(gaussian(0.0, 1.0), (), KEY)


# ---- towards the uniform distribution


@pytest.mark.parametrize("limit", [1.0, 2.0])
def test_divergence_from_uniform_averages_to_the_integral(limit):
  action_type, output = uniform_prior(limit), gaussian(0.4, 0.5, batch=200_000)
  draw = action_type.alternatives(output, KEY).draw
  mean = jnp.mean(action_type.divergence(output, (), draw))
  expected = divergence_by_quadrature(0.4, 0.5, lambda action: 0 * action + 0.5 / limit, limit)
  assert expected > 0
  assert mean == pytest.approx(expected, abs=0.01)


def test_divergence_from_uniform_is_textbook_log_probability_plus_the_volume():
  limit, size = 2.0, 3
  action_type = uniform_prior(limit)
  output = gaussian([0.1, -0.5, 0.7], [0.3, 0.6, 0.9])
  alternatives = action_type.alternatives(output, KEY)
  action = np.asarray(alternatives.actions[0, 0], np.float64)
  densities = density(action, np.array([0.1, -0.5, 0.7]), np.array([0.3, 0.6, 0.9]), limit)
  [[divergence]] = action_type.divergence(output, (), alternatives.draw)
  assert divergence == pytest.approx(np.log(densities).sum() + size * np.log(2 * limit), rel=1e-4)


def test_a_target_entropy_becomes_the_target_divergence_that_plain_sac_means():
  size, limit, target_entropy = 3, 2.0, -3.0
  log_density = 0.7
  entropy_gap = log_density + target_entropy  # SAC's alpha loss is `-alpha * (log pi + H)`
  divergence = divergence_at_entropy(-log_density, size, limit)
  target = divergence_at_entropy(target_entropy, size, limit)
  assert divergence - target == pytest.approx(entropy_gap)
  assert divergence_at_entropy(size * np.log(2 * limit), size, limit) == pytest.approx(0.0)
  assert divergence_at_entropy(-2, 2, 1.0) == pytest.approx(2 + 2 * np.log(2))


def test_divergence_from_uniform_differentiates_through_its_draw():
  limit, size = 1.0, 100_000
  action_type = uniform_prior(limit)

  def mean_divergence(mean, std):
    output = gaussian(mean, std, batch=size)
    return jnp.mean(action_type.divergence(output, (), action_type.alternatives(output, KEY).draw))

  by_mean, by_std = jax.grad(mean_divergence, argnums=(0, 1))(0.5, 0.8)

  def exact(mean, std):
    return divergence_by_quadrature(mean, std, lambda action: 0 * action + 0.5 / limit, limit)

  step = 1e-3
  expected_by_mean = (exact(0.5 + step, 0.8) - exact(0.5 - step, 0.8)) / (2 * step)
  expected_by_std = (exact(0.5, 0.8 + step) - exact(0.5, 0.8 - step)) / (2 * step)
  assert by_mean == pytest.approx(expected_by_mean, abs=0.02)
  assert by_std == pytest.approx(expected_by_std, abs=0.02)


# ---- draws


@pytest.mark.parametrize("make", [gaussian_prior, uniform_prior])
def test_the_one_alternative_is_the_sample_and_carries_all_the_weight(make):
  action_type, output = make(2.0), gaussian([0.3, -1.0], [0.5, 1.5], batch=4)
  alternatives = action_type.alternatives(output, KEY)
  assert alternatives.actions.shape == (1, 4, 2)
  np.testing.assert_array_equal(alternatives.actions[0], action_type.sample(output, KEY))
  np.testing.assert_array_equal(alternatives.weights, np.ones((1, 4)))
  np.testing.assert_allclose(alternatives.actions[0], 2 * np.tanh(alternatives.draw / 2), rtol=1e-5)


def test_actions_are_reparameterised():
  limit, mean, std = 2.0, 0.3, 0.7
  action_type = gaussian_prior(limit)
  draw = float(action_type.alternatives(gaussian(mean, std), KEY).draw[0, 0])

  def action(mean, log_std):
    output = Gaussian(jnp.full((1, 1), mean), jnp.full((1, 1), log_std))
    return action_type.alternatives(output, KEY).actions[0, 0, 0]

  by_mean, by_log_std = jax.grad(action, argnums=(0, 1))(mean, float(np.log(std)))
  slope = 1 - np.tanh(draw / limit) ** 2
  assert by_mean == pytest.approx(slope, rel=1e-4)
  assert by_log_std == pytest.approx(slope * (draw - mean), rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(
  st.floats(-50, 50), st.floats(0.01, 7.0), st.sampled_from([0.5, 1.0, 2.0]), st.integers(0, 99)
)
def test_actions_stay_within_the_limit(mean, std, limit, seed):
  output, key = gaussian(mean, std, batch=8), jax.random.key(seed)
  for action_type in (gaussian_prior(limit), uniform_prior(limit)):
    drawn = action_type.sample(output, key)
    from_prior = action_type.sample_prior(output, output, key)
    for action in (drawn, from_prior, action_type.mode(output)):
      assert np.all(np.abs(action) <= limit)


def test_the_mode_is_the_squashed_mean():
  for action_type in (gaussian_prior(2.0), uniform_prior(2.0)):
    np.testing.assert_allclose(
      action_type.mode(gaussian([0.5, -3.0], [9.0, 9.0]))[0], 2 * np.tanh([0.25, -1.5]), rtol=1e-6
    )


def test_a_gaussian_prior_is_sampled_in_the_policys_stead():
  drawn = gaussian_prior(2.0).sample_prior(
    gaussian(9.0, 0.1, batch=50_000), gaussian(0.2, 0.1, batch=50_000), KEY
  )
  unsquashed = 2 * np.arctanh(np.asarray(drawn, np.float64) / 2)
  assert unsquashed.mean() == pytest.approx(0.2, abs=0.005)
  assert unsquashed.std() == pytest.approx(0.1, abs=0.005)


def test_the_uniform_prior_is_sampled_over_the_whole_range():
  drawn = uniform_prior(2.0).sample_prior(gaussian([9.0, 9.0], [1.0, 1.0], batch=50_000), (), KEY)
  assert drawn.shape == (50_000, 2)
  counts, _ = np.histogram(drawn, bins=8, range=(-2, 2))
  np.testing.assert_allclose(counts / drawn.size, 1 / 8, atol=0.01)


@pytest.mark.parametrize("make", [gaussian_prior, uniform_prior])
@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_that_is_not_positive_is_refused(make, limit):
  with pytest.raises(ValueError, match="must be positive"):
    make(limit)
