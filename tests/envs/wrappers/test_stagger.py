"""Worlds that do not end all at once."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxskills.envs.wrappers.auto_reset import AutoReset
from jaxskills.envs.wrappers.episode import EpisodeLimit, EpisodeStatistics
from jaxskills.envs.wrappers.stagger import Staggered

LENGTH, WORLDS = 10, 200
KEYS = jax.random.split(jax.random.key(0), WORLDS)


def live(worlds, steps):
  """States after every step."""

  def step(state, _):
    state = worlds.step(state, jnp.ones((WORLDS, 1)))
    return state, state

  return jax.jit(lambda keys: jax.lax.scan(step, worlds.reset(keys), length=steps)[1])(KEYS)


def test_episodes_end_all_over_the_time_and_are_whole_from_the_second_on(counter):
  limited = EpisodeStatistics(EpisodeLimit(counter(), LENGTH))
  states = live(Staggered(limited, LENGTH, 4), 3 * LENGTH)
  ends = np.asarray(states.info["reset"]).reshape(3, LENGTH, WORLDS)
  np.testing.assert_array_equal(ends.sum(axis=1), 1.0)  # one end in every `LENGTH` steps
  np.testing.assert_array_equal(ends[1:], ends[:-1])
  share = ends[0].mean(axis=1)
  assert share.min() > 0.2 / LENGTH and share.max() < 2.0 / LENGTH
  np.testing.assert_array_equal(states.info["truncated"], states.info["reset"])
  assert not np.any(states.info["terminated"])
  np.testing.assert_array_equal(states.info["episode"]["length"][-1], LENGTH)
  first = np.argmax(ends[0], axis=0)  # steps before the first end
  lengths = np.asarray(states.info["episode"]["length"])[first, np.arange(WORLDS)]
  np.testing.assert_array_equal(lengths, first + 1)


def test_nothing_but_the_count_of_steps_differs_at_the_start(counter):
  limited = EpisodeLimit(counter(), LENGTH)
  plain, other = AutoReset(limited, 4).reset(KEYS), Staggered(limited, LENGTH, 4).reset(KEYS)
  steps = np.asarray(other.info["steps"])
  assert steps.min() == 0 and steps.max() == LENGTH - 1
  info = {**other.info, "steps": plain.info["steps"]}
  pairs = zip(jax.tree.leaves(plain), jax.tree.leaves(other.replace(info=info)), strict=True)
  for left, right in pairs:
    if not jnp.issubdtype(left.dtype, jax.dtypes.prng_key):
      np.testing.assert_array_equal(left, right)
  np.testing.assert_array_equal(other.info["pool"].memory["steps"], 0)


def test_a_worlds_first_end_is_its_keys(counter):
  worlds = Staggered(EpisodeLimit(counter(), LENGTH), LENGTH, 4)
  steps = worlds.reset(KEYS).info["steps"]
  np.testing.assert_array_equal(worlds.reset(KEYS[::-1]).info["steps"], steps[::-1])
  raw = worlds.reset(jax.random.key_data(KEYS)).info["steps"]
  np.testing.assert_array_equal(raw, steps)
