"""Tests of how an engine with buffers is made ready for as many worlds as it meets."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxskills.physics.shards import step_own_worlds


def test_buffers_have_room_for_all_worlds_that_are_mapped_even_if_more_than_announced():
  """A pool of reset states may be larger than the batch of worlds."""
  ready = []

  def make(worlds):
    ready.append(worlds)
    return lambda value: 2.0 * value

  one = step_own_worlds(make, 64)
  for size in (16, 64, 256):
    ready.clear()
    found = jax.jit(jax.vmap(one))(jnp.arange(float(size)))
    np.testing.assert_array_equal(found, 2.0 * np.arange(size))
    assert ready == [max(size, 64)]
