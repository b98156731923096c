"""Observations by declaration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.envs import terms
from jaxskills.envs.terms import Term

ANGLE = Term("angle", 2, "rad", "", lambda data: data["angle"], 0.5, noise=0.1)
GOAL = Term("goal", 2, "m", "base", lambda data: data["goal"], (1.0, 10.0))
DATA = {"angle": jnp.array([1.0, -2.0]), "goal": jnp.array([3.0, 4.0])}


def test_terms_follow_each_other_scaled():
  np.testing.assert_allclose(terms.measure((ANGLE, GOAL), DATA), [0.5, -1.0, 3.0, 40.0])
  assert terms.size((ANGLE, GOAL)) == 4
  assert terms.slices((ANGLE, GOAL)) == {"angle": slice(0, 2), "goal": slice(2, 4)}


def test_noise_is_uniform_in_the_unit_and_only_where_declared():
  keys = jax.random.split(jax.random.key(0), 2_000)
  seen = jax.vmap(lambda key: terms.measure((ANGLE, GOAL), DATA, key))(keys)
  off = np.asarray(seen) - np.asarray(terms.measure((ANGLE, GOAL), DATA))
  assert np.abs(off[:, :2]).max() <= 0.5 * 0.1 + 1e-6
  assert off[:, :2].std() == pytest.approx(0.5 * 0.1 / np.sqrt(3), rel=0.05)
  np.testing.assert_array_equal(off[:, 2:], 0.0)


def test_noise_can_be_turned_down():
  key = jax.random.key(0)
  whole = terms.measure((ANGLE,), DATA, key) - terms.measure((ANGLE,), DATA)
  half = terms.measure((ANGLE,), DATA, key, noise=0.5) - terms.measure((ANGLE,), DATA)
  np.testing.assert_allclose(half, whole / 2, atol=1e-6)


def test_a_name_given_twice_is_refused():
  with pytest.raises(ValueError, match="two terms are called 'angle'"):
    terms.check((ANGLE, ANGLE))


def test_scales_of_another_size_are_refused():
  with pytest.raises(ValueError, match="goal has 2 numbers and 3 scales"):
    terms.check((GOAL._replace(scale=(1.0, 1.0, 1.0)),))
