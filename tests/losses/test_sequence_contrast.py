"""InfoNCE and cycle consistency against loops, and what each asks for."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.losses.sequence_contrast import cycle_back, cycle_back_regression, info_nce
from tests.losses.embedded import DIM, TIMES, VIEWS, assert_slope, drawn

nce = jax.jit(info_nce, static_argnames="symmetric")
cycle = jax.jit(jax.value_and_grad(cycle_back))


def numpy_nce(embeddings, temperature, pairs):
  """Mean over pairs of views and instants of -log softmax at the same instant."""
  terms = []
  for one, other in pairs:
    for t in range(len(embeddings)):
      scores = [
        float(embeddings[t, one] @ embeddings[u, other]) / temperature
        for u in range(len(embeddings))
      ]
      terms.append(math.log(sum(math.exp(s) for s in scores)) - scores[t])
  return np.mean(terms)


def numpy_cycle(sequence, other, instants, temperature, weight):
  """Walks one by one."""

  def softmax(similarities):
    raised = [math.exp(s) for s in similarities]
    return [r / sum(raised) for r in raised]

  def similarity(a, b):
    return -float(np.sum((a - b) ** 2)) / (len(a) * temperature)

  terms = []
  for start, instant in zip(sequence, instants, strict=True):
    alpha = softmax([similarity(start, v) for v in other])
    neighbour = sum(a * v for a, v in zip(alpha, other, strict=True))
    beta = softmax([similarity(neighbour, u) for u in sequence])
    mean = sum(b * t for b, t in zip(beta, instants, strict=True))
    variance = sum(b * (t - mean) ** 2 for b, t in zip(beta, instants, strict=True))
    terms.append((instant - mean) ** 2 / variance + weight * math.log(variance))
  return np.mean(terms)


@pytest.mark.parametrize("views", [2, 3])
@pytest.mark.parametrize("symmetric", [True, False])
def test_info_nce_finds_the_instant_in_the_other_view(symmetric, views):
  embeddings = drawn(0, views=views)
  pairs = itertools.permutations if symmetric else itertools.combinations
  expected = numpy_nce(np.asarray(embeddings, np.float64), 0.5, list(pairs(range(views), 2)))
  value = nce(embeddings, temperature=0.5, symmetric=symmetric)
  np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_info_nce_of_equal_embeddings_is_a_guess():
  same = np.ones((TIMES, VIEWS, DIM), np.float32)
  assert float(nce(same, temperature=0.5, symmetric=True)) == pytest.approx(math.log(TIMES))


def test_a_walk_there_and_back_is_scored_by_where_and_how_surely_it_ends():
  embeddings = np.asarray(drawn(1, scale=0.7))
  instants = np.arange(TIMES) / TIMES
  each = [
    numpy_cycle(embeddings[:, a].astype(float), embeddings[:, b].astype(float), instants, 0.1, 1e-3)
    for a, b in ((0, 1), (1, 0))
  ]
  np.testing.assert_allclose(cycle(embeddings)[0], np.mean(each), rtol=1e-4)


def test_sequences_of_different_lengths_and_uneven_instants_can_be_walked():
  random = np.random.default_rng(2)
  sequence, other = random.normal(size=(4, DIM)), random.normal(size=(7, DIM))
  instants = np.array([0.0, 0.1, 0.15, 0.9])
  value = jax.jit(cycle_back_regression)(
    *(jnp.asarray(x, jnp.float32) for x in (sequence, other, instants)),
    temperature=0.3,
    variance_weight=0.01,
  )
  expected = numpy_cycle(sequence, other, instants, 0.3, 0.01)
  np.testing.assert_allclose(value, expected, rtol=1e-4)


def curve():
  angle = np.linspace(0, 2.5, TIMES)
  return np.stack([np.cos(angle), np.sin(angle), angle], axis=1).astype(np.float32)


def test_two_views_of_a_curve_cost_less_than_noise():
  aligned = np.stack([curve(), curve()], axis=1)
  assert float(cycle(aligned)[0]) < float(cycle(np.asarray(drawn(3)))[0])


def test_nothing_says_that_views_are_synchronous():
  # Walks come home through the other view, in whatever order its instants are.
  aligned, backwards = (np.stack([curve(), curve()[::step]], axis=1) for step in (1, -1))
  np.testing.assert_allclose(cycle(backwards)[0], cycle(aligned)[0], rtol=1e-5)


def test_gradients_are_the_slopes_of_the_values():
  assert_slope(cycle_back, drawn(4, scale=0.7))
  assert_slope(info_nce, drawn(5, scale=0.3))


@pytest.mark.parametrize("scale", [0.0, 1e3])
def test_equal_embeddings_and_sure_matches_stay_finite(scale):
  value, gradient = cycle(scale * np.asarray(drawn(6)))
  assert np.isfinite(value) and np.all(np.isfinite(gradient))


def test_a_single_instant_teaches_nothing():
  value, gradient = cycle(np.asarray(drawn(7, times=1)))
  assert np.isfinite(value)
  np.testing.assert_array_equal(gradient, 0.0)
  assert float(nce(drawn(7, times=1), temperature=0.5, symmetric=True)) == 0.0


@pytest.mark.parametrize("loss", [info_nce, cycle_back])
def test_one_view_is_refused(loss):
  with pytest.raises(ValueError, match="two views or more.*1"):
    loss(jnp.zeros((TIMES, 1, DIM)))
