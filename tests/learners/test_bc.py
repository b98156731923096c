"""Behaviour cloning on a problem whose answer is known."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.learners.bc import BcConfig, make_bc, make_policy
from jaxskills.types import EnvSpec

SPEC = EnvSpec({"state": jax.ShapeDtypeStruct((1,), jnp.float32)}, 2, 2.0, 0.01)
SMALL = BcConfig(inputs=("state",), hidden=(32, 32), optimizer="adam", learning_rate=1e-2)


class Windows(NamedTuple):
  """The least that the learner asks for."""

  observation: Any
  actions: jax.Array


def demonstrations(key: jax.Array, batch: int = 128) -> Windows:
  """First actions `(1.5 s, -s)` with noise .1; what follows is irrelevant."""
  keys = jax.random.split(key, 3)
  state = jax.random.uniform(keys[0], (batch, 1), minval=-1.0)
  action = jnp.concatenate([1.5 * state, -state], axis=-1)
  action = action + 0.1 * jax.random.normal(keys[1], action.shape)
  later = jax.random.normal(keys[2], action.shape)
  return Windows({"state": state}, jnp.stack([action, later], axis=1))


@pytest.mark.parametrize("squashed", [True, False])
def test_the_clone_does_what_was_shown_with_the_spread_that_was_shown(squashed):
  learner = make_bc(SMALL._replace(squashed=squashed), SPEC)

  def step(state, number):
    key = jax.random.fold_in(jax.random.key(1), number)
    return learner.update(state, demonstrations(key), key)

  init = jax.jit(learner.init)(jax.random.key(0))
  state, metrics = jax.jit(lambda s: jax.lax.scan(step, s, jnp.arange(600)))(init)
  assert float(np.mean(metrics["loss"][-20:])) < float(metrics["loss"][0])
  seen = {"state": jnp.array([[-0.8], [0.0], [0.5]])}
  expected = np.array([[-1.2, 0.8], [0.0, 0.0], [0.75, -0.5]])
  np.testing.assert_allclose(jax.jit(learner.act)(state.params, seen), expected, atol=0.12)
  many = {"state": jnp.zeros((2000, 1))}
  sampled = jax.jit(learner.act)(state.params, many, jax.random.key(2))
  np.testing.assert_allclose(np.std(sampled, axis=0), 0.1, atol=0.04)


def test_only_the_first_action_of_a_window_counts():
  learner = make_bc(SMALL, SPEC)
  state = jax.jit(learner.init)(jax.random.key(0))
  batch = demonstrations(jax.random.key(1))
  other = batch._replace(actions=batch.actions.at[:, 1].set(0.0))
  key = jax.random.key(2)
  update = jax.jit(learner.update)
  _, metrics = update(state, batch, key)
  _, same = update(state, other, key)
  assert float(metrics["loss"]) == float(same["loss"])


def test_a_saturated_demonstration_is_cloned_in_the_space_that_tanh_undoes():
  learner = make_bc(SMALL, SPEC)
  state = jax.jit(learner.init)(jax.random.key(0))
  batch = Windows({"state": jnp.zeros((1, 1))}, jnp.full((1, 1, 2), 2.0))
  _, metrics = jax.jit(learner.update)(state, batch, jax.random.key(0))
  gaussian = make_policy(SMALL, SPEC).apply(state.params, batch.observation)
  target = 2.0 * math.atanh(0.99)
  error = np.sum((target - np.asarray(gaussian.mean)) ** 2)
  assert float(metrics["squared_error"]) == pytest.approx(error, rel=1e-4)


@pytest.mark.parametrize("squashed", [True, False])
def test_actions_stay_within_the_limit(squashed):
  learner = make_bc(SMALL._replace(squashed=squashed), SPEC)
  state = jax.jit(learner.init)(jax.random.key(0))
  params = jax.tree.map(lambda x: 30.0 * x, state.params)
  seen = {"state": jnp.linspace(-5.0, 5.0, 64)[:, None]}
  actions = np.asarray(jax.jit(learner.act)(params, seen, jax.random.key(1)))
  assert np.max(np.abs(actions)) <= 2.0


def test_a_modality_that_is_not_there_is_named():
  with pytest.raises(ValueError, match="view"):
    make_bc(BcConfig(), SPEC)
