"""Automatic resets: fresh starts from a pool, true last observations, memory against reports."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxskills.envs import base
from jaxskills.envs.wrappers.auto_reset import AutoReset, transition
from jaxskills.envs.wrappers.episode import EpisodeLimit, EpisodeStatistics
from jaxskills.envs.wrappers.quarantine import Quarantine
from jaxskills.envs.wrappers.skill_step import SkillStep, held_action

KEY = jax.random.key(0)


class Compiled:
  """The three functions of an `AutoReset`, compiled."""

  def __init__(self, worlds):
    self.reset, self.step, self.refresh = map(jax.jit, (worlds.reset, worlds.step, worlds.refresh))


def batch(env, number=5, pool_size=8, **options):
  worlds = Compiled(AutoReset(env, pool_size, **options))
  return worlds, worlds.reset(jax.random.split(KEY, number))


def ones(states):
  return jnp.ones((*states.done.shape, 1))


def test_a_finished_world_begins_anew_and_the_others_go_on(counter):
  worlds, states = batch(EpisodeLimit(counter(), 3))
  states = states.replace(info={**states.info, "steps": jnp.array([0, 1, 2, 0, 2])})
  after = worlds.step(states, ones(states))
  ended = np.array([0, 0, 1, 0, 1])
  np.testing.assert_array_equal(after.info["reset"], ended)
  np.testing.assert_array_equal(after.done, ended)
  np.testing.assert_array_equal(after.data["count"], 1 - ended)
  np.testing.assert_array_equal(after.info["steps"], [1, 2, 0, 1, 0])
  same = after.data["origin"] == states.data["origin"]
  np.testing.assert_array_equal(same, ended == 0)
  np.testing.assert_array_equal(after.obs["state"][:, 0], after.data["origin"])


def test_the_last_observation_of_an_episode_is_kept(counter):
  worlds, states = batch(EpisodeLimit(counter(), 1))
  after = worlds.step(states, ones(states))
  final = after.info["final_observation"]["state"]
  np.testing.assert_array_equal(final[:, 0], states.data["origin"])
  np.testing.assert_array_equal(final[:, 1], 1.0)
  np.testing.assert_array_equal(after.obs["state"][:, 1], 0.0)


def test_reports_outlive_the_reset_and_memory_does_not(counter):
  worlds, states = batch(EpisodeStatistics(EpisodeLimit(counter(), 2)))
  for _ in range(2):
    states = worlds.step(states, 3.0 * ones(states))
  np.testing.assert_array_equal(states.info["truncated"], 1.0)
  np.testing.assert_array_equal(states.info["episode"]["return"], 6.0)
  np.testing.assert_array_equal(states.info["running"]["return"], 0.0)
  states = worlds.step(states, ones(states))
  np.testing.assert_array_equal(states.info["truncated"], 0.0)
  np.testing.assert_array_equal(states.info["episode"]["return"], 6.0)
  np.testing.assert_array_equal(states.info["running"]["return"], 1.0)
  states = worlds.step(states, ones(states))
  np.testing.assert_array_equal(states.info["episode"]["return"], 2.0)
  np.testing.assert_array_equal(states.info["episode"]["count"], 2)


def test_the_world_runs_on_after_a_reset_under_skills(counter):
  skills = SkillStep(EpisodeLimit(counter(), 4), held_action(3), 3, skill_size=1, skill_limit=1.0)
  worlds, states = batch(skills)
  ran = []
  for _ in range(4):
    states = worlds.step(states, ones(states))
    ran.append(np.asarray(states.info["skill_steps"]))
  np.testing.assert_array_equal(np.array(ran)[:, 0], [3, 1, 3, 1])


def test_every_start_is_one_of_the_pool_and_many_are_used(counter):
  worlds, states = batch(EpisodeLimit(counter(), 1), number=200, pool_size=8)
  pool = np.asarray(states.info["pool"].data["origin"])
  assert len(set(pool.tolist())) == 8
  first = worlds.step(states, ones(states))
  second = worlds.step(first, ones(states))
  for after in (first, second):
    assert set(np.asarray(after.data["origin"]).tolist()) == set(pool.tolist())
  assert (first.data["origin"] != second.data["origin"]).mean() > 0.7


def test_the_first_starts_are_those_of_the_keys(counter):
  keys = jax.random.split(KEY, 6)
  states = AutoReset(counter(), 4).reset(keys)
  np.testing.assert_array_equal(
    states.data["origin"], jax.vmap(lambda key: counter().reset(key).data["origin"])(keys)
  )
  assert not set(np.asarray(states.data["origin"]).tolist()) & set(
    np.asarray(states.info["pool"].data["origin"]).tolist()
  )


def test_raw_keys_fill_the_same_worlds(counter):
  keys = jax.random.split(KEY, 3)
  typed, raw = (AutoReset(counter(), 4).reset(k) for k in (keys, jax.random.key_data(keys)))
  np.testing.assert_array_equal(typed.data["origin"], raw.data["origin"])


def test_refreshing_redraws_the_oldest_part_and_comes_round(counter):
  worlds, states = batch(counter(), pool_size=6, refresh_size=2)
  origins = [np.asarray(states.info["pool"].data["origin"])]
  for turn in range(4):
    states = worlds.refresh(states, jax.random.key(turn + 1))
    origins.append(np.asarray(states.info["pool"].data["origin"]))
  changed = [list(np.flatnonzero(a != b)) for a, b in zip(origins[:-1], origins[1:], strict=True)]
  assert changed == [[0, 1], [2, 3], [4, 5], [0, 1]]


def test_refreshing_touches_no_world(counter):
  worlds, states = batch(counter())
  after = worlds.refresh(states, jax.random.key(9))
  np.testing.assert_array_equal(after.data["origin"], states.data["origin"])
  np.testing.assert_array_equal(after.obs["state"], states.obs["state"])


def test_a_world_draws_by_its_own_index_whatever_the_others_do(counter):
  worlds, states = batch(EpisodeLimit(counter(), 1), number=8, pool_size=64)
  after = worlds.step(states, ones(states))
  info = {name: value for name, value in states.info.items() if name != "pool"}
  taken = jax.tree.map(lambda leaf: leaf[4:], states.replace(info=info))
  half = taken.replace(info={**taken.info, "pool": states.info["pool"]})
  alone = worlds.step(half, jnp.ones((4, 1)))
  np.testing.assert_array_equal(alone.data["origin"], after.data["origin"][4:])
  assert bits(alone.data["dice"]) == bits(after.data["dice"])[4:]


def bits(keys):
  """A key as a tuple of numbers, one of each world."""
  return [tuple(key.ravel().tolist()) for key in np.asarray(jax.random.key_data(keys))]


def test_worlds_that_draw_the_same_start_live_different_random_lives(counter):
  worlds, states = batch(EpisodeLimit(counter(), 2), number=24, pool_size=2)
  lives, pool = [], states.info["pool"].data
  for _ in range(6):
    states = worlds.step(states, ones(states))
    lives.append((states.data["origin"], bits(states.data["dice"]), states.data["luck"]))
  first, later = lives[1], lives[3]  # both right after a reset
  assert set(first[0].tolist()) <= set(pool["origin"].tolist())
  assert len(set(first[1])) == len(set(later[1])) == 24
  assert not set(first[1]) & set(later[1])
  assert not (set(first[1]) | set(later[1])) & set(bits(pool["dice"]))
  assert len(set(lives[2][2].tolist())) == len(set(lives[4][2].tolist())) == 24


class Remembered(base.Wrapper):
  """Keeps a key, and the same as raw numbers, in the memory of an episode."""

  def reset(self, key):
    state = self.env.reset(key)
    memory = {"typed": jax.random.fold_in(key, 7), "raw": jax.random.key_data(key)}
    return state.replace(info={**state.info, **memory})


def test_keys_in_the_memory_of_an_episode_are_renewed_and_raw_ones_are_not(counter):
  worlds, states = batch(Remembered(EpisodeLimit(counter(), 1)), number=24, pool_size=2)
  after = worlds.step(states, ones(states))
  assert len(set(bits(after.info["typed"]))) == 24
  memory = states.info["pool"].memory
  assert not set(bits(after.info["typed"])) & set(bits(memory["typed"]))
  assert len({tuple(raw) for raw in after.info["raw"].tolist()}) == 2


def test_a_world_that_goes_on_keeps_its_own_random_life(counter):
  worlds, states = batch(EpisodeLimit(counter(), 9))
  after = worlds.step(states, ones(states))
  alone = jax.vmap(counter().step)(states.replace(info={}), ones(states))
  assert bits(after.data["dice"]) == bits(alone.data["dice"])
  np.testing.assert_array_equal(after.data["luck"], alone.data["luck"])


def test_a_world_keeps_its_own_across_episodes_through_wrappers(counter):
  class Kept(counter):
    """Its origin stays its own, and counts the episodes that it has begun again."""

    keeps = True

    def begin_again(self, start, before):
      return {**start, "origin": before.data["origin"] + 1.0}

  worlds, states = batch(EpisodeStatistics(EpisodeLimit(Kept(), 3)))
  own = states.data["origin"]
  states = states.replace(info={**states.info, "steps": jnp.array([0, 1, 2, 0, 2])})
  for _ in range(7):
    states = worlds.step(states, ones(states))
  again = np.array([2, 2, 3, 2, 3])
  np.testing.assert_allclose(states.data["origin"], own + again, rtol=1e-6)
  np.testing.assert_array_equal(states.info["episode"]["count"], again)
  np.testing.assert_array_equal(states.obs["state"][:, 0], states.data["origin"])


def test_two_devices_give_the_bits_of_one(counter):
  if jax.device_count() < 2:
    pytest.skip("one device only")
  skills = SkillStep(EpisodeLimit(counter(), 6), held_action(4), 4, skill_size=1, skill_limit=1.0)
  worlds, states = batch(EpisodeStatistics(Quarantine(skills)), number=8, pool_size=6)
  mesh = Mesh(np.array(jax.devices()[:2]), ("worlds",))
  per_world = NamedSharding(mesh, PartitionSpec("worlds"))
  everywhere = NamedSharding(mesh, PartitionSpec())
  info = {
    name: jax.device_put(value, everywhere if name == "pool" else per_world)
    for name, value in states.info.items()
  }
  spread = jax.device_put(states.replace(info={}), per_world).replace(info=info)
  for index in range(6):
    actions = jax.random.normal(jax.random.key(index), (8, 1))
    states = worlds.step(states, actions)
    spread = worlds.step(spread, jax.device_put(actions, per_world))
  assert len(spread.data["origin"].sharding.device_set) == 2
  for one, two in zip(jax.tree.leaves(states), jax.tree.leaves(spread), strict=True):
    if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
      one, two = jax.random.key_data(one), jax.random.key_data(two)
    np.testing.assert_array_equal(one, two)


def test_a_transition_holds_both_sides_of_a_reset(counter):
  skills = SkillStep(
    EpisodeLimit(counter(), 5), held_action(3), 3, skill_size=1, skill_limit=1.0, discount=0.5
  )
  worlds, states = batch(Quarantine(skills))
  before = worlds.step(states, ones(states))
  actions = 2.0 * ones(states)
  after = worlds.step(before, actions)
  row = transition(before, actions, after)
  np.testing.assert_array_equal(row.observation["state"][:, 1], 3.0)
  np.testing.assert_array_equal(row.next_observation["state"][:, 1], 5.0)
  np.testing.assert_array_equal(row.reward, 2.0 + 0.5 * 2.0)
  np.testing.assert_array_equal(row.action, 2.0)
  np.testing.assert_array_equal(row.discount, 0.25)
  np.testing.assert_array_equal(row.truncated, 1.0)
  np.testing.assert_array_equal(row.terminated, 0.0)
  np.testing.assert_array_equal(row.weight, 1.0)
  np.testing.assert_array_equal(after.obs["state"][:, 1], 0.0)


def test_a_transition_of_a_bare_world_has_natural_values(counter):
  worlds, states = batch(counter(ends_at=1))
  row = transition(states, ones(states), worlds.step(states, ones(states)))
  np.testing.assert_array_equal(row.terminated, 1.0)
  np.testing.assert_array_equal(row.truncated, 0.0)
  np.testing.assert_array_equal(row.discount, 1.0)
  np.testing.assert_array_equal(row.weight, 1.0)


def test_steps_can_be_scanned_and_keep_their_structure(counter):
  env = EpisodeStatistics(Quarantine(EpisodeLimit(counter(), 3)))
  worlds, states = batch(env)
  after, done = jax.lax.scan(
    lambda s, _: (lambda n: (n, n.done))(worlds.step(s, ones(s))), states, None, length=7
  )
  np.testing.assert_array_equal(np.asarray(done)[:, 0], [0, 0, 1, 0, 0, 1, 0])
  assert jax.tree.structure(after) == jax.tree.structure(states)


@pytest.mark.parametrize(
  ("pool_size", "refresh_size", "message"),
  [
    (1, None, "at least two reset states, got 1"),
    (6, 4, "pool of 6 cannot be redrawn 4"),
    (6, 0, "pool of 6 cannot be redrawn 0"),
  ],
)
def test_a_pool_that_cannot_work_is_refused(counter, pool_size, refresh_size, message):
  with pytest.raises(ValueError, match=message):
    AutoReset(counter(), pool_size, refresh_size)


def test_a_batch_of_worlds_has_the_spec_of_one(counter):
  assert AutoReset(counter(), 4).spec() == counter().spec()
