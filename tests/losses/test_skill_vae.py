"""Equation 4 of SPiRL term by term, both scalings, and every gradient that must stop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.distributions import Gaussian
from jaxskills.losses.skill_vae import (
  prior_divergence,
  prior_nll,
  reconstruction,
  skill_vae,
  summed_beta,
)

BATCH, HORIZON, ACTION, SKILL = 4, 5, 2, 3


def drawn(seed: int = 0) -> dict:
  """Arguments of the loss, all random."""
  random = np.random.default_rng(seed)

  def normal(*shape):
    return jnp.asarray(random.normal(size=shape), jnp.float32)

  return {
    "actions": normal(BATCH, HORIZON, ACTION),
    "decoded": normal(BATCH, HORIZON, ACTION),
    "posterior": Gaussian(normal(BATCH, SKILL), 0.3 * normal(BATCH, SKILL)),
    "skill": normal(BATCH, SKILL),
    "prior": Gaussian(normal(BATCH, SKILL), 0.3 * normal(BATCH, SKILL)),
  }


def numpy_kl(q: Gaussian, mean: np.ndarray, log_std: np.ndarray) -> np.ndarray:
  """Divergence of each dimension, written with variances."""
  variance_q, variance_p = np.exp(2 * np.asarray(q.log_std)), np.exp(2 * log_std)
  gap = (np.asarray(q.mean) - mean) ** 2
  return 0.5 * (np.log(variance_p / variance_q) + (variance_q + gap) / variance_p - 1.0)


def numpy_terms(given: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Squared errors, divergences from N(0, I) and from the prior, entry by entry."""
  error = (np.asarray(given["actions"]) - np.asarray(given["decoded"])) ** 2
  unit = numpy_kl(given["posterior"], np.zeros(SKILL), np.zeros(SKILL))
  prior = numpy_kl(given["posterior"], *(np.asarray(x) for x in given["prior"]))
  return error, unit, prior


def test_paper_scaling_sums_over_time_and_dimensions():
  given = drawn()
  loss, metrics = skill_vae(**given, beta=0.04)
  error, unit, prior = numpy_terms(given)
  terms = [error.sum((1, 2)).mean(), unit.sum(1).mean(), prior.sum(1).mean()]
  np.testing.assert_allclose(loss, terms[0] + 0.04 * terms[1] + terms[2], rtol=1e-5)
  named = [metrics[name] for name in ("reconstruction", "regularization", "prior")]
  np.testing.assert_allclose(named, terms, rtol=1e-5)


def test_released_scaling_averages_and_halves_the_error():
  given = drawn()
  loss, metrics = skill_vae(**given, beta=0.01, scaling="released_code")
  error, unit, prior = numpy_terms(given)
  expected = 0.5 * error.mean() + 0.01 * unit.mean() + prior.mean()
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  np.testing.assert_allclose(metrics["regularization"], unit.sum(1).mean(), rtol=1e-5)


def test_the_two_betas_weigh_alike():
  given = drawn()
  beta = summed_beta(0.01, HORIZON, ACTION, SKILL)

  def autoencoder_gradient(beta, scaling):
    def loss(decoded, posterior):
      changed = {**given, "decoded": decoded, "posterior": posterior}
      return skill_vae(**changed, beta=beta, scaling=scaling)[0]

    return jax.jit(jax.grad(loss, (0, 1)))(given["decoded"], given["posterior"])

  summed = autoencoder_gradient(beta, "paper")
  averaged = autoencoder_gradient(0.01, "released_code")
  factor = 2 * HORIZON * ACTION
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, factor * b, rtol=1e-4), summed, averaged)


def test_published_beta_of_the_maze_is_004_on_sums():
  assert summed_beta(1e-2, horizon=10, action_size=2, skill_size=10) == pytest.approx(0.04)


def test_sample_nll_is_the_density_of_the_decoded_skill():
  given = drawn()
  _, metrics = skill_vae(**given, beta=0.0, prior_objective="sample_nll")
  mean, std = np.asarray(given["prior"].mean), np.exp(np.asarray(given["prior"].log_std))
  density = np.exp(-0.5 * ((given["skill"] - mean) / std) ** 2) / np.sqrt(2 * np.pi) / std
  np.testing.assert_allclose(metrics["prior"], -np.log(density).sum(1).mean(), rtol=1e-5)


def test_both_prior_objectives_have_the_same_optimum():
  given = drawn()
  q = given["posterior"]
  noise = np.random.default_rng(0).normal(size=(20_000, BATCH, SKILL)).astype(np.float32)
  skills = q.mean + jnp.exp(q.log_std) * noise
  by_kl = jax.jit(jax.grad(lambda p: jnp.sum(prior_divergence(q, given["skill"], p))))(
    given["prior"]
  )
  by_samples = jax.jit(
    jax.grad(lambda p: jnp.mean(jax.vmap(lambda z: jnp.sum(prior_nll(q, z, p)))(skills)))
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=0.15), by_samples(given["prior"]), by_kl
  )


@pytest.mark.parametrize("objective", [prior_divergence, prior_nll])
def test_the_prior_sends_no_gradient_into_the_encoder(objective):
  given = drawn()

  def loss(posterior, skill, prior):
    return jnp.sum(objective(posterior, skill, prior))

  gradient = jax.jit(jax.grad(loss, (0, 1, 2)))(given["posterior"], given["skill"], given["prior"])
  for leaf in jax.tree.leaves(gradient[:2]):
    np.testing.assert_array_equal(leaf, 0.0)
  assert all(np.all(np.asarray(leaf) != 0) for leaf in jax.tree.leaves(gradient[2]))


def test_the_divergence_is_towards_the_prior_and_not_back():
  q = Gaussian(jnp.zeros((1, 1)), jnp.full((1, 1), -2.0))  # narrow
  p = Gaussian(jnp.zeros((1, 1)), jnp.zeros((1, 1)))
  by_hand = 2.0 + 0.5 * np.exp(-4.0) - 0.5
  np.testing.assert_allclose(prior_divergence(q, q.mean, p), [by_hand], rtol=1e-5)


def test_a_perfect_model_has_no_loss():
  given = drawn()
  zero = Gaussian(jnp.zeros((BATCH, SKILL)), jnp.zeros((BATCH, SKILL)))
  perfect = {**given, "decoded": given["actions"], "posterior": zero, "prior": zero}
  assert skill_vae(**perfect, beta=1.0)[0] == pytest.approx(0.0, abs=1e-6)


def test_reconstruction_keeps_rows_apart():
  actions = jnp.zeros((2, HORIZON, ACTION)).at[1].set(0.5)
  np.testing.assert_allclose(
    reconstruction(actions, jnp.zeros_like(actions)), [0.0, 0.25 * HORIZON * ACTION]
  )


@pytest.mark.parametrize("wrong", [{"scaling": "sum"}, {"prior_objective": "mse"}])
def test_unknown_choices_are_refused(wrong):
  with pytest.raises(Exception, match="sum|mse"):
    skill_vae(**drawn(), beta=1.0, **wrong)
