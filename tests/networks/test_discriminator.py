"""The discriminator, what is random in it, and what a strict bottleneck does to the game."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxskills.losses.adversarial import (
  class_information,
  conditional_entropy,
  gaussian_kl,
  marginal_entropy,
)
from jaxskills.networks.discriminator import Discriminator
from tests.drawn import drawn_variables

SMALL = Discriminator(3, hidden=(16, 16), latent=8)
SKILLS = np.random.default_rng(0).normal(size=(6, 10)).astype(np.float32)


@functools.cache
def fresh(bottleneck):
  """A small network and its variables."""
  network = SMALL.clone(bottleneck=bottleneck)
  return network, drawn_variables(network, SKILLS)


@functools.cache
def judged(bottleneck):
  """`(variables, skills, dropout key, latent key) -> Verdict`, as in training."""
  network = fresh(bottleneck)[0]
  return jax.jit(
    lambda v, x, d, z: network.apply(v, x, train=True, rngs={"dropout": d, "latent": z})
  )


def test_the_published_network_has_the_published_sizes():
  network = Discriminator(4)
  variables = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 64)))
  kernels = {name: layer["kernel"].shape for name, layer in variables["params"].items()}
  assert kernels == {
    "dense_0": (64, 500),
    "dense_1": (500, 500),
    "mean": (500, 64),
    "log_var": (500, 64),
    "head": (64, 64),
    "logits": (64, 4),
  }
  assert (network.dropout, network.head_dropout) == (0.25, 0.1)


def test_without_training_the_latent_variable_is_its_mean_and_nothing_is_dropped():
  network, variables = fresh("kl")
  verdict = jax.jit(network.apply)(variables, SKILLS)
  value = SKILLS
  weights = jax.tree.map(np.asarray, variables["params"])
  for name in ("dense_0", "dense_1"):
    value = np.maximum(value @ weights[name]["kernel"] + weights[name]["bias"], 0)
  mean = value @ weights["mean"]["kernel"] + weights["mean"]["bias"]
  np.testing.assert_allclose(verdict.mean, mean, rtol=1e-4, atol=1e-6)
  value = np.maximum(mean @ weights["head"]["kernel"] + weights["head"]["bias"], 0)
  logits = value @ weights["logits"]["kernel"] + weights["logits"]["bias"]
  np.testing.assert_allclose(verdict.logits, logits, rtol=1e-4, atol=1e-6)


def test_training_draws_dropout_and_latent_from_their_own_keys():
  variables, judge = fresh("kl")[1], judged("kl")
  one, two = jax.random.split(jax.random.key(1))
  first = judge(variables, SKILLS, one, two)
  np.testing.assert_array_equal(first.logits, judge(variables, SKILLS, one, two).logits)
  other_sample = judge(variables, SKILLS, one, one)
  np.testing.assert_array_equal(first.mean, other_sample.mean)
  assert np.all(np.asarray(first.logits) != np.asarray(other_sample.logits))
  assert np.any(np.asarray(first.mean) != np.asarray(judge(variables, SKILLS, two, two).mean))


def test_the_sample_spreads_as_its_variance_says():
  network, variables = fresh("kl")
  skills = np.tile(SKILLS[:1], (4000, 1))
  quiet = jax.tree.map(jnp.zeros_like, variables)
  bias = np.log(np.linspace(0.04, 4.0, 8)).astype(np.float32)
  quiet["params"]["log_var"]["bias"] = jnp.asarray(bias)
  quiet["params"]["mean"]["bias"] = jnp.full((8,), 5.0)  # keeps the ReLU behind it open, mostly
  quiet["params"]["head"]["kernel"] = jnp.eye(8)
  quiet["params"]["logits"]["kernel"] = jnp.eye(8)[:, :3]
  undropped = network.clone(dropout=0.0, head_dropout=0.0)
  rngs = {"latent": jax.random.key(1)}
  verdict = jax.jit(lambda v, x: undropped.apply(v, x, train=True, rngs=rngs))(quiet, skills)
  np.testing.assert_allclose(np.var(verdict.logits, axis=0), np.exp(bias[:3]), rtol=0.1)
  np.testing.assert_allclose(np.mean(verdict.logits, axis=0), 5.0, rtol=0.02)


def test_a_plain_layer_in_the_bottleneck_has_no_noise_of_its_own():
  variables, judge = fresh("fc")[1], judged("fc")
  assert "log_var" not in variables["params"]
  one, two = jax.random.split(jax.random.key(1))
  first, second = judge(variables, SKILLS, one, one), judge(variables, SKILLS, one, two)
  np.testing.assert_array_equal(first.logits, second.logits)
  np.testing.assert_array_equal(first.log_var, 0.0)


def test_huge_embeddings_leave_the_divergence_finite():
  variables, judge = fresh("kl")[1], judged("kl")
  verdict = judge(variables, 1e4 * SKILLS, jax.random.key(0), jax.random.key(1))
  assert np.max(np.abs(verdict.log_var)) <= 20.0
  assert np.isfinite(gaussian_kl(verdict.mean, verdict.log_var, reduction="sum"))


def test_an_unknown_bottleneck_is_refused():
  with pytest.raises(Exception, match="vq"):
    SMALL.clone(bottleneck="vq").init(jax.random.key(0), SKILLS)


def test_a_divergence_summed_over_dimensions_starves_it_and_the_entropies_hide_that():
  centres = 2.0 * jnp.eye(2, 10)
  network = Discriminator(2, hidden=(32, 32), latent=16, dropout=0.0, head_dropout=0.0)
  optimizer = optax.adam(3e-3)

  def train(beta):
    def step(state, key):
      data_key, latent_key = jax.random.split(key)
      skills = jnp.tile(centres, (8, 1)) + 0.2 * jax.random.normal(data_key, (16, 10))

      def loss(variables):
        rngs = {"latent": latent_key}
        verdict = network.apply(variables, skills, train=True, rngs=rngs)
        h_cond, h_marg = conditional_entropy(verdict.logits), marginal_entropy(verdict.logits)
        kl = gaussian_kl(verdict.mean, verdict.log_var, reduction="skill")
        return h_cond - h_marg + beta * kl, h_cond

      gradient, h_cond = jax.grad(loss, has_aux=True)(state[0])
      updates, optimizer_state = optimizer.update(gradient, state[1])
      return (optax.apply_updates(state[0], updates), optimizer_state), h_cond

    variables = network.init(jax.random.key(0), centres)
    state, h_cond = jax.lax.scan(
      step, (variables, optimizer.init(variables)), jax.random.split(jax.random.key(1), 500)
    )
    verdict = network.apply(state[0], jnp.tile(centres, (8, 1)))
    return class_information(verdict.logits), jnp.mean(h_cond[-50:])

  train = jax.jit(train)
  told, _ = train(1 / 64)  # a beta of 1 on the mean over 64 dimensions
  assert float(told) > 0.9 * math.log(2)
  starved, unsure = train(1.0)
  assert float(starved) < 0.05
  assert float(unsure) < 0.75 * math.log(2)  # sure of the noise
