"""PPO's equations against sums written out, and rows that must not count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills import distributions
from jaxskills.distributions import Gaussian
from jaxskills.losses import ppo

GAMMA, LAMBDA = 0.9, 0.8


def rollout(seed=0, time=7, worlds=5):
  """Rewards, values, next values, terminated, truncated, weight, discount; all kinds of ends."""
  random = np.random.default_rng(seed)
  reward, value, next_value = random.normal(size=(3, time, worlds))
  kind = random.integers(0, 6, (time, worlds))
  terminated, truncated, sick = (kind == 0) * 1.0, (kind == 1) * 1.0, kind == 2
  discount = random.uniform(0.8, 1.0, (time, worlds))
  arrays = (reward, value, next_value, terminated, truncated, 1.0 - sick, discount)
  return tuple(jnp.asarray(array, jnp.float32) for array in arrays)


def direct_sum(reward, value, next_value, terminated, truncated, weight, discount):
  """`sum_l prod(gamma lambda) d_{t+l}` over the steps of the same episode, one by one."""
  time, worlds = reward.shape
  gamma = GAMMA * discount
  surprise = reward + gamma * (1 - terminated) * next_value - value
  advantage = np.zeros((time, worlds))
  for world in range(worlds):
    for start in range(time):
      factor = 1.0
      for later in range(start, time):
        if weight[later, world] == 0:
          break
        advantage[start, world] += factor * surprise[later, world]
        if terminated[later, world] or truncated[later, world]:
          break
        factor *= gamma[later, world] * LAMBDA
  return advantage


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_advantages_are_the_direct_sum_within_each_episode(seed):
  reward, value, next_value, terminated, truncated, weight, discount = arrays = rollout(seed)
  assert terminated.any() and truncated.any() and (weight == 0).any()
  got = ppo.generalized_advantage(
    reward,
    value,
    next_value,
    terminated,
    jnp.maximum(terminated, truncated),
    weight,
    gamma=GAMMA * discount,
    gae_lambda=LAMBDA,
  )
  np.testing.assert_allclose(got, direct_sum(*(np.asarray(a) for a in arrays)), atol=1e-5)


def test_a_cut_step_counts_what_was_truly_seen_last_and_an_end_counts_nothing():
  column = jnp.ones((3, 1))
  middle = column.at[0].set(0.0).at[2].set(0.0)
  numbers = {"gamma": 0.5, "gae_lambda": 1.0}
  value, next_value = 10.0 * column, 4.0 * column
  cut = ppo.generalized_advantage(column, value, next_value, 0 * column, middle, **numbers)
  assert cut[1, 0] == 1 + 0.5 * 4 - 10
  assert cut[0, 0] == (1 + 0.5 * 4 - 10) + 0.5 * cut[1, 0]
  end = ppo.generalized_advantage(column, value, next_value, middle, middle, **numbers)
  assert end[1, 0] == 1 - 10
  assert end[2, 0] == cut[2, 0]


def test_a_sick_step_is_worth_nothing_and_the_ones_before_it_stop_at_its_value():
  column = jnp.ones((3, 1))
  weight = column.at[1].set(0.0)
  value = 2.0 * column
  got = ppo.generalized_advantage(
    column.at[1].set(100.0), value, value, 0 * column, 0 * column, weight, gamma=0.5, gae_lambda=1.0
  )
  np.testing.assert_array_equal(got[:, 0], [1 + 0.5 * 2 - 2, 0.0, 1 + 0.5 * 2 - 2])


def test_lambda_goes_from_one_step_to_all_rewards():
  reward, value, next_value, *_ = rollout()
  next_value = jnp.concatenate([value[1:], next_value[-1:]])
  nothing = jnp.zeros_like(reward)
  arrays = (reward, value, next_value, nothing, nothing)
  one_step = ppo.generalized_advantage(*arrays, gamma=GAMMA, gae_lambda=0.0)
  np.testing.assert_allclose(one_step, reward + GAMMA * next_value - value, atol=1e-6)
  discounted = sum(GAMMA**step * reward[step] for step in range(len(reward)))
  discounted += GAMMA ** len(reward) * next_value[-1]
  everything = ppo.generalized_advantage(*arrays, gamma=GAMMA, gae_lambda=1.0)
  np.testing.assert_allclose(everything[0] + value[0], discounted, atol=1e-5)


def rows(seed=0, size=40):
  """Log-probabilities, old ones, advantages and weights; some ratios far beyond a clip of .2."""
  random = np.random.default_rng(seed)
  log_prob, old, advantage = random.normal(size=(3, size)) * [[0.3], [0.3], [1.0]]
  weight = random.integers(0, 2, size)
  return tuple(jnp.asarray(array, jnp.float32) for array in (log_prob, old, advantage, weight))


def test_the_surrogate_is_the_lesser_of_plain_and_clipped():
  log_prob, old, advantage, weight = rows()
  loss, metrics = ppo.surrogate_loss(log_prob, old, advantage, weight, clip=0.2)
  ratio = np.exp(np.asarray(log_prob - old))[np.asarray(weight) == 1]
  kept = np.asarray(advantage)[np.asarray(weight) == 1]
  objective = np.minimum(ratio * kept, np.clip(ratio, 0.8, 1.2) * kept)
  assert loss == metrics["policy_loss"] == pytest.approx(-objective.mean(), abs=1e-6)
  share = np.mean((ratio > 1.2) | (ratio < 0.8))
  assert 0 < share < 1 and metrics["clip_fraction"] == pytest.approx(share)
  assert metrics["approximate_kl"] == pytest.approx(np.mean(ratio - 1 - np.log(ratio)), abs=1e-6)


def test_the_surrogate_gives_no_gradient_to_a_ratio_that_has_gone_far_enough():
  log_prob = jnp.log(jnp.array([1.3, 1.3, 0.7, 0.7, 1.1]))
  advantage = jnp.array([1.0, -1.0, 1.0, -1.0, 1.0])
  nothing, one = jnp.zeros(5), jnp.ones(5)
  gradient = jax.grad(lambda now: ppo.surrogate_loss(now, nothing, advantage, one, clip=0.2)[0])(
    log_prob
  )
  np.testing.assert_allclose(gradient, [0.0, 1.3 / 5, -0.7 / 5, 0.0, -1.1 / 5], rtol=1e-5)


def test_the_estimated_divergence_is_that_of_the_gaussians():
  acted = Gaussian(jnp.array([0.1, -0.3]), jnp.array([0.0, -0.2]))
  now = Gaussian(jnp.array([0.0, -0.2]), jnp.array([0.1, -0.3]))
  wide = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (200_000, 2)), acted)
  actions = distributions.sample(wide, jax.random.key(0))
  log_probs = (distributions.log_prob(which, actions) for which in (now, acted))
  one = jnp.ones(len(actions))
  _, metrics = ppo.surrogate_loss(*log_probs, one, one, clip=0.2)
  assert metrics["approximate_kl"] == pytest.approx(float(distributions.kl(acted, now)), rel=0.03)


def test_values_are_half_squared_errors_and_the_worse_ones_where_clipped():
  random = np.random.default_rng(0)
  value, old, target = random.normal(size=(3, 30)).astype(np.float32)
  weight = random.integers(0, 2, 30).astype(np.float32)
  kept, arrays = weight == 1, [jnp.asarray(array) for array in (value, old, target, weight)]
  plain, _ = ppo.value_loss(*arrays)
  assert plain == pytest.approx(np.mean(0.5 * (value - target)[kept] ** 2), rel=1e-5)
  loss, metrics = ppo.value_loss(*arrays, clip=0.2)
  near = old + np.clip(value - old, -0.2, 0.2)
  worse = np.maximum((value - target) ** 2, (near - target) ** 2)
  assert loss == metrics["value_loss"] == pytest.approx(np.mean(0.5 * worse[kept]), rel=1e-5)
  assert loss > plain


def test_a_value_that_moved_far_enough_towards_its_target_gets_no_gradient():
  old, target, one = jnp.zeros(3), jnp.ones(3), jnp.ones(3)
  value = jnp.array([0.5, 0.1, -0.5])
  gradient = jax.grad(lambda value: ppo.value_loss(value, old, target, one, clip=0.2)[0])(value)
  np.testing.assert_allclose(gradient, [0.0, -0.9 / 3, -1.5 / 3], rtol=1e-6)


def test_a_mean_pays_for_what_lies_beyond_the_limit_alone():
  mean = jnp.array([[0.5, -1.0], [2.0, -1.5], [9.0, 9.0]])
  weight = jnp.array([1.0, 1.0, 0.0])
  assert ppo.bound_loss(mean, weight, limit=1.0) == pytest.approx((1.0 + 0.25) / 2)
  gradient = jax.grad(lambda mean: ppo.bound_loss(mean, weight, limit=1.0))(mean)
  np.testing.assert_allclose(gradient, [[0.0, 0.0], [1.0, -0.5], [0.0, 0.0]], rtol=1e-6)


def test_rows_of_weight_0_contribute_neither_value_nor_gradient():
  log_prob, old, advantage, weight = rows()

  def total(log_prob, advantage):
    normal = ppo.normalized(advantage, weight)
    policy, metrics = ppo.surrogate_loss(log_prob, old, normal, weight, clip=0.2)
    value, _ = ppo.value_loss(log_prob, old, advantage, weight, clip=0.2)
    explained = ppo.explained_variance(log_prob, advantage, weight)
    return policy + value, (metrics, explained)

  other = jnp.where(weight > 0, 0.0, 3.0)
  gradient, described = jax.grad(total, has_aux=True)(log_prob, advantage)
  assert not np.any(np.asarray(gradient)[np.asarray(weight) == 0])
  assert np.any(np.asarray(gradient)[np.asarray(weight) == 1])
  again, described_again = jax.grad(total, has_aux=True)(log_prob + other, advantage - other)
  np.testing.assert_array_equal(gradient, again)
  jax.tree.map(np.testing.assert_array_equal, described, described_again)


def test_advantages_are_normalised_over_the_rows_that_count():
  _, _, advantage, weight = rows()
  got = np.asarray(ppo.normalized(3.0 + 2.0 * advantage, weight))[np.asarray(weight) == 1]
  assert got.mean() == pytest.approx(0, abs=1e-6) and got.std() == pytest.approx(1, rel=1e-4)
  assert not np.any(ppo.normalized(jnp.full(4, 7.0), jnp.ones(4)))


def test_the_entropy_is_minus_the_mean_log_density():
  gaussian = Gaussian(jnp.array([1.0, -2.0]), jnp.array([0.3, -1.0]))
  expected = np.sum(0.5 * np.log(2 * np.pi * np.e * np.exp(2 * np.array([0.3, -1.0]))))
  assert ppo.entropy(gaussian) == pytest.approx(expected, rel=1e-6)


def test_explained_variance_is_1_for_the_truth_and_0_for_a_constant():
  target = jnp.array([1.0, -1.0, 2.0, 0.5])
  one = jnp.ones(4)
  assert ppo.explained_variance(target, target, one) == 1
  assert ppo.explained_variance(target + 3, target, one) == pytest.approx(1)
  assert ppo.explained_variance(0 * target, target, one) == 0
  assert ppo.explained_variance(-target, target, one) == pytest.approx(-3)
  assert ppo.explained_variance(target, one, one) == 0
