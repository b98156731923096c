"""Splitting worlds over devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.errors import UserError
from jaxskills.training import sharding


def test_worlds_are_split_and_everything_else_is_whole():
  mesh = sharding.make_mesh()
  tree = {"worlds": jnp.arange(8.0).reshape(4, 2), "count": jnp.float32(1)}
  placed = jax.device_put(tree, sharding.shard_worlds(mesh, tree))
  assert [shard.data.shape for shard in placed["worlds"].addressable_shards] == [(2, 2), (2, 2)]
  assert placed["count"].sharding.is_fully_replicated
  whole = jax.device_put(tree, sharding.replicate(mesh, tree))
  assert [shard.data.shape for shard in whole["worlds"].addressable_shards] == [(4, 2), (4, 2)]


def test_worlds_that_cannot_be_split_evenly_are_refused_with_both_numbers():
  with pytest.raises(UserError, match="5 worlds cannot be split over 2 devices"):
    sharding.shard_worlds(sharding.make_mesh(), jnp.zeros(5))


def test_shapes_say_where_their_arrays_go():
  mesh = sharding.make_mesh()
  shapes = {"key": jax.eval_shape(lambda: jax.random.key(0)), "x": jax.ShapeDtypeStruct((4,), "i4")}
  shardings = {**sharding.replicate(mesh, shapes), "x": sharding.shard_worlds(mesh, shapes["x"])}
  placed = sharding.placed(shapes, shardings)
  assert {name: leaf.sharding for name, leaf in placed.items()} == shardings
  assert placed["key"].dtype == shapes["key"].dtype and placed["x"].shape == (4,)


def test_results_are_the_same_and_bound_to_no_device():
  tree = {"key": jax.random.key(3), "x": jnp.arange(4.0)}
  last = jax.devices()[-1]
  free = sharding.on_any_device(jax.device_put(tree, last))
  assert free["key"].dtype == tree["key"].dtype
  np.testing.assert_array_equal(jax.random.key_data(free["key"]), jax.random.key_data(tree["key"]))
  assert not free["x"].committed
  total = free["x"] + jax.device_put(tree["x"], last)
  assert total.devices() == {last}
  np.testing.assert_array_equal(total, 2 * tree["x"])


def test_keys_folded_by_the_global_index_give_the_same_worlds_on_any_number_of_devices():
  def draw(index):
    return jax.random.normal(jax.random.fold_in(jax.random.key(0), index), (3,))

  drawn = []
  for devices in (jax.devices()[:1], jax.devices()):
    mesh = sharding.make_mesh(devices)
    index = jnp.arange(6)
    place = sharding.shard_worlds(mesh, index)
    drawn.append(np.asarray(jax.jit(jax.vmap(draw))(jax.device_put(index, place))))
  np.testing.assert_array_equal(*drawn)
