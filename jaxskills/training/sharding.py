"""Placing a run's state on devices: one mesh axis, `worlds`, over all of them.

What has a row per world is split by its leading axis; everything else (parameters, optimisers,
counters) is whole on every device. Keys are folded by the global index of a world, so that a run
does not depend on how many devices it has. Results of stages are bound to no device.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxskills.errors import UserError
from jaxskills.training.run_state import is_key

WORLDS = "worlds"


def make_mesh(devices: Sequence[Any] | None = None) -> Mesh:
  """A mesh with the one axis `worlds`, over all devices unless some are named."""
  devices = jax.devices() if devices is None else devices
  return jax.make_mesh((len(devices),), (WORLDS,), axis_types=(AxisType.Auto,), devices=devices)


def replicate(mesh: Mesh, tree: Any) -> Any:
  """Shardings that keep every leaf of `tree` whole on every device."""
  whole = NamedSharding(mesh, PartitionSpec())
  return jax.tree.map(lambda _: whole, tree)


def shard_worlds(mesh: Mesh, tree: Any) -> Any:
  """Shardings that split every leaf of `tree` by its leading axis; scalars stay whole.

  Raises:
    UserError: if the worlds cannot be split evenly, naming both numbers.
  """

  def place(leaf: Any) -> NamedSharding:
    if not leaf.shape:
      return NamedSharding(mesh, PartitionSpec())
    if leaf.shape[0] % mesh.size:
      raise UserError(
        f"{leaf.shape[0]} worlds cannot be split over {mesh.size} devices; "
        f"choose a multiple of {mesh.size}."
      )
    return NamedSharding(mesh, PartitionSpec(WORLDS))

  return jax.tree.map(place, tree)


def placed(shapes: Any, shardings: Any) -> Any:
  """Shapes that say where their arrays go."""
  return jax.tree.map(
    lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
    shapes,
    shardings,
  )


def on_any_device(tree: Any) -> Any:
  """Copies arrays so that they are bound to no device: later stages may run on others."""

  def copy(leaf: jax.Array) -> jax.Array:
    if is_key(leaf):
      return jax.random.wrap_key_data(
        copy(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf)
      )
    return jnp.asarray(jax.device_get(leaf))

  return jax.tree.map(copy, tree)
