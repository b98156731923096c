"""Every step of every world is used once an epoch, in an order of the world's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.learners.minibatches import deal, pick

SIZES = {"epochs": 3, "minibatches": 2, "steps": 6}


def test_each_epoch_uses_every_row_once_and_shuffles_anew():
  dealt = deal(jax.random.key(0), worlds=5, **SIZES)
  assert dealt.shape == (6, 5, 3)
  rows = jnp.arange(6)[:, None] * 5 + jnp.arange(5)
  epochs = [
    np.concatenate([pick(rows, dealt[2 * epoch + part]) for part in range(2)]) for epoch in range(3)
  ]
  for epoch in epochs:
    np.testing.assert_array_equal(np.sort(epoch), np.arange(30))
  assert not np.array_equal(epochs[0], epochs[1]) and not np.array_equal(epochs[1], epochs[2])
  orders = np.asarray(dealt).swapaxes(0, 1).reshape(5, -1)
  assert len(np.unique(orders, axis=0)) == 5


def test_leaves_stay_together_world_by_world():
  dealt = deal(jax.random.key(0), worlds=5, **SIZES)
  number = jnp.arange(30.0).reshape(6, 5)
  picked = pick({"wide": jnp.stack([number, -number], -1), "flat": number}, dealt[1])
  np.testing.assert_array_equal(picked["wide"][:, 1], -picked["flat"])
  np.testing.assert_array_equal(picked["flat"] % 5, np.repeat(np.arange(5), 3))


def test_the_order_of_a_world_does_not_depend_on_the_others():
  few, many = (deal(jax.random.key(1), worlds=worlds, **SIZES) for worlds in (2, 5))
  np.testing.assert_array_equal(few, many[:, :2])


def test_steps_that_cannot_be_dealt_evenly_are_refused():
  with pytest.raises(ValueError, match="a rollout of 7 steps cannot be dealt to 2 minibatches"):
    deal(jax.random.key(0), epochs=1, minibatches=2, steps=7, worlds=3)
