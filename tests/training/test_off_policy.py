"""The off-policy loop: what is replayed, what is counted, and what a run does not depend on."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.distributions import Gaussian
from jaxskills.envs.base import Env, State, typed_key
from jaxskills.envs.wrappers.auto_reset import AutoReset
from jaxskills.envs.wrappers.episode import EpisodeLimit, EpisodeStatistics
from jaxskills.envs.wrappers.quarantine import Quarantine
from jaxskills.learners.action_type import gaussian_prior
from jaxskills.learners.sac import SacConfig, make_sac
from jaxskills.training import off_policy, sharding
from jaxskills.training.off_policy import OffPolicyConfig, make_off_policy
from jaxskills.training.worlds import place_worlds

LENGTH = 4  # steps per episode
SIZES = OffPolicyConfig(
  worlds=4,
  updates_per_iteration=2,
  iterations_per_chunk=3,
  batch_size=8,
  replay_capacity=64,
  warmup_decisions=8,
)


class Place(NamedTuple):
  position: jax.Array


class Line(Env):
  """A point on a line: the action moves it, being near 1 pays."""

  def reset(self, key):
    position = jax.random.uniform(typed_key(key), (1,))
    data = Place(position)
    return State(data, self.observe(data), jnp.zeros(()), jnp.zeros(()), {"success": jnp.zeros(())})

  def advance(self, state, action):
    position = state.data.position + 0.1 * action
    near = (jnp.abs(position[0] - 1.0) < 0.2).astype(jnp.float32)
    return state.replace(
      data=Place(position), reward=near, done=jnp.zeros(()), metrics={"success": near}
    )

  def observe(self, data):
    return {"state": data.position}

  @property
  def action_size(self):
    return 1

  @property
  def step_seconds(self):
    return 0.1


class Policy(nn.Module):
  @nn.compact
  def __call__(self, observation):
    mean, log_std = jnp.split(nn.Dense(2)(observation["state"]), 2, axis=-1)
    return Gaussian(mean, jnp.clip(log_std, -2.0, 1.0))


class Critic(nn.Module):
  @nn.compact
  def __call__(self, observation, action):
    value = nn.Dense(2)(jnp.concatenate([observation["state"], action], -1))
    return jnp.moveaxis(value, -1, 0)


def a_prior(observation):
  state = observation["state"]
  return Gaussian(3.0 + state, jnp.full_like(state, -4.0))


def make_loop(sizes=SIZES):
  env = AutoReset(EpisodeStatistics(Quarantine(EpisodeLimit(Line(), LENGTH))), pool_size=8)
  kind = gaussian_prior(1.0)
  learner = make_sac(SacConfig(), env.spec(), action_type=kind, policy=Policy(), critic=Critic())

  def policy(state, observation):
    return Policy().apply(state.policy, observation)

  return make_off_policy(sizes, env, learner, policy, kind, a_prior)


@pytest.fixture(scope="module")
def loop():
  made = make_loop()
  return made._replace(init=jax.jit(made.init), chunk=jax.jit(made.chunk))


@pytest.fixture(scope="module")
def begun(loop):
  return loop.init(jax.random.key(3))


def replayed(state):
  """The transitions in the replay, oldest first, without what has not been written."""
  count = int(state.decisions)
  return jax.tree.map(lambda leaf: np.asarray(leaf[0, :count]), state.replay.experience)


def test_a_chunk_counts_decisions_steps_and_updates(loop, begun):
  assert int(begun.decisions) == int(begun.env_steps) == 8 and int(begun.updates) == 0
  state, metrics = loop.chunk(begun)
  assert int(state.decisions) == int(state.env_steps) == 8 + 3 * 4
  assert int(state.updates) == 3 * 2 == int(state.learner.step)
  assert int(metrics["episode/count"]) == 4  # 5 rounds of decisions, episodes of 4
  assert all(np.isfinite(value).all() for value in metrics.values())


def test_the_replay_holds_true_final_observations_and_cuts(loop, begun):
  rows = replayed(loop.chunk(begun)[0])
  moved = rows.observation["state"] + 0.1 * rows.action
  np.testing.assert_allclose(rows.next_observation["state"], moved, atol=1e-6)
  rounds = rows.truncated.reshape(-1, SIZES.worlds)
  np.testing.assert_array_equal(rounds[LENGTH - 1], 1.0)
  np.testing.assert_array_equal(np.delete(rounds, LENGTH - 1, axis=0), 0.0)
  np.testing.assert_array_equal(rows.terminated, 0.0)


def test_the_prior_is_stored_with_what_it_was_asked(loop, begun):
  rows = replayed(loop.chunk(begun)[0])
  np.testing.assert_allclose(rows.prior.mean, 3.0 + rows.observation["state"], atol=1e-6)
  np.testing.assert_allclose(rows.next_prior.mean, 3.0 + rows.next_observation["state"], atol=1e-6)


def test_exploration_follows_the_prior_before_the_policy(loop, begun):
  explores = make_loop(SIZES._replace(prior_decisions=12, prior_fade_decisions=4))
  state, _ = jax.jit(explores.chunk)(jax.jit(explores.init)(jax.random.key(3)))
  actions = replayed(state).action[:, 0]
  # Rounds of 4 begin at 8, 12 and 16 decisions; the last one is past the fading.
  assert (actions[:16] > 0.98).all()  # the prior's mean is 3 or more, squashed
  assert actions[16:].min() < 0.98 and replayed(begun).action.min() < 0.98


def test_seeds_trained_at_once_are_those_trained_alone(loop):
  both = off_policy.over_seeds(make_loop(), 2)
  key = jax.random.key(11)
  together, metrics = jax.jit(both.chunk)(jax.jit(both.init)(key))
  assert metrics["critic_loss"].shape == (2,)
  for seed in range(2):
    alone, _ = loop.chunk(loop.init(jax.random.fold_in(key, seed)))
    ours = jax.tree.map(lambda leaf, seed=seed: leaf[seed], together.learner.policy)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), ours, alone.learner.policy
    )


def test_one_device_equals_two(loop, begun):
  assert len(jax.devices()) == 2
  mesh = sharding.make_mesh()
  places = place_worlds(mesh, jax.eval_shape(lambda: begun))
  split = jax.device_put(begun, places)
  assert len(split.worlds.obs["state"].sharding.device_set) == 2
  assert not split.worlds.obs["state"].sharding.is_fully_replicated
  on_two, _ = jax.jit(make_loop().chunk, out_shardings=(places, None))(split)
  on_one, _ = loop.chunk(begun)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
    (on_two.learner.policy, on_two.learner.critic, on_two.worlds.obs),
    (on_one.learner.policy, on_one.learner.critic, on_one.worlds.obs),
  )


def test_a_non_finite_world_leaves_no_trace_in_the_others(loop, begun):
  position = begun.worlds.data.position.at[2].set(jnp.nan)
  poisoned = begun._replace(worlds=begun.worlds.replace(data=Place(position)))
  one = make_loop(SIZES._replace(iterations_per_chunk=1))
  sick, metrics = jax.jit(one.chunk)(poisoned)
  well, _ = jax.jit(one.chunk)(begun)
  others = np.array([0, 1, 3])
  np.testing.assert_array_equal(sick.worlds.obs["state"][others], well.worlds.obs["state"][others])
  weight = replayed(sick).weight[-SIZES.worlds :]
  np.testing.assert_array_equal(weight, [1.0, 1.0, 0.0, 1.0])
  assert int(metrics["worlds/quarantined"]) == 1
  assert np.isfinite(sick.worlds.obs["state"]).all()  # it begins anew
  finite = jax.tree.map(lambda leaf: bool(np.isfinite(leaf).all()), sick.learner.policy)
  assert all(jax.tree.leaves(finite))


@pytest.mark.parametrize(
  ("change", "words"),
  [
    ({"replay_capacity": 8}, "replay of 8 cannot hold a warm-up of 8"),
    ({"warmup_decisions": 0}, "warmup_decisions must be at least 1"),
    ({"updates_per_iteration": 0}, "updates_per_iteration must be at least 1, not 0"),
  ],
)
def test_sizes_that_cannot_work_are_refused(change, words):
  with pytest.raises(ValueError, match=words):
    make_loop(SIZES._replace(**change))
