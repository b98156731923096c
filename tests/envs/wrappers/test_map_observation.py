"""The mapped observation is shown wherever the observation was."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxskills.envs.maze.maze import make_maze
from jaxskills.envs.wrappers.auto_reset import AutoReset
from jaxskills.envs.wrappers.episode import EpisodeLimit
from jaxskills.envs.wrappers.map_observation import MapObservation
from jaxskills.envs.wrappers.skill_step import SkillStep, held_action


def halved(observation):
  return {"half": observation["state"] / 2.0}


def test_every_way_of_looking_shows_the_mapped_observation():
  env = MapObservation(EpisodeLimit(make_maze("quick"), 5), halved)
  state = env.reset(jax.random.key(0))
  np.testing.assert_allclose(state.obs["half"][:2], state.data.position / 2.0)
  state = env.step(state, jnp.ones(2))
  assert set(state.obs) == {"half"} == set(env.spec().observation)
  np.testing.assert_allclose(state.obs["half"][2:], state.data.velocity / 2.0)


def test_final_and_reset_observations_are_mapped_too():
  env = MapObservation(EpisodeLimit(make_maze("quick"), 4), halved)
  env = AutoReset(SkillStep(env, held_action(2), 2, skill_size=2, skill_limit=1.0), pool_size=2)
  state = env.reset(jax.random.split(jax.random.key(0), 3))
  start = state.obs["half"]
  for _ in range(2):
    state = env.step(state, jnp.ones((3, 2)))
  assert state.done.all()
  np.testing.assert_allclose(state.obs["half"], start)
  assert (np.abs(state.info["final_observation"]["half"] - start) > 0).any()
