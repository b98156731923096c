"""The SAC learner against a textbook rewrite, its masks and options, and its misuse."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxskills.learners.action_type import divergence_at_entropy
from jaxskills.learners.sac import SacConfig
from tests.learners.tables import (
  CONFIG,
  KEY,
  LIMIT,
  UNIFORM,
  WITHOUT_PRIOR,
  TableCritic,
  TablePolicy,
  a_few_updates,
  assert_close,
  batch_of,
  init,
  sac,
  scalar,
  update,
)

# ---- the textbook, written without our losses or action types


@functools.partial(jax.jit, static_argnames="target_entropy")
def textbook_update(config, state, batch, key, *, target_entropy=None, price=0.0):
  """One update of SPiRL's algorithm 1; with a target entropy, of SAC (Haarnoja et al. 2018).

  In the latter the regulariser is `log pi(a | s)`, alpha follows `log pi + target entropy`, and
  `alpha * price` is taken off the value of what comes next.
  """
  policy_of, values_of = TablePolicy().apply, TableCritic().apply
  key, next_key = jax.random.split(key)

  def act(params, observation, prior, key):
    mean, log_std = policy_of(params, observation)
    std, noise = jnp.exp(log_std), jax.random.normal(key, mean.shape)
    draw = mean + std * noise
    if target_entropy is None:
      prior_std = jnp.exp(prior.log_std)
      regulariser = jnp.log(prior_std / std) - 0.5
      regulariser += (std**2 + (mean - prior.mean) ** 2) / (2 * prior_std**2)
    else:
      normal = -0.5 * noise**2 - log_std - 0.5 * math.log(2 * math.pi)
      regulariser = normal - jnp.log(1 - jnp.tanh(draw / LIMIT) ** 2)
    return LIMIT * jnp.tanh(draw / LIMIT), regulariser[:, 0]

  def mean(values):
    return jnp.sum(batch.weight * values) / jnp.sum(batch.weight)

  goal = config.target_divergence if target_entropy is None else -target_entropy
  _, regulariser = act(state.policy, batch.observation, batch.prior, key)
  gradient = jnp.exp(state.log_alpha) * mean(goal - regulariser)
  step, _ = optax.adam(config.alpha_learning_rate).update(gradient, state.alpha_optimizer)
  log_alpha = state.log_alpha + step
  alpha = jnp.exp(log_alpha[0])

  def policy_loss(params):
    action, regulariser = act(params, batch.observation, batch.prior, key)
    first, second = values_of(state.critic, batch.observation, action)
    return mean(alpha * regulariser - jnp.minimum(first, second))

  gradient = jax.grad(policy_loss)(state.policy)
  adam = optax.adam(config.policy_learning_rate)
  step, _ = adam.update(gradient, state.policy_optimizer[1])
  policy_params = optax.apply_updates(state.policy, step)

  action, regulariser = act(state.policy, batch.next_observation, batch.next_prior, next_key)
  first, second = values_of(state.target_critic, batch.next_observation, action)
  future = jnp.minimum(first, second) - alpha * regulariser - alpha * price
  target = config.reward_scale * batch.reward
  target += config.gamma * batch.discount * (1 - batch.terminated) * future

  def critic_loss(params):
    first, second = values_of(params, batch.observation, batch.action)
    return mean((first - target) ** 2 + (second - target) ** 2) / 2

  gradient = jax.grad(critic_loss)(state.critic)
  step, _ = optax.adam(config.critic_learning_rate).update(gradient, state.critic_optimizer[1])
  return policy_params, optax.apply_updates(state.critic, step), log_alpha


def test_an_update_is_algorithm_1():
  state, batch, key = a_few_updates(CONFIG), batch_of(9), jax.random.key(9)
  policy, critic, log_alpha = textbook_update(CONFIG, state, batch, key)
  after, metrics = update(CONFIG, state, batch, key)
  assert_close(after.log_alpha, log_alpha)
  assert_close(after.policy, policy)
  assert_close(after.critic, critic)
  old = state.target_critic
  assert_close(after.target_critic, jax.tree.map(lambda c, t: 0.25 * c + 0.75 * t, critic, old))
  assert after.step == 4
  assert metrics["alpha"] == pytest.approx(float(jnp.exp(log_alpha[0])), rel=1e-5)


def test_a_uniform_prior_is_plain_sac_with_every_decision_worth_less_by_a_constant():
  target_entropy = -1.0
  target = divergence_at_entropy(target_entropy, action_size=1, limit=LIMIT)
  config = CONFIG._replace(target_divergence=target)
  state, key = a_few_updates(config, UNIFORM), jax.random.key(9)
  batch = batch_of(9, **WITHOUT_PRIOR)
  policy, critic, log_alpha = textbook_update(
    config, state, batch, key, target_entropy=target_entropy, price=math.log(2 * LIMIT)
  )
  after, _ = update(config, state, batch, key, UNIFORM)
  assert_close(after.log_alpha, log_alpha)
  assert_close(after.policy, policy)
  assert_close(after.critic, critic)


# ---- alpha


@pytest.mark.parametrize("target, rises", [(0.0, True), (1e3, False)])
def test_alpha_rises_iff_the_policy_is_further_from_the_prior_than_allowed(target, rises):
  config = CONFIG._replace(target_divergence=target)
  before = init(config)
  after, metrics = update(config, before, batch_of())
  assert (metrics["divergence"] > target) == rises
  assert (scalar(after.log_alpha) > scalar(before.log_alpha)) == rises


def test_alpha_stays_within_its_bounds():
  high = CONFIG._replace(target_divergence=0.0, alpha_max=0.71)
  low = CONFIG._replace(target_divergence=1e3, alpha_min=0.69)
  for config, bound in ((high, 0.71), (low, 0.69)):
    state = a_few_updates(config)
    assert math.exp(scalar(state.log_alpha)) == pytest.approx(bound, rel=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.2])
def test_alpha_that_is_not_learned_stays_bit_for_bit(alpha):
  config = CONFIG._replace(alpha=alpha, learn_alpha=False)
  state = a_few_updates(config)
  assert scalar(state.log_alpha) == scalar(init(config).log_alpha)
  assert jnp.exp(state.log_alpha[0]) == pytest.approx(alpha)
  assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state.policy))


# ---- rows that do not count


def test_rows_of_weight_zero_may_hold_anything():
  state = a_few_updates(CONFIG)
  weight = jnp.array([1.0, 0.0] * 8)
  clean = batch_of(3, weight=weight)

  def poisoned(poison):
    def leaf(array):
      rows = (weight > 0).reshape(-1, *(1,) * (array.ndim - 1))
      return jnp.where(rows, array, poison)

    return jax.tree.map(leaf, clean)._replace(weight=weight)

  expected, metrics = update(CONFIG, state, clean)
  for poison in (jnp.nan, jnp.inf, 1e30):
    after, poisoned_metrics = update(CONFIG, state, poisoned(poison))
    jax.tree.map(np.testing.assert_array_equal, expected, after)
    jax.tree.map(np.testing.assert_array_equal, metrics, poisoned_metrics)
  assert metrics["counted_rows"] == pytest.approx(0.5)


def test_a_batch_without_rows_gives_no_gradient():
  state = init(CONFIG)
  after, metrics = update(CONFIG, state, batch_of(weight=jnp.zeros(16)))
  for before, now in ((state.policy, after.policy), (state.critic, after.critic)):
    jax.tree.map(np.testing.assert_array_equal, before, now)
  assert scalar(after.log_alpha) == scalar(state.log_alpha)
  assert all(np.isfinite(value) for value in metrics.values())


# ---- options


def test_policy_and_alpha_wait_for_their_turn_while_critics_move():
  config = CONFIG._replace(policy_delay=2)
  start = init(config)
  waiting, _ = update(config, start, batch_of(0))
  for name in ("policy", "policy_optimizer", "alpha_optimizer", "log_alpha"):
    jax.tree.map(np.testing.assert_array_equal, getattr(start, name), getattr(waiting, name))
  assert not np.array_equal(*(jax.tree.leaves(s.critic)[1] for s in (start, waiting)))
  moved, _ = update(config, waiting, batch_of(1))
  for name in ("policy", "log_alpha"):
    before, after = (jax.tree.leaves(getattr(s, name))[0] for s in (waiting, moved))
    assert not np.array_equal(before, after)
  assert optax.tree.get(moved.policy_optimizer, "count") == 1


def test_gradients_are_clipped_by_their_global_norm_when_asked():
  for clip, bound in ((1e-3, 1e-3), (0.0, np.inf)):
    config = CONFIG._replace(gradient_clip=clip)
    after, metrics = update(config, init(config), batch_of())
    for name in ("policy", "critic"):
      norm = metrics[f"{name}_gradient_norm"]
      assert norm > 1e-2  # as it was before clipping
      first_moment = optax.tree.get(getattr(after, f"{name}_optimizer"), "mu")
      expected = 0.1 * min(float(norm), bound)
      assert float(optax.tree.norm(first_moment)) == pytest.approx(expected, rel=1e-4)


def test_targets_are_limited_when_asked():
  batch = batch_of(reward=100 * jnp.ones(16), terminated=jnp.ones(16), weight=jnp.ones(16))
  _, metrics = update(CONFIG._replace(target_limit=0.5), init(CONFIG), batch)
  assert metrics["target_value"] == pytest.approx(0.5)


def test_a_sweep_over_numbers_is_one_vmapped_program():
  configs = [CONFIG, CONFIG._replace(gamma=0.5, policy_learning_rate=0.2, target_divergence=3.0)]
  stacked = jax.tree.map(lambda *leaves: jnp.asarray(leaves), *configs)

  together = jax.jit(jax.vmap(a_few_updates))(stacked)
  for index, config in enumerate(configs):
    alone = a_few_updates(config)
    assert_close(jax.tree.map(lambda leaf, i=index: leaf[i], together), alone)


# ---- starting from the prior, and acting


def test_the_policy_starts_as_a_copy_that_donation_leaves_alone():
  prior_params = TablePolicy().init(jax.random.key(5), {"state": jnp.zeros((1, 2))})
  learner = sac(SacConfig(), initial_policy=prior_params)
  state = learner.init(KEY)
  jax.tree.map(np.testing.assert_array_equal, state.policy, prior_params)
  donating_update = jax.jit(learner.update, donate_argnums=0)
  for start in (learner.init, jax.jit(learner.init)):
    state, _ = donating_update(start(KEY), batch_of(), KEY)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((prior_params, state.policy)))


def test_target_critics_start_equal_to_the_critics():
  state = init(CONFIG)
  jax.tree.map(np.testing.assert_array_equal, state.critic, state.target_critic)


def test_a_starting_policy_of_another_shape_is_refused_by_place():
  other = TablePolicy((3,)).init(KEY, {"state": jnp.zeros((1, 2))})
  with pytest.raises(ValueError, match=r"log_std.*\(2, 3\).*\(2, 1\)"):
    sac(SacConfig(), initial_policy=other)
  with pytest.raises(ValueError, match="nothing"):
    sac(SacConfig(), initial_policy={"params": {}})


def test_act_is_the_mode_without_a_key_and_a_draw_with_one():
  learner = sac(CONFIG)
  params, observation = init(CONFIG).policy, {"state": jnp.eye(2)}
  mean = TablePolicy().apply(params, observation).mean
  np.testing.assert_allclose(
    learner.act(params, observation), LIMIT * np.tanh(mean / LIMIT), rtol=1e-6
  )
  draws = [learner.act(params, observation, jax.random.key(seed)) for seed in (0, 0, 1)]
  np.testing.assert_array_equal(draws[0], draws[1])
  assert not np.allclose(draws[0], draws[2])


@pytest.mark.parametrize(
  "wrong",
  [
    {"gamma": 1.5},
    {"gamma": float("nan")},
    {"tau": -0.1},
    {"policy_learning_rate": -1e-3},
    {"target_divergence": -1.0},
    {"policy_delay": 0},
    {"alpha": -1.0},
    {"alpha": 0.0},
  ],
)
def test_numbers_out_of_range_are_refused_by_name(wrong):
  with pytest.raises(ValueError, match=f"SacConfig.{next(iter(wrong))} "):
    sac(SacConfig(**wrong))
