"""The shared protocol, both ways: our worlds in Brax's wrappers, and Brax-like worlds in ours."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from brax.envs import fast
from brax.envs.wrappers import training

from jaxskills.envs.brax import FromBrax
from jaxskills.envs.maze.maze import make_maze
from jaxskills.envs.wrappers.auto_reset import AutoReset, transition
from jaxskills.envs.wrappers.episode import EpisodeLimit, EpisodeStatistics
from jaxskills.envs.wrappers.quarantine import Quarantine
from jaxskills.envs.wrappers.skill_step import SkillStep, held_action
from tests.envs.playground_state import PlaygroundState

RAW_KEYS = jax.random.key_data(jax.random.split(jax.random.key(0), 3))


def test_braxs_episode_wrapper_drives_our_maze():
  walls = np.ones((9, 9), bool)
  walls[1:-1, 1:-1] = False
  maze = make_maze(walls, start=(4, 4), goal=(4, 4))
  env = training.EpisodeWrapper(training.VmapWrapper(maze), episode_length=3, action_repeat=1)
  state = jax.jit(env.reset)(RAW_KEYS)
  step = jax.jit(env.step)
  for _ in range(3):
    state = step(state, jnp.zeros((3, 2)))
  np.testing.assert_array_equal(state.done, 1.0)
  np.testing.assert_array_equal(state.info["truncation"], 1.0)
  np.testing.assert_array_equal(state.info["steps"], 3)
  np.testing.assert_array_equal(state.info["episode_metrics"]["sum_reward"], 3.0)
  np.testing.assert_array_equal(state.info["episode_metrics"]["success"], 3.0)
  assert state.obs["view"].shape == (3, 32, 32, 2)
  assert env.action_size == 2
  assert env.observation_size == {"view": (32, 32, 2), "state": (4,)}


def test_braxs_action_repeat_equals_our_held_action():
  maze = make_maze("quick")
  theirs = training.EpisodeWrapper(training.VmapWrapper(maze), episode_length=99, action_repeat=5)
  ours = SkillStep(maze, held_action(5), 5, skill_size=2, skill_limit=1.0)
  actions = jnp.array([[1.0, 0.0], [0.0, -1.0], [0.3, 0.3]])
  left = jax.jit(lambda k, a: theirs.step(theirs.reset(k), a))(RAW_KEYS, actions)
  right = jax.jit(jax.vmap(lambda k, a: ours.step(ours.reset(k), a)))(RAW_KEYS, actions)
  np.testing.assert_allclose(left.pipeline_state.position, right.data.position, rtol=1e-6)


def test_braxs_auto_reset_drives_our_maze():
  maze = make_maze("quick")
  env = training.wrap(maze, episode_length=2)
  state = jax.jit(env.reset)(RAW_KEYS)
  step = jax.jit(env.step)
  start = np.asarray(state.pipeline_state.position)
  push = jnp.tile(jnp.array([1.0, 0.0]), (3, 1))
  state = step(state, push)
  assert (np.asarray(state.pipeline_state.position) != start).any()
  state = step(state, push)
  np.testing.assert_array_equal(state.pipeline_state.position, start)
  np.testing.assert_array_equal(state.data.position, start)


def test_a_brax_world_moves_the_same_through_our_adapter():
  theirs, ours = fast.Fast(), FromBrax(fast.Fast(), step_seconds=0.02)
  key = jax.random.key(0)
  expected, state = theirs.reset(jax.random.key_data(key)), ours.reset(key)
  for _ in range(3):
    expected = theirs.step(expected, jnp.ones(1))
    state = ours.step(state, jnp.ones(1))
  np.testing.assert_array_equal(state.obs["state"], expected.obs)
  np.testing.assert_array_equal(state.reward, expected.reward)
  assert float(expected.obs[1]) > 0
  spec = ours.spec()
  assert spec.observation["state"].shape == (2,)
  assert (spec.action_size, spec.step_seconds) == (theirs.action_size, 0.02)
  assert ours.unwrapped is ours


def test_a_brax_world_runs_through_all_of_our_wrappers():
  skills = SkillStep(
    EpisodeLimit(FromBrax(fast.Fast(), step_seconds=0.02), 5),
    held_action(3),
    3,
    skill_size=1,
    skill_limit=1.0,
  )
  worlds = AutoReset(EpisodeStatistics(Quarantine(skills)), 4)
  states = jax.jit(worlds.reset)(jax.random.split(jax.random.key(0), 3))
  step = jax.jit(worlds.step)
  actions = jnp.ones((3, 1))
  middle = step(states, actions)
  after = step(middle, actions)
  row = transition(middle, actions, after)
  # Each step adds 0.02 to the speed, so n steps make a speed of 0.02 n and that is the reward.
  np.testing.assert_allclose(row.observation["state"][:, 1], 0.06, rtol=1e-6)
  np.testing.assert_allclose(row.next_observation["state"][:, 1], 0.10, rtol=1e-6)
  np.testing.assert_array_equal(row.truncated, 1.0)
  np.testing.assert_array_equal(after.info["skill_steps"], 2)
  np.testing.assert_array_equal(after.obs["state"], 0.0)
  np.testing.assert_array_equal(after.info["episode"]["length"], 5)
  again = step(after, actions)
  np.testing.assert_allclose(again.obs["state"][:, 1], 0.06, rtol=1e-6)


class Playground:
  """A world that writes into the dictionaries it is given, as many of Playground's do."""

  dt = 0.02
  action_size = 1

  def reset(self, rng):
    info = {"rng": rng, "memory": jnp.zeros(())}
    return PlaygroundState(
      jnp.zeros(()), {"state": jnp.zeros(1)}, jnp.zeros(()), jnp.zeros(()), {"speed": 0.0}, info
    )

  def step(self, state, action):
    state.info["memory"] = state.info["memory"] + action[0]
    state.info["rng"], _ = jax.random.split(state.info["rng"])
    state.metrics["speed"] = action[0]
    data = state.data + 1.0
    done = data >= 2.0
    return dataclasses.replace(
      state, data=data, obs={"state": state.info["memory"][None]}, reward=data, done=done
    )


def test_a_playground_world_ends_and_forgets_through_our_wrappers():
  world = FromBrax(Playground())
  worlds = AutoReset(EpisodeLimit(world, 9), 4)
  states = jax.jit(worlds.reset)(jax.random.split(jax.random.key(0), 2))
  step, actions = jax.jit(worlds.step), jnp.full((2, 1), 3.0)
  first = step(states, actions)
  second = step(first, actions)
  np.testing.assert_array_equal(first.done, 0.0)
  np.testing.assert_array_equal(second.info["terminated"], 1.0)
  np.testing.assert_array_equal(second.info["truncated"], 0.0)
  np.testing.assert_array_equal(second.info["final_observation"]["state"], 6.0)
  np.testing.assert_array_equal(second.obs["state"], 0.0)
  np.testing.assert_array_equal(second.data.info["memory"], 0.0)
  third = step(second, actions)
  np.testing.assert_array_equal(third.obs["state"], 3.0)
  assert world.spec().step_seconds == 0.02


def test_a_step_does_not_write_into_the_state_before_it():
  env = FromBrax(Playground())
  state = env.reset(jax.random.key(0))
  env.step(state, jnp.ones(1))
  assert float(state.data.info["memory"]) == 0.0
  assert float(state.metrics["speed"]) == 0.0
