"""What both loops of reinforcement learning do with worlds: place them, count their episodes."""

from typing import Any

import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array

from jaxskills.envs.base import State
from jaxskills.training import sharding
from jaxskills.types import Metrics


def place_worlds(mesh: Mesh, state: Any) -> Any:
  """Shardings of one seed's state: worlds split over the mesh, all else whole on every device.

  Args:
    mesh: from `sharding.make_mesh`.
    state: a loop's, with the field `worlds` of an `AutoReset`.
  """
  worlds = state.worlds
  pool = worlds.info["pool"]
  info = {name: leaf for name, leaf in worlds.info.items() if name != "pool"}
  split = sharding.shard_worlds(mesh, worlds.replace(info=info))
  split = split.replace(info={**split.info, "pool": sharding.replicate(mesh, pool)})
  return sharding.replicate(mesh, state._replace(worlds=()))._replace(worlds=split)


def episode_metrics(worlds: State) -> Metrics:
  """Means over the latest finished episode of every world that has finished one."""
  metrics = {}
  if "episode" in worlds.info:
    episode = worlds.info["episode"]
    finished = episode["count"] > 0
    number = jnp.maximum(jnp.sum(finished), 1)

    def mean(name: str) -> Array:
      return jnp.sum(jnp.where(finished, episode[name], 0)) / number

    metrics = {f"episode/{name}": mean(name) for name in ("return", "length")}
    metrics["episode/count"] = jnp.sum(episode["count"])
    if "success" in worlds.metrics:
      metrics["episode/success_rate"] = mean("success")
  if "quarantined" in worlds.info:
    metrics["worlds/quarantined"] = jnp.sum(worlds.info["quarantined"])
  return metrics
