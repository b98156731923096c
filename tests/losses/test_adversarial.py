"""Entropies and divergence against loops, and the signs of the game that they are for."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.losses.adversarial import conditional_entropy, gaussian_kl, marginal_entropy

SKILLS, CLASSES, DIM = 12, 3, 4

h_cond, h_marg = jax.jit(conditional_entropy), jax.jit(marginal_entropy)
kl = jax.jit(gaussian_kl, static_argnames="reduction")


def drawn(seed, *shape):
  """Normal numbers."""
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def numpy_probabilities(logits):
  """Softmax row by row."""
  rows = []
  for row in logits.astype(float):
    raised = [math.exp(x) for x in row]
    rows.append([r / sum(raised) for r in raised])
  return rows


def test_conditional_entropy_is_the_mean_entropy_of_single_guesses():
  p = numpy_probabilities(logits := 2 * drawn(0, SKILLS, CLASSES))
  expected = -sum(x * math.log(x) for row in p for x in row) / SKILLS
  np.testing.assert_allclose(h_cond(logits), expected, rtol=1e-5)


def test_marginal_entropy_is_the_entropy_of_the_mean_guess():
  p = numpy_probabilities(logits := 2 * drawn(1, SKILLS, CLASSES))
  mean = [sum(row[c] for row in p) / SKILLS for c in range(CLASSES)]
  expected = -sum(m * math.log(m + 1e-6) for m in mean)
  np.testing.assert_allclose(h_marg(logits), expected, rtol=1e-5)


def test_sure_and_balanced_guesses_are_where_the_discriminator_wants_them():
  sure = 200.0 * np.eye(CLASSES, dtype=np.float32)[np.arange(SKILLS) % CLASSES]
  assert float(h_cond(sure)) == pytest.approx(0.0, abs=1e-6)
  assert float(h_marg(sure)) == pytest.approx(math.log(CLASSES), rel=1e-4)
  collapsed = np.tile(sure[:1], (SKILLS, 1))
  assert float(h_marg(collapsed)) == pytest.approx(0.0, abs=1e-5)
  unsure = np.zeros_like(sure)
  assert float(h_cond(unsure)) == pytest.approx(math.log(CLASSES), rel=1e-5)


def test_huge_logits_have_finite_gradients():
  logits = 1e4 * drawn(2, SKILLS, CLASSES)
  for entropy in (conditional_entropy, marginal_entropy):
    assert np.all(np.isfinite(jax.jit(jax.grad(entropy))(logits)))


def test_the_three_reductions_of_the_divergence():
  mean, log_var = drawn(3, SKILLS, DIM), 0.5 * drawn(4, SKILLS, DIM)
  total = 0.0
  for m, v in zip(mean.ravel().astype(float), np.exp(log_var.ravel().astype(float)), strict=True):
    total += 0.5 * (v + m * m - 1.0 - math.log(v))
  np.testing.assert_allclose(kl(mean, log_var, reduction="sum"), total, rtol=1e-5)
  np.testing.assert_allclose(kl(mean, log_var, reduction="skill"), total / SKILLS, rtol=1e-5)
  np.testing.assert_allclose(kl(mean, log_var, reduction="mean"), total / SKILLS / DIM, rtol=1e-5)
  zero = np.zeros_like(mean)
  assert float(kl(zero, zero, reduction="sum")) == 0.0


def test_an_unknown_reduction_is_refused():
  with pytest.raises(Exception, match="batch"):
    gaussian_kl(jnp.zeros((1, 1)), jnp.zeros((1, 1)), reduction="batch")


def played(loss, moves):
  """Entropies before and after descending `loss` in the skills or in a linear discriminator."""
  skills, weights = jnp.asarray(drawn(5, SKILLS, DIM)), jnp.asarray(drawn(6, DIM, CLASSES))
  weights = weights + jnp.array([1.0, 0.0, 0.0])  # one class is preferred: room for the marginal

  def of(skills, weights):
    return loss(skills @ weights)

  def descend(_, state):
    gradients = jax.grad(of, (0, 1))(*state)
    return tuple(
      x - 0.3 * g if name in moves else x
      for name, x, g in zip(("E", "D"), state, gradients, strict=True)
    )

  after = jax.jit(lambda s: jax.lax.fori_loop(0, 60, descend, s))((skills, weights))
  logits = (skills @ weights, after[0] @ after[1])
  return [(float(h_cond(x)), float(h_marg(x))) for x in logits]


def test_the_discriminator_gets_surer_and_spreads_its_classes():
  before, after = played(lambda x: conditional_entropy(x) - marginal_entropy(x), "D")
  assert after[0] < before[0] - 0.05
  assert after[1] > before[1] + 0.05


def test_the_encoder_makes_it_unsure_and_spreads_its_classes_too():
  before, after = played(lambda x: -conditional_entropy(x) - marginal_entropy(x), "E")
  assert after[0] > before[0] + 0.05
  assert after[1] > before[1] + 0.05
