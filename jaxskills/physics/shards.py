"""Worlds of an engine that XLA cannot split over devices by itself."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jax.sharding import PartitionSpec


def step_own_worlds(make: Callable[[int], Callable[..., Any]], worlds: int) -> Callable[..., Any]:
  """A function of one world that, mapped over worlds, is called on every device for its own.

  A call that leaves XLA, as into Warp, cannot be split by it: every device would gather all worlds
  and compute them all. Here they are split where the program is traced under `jax.set_mesh` with a
  mesh of several devices that divide their number; elsewhere nothing changes.

  Args:
    make: `worlds -> function` of one world, that is ready for so many on a device.
    worlds: that are stepped together at most.
  """
  one = custom_vmap(make(worlds))

  @one.def_vmap
  def many(size: int, is_mapped: Any, *arguments: Any) -> tuple[Any, Any]:
    full = jax.tree.map(
      lambda leaf, mapped: leaf if mapped else jnp.broadcast_to(leaf, (size, *jnp.shape(leaf))),
      arguments,
      tuple(is_mapped),
    )
    mesh = jax.sharding.get_abstract_mesh()
    devices = 1 if mesh.empty or size % mesh.size else mesh.size
    own = jax.vmap(make(-(-max(size, worlds) // devices)))
    if devices > 1:
      split = PartitionSpec(mesh.axis_names)
      # MJX's loops carry constants, of which JAX could not say over which devices they vary.
      own = jax.shard_map(own, in_specs=split, out_specs=split, check_vma=False)
    after = own(*full)
    return after, jax.tree.map(lambda _: True, after)

  return one
