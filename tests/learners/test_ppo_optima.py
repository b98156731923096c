"""PPO finds values and policies of worlds in which the best ones are known."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.envs.base import Env, State, typed_key
from jaxskills.envs.wrappers.auto_reset import AutoReset
from jaxskills.envs.wrappers.episode import EpisodeLimit
from jaxskills.learners.ppo import make_networks, make_ppo
from jaxskills.learners.ppo_config import PpoConfig
from jaxskills.networks import normalizer
from jaxskills.training.on_policy import OnPolicyConfig, make_on_policy

SIZES = OnPolicyConfig(worlds=64, unroll=8, iterations_per_chunk=60)
CONFIG = PpoConfig(
  critic_inputs=("state",),
  hidden=(32,),
  gamma=0.8,
  entropy=0.0,
  initial_std=0.5,
  learning_rate=3e-3,
  learning_rate_max=3e-3,
)


class Place(NamedTuple):
  position: jax.Array
  goal: jax.Array


class Corridor(Env):
  """Places in a row, seen one-hot beside a random goal; `reward(position, goal, action)` pays."""

  def __init__(self, length, reward, *, ends=False):
    """`ends` says whether the world ends after the last place; else it stays there."""
    self.length, self.reward, self.ends = length, reward, ends

  def reset(self, key):
    data = Place(jnp.zeros((), jnp.int32), jax.random.uniform(typed_key(key), (), minval=-1))
    return State(data, self.observe(data), jnp.zeros(()), jnp.zeros(()))

  def advance(self, state, action):
    position = state.data.position
    last = position == self.length - 1
    moved = state.data._replace(position=jnp.where(last, position, position + 1))
    reward = self.reward(position, state.data.goal, action[0])
    return state.replace(data=moved, reward=reward, done=jnp.where(last, float(self.ends), 0.0))

  def observe(self, data):
    return {"state": jnp.append(jax.nn.one_hot(data.position, self.length), data.goal)}

  @property
  def action_size(self):
    return 1

  @property
  def step_seconds(self):
    return 0.1


def train(env, limit=1000, config=CONFIG, chunks=1):
  """Runs PPO; says what it does and what it thinks `places x (goals -.5, 0, .5)` are worth."""
  worlds = AutoReset(EpisodeLimit(env, limit), pool_size=32)
  learner = make_ppo(config, worlds.spec())
  loop = make_on_policy(SIZES, worlds, learner)
  state = jax.jit(loop.init)(jax.random.key(0))
  chunk = jax.jit(loop.chunk)
  for _ in range(chunks):
    state, metrics = chunk(state)
  assert metrics["skipped_minibatches"] == 0
  params = state.learner.params
  places, goals = jnp.meshgrid(jnp.arange(env.length), jnp.array([-0.5, 0.0, 0.5]), indexing="ij")
  seen = jax.vmap(env.observe)(Place(places.reshape(-1), goals.reshape(-1)))
  _, critic = make_networks(config, worlds.spec())
  values = critic.apply(params.critic, normalizer.normalize(params.observation, seen))
  values = values * normalizer.deviation(params.value) + params.value.mean
  actions = learner.act(params, seen)[:, 0]
  return actions.reshape(env.length, 3), values.reshape(env.length, 3)


@pytest.mark.parametrize("normalize_values", [True, False])
def test_a_constant_reward_is_worth_its_sum_for_ever_though_episodes_are_cut(normalize_values):
  config = CONFIG._replace(normalize_values=normalize_values, value_clip=0.0)
  _, values = train(Corridor(3, lambda *_: jnp.ones(())), limit=5, config=config)
  np.testing.assert_allclose(values, 1 / (1 - 0.8), rtol=0.03)


def test_a_reward_at_the_end_is_discounted_by_the_way_there():
  env = Corridor(4, lambda position, *_: jnp.where(position == 3, 2.0, 0.0), ends=True)
  _, values = train(env)
  expected = 2.0 * 0.8 ** np.arange(4)[::-1]
  np.testing.assert_allclose(values, np.repeat(expected[:, None], 3, axis=1), atol=0.06)


def test_the_best_action_of_a_bandit_is_found():
  actions, values = train(Corridor(1, lambda _, __, action: -((action - 0.7) ** 2), ends=True))
  np.testing.assert_allclose(actions, 0.7, atol=0.05)
  assert np.all(np.asarray(values) > -0.2)


def test_the_best_action_depends_on_what_is_seen():
  actions, _ = train(Corridor(1, lambda _, goal, action: -((action - goal) ** 2), ends=True))
  np.testing.assert_allclose(actions[0], [-0.5, 0.0, 0.5], atol=0.08)


class Switch(Corridor):
  """The goal becomes the first action, and the last place pays for it."""

  def advance(self, state, action):
    after = super().advance(state, action)
    first = state.data.position == 0
    goal = jnp.where(first, action[0], state.data.goal)
    return after.replace(data=after.data._replace(goal=goal))


def test_an_action_is_credited_with_what_it_brings_later():
  def pay(position, goal, action):
    return jnp.where(position == 2, -((goal - 0.6) ** 2), 0.0)

  actions, _ = train(Switch(3, pay, ends=True))
  np.testing.assert_allclose(actions[0], 0.6, atol=0.1)


def test_a_mean_stays_near_the_limit_where_actions_beyond_it_are_clipped():
  env = Corridor(1, lambda _, __, action: jnp.clip(action, -1.0, 1.0), ends=True)
  actions, _ = train(env, config=CONFIG._replace(bound_coefficient=1.0))
  assert np.all((0.9 < actions) & (actions < 1.4)), actions
  free, _ = train(env, config=CONFIG._replace(bound_coefficient=0.0))
  assert np.all(free > 1.5), free
