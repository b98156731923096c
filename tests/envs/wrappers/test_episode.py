"""Where episodes end, and their statistics, on a world that can be worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.envs.wrappers.episode import EpisodeLimit, EpisodeStatistics
from jaxskills.envs.wrappers.quarantine import Quarantine
from jaxskills.envs.wrappers.skill_step import SkillStep, held_action

KEY = jax.random.key(0)


def roll(env, rewards):
  """The states after every step."""
  actions = jnp.array(rewards, jnp.float32)[:, None]

  def step(state, action):
    state = env.step(state, action)
    return state, state

  return jax.lax.scan(step, env.reset(KEY), actions)[1]


def test_a_limit_truncates_without_terminating(counter):
  states = roll(EpisodeLimit(counter(), 3), [1, 1, 1])
  np.testing.assert_array_equal(states.done, [0, 0, 1])
  np.testing.assert_array_equal(states.info["truncated"], [0, 0, 1])
  np.testing.assert_array_equal(states.info["terminated"], [0, 0, 0])
  np.testing.assert_array_equal(states.info["steps"], [1, 2, 3])


def test_an_end_of_the_world_terminates_without_truncating(counter):
  states = roll(EpisodeLimit(counter(ends_at=2), 5), [1, 1])
  np.testing.assert_array_equal(states.done, [0, 1])
  np.testing.assert_array_equal(states.info["terminated"], [0, 1])
  np.testing.assert_array_equal(states.info["truncated"], [0, 0])


def test_an_end_at_the_limit_counts_as_the_worlds_own(counter):
  states = roll(EpisodeLimit(counter(ends_at=2), 2), [1, 1])
  np.testing.assert_array_equal(states.done, [0, 1])
  np.testing.assert_array_equal(states.info["terminated"], [0, 1])
  np.testing.assert_array_equal(states.info["truncated"], [0, 0])


def test_a_limit_needs_a_step(counter):
  with pytest.raises(ValueError, match="at least one step, got 0"):
    EpisodeLimit(counter(), 0)


def test_advancing_and_stepping_keep_the_same_books(counter):
  env = EpisodeStatistics(EpisodeLimit(counter(), 3))
  state, action = env.reset(KEY), jnp.array([6.0])
  stepped, advanced = env.step(state, action).info, env.advance(state, action).info
  assert jax.tree.structure(stepped) == jax.tree.structure(advanced)
  for left, right in zip(jax.tree.leaves(stepped), jax.tree.leaves(advanced), strict=True):
    np.testing.assert_array_equal(left, right)


def test_statistics_are_latched_when_the_episode_ends(counter):
  states = roll(EpisodeStatistics(EpisodeLimit(counter(), 3)), [1, 6, 2])
  episode, running = states.info["episode"], states.info["running"]
  np.testing.assert_array_equal(running["return"], [1, 7, 9])
  np.testing.assert_array_equal(running["length"], [1, 2, 3])
  np.testing.assert_array_equal(running["success"], [0, 1, 1])
  np.testing.assert_array_equal(episode["return"], [0, 0, 9])
  np.testing.assert_array_equal(episode["length"], [0, 0, 3])
  np.testing.assert_array_equal(episode["success"], [0, 0, 1])
  np.testing.assert_array_equal(episode["count"], [0, 0, 1])


def test_an_episode_that_never_succeeds_is_no_success(counter):
  states = roll(EpisodeStatistics(EpisodeLimit(counter(), 2)), [5, 5])
  assert float(states.info["episode"]["success"][-1]) == 0.0
  assert int(states.info["episode"]["count"][-1]) == 1


def test_a_world_that_is_done_adds_nothing(counter):
  states = roll(EpisodeStatistics(EpisodeLimit(counter(), 2)), [1, 1, 40, 40])
  np.testing.assert_array_equal(states.info["episode"]["return"], [0, 2, 2, 2])
  np.testing.assert_array_equal(states.info["episode"]["success"], 0)
  np.testing.assert_array_equal(states.info["episode"]["count"], [0, 1, 1, 1])


def test_statistics_around_skills_count_control_steps(counter):
  skills = SkillStep(EpisodeLimit(counter(), 7), held_action(3), 3, skill_size=1, skill_limit=1.0)
  states = roll(EpisodeStatistics(skills), [1, 2, 4])
  np.testing.assert_array_equal(states.info["running"]["length"], [3, 6, 7])
  assert float(states.info["episode"]["return"][-1]) == 3 * 1 + 3 * 2 + 1 * 4


def test_statistics_within_skills_are_the_same(counter):
  limited = EpisodeLimit(counter(), 7)
  within = SkillStep(
    EpisodeStatistics(limited), held_action(3), 3, skill_size=1, skill_limit=1.0, discount=0.5
  )
  states = roll(within, [1, 2, 4])
  episode = states.info["episode"]
  assert float(episode["return"][-1]) == 13.0  # undiscounted, though the skill's reward is not
  assert int(episode["length"][-1]) == 7
  assert int(episode["count"][-1]) == 1


def test_an_episode_that_a_fault_ended_is_not_counted(counter):
  states = roll(EpisodeStatistics(Quarantine(EpisodeLimit(counter(), 9))), [1, np.nan])
  np.testing.assert_array_equal(states.done, [0, 1])
  np.testing.assert_array_equal(states.info["episode"]["count"], 0)
  assert np.isfinite(states.info["running"]["return"]).all()
