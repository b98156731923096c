"""SAC finds the soft optimum of worlds in which it is known."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.distributions import Gaussian
from jaxskills.types import Transition
from tests.learners.tables import (
  FAST,
  GAUSSIAN,
  LIMIT,
  PRIOR_MEAN,
  PRIOR_STD,
  REWARDS,
  TableCritic,
  TablePolicy,
  divergence_between,
  scalar,
  train,
)


def two_states(key, size=128):
  """State 0 leads to state 1, where every step is cut by a time limit and nothing ever ends."""
  state_key, action_key = jax.random.split(key)
  state = jax.random.bernoulli(state_key, 0.5, (size,)).astype(int)
  draw = jax.random.uniform(action_key, (size, 1), minval=-2.0, maxval=2.0)
  reward = jnp.where(state == 0, REWARDS[0](draw[:, 0]), REWARDS[1](draw[:, 0]))
  prior = Gaussian(jnp.full((size, 1), PRIOR_MEAN), jnp.full((size, 1), math.log(PRIOR_STD)))
  return Transition(
    observation={"state": jax.nn.one_hot(state, 2)},
    action=LIMIT * jnp.tanh(draw / LIMIT),
    reward=reward,
    terminated=jnp.zeros(size),
    truncated=(state == 1).astype(jnp.float32),
    next_observation={"state": jax.nn.one_hot(jnp.ones_like(state), 2)},
    discount=jnp.ones(size),
    weight=jnp.ones(size),
    prior=prior,
    next_prior=prior,
  )


@pytest.mark.parametrize("timeouts_terminate", [False, True])
def test_the_soft_optimum_is_found_and_time_limits_bootstrap_unless_told_not_to(timeouts_terminate):
  config = FAST._replace(timeouts_terminate=timeouts_terminate)
  state, _ = train(config, GAUSSIAN, two_states)
  output = TablePolicy().apply(state.policy, {"state": jnp.eye(2)})
  for index, reward in enumerate(REWARDS):
    mean, std = reward.best_policy(PRIOR_MEAN, PRIOR_STD, alpha=0.5)
    assert output.mean[index, 0] == pytest.approx(mean, abs=0.05)
    assert jnp.exp(output.log_std[index, 0]) == pytest.approx(std, abs=0.05)

  once = REWARDS[1].soft_value(PRIOR_MEAN, PRIOR_STD, alpha=0.5)
  forever = once if timeouts_terminate else once / (1 - 0.5)
  later = 0.0 if timeouts_terminate else 0.5 * forever
  values = TableCritic().apply(
    state.critic, {"state": jnp.eye(2)}, LIMIT * jnp.tanh(jnp.array([[0.3], [0.3]]) / LIMIT)
  )
  np.testing.assert_allclose(values[:, 0], REWARDS[0](0.3) + 0.5 * forever, atol=0.08)
  np.testing.assert_allclose(values[:, 1], REWARDS[1](0.3) + later, atol=0.08)


def test_alpha_settles_where_the_best_policy_is_as_far_from_the_prior_as_allowed():
  def bandit(key):
    batch = two_states(key)
    state = jnp.zeros_like(batch.observation["state"]).at[:, 0].set(1.0)
    draw = LIMIT * jnp.arctanh(batch.action[:, 0] / LIMIT)
    return batch._replace(
      observation={"state": state}, reward=REWARDS[0](draw), terminated=jnp.ones(len(draw))
    )

  target = 0.15
  config = FAST._replace(learn_alpha=True, target_divergence=target, alpha=3.0)
  state, metrics = train(config, GAUSSIAN, bandit)

  low, high = 1e-3, 1e3  # the divergence of the best policy falls as alpha grows
  for _ in range(60):
    alpha = math.sqrt(low * high)
    mean, std = REWARDS[0].best_policy(PRIOR_MEAN, PRIOR_STD, alpha)
    too_far = divergence_between(mean, std, PRIOR_MEAN, PRIOR_STD) > target
    low, high = (alpha, high) if too_far else (low, alpha)
  assert math.exp(scalar(state.log_alpha)) == pytest.approx(alpha, rel=0.15)
  assert jnp.mean(metrics["divergence"][-100:]) == pytest.approx(target, abs=0.02)
