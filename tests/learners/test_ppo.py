"""PPO's update: what is learned from which rows, from what, and how fast."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxskills import distributions
from jaxskills.learners.ppo import adapted_rate, make_networks, make_ppo
from jaxskills.learners.ppo_config import PpoConfig
from jaxskills.losses import ppo as losses
from jaxskills.networks import normalizer
from tests.learners.rollouts import (
  CONFIG,
  KEY,
  ONE_STEP,
  SPEC,
  TIME,
  WORLDS,
  assert_finite,
  init,
  leaves_differ,
  rollout,
  trained,
  update,
)

PLAIN = ONE_STEP._replace(normalize_values=False, value_clip=0.0)


def adam_on_the_objective(config, state, batch):
  """What one step makes of the networks, written out without minibatches, masks or statistics."""
  actor, critic = make_networks(config, SPEC)
  flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), batch)
  seen, then = (
    normalizer.normalize(state.params.observation, of)
    for of in (flat.observation, flat.next_observation)
  )
  values = [critic.apply(state.params.critic, of) for of in (seen, then)]
  value, next_value = (of.reshape(TIME, WORLDS) for of in values)
  advantage = losses.generalized_advantage(
    batch.reward,
    value,
    next_value,
    batch.terminated,
    batch.truncated,
    gamma=config.gamma * batch.discount,
    gae_lambda=config.gae_lambda,
  )
  target, advantage = (advantage + value).reshape(-1), advantage.reshape(-1)
  normal = (advantage - advantage.mean()) / advantage.std()
  old = distributions.log_prob(actor.apply(state.params.actor, seen), flat.action)

  def objective(networks):
    policy = actor.apply(networks["actor"], seen)
    ratio = jnp.exp(distributions.log_prob(policy, flat.action) - old)
    surrogate = jnp.minimum(ratio * normal, jnp.clip(ratio, 0.8, 1.2) * normal)
    error = critic.apply(networks["critic"], seen) - target
    return jnp.mean(-surrogate - config.entropy * losses.entropy(policy) + 0.5 * error**2)

  networks = {"actor": state.params.actor, "critic": state.params.critic}
  clip = optax.clip_by_global_norm(config.max_grad_norm)
  optimizer = optax.chain(clip, optax.adam(state.learning_rate))
  like = optimizer.init(networks)
  remembered = (like[0], (state.optimizer[1], like[1][1]))
  updates, _ = optimizer.update(jax.grad(objective)(networks), remembered)
  return optax.apply_updates(networks, updates)


def test_one_step_is_adam_on_the_clipped_objective():
  config = PLAIN._replace(learning_rate=0.5, max_grad_norm=0.3, entropy=0.05)
  state, batch = trained(PLAIN), rollout(9, weight=jnp.ones((TIME, WORLDS)))
  state = state._replace(learning_rate=jnp.asarray(0.01))  # wherever it started
  expected = jax.jit(lambda *arrays: adam_on_the_objective(config, *arrays))(state, batch)
  got, metrics = update(config, state, batch)
  assert metrics["gradient_norm"] > 0.3 and metrics["learning_rate"] == pytest.approx(0.01)
  networks = {"actor": got.params.actor, "critic": got.params.critic}
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), networks, expected)


def test_the_ratio_is_1_at_first_whatever_the_observations_did():
  state = init(ONE_STEP)
  for seed in range(3):  # the statistics move with every rollout
    shifted = rollout(seed)
    shifted.observation["state"] = 10.0**seed * shifted.observation["state"]
    state, metrics = update(ONE_STEP, state, shifted)
    assert metrics["clip_fraction"] == 0
    assert metrics["approximate_kl"] == pytest.approx(0, abs=1e-10)
    assert metrics["kl"] == pytest.approx(0, abs=1e-6)
    # With normalised advantages, the surrogate of equal policies is 0.
    assert metrics["policy_loss"] == pytest.approx(0, abs=1e-5)


def test_what_acts_is_what_an_update_takes_for_having_acted():
  state, learner = trained(), make_ppo(CONFIG, SPEC)
  seen = rollout(7).observation
  flat = jax.tree.map(lambda leaf: leaf[0], seen)
  actor, _ = make_networks(CONFIG, SPEC)
  policy = actor.apply(state.params.actor, normalizer.normalize(state.params.observation, flat))
  np.testing.assert_array_equal(learner.act(state.params, flat), policy.mean)
  keys = jax.random.split(KEY, WORLDS)
  noise = jax.vmap(lambda key: jax.random.normal(key, (2,)))(keys)
  acted = learner.act(state.params, flat, keys)
  np.testing.assert_allclose(acted, policy.mean + jnp.exp(policy.log_std) * noise, rtol=1e-6)
  assert not np.array_equal(learner.act(state.params, flat, KEY), policy.mean)
  robot = {"state": flat["state"]}
  np.testing.assert_array_equal(learner.act(state.params, robot), policy.mean)


def test_statistics_are_those_of_all_rollouts_and_of_the_rows_that_count():
  parts = [rollout(seed) for seed in range(3)]
  moments = trained().params.observation
  for name in ("state", "privileged"):
    kept = np.concatenate([part.observation[name][part.weight > 0] for part in parts])
    np.testing.assert_allclose(moments[name].mean, kept.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(moments[name].variance, kept.var(0), rtol=1e-4)
  assert not trained(CONFIG._replace(normalize_observations=False)).params.observation


def test_rows_of_weight_0_leave_no_trace():
  state, batch = trained(), rollout(4)
  sick = batch.weight == 0
  assert int(sick.sum()) == 2

  def spoilt(value):
    def spoil(leaf):
      rows = sick.reshape(*sick.shape, *(1,) * (leaf.ndim - 2))
      return jnp.where(rows, value, leaf)

    spoilt = jax.tree.map(spoil, batch)
    return spoilt._replace(
      terminated=batch.terminated, truncated=batch.truncated, weight=batch.weight
    )

  clean = update(CONFIG, state, spoilt(0.0))
  for value in (jnp.nan, jnp.inf, 1e20):
    dirty = update(CONFIG, state, spoilt(value))
    jax.tree.map(np.testing.assert_array_equal, clean, dirty)
  assert clean[1]["counted_rows"] == pytest.approx(22 / 24)


def test_a_minibatch_whose_gradient_is_not_finite_changes_nothing_and_is_counted():
  config = CONFIG._replace(gae_lambda=0.0)  # so that one reward concerns one row
  state, batch = trained(config), rollout(5)
  time, world = np.argwhere(np.asarray(batch.weight) == 1)[0]
  poisoned = batch._replace(reward=batch.reward.at[time, world].set(jnp.inf))
  after, metrics = update(config, state, poisoned)
  assert metrics["skipped_minibatches"] == config.epochs
  assert_finite((after.params, after.optimizer, metrics["policy_loss"], metrics["kl"]))
  assert leaves_differ(after.params.actor, state.params.actor)
  everywhere = batch._replace(reward=jnp.full_like(batch.reward, jnp.nan))
  after, metrics = update(config, state, everywhere)
  assert metrics["skipped_minibatches"] == config.epochs * config.minibatches
  jax.tree.map(np.testing.assert_array_equal, after.params.actor, state.params.actor)
  jax.tree.map(np.testing.assert_array_equal, after.params.critic, state.params.critic)
  jax.tree.map(np.testing.assert_array_equal, after.optimizer, state.optimizer)
  assert after.params.value == state.params.value


@pytest.mark.parametrize(
  ("kl", "expected"),
  [(0.03, 0.1 / 1.5), (0.01, 0.1), (0.001, 0.1 * 1.5), (jnp.nan, 0.1)],
)
def test_the_rate_falls_where_the_policy_went_too_far_and_rises_where_not_far(kl, expected):
  got = adapted_rate(jnp.asarray(0.1), jnp.asarray(kl), CONFIG._replace(learning_rate_max=1.0))
  assert got == pytest.approx(expected)


def test_the_rate_stays_within_its_bounds():
  far = CONFIG._replace(learning_rate=0.5, learning_rate_max=0.5, learning_rate_min=0.2)
  _, metrics = update(far, init(far), rollout())
  assert metrics["kl"] > far.kl_high and metrics["learning_rate"] == pytest.approx(0.2)
  near = CONFIG._replace(learning_rate=1e-6, learning_rate_max=2e-6)
  _, metrics = update(near, init(near), rollout())
  assert metrics["kl"] < near.kl_low and metrics["learning_rate"] == pytest.approx(2e-6)


def test_the_first_step_of_an_update_does_not_take_its_own_silence_for_caution():
  config = CONFIG._replace(learning_rate=1e-6)
  _, metrics = update(config, init(config), rollout())
  steps = config.epochs * config.minibatches
  assert metrics["learning_rate"] == pytest.approx(1e-6 * 1.5 ** (steps - 1))


def test_values_do_not_jump_when_their_statistics_move():
  config = CONFIG._replace(learning_rate=0.0, learning_rate_min=0.0, learning_rate_max=0.0)
  state = init(config)
  first, before = update(config, state, rollout(0))
  assert first.params.value.rows > 0 and first.params.value.variance != 1
  seen = first._replace(params=first.params._replace(observation=state.params.observation))
  _, after = update(config, seen, rollout(0))
  assert after["value"] == pytest.approx(float(before["value"]), abs=1e-5)
  assert after["explained_variance"] == pytest.approx(float(before["explained_variance"]), abs=1e-4)


def test_without_normalisation_values_are_what_the_critic_says():
  state = trained(PLAIN)
  assert state.params.value.rows == 0
  _, critic = make_networks(PLAIN, SPEC)
  batch = rollout(6)
  seen = normalizer.normalize(state.params.observation, batch.observation)
  flat = jax.tree.map(lambda leaf: leaf.reshape(TIME * WORLDS, -1), seen)
  values = critic.apply(state.params.critic, flat)
  _, metrics = update(PLAIN, state, batch)
  kept = np.asarray(values)[np.asarray(batch.weight).reshape(-1) > 0]
  assert metrics["value"] == pytest.approx(kept.mean(), rel=1e-4)


def test_a_critic_that_sees_no_more_than_the_actor_ignores_what_else_there_is():
  config = CONFIG._replace(critic_inputs=("state",))
  batch = rollout()
  other = {"state": batch.observation["state"], "privileged": -batch.observation["privileged"]}
  ours, _ = update(config, init(config), batch)
  theirs, _ = update(config, init(config), batch._replace(observation=other))
  jax.tree.map(np.testing.assert_array_equal, ours, theirs)
  assert set(ours.params.observation) == {"state"}
  both, _ = update(CONFIG, init(CONFIG), batch)
  other_both, _ = update(CONFIG, init(CONFIG), batch._replace(observation=other))
  assert leaves_differ(both.params.critic, other_both.params.critic)


def test_the_same_key_gives_the_same_bits_and_another_another_order():
  state, batch = init(), rollout()
  first, again = update(CONFIG, state, batch, KEY), update(CONFIG, state, batch, KEY)
  jax.tree.map(np.testing.assert_array_equal, first, again)
  other, _ = update(CONFIG, state, batch, jax.random.key(5))
  assert leaves_differ(first[0].params.actor, other.params.actor)


@pytest.mark.parametrize(
  ("change", "words"),
  [
    ({"gamma": 1.5}, r"PpoConfig.gamma must lie in \[0, 1\], not 1.5"),
    ({"minibatches": 0}, "PpoConfig.minibatches must lie in"),
    ({"initial_std": 0.0}, "PpoConfig.initial_std must be positive"),
    ({"rate": "cosine"}, "PpoConfig.rate must be 'adaptive' or 'fixed', not 'cosine'"),
    ({"critic_inputs": ("state", "touch")}, "no modality 'touch' among"),
    ({"epochs": 1, "minibatches": 1}, "set rate='fixed'"),
  ],
)
def test_what_cannot_work_is_refused(change, words):
  with pytest.raises(ValueError, match=words):
    make_ppo(PpoConfig()._replace(**change), SPEC)
