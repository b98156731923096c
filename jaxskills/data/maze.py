"""Maze trajectories for training: a grain reader with a saveable position, and window sampling.

`TrajectoryFeed` reads whole trajectories (states, no pictures) from the data set `maze_demos`;
`sample_windows` cuts skills of a fixed horizon out of them on the device and draws what the agent
saw at the start of each. So the views are never stored, and every epoch is shuffled anew.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxskills.data_builders import manifest, shards
from jaxskills.data_builders.maze_demos import cloning
from jaxskills.envs.maze import dynamics, maze
from jaxskills.types import Key, Observation

Trajectories = Mapping[str, Any]
"""Padded trajectories: `walls` `[N, rows, columns]` bool, `position`, `velocity`, `action`
`[N, T, 2]` float32 (m, m/s, [-1, 1]), `length` `[N]` int32."""


class SkillBatch(NamedTuple):
  """What a skill learner sees of the demonstrations."""

  observation: Observation
  """At the start of each window: `view` uint8 `[B, 32, 32, 2]` (now, one control step before) and
  `state` `[B, 4]` (row, column in m; their velocities in m/s)."""
  actions: Float[Array, "batch horizon action"]


class TrajectoryFeed:
  """An endless, shuffled stream of batches of trajectories, whose position can be saved."""

  def __init__(self, directory: str | Path, batch: int = 256, seed: int = 0):
    """Verifies the data set and opens it.

    Args:
      directory: folder of a built `maze_demos`.
      batch: trajectories per batch.
      seed: of the order; every epoch has another.

    Raises:
      UserError: if the data set is missing, unfinished or damaged.
    """
    directory = Path(directory)
    held = manifest.verify(directory)
    self._identity = {"records": held.fingerprint, "batch": batch, "seed": seed}
    self._steps = int(held.recipe["max_steps"])
    dataset = grain.MapDataset.source(shards.read_records(directory)).seed(seed).shuffle()
    dataset = dataset.map(self._pad).repeat().batch(batch)
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)  # elements are whole batches
    self._batches = iter(dataset.to_iter_dataset(options))

  def next(self) -> Trajectories:
    """The next batch, as NumPy arrays."""
    return next(self._batches)

  def get_state(self) -> bytes:
    """The position, such that `set_state` makes the next batch the same one."""
    return json.dumps({**self._identity, "position": self._batches.get_state()}).encode()

  def set_state(self, state: bytes) -> None:
    """Goes to a saved position.

    Raises:
      ValueError: if the state is of other records, another batch size or another seed.
    """
    fields = json.loads(state)
    position = fields.pop("position")
    if fields != self._identity:
      differing = sorted(key for key in self._identity if fields.get(key) != self._identity[key])
      raise ValueError(f"saved feed position differs in {', '.join(differing)}")
    self._batches.set_state(position)

  def _pad(self, record: Mapping[str, Any]) -> Trajectories:
    """Brings a record to the common length by repeating its last step."""
    missing = self._steps - len(record["position"])
    series = {
      name: np.pad(record[name], ((0, missing), (0, 0)), mode="edge")
      for name in ("position", "velocity", "action")
    }
    return {"walls": record["walls"], **series, "length": np.int32(record["length"])}


def sample_windows(trajectories: Trajectories, key: Key, batch: int, horizon: int) -> SkillBatch:
  """Draws windows of consecutive actions, uniformly over all windows that the data holds.

  A long trajectory is drawn from more often than a short one, and one shorter than the horizon
  never is. Pure; `batch` and `horizon` are static.

  Args:
    trajectories: of one or more trajectories, at least one of them `horizon` steps long.
    key: typed PRNG key.
    batch: windows to draw.
    horizon: actions per window.
  """
  windows = jnp.maximum(jnp.asarray(trajectories["length"]) - horizon + 1, 0)
  ends = jnp.cumsum(windows)
  number = jax.random.randint(key, (batch,), 0, ends[-1])
  row = jnp.searchsorted(ends, number, side="right")
  start = number - (ends - windows)[row]

  def cut(row: Array, start: Array) -> SkillBatch:
    position = jnp.asarray(trajectories["position"])[row]
    velocity = jnp.asarray(trajectories["velocity"])[row, start]
    actions = jax.lax.dynamic_slice_in_dim(trajectories["action"][row], start, horizon)
    unseen = position[start] - dynamics.STEP_SECONDS * velocity  # where it was before the record
    before = jnp.where(start > 0, position[jnp.maximum(start - 1, 0)], unseen)
    walls = jnp.asarray(trajectories["walls"])[row]
    ball = maze.MazeData(position[start], velocity, before)
    return SkillBatch(maze.observe(walls, ball), actions)

  return jax.vmap(cut)(row, start)


def with_random_actions(trajectories: Trajectories, key: Key, fraction: float) -> Trajectories:
  """Replaces a fraction of the trajectories by rollouts of uniformly random actions.

  SPiRL (Pertsch et al. 2020), appendix G, "Mixed Expert and Random Data". Each rollout begins at
  rest in a random free cell of the layout of the trajectory that it replaces, and has its length,
  so that about the same fraction of the windows is random. Pure; `fraction` is static.

  Args:
    trajectories: a shuffled batch, such as a feed's, since the first ones are replaced.
    key: typed PRNG key.
    fraction: between 0 and 1; rounded to whole trajectories.
  """
  count = round(fraction * len(trajectories["length"]))
  steps = trajectories["position"].shape[1]

  def act(observation: Observation, key: Key) -> Float[Array, "2"]:
    return jax.random.uniform(key, (2,), minval=-1.0, maxval=1.0)

  def roll(key: Key, walls: Bool[Array, "rows columns"]) -> tuple[Array, ...]:
    return cloning.walk(key, act, walls, steps)

  rolled = jax.vmap(roll)(jax.random.split(key, count), jnp.asarray(trajectories["walls"])[:count])
  series = {
    name: jnp.concatenate([random, jnp.asarray(trajectories[name])[count:]])
    for name, random in zip(("position", "velocity", "action"), rolled, strict=True)
  }
  return {**trajectories, **series}
