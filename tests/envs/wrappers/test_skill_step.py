"""The skill step against a loop of single steps; ends in mid-skill; worlds that are done."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.envs.maze.maze import make_maze
from jaxskills.envs.wrappers.episode import EpisodeLimit
from jaxskills.envs.wrappers.quarantine import Quarantine
from jaxskills.envs.wrappers.skill_step import SkillStep, held_action

KEY = jax.random.key(0)


def plan(observation, skill):
  """An open-loop decoder whose actions are the skill's own numbers."""
  del observation
  return skill[:, None]


def skills(env, length, decode=plan, **options):
  return SkillStep(env, decode, length, skill_size=length, skill_limit=2.0, **options)


def test_a_skill_is_the_loop_of_its_steps():
  maze = make_maze("quick")
  wrapped = SkillStep(
    maze, lambda _, skill: skill.reshape(10, 2), 10, skill_size=20, skill_limit=1.0
  )
  skill = jax.random.uniform(KEY, (20,), minval=-1.0, maxval=1.0)
  after = jax.jit(wrapped.step)(wrapped.reset(KEY), skill)
  expected, step = maze.reset(KEY), jax.jit(maze.step)
  for action in skill.reshape(10, 2):
    expected = step(expected, action)
  np.testing.assert_allclose(after.data.position, expected.data.position, rtol=1e-6)
  np.testing.assert_allclose(
    after.data.previous_position, expected.data.previous_position, rtol=1e-6
  )
  assert np.abs(after.obs["view"].astype(int) - expected.obs["view"].astype(int)).max() <= 1
  np.testing.assert_allclose(after.obs["state"], expected.obs["state"], rtol=1e-5)
  assert int(after.info["skill_steps"]) == 10


def test_rewards_and_metrics_of_a_skill_add_up(counter):
  env = skills(counter(), 4)
  after = env.step(env.reset(KEY), jnp.array([1.0, 6.0, 7.0, 2.0]))
  assert float(after.reward) == 16.0
  assert float(after.metrics["success"]) == 2.0
  assert float(after.info["discount"]) == 1.0
  assert float(after.done) == 0.0


def test_discounting_counts_from_the_start_of_the_skill(counter):
  env = skills(counter(), 3, discount=0.5)
  state = env.step(env.reset(KEY), jnp.array([1.0, 1.0, 1.0]))
  after = env.step(state, jnp.array([8.0, 4.0, 2.0]))
  assert float(after.reward) == 8.0 + 0.5 * 4.0 + 0.25 * 2.0
  assert float(after.info["discount"]) == 0.125


@pytest.mark.parametrize("limit", [False, True])
def test_nothing_moves_after_an_end_in_mid_skill(counter, limit):
  world = EpisodeLimit(counter(), 2) if limit else EpisodeLimit(counter(ends_at=2), 100)
  env = skills(world, 4, discount=0.5)
  after = env.step(env.reset(KEY), jnp.array([1.0, 2.0, 100.0, 100.0]))
  assert float(after.reward) == 1.0 + 0.5 * 2.0
  assert float(after.data["count"]) == 2.0
  assert int(after.info["steps"]) == 2
  assert int(after.info["skill_steps"]) == 2
  assert float(after.info["discount"]) == 0.25
  assert float(after.done) == 1.0
  assert float(after.info["truncated"]) == float(limit)
  assert float(after.info["terminated"]) == float(not limit)
  np.testing.assert_array_equal(after.obs["state"][1], 2.0)  # the true last observation


def test_no_dice_are_thrown_after_an_end_in_mid_skill(counter):
  env = skills(EpisodeLimit(counter(), 2), 4)
  after, expected = env.step(env.reset(KEY), jnp.ones(4)), counter().reset(KEY)
  for _ in range(2):
    expected = counter().step(expected, jnp.ones(1))
  dice, thrown = (jax.random.key_data(state.data["dice"]) for state in (after, expected))
  np.testing.assert_array_equal(dice, thrown)
  assert float(after.data["luck"]) == float(expected.data["luck"])


def test_a_world_that_is_done_stays_as_it_is(counter):
  env = skills(EpisodeLimit(counter(), 2), 4)
  dead = env.step(env.reset(KEY), jnp.ones(4))
  after = env.step(dead, jnp.ones(4))
  assert float(after.reward) == float(after.metrics["success"]) == 0.0
  assert int(after.info["skill_steps"]) == 0
  assert float(after.data["count"]) == 2.0
  assert float(after.done) == float(after.info["truncated"]) == 1.0


@pytest.mark.parametrize(
  ("length", "limit", "discount"), [(1, 5, 0.9), (3, 7, 0.5), (4, 4, 0.8), (5, 99, 1.0)]
)
def test_skills_cut_an_episode_into_pieces_that_add_up(counter, length, limit, discount):
  env = skills(EpisodeLimit(counter(), limit), length, discount=discount)
  step = jax.jit(env.step)
  rewards = np.arange(1.0, 13.0, dtype=np.float32)
  total, factor, state = 0.0, 1.0, env.reset(KEY)
  for start in range(0, 12 - length + 1, length):
    state = step(state, jnp.array(rewards[start : start + length]))
    total += factor * float(state.reward)
    factor *= float(state.info["discount"])
  ran = min(limit, (12 // length) * length)
  assert total == pytest.approx(sum(rewards[:ran] * discount ** np.arange(ran)), rel=1e-5)
  assert factor == pytest.approx(discount**ran, rel=1e-5)


def test_only_the_end_of_a_skill_is_looked_at(counter):
  world = counter()
  env = skills(world, 5)
  state = env.reset(KEY)
  world.observed = 0
  jaxpr = jax.make_jaxpr(env.step)(state, jnp.ones(5))
  assert world.observed == 1
  loops = [equation for equation in jaxpr.eqns if equation.primitive.name == "scan"]
  assert len(loops) == 1
  assert "is_inf" not in str(loops[0]) and "gt 50" not in str(loops[0])


def test_a_decoder_may_look_at_where_the_skill_begins(counter):
  def decode(observation, skill):
    return (observation["state"][1] + skill)[:, None]

  env = skills(counter(), 2, decode)
  state = env.step(env.reset(KEY), jnp.zeros(2))
  after = env.step(state, jnp.zeros(2))
  assert float(state.reward) == 0.0
  assert float(after.reward) == 2.0 + 2.0  # it saw the count before the skill, not within it


def test_a_closed_loop_decoder_looks_before_every_step(counter):
  def decode(observation, skill):
    return observation["state"][1:] + skill

  env = SkillStep(counter(), decode, 3, skill_size=1, skill_limit=1.0, closed_loop=True)
  after = env.step(env.reset(KEY), jnp.array([10.0]))
  assert float(after.reward) == 10.0 + 11.0 + 12.0


def test_a_trace_shows_every_control_step(counter):
  env = skills(EpisodeLimit(counter(), 3), 5)
  after, counts = env.trace(env.reset(KEY), jnp.ones(5), lambda data: data["count"])
  np.testing.assert_array_equal(counts, [1, 2, 3, 3, 3])
  assert float(after.reward) == 3.0


def test_a_fault_within_a_skill_ends_it_and_is_reported(counter):
  env = skills(Quarantine(counter()), 4)
  after = env.step(env.reset(KEY), jnp.array([1.0, np.nan, 5.0, 5.0]))
  assert float(after.reward) == 1.0
  assert float(after.data["count"]) == 1.0
  assert float(after.info["weight"]) == 0.0
  assert int(after.info["quarantined"]) == 1
  assert int(after.info["skill_steps"]) == 2


def test_the_structure_of_a_state_survives_a_skill(counter):
  env = skills(EpisodeLimit(counter(), 30), 2)
  state = env.reset(KEY)
  after = env.step(state, jnp.ones(2))
  assert jax.tree.structure(state) == jax.tree.structure(after)
  for before, now in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
    assert before.shape == now.shape and before.dtype == now.dtype


def test_the_spec_is_that_of_skills(counter):
  spec = SkillStep(counter(), held_action(8), 8, skill_size=10, skill_limit=2.0).spec()
  assert (spec.action_size, spec.action_limit) == (10, 2.0)
  assert spec.step_seconds == pytest.approx(0.8)


def test_a_held_action_is_the_same_at_every_step():
  np.testing.assert_array_equal(held_action(3)({}, jnp.array([1.0, 2.0])), [[1, 2], [1, 2], [1, 2]])


def test_a_decoder_of_another_length_is_refused(counter):
  env = skills(counter(), 3, held_action(4))
  with pytest.raises(ValueError, match="gave 4 actions for a skill of 3"):
    env.step(env.reset(KEY), jnp.ones(1))


@pytest.mark.parametrize(
  ("length", "discount", "message"),
  [(0, 1.0, "max_len=0"), (3, 0.0, "got 0.0"), (3, 1.1, "got 1.1")],
)
def test_senseless_skills_are_refused(counter, length, discount, message):
  with pytest.raises(ValueError, match=message):
    SkillStep(counter(), held_action(3), length, skill_size=1, skill_limit=1.0, discount=discount)
