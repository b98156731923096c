"""Likelihood of demonstrated actions, and the way back through tanh."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.distributions import Gaussian, squash
from jaxskills.losses.behavior_cloning import behavior_cloning, unsquash


def test_the_loss_is_the_mean_negative_log_likelihood():
  policy = Gaussian(jnp.zeros((2, 1)), jnp.full((2, 1), math.log(2.0)))
  loss, metrics = behavior_cloning(policy, jnp.array([[0.0], [2.0]]))
  constant = 0.5 * math.log(2 * math.pi) + math.log(2.0)
  assert loss == pytest.approx(constant + 0.5 * 0.5)
  assert metrics["squared_error"] == pytest.approx(2.0)
  assert metrics["std"] == pytest.approx(2.0)


def test_the_optimum_is_the_mean_and_spread_of_the_data():
  action = jax.random.normal(jax.random.key(0), (4096, 1)) * 0.3 + 0.7
  mean, spread = jnp.mean(action), jnp.log(jnp.std(action))

  def loss(mean, log_std):
    return behavior_cloning(
      Gaussian(jnp.full_like(action, mean), jnp.full_like(action, log_std)), action
    )[0]

  gradient = jax.grad(loss, (0, 1))(mean, spread)
  np.testing.assert_allclose(gradient, 0.0, atol=1e-4)


def test_unsquash_undoes_squash():
  value = jnp.linspace(-2.0, 2.0, 9)
  np.testing.assert_allclose(unsquash(squash(value, 2.0), 2.0), value, atol=1e-4)


def test_saturated_demonstrations_stay_finite():
  executed = squash(unsquash(jnp.array([1.0, -1.0, 5.0]), 1.0), 1.0)
  np.testing.assert_allclose(executed, [0.99, -0.99, 0.99], rtol=1e-5)
