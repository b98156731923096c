"""Playing episodes: what a plan sees, what is kept, and where an episode ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.envs import base
from jaxskills.envs.maze.maze import make_maze
from jaxskills.envs.wrappers.episode import EpisodeLimit
from jaxskills.evaluation import rollouts


class Corridor(base.Env):
  """A point on a line that starts near 0; it succeeds from 3 on and ends from `end` on."""

  action_size = 1
  step_seconds = 1.0

  def __init__(self, end: float):
    self.end = end

  def reset(self, key):
    data = 0.1 * jax.random.uniform(key)
    return base.State(data, data, jnp.zeros(()), jnp.zeros(()), {"success": jnp.zeros(())})

  def advance(self, state, action):
    data = state.data + action[0]
    success = (data >= 3.0).astype(jnp.float32)
    done = (data >= self.end).astype(jnp.float32)
    return state.replace(data=data, reward=data, done=done, metrics={"success": success})

  def observe(self, data):
    return data


def walk(step: float, horizon: int):
  return lambda observation, key: jnp.full((horizon, 1), step)


def test_watched_holds_the_state_before_every_step_and_after_the_last():
  episode = rollouts.play(Corridor(9.0), walk(0.5, 3), jax.random.key(0), 2, lambda data: data)
  start = episode.watched[0]
  np.testing.assert_allclose(episode.watched, start + 0.5 * np.arange(7), rtol=1e-6)
  np.testing.assert_allclose(episode.reward, episode.watched[1:])


def test_a_plan_sees_only_the_world_at_its_own_beginning():
  def hold(observation, key):
    return jnp.full((2, 1), 1.0) * (1.0 + 0.0 * key_data(key)) * jnp.floor(observation + 1.0)

  def key_data(key):
    return jnp.sum(jax.random.key_data(key)).astype(jnp.float32)

  episode = rollouts.play(Corridor(99.0), hold, jax.random.key(0), 2, lambda data: data)
  moved = np.diff(episode.watched)
  np.testing.assert_allclose(moved, [1.0, 1.0, 3.0, 3.0], rtol=1e-6)


def test_nothing_counts_after_the_end_of_an_episode():
  episode = rollouts.play(Corridor(2.0), walk(1.0, 2), jax.random.key(0), 3, lambda data: data)
  np.testing.assert_array_equal(episode.alive, [1, 1, 0, 0, 0, 0])
  np.testing.assert_array_equal(episode.reward[2:], 0.0)
  np.testing.assert_array_equal(episode.success, 0.0)  # 3 would have been passed after the end
  np.testing.assert_array_equal(episode.watched[2:], episode.watched[2])


def test_an_episode_does_not_depend_on_how_many_are_played_with_it():
  def play(episodes):
    return rollouts.play_many(
      Corridor(9.0),
      lambda observation, key: jax.random.uniform(key, (2, 1)),
      jax.random.key(7),
      episodes,
      3,
      lambda data: data,
    )

  few, many = play(2), play(5)
  jax.tree.map(lambda one, other: np.testing.assert_array_equal(one, other[:2]), few, many)
  assert len(np.unique(many.watched[:, 0])) == 5  # other starts
  assert len(np.unique(np.diff(many.watched))) == 30  # other plans


def test_one_successful_step_makes_a_successful_episode():
  success = jnp.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [3.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
  episodes = rollouts.Episode((), 2.0 * success, success, jnp.ones((4, 3)).at[0, 2].set(0.0))
  summary = rollouts.summarize(episodes)
  assert summary["success_rate"] == 0.75
  assert summary["return"] == pytest.approx(2.0 * 7.0 / 4)
  assert summary["length"] == pytest.approx(11 / 4)


def test_a_maze_is_played_as_its_own_steps_would():
  env = EpisodeLimit(make_maze("quick"), 100)
  actions = jax.random.uniform(jax.random.key(1), (4, 2), minval=-1.0)
  episode = jax.jit(
    lambda key: rollouts.play(env, lambda seen, key: actions, key, 2, lambda data: data.position)
  )(jax.random.key(0))
  state = env.reset(jax.random.split(jax.random.key(0))[0])
  expected = [state.data.position]
  step = jax.jit(env.step)
  for action in np.concatenate([actions, actions]):
    state = step(state, action)
    expected.append(state.data.position)
  np.testing.assert_allclose(episode.watched, expected, rtol=1e-6)
