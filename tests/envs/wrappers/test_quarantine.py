"""A world that stops being finite is contained: its step is worthless, the others' bits stay."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.envs.maze.maze import make_maze
from jaxskills.envs.wrappers.auto_reset import AutoReset, transition
from jaxskills.envs.wrappers.episode import EpisodeLimit, EpisodeStatistics
from jaxskills.envs.wrappers.quarantine import Quarantine
from jaxskills.envs.wrappers.skill_step import SkillStep, held_action

KEY = jax.random.key(0)


def finite(tree):
  floats = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
  return all(np.isfinite(leaf).all() for leaf in floats)


def test_a_healthy_step_passes_untouched(counter):
  env, plain = Quarantine(counter()), counter()
  after, expected = env.step(env.reset(KEY), jnp.ones(1)), plain.step(plain.reset(KEY), jnp.ones(1))
  assert float(after.reward) == float(expected.reward)
  np.testing.assert_array_equal(after.obs["state"], expected.obs["state"])
  assert float(after.info["weight"]) == 1.0
  assert int(after.info["quarantined"]) == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_fault_keeps_the_last_good_state_and_ends_the_episode(counter, value):
  env = Quarantine(EpisodeLimit(counter(), 9))
  good = env.step(env.reset(KEY), jnp.ones(1))
  after = env.step(good, jnp.array([value]))
  np.testing.assert_array_equal(after.data["count"], 1.0)
  np.testing.assert_array_equal(after.obs["state"], good.obs["state"])
  assert float(after.reward) == 0.0 and float(after.metrics["success"]) == 0.0
  assert float(after.done) == 1.0
  assert float(after.info["weight"]) == 0.0
  assert int(after.info["quarantined"]) == 1
  assert float(after.info["terminated"]) == float(after.info["truncated"]) == 0.0
  assert finite((after.data, after.obs, after.reward, after.metrics, after.info))


def test_a_fault_right_after_an_end_does_not_end_in_the_same_way_again(counter):
  env = Quarantine(EpisodeLimit(counter(), 1))
  cut = env.step(env.reset(KEY), jnp.ones(1))
  assert float(cut.info["truncated"]) == 1.0
  after = env.step(cut, jnp.array([np.nan]))
  assert float(after.info["truncated"]) == float(after.info["terminated"]) == 0.0


def test_a_fault_takes_back_the_random_keys_of_its_step(counter):
  env = Quarantine(counter())
  start = env.reset(KEY)
  healthy, faulty = (env.step(start, jnp.array([value])) for value in (1.0, np.nan))
  before, then, after = (
    jax.random.key_data(state.data["dice"]) for state in (start, healthy, faulty)
  )
  np.testing.assert_array_equal(after, before)
  assert (then != before).any()


def test_a_fault_in_the_observation_alone_is_seen(counter):
  env = Quarantine(counter())
  after = env.step(env.reset(KEY), jnp.array([60.0]))
  assert float(after.info["weight"]) == 0.0
  assert float(after.done) == 1.0
  assert finite(after.obs)


def test_a_state_that_was_never_finite_becomes_zero(counter):
  env = Quarantine(counter())
  state = env.reset(KEY)
  state = state.replace(data={**state.data, "count": jnp.array(np.nan)})
  after = env.step(state, jnp.ones(1))
  assert float(after.data["count"]) == 0.0
  assert float(after.info["weight"]) == 0.0


def test_faults_of_a_world_are_counted_over_its_episodes(counter):
  batch = AutoReset(Quarantine(counter()), 4)
  states, step = jax.jit(batch.reset)(jax.random.split(KEY, 2)), jax.jit(batch.step)
  for value in (np.nan, 1.0, np.nan):
    states = step(states, jnp.array([[value], [1.0]]))
  np.testing.assert_array_equal(states.info["quarantined"], [2, 0])


NUMBER, BAD = 6, 2
OTHERS = np.arange(NUMBER) != BAD


@functools.cache
def worlds():
  """Compiled reset and step of mazes under every wrapper."""
  env = EpisodeLimit(make_maze("quick", start_spread=0.3), 100)
  skills = SkillStep(env, held_action(5), 5, skill_size=2, skill_limit=1.0)
  batch = AutoReset(EpisodeStatistics(Quarantine(skills)), 8)
  return jax.jit(batch.reset), jax.jit(batch.step)


def run(poison):
  """Four skills in every world; `poison` may spoil what goes into the second."""
  reset, step = worlds()
  states = reset(jax.random.split(KEY, NUMBER))
  for index in range(4):
    actions = jax.random.uniform(jax.random.key(index), (NUMBER, 2), minval=-1.0, maxval=1.0)
    if index == 1:
      states, actions = poison(states, actions)
    before, states = states, step(states, actions)
    if index == 1:
      second = transition(before, actions, states)
  return second, states


def spoil_position(states, actions):
  position = states.data.position.at[BAD].set(jnp.nan)
  return states.replace(data=states.data._replace(position=position)), actions


def spoil_action(states, actions):
  return states, actions.at[BAD, 0].set(jnp.nan)


@pytest.mark.parametrize("poison", [spoil_position, spoil_action])
def test_one_poisoned_world_leaves_the_bits_of_the_others(poison):
  _, clean = run(lambda states, actions: (states, actions))
  row, poisoned = run(poison)
  np.testing.assert_array_equal(row.weight, OTHERS)
  assert finite((row.reward, row.next_observation))
  assert int(poisoned.info["quarantined"][BAD]) == 1
  assert int(poisoned.info["running"]["length"][BAD]) == 10  # begun anew after the second skill
  for left, right in zip(jax.tree.leaves(clean), jax.tree.leaves(poisoned), strict=True):
    if left.shape[:1] == (NUMBER,):
      np.testing.assert_array_equal(np.asarray(left)[OTHERS], np.asarray(right)[OTHERS])
  assert finite((poisoned.data, poisoned.obs, poisoned.info["running"]))
