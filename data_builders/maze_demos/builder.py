"""The data set `maze_demos`: demonstrations of a planner in random 20x20 mazes.

SPiRL (Pertsch et al. 2020), appendix C: 85,000 goal-reaching trajectories, each in a maze of its
own. On disk are states and actions, 24 bytes a step; the 32x32 views that make the paper's data set
a 12 GB download are drawn from them when they are read.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Array

from jaxskills.data_builders import shards
from jaxskills.data_builders.maze_demos import cloning, planner
from jaxskills.types import Key

NAME = "maze_demos"
VERSION = "1.0.0"
DESCRIPTION = (
  "Trajectories through random mazes, as states and actions (SPiRL, Pertsch et al. 2020)."
)
CITATION = """@inproceedings{pertsch2020spirl,
  title={Accelerating Reinforcement Learning with Learned Skill Priors},
  author={Karl Pertsch and Youngwoon Lee and Joseph J. Lim},
  booktitle={Conference on Robot Learning (CoRL)},
  year={2020},
}"""
COLLECTORS = ("planner", "clone")
_CANDIDATES = 256  # walked at a time; the records do not depend on it
_CLONE_STREAM = 2**31 - 1  # of keys, that no shard has

Collect = Callable[[Key, int], planner.Trajectory]
"""`(key of the shard, number of the first candidate) -> _CANDIDATES trajectories`."""


class MazeDemos(NamedTuple):
  """The recipe of one variant of the data set.

  Attributes:
    trajectories: how many to keep.
    seed: of the first key.
    size: interior cells per side of each maze.
    max_steps: control steps (0.01 s) after which a trajectory is cut.
    min_steps: trajectories of so few steps or fewer are dropped.
    shard_records: trajectories per shard.
    disturbance: how the planner's execution is shaken.
    collector: who walks, `planner`, `clone` or the name of a policy handed in.
  """

  trajectories: int
  seed: int = 0
  size: int = 20
  max_steps: int = 500
  min_steps: int = 20
  shard_records: int = 1000
  disturbance: planner.Disturbance = planner.Disturbance()
  collector: str = "planner"


PRESETS = {
  "quick": MazeDemos(trajectories=2_000, shard_records=250),
  "full": MazeDemos(trajectories=85_000),
  "undisturbed": MazeDemos(trajectories=2_000, shard_records=250, disturbance=planner.PAPER),
  "mediocre": MazeDemos(trajectories=2_000, shard_records=250, collector="clone"),
}


def maze_demos(
  preset: str = "quick", *, policy: cloning.Policy | None = None, **changes: Any
) -> shards.Dataset:
  """Describes a variant of the data set, ready for `shards.build`.

  Args:
    preset: a key of `PRESETS`.
    policy: what walks instead of the preset's collector; then `collector` must be given too, as a
      name that is this policy's own (a hash of its parameters), since it stands in the recipe.
    **changes: fields of `MazeDemos` to replace, e.g. `trajectories=100`.

  Raises:
    ValueError: if a policy comes without a name, or a name without a policy.
  """
  config = PRESETS[preset]._replace(**changes)
  if (policy is None) != (config.collector in COLLECTORS):
    raise ValueError(
      f"a policy needs a collector name of its own, got {config.collector!r} with"
      f" {'no' if policy is None else 'a'} policy"
    )
  whole, rest = divmod(config.trajectories, config.shard_records)
  counts = (config.shard_records,) * whole + ((rest,) if rest else ())
  disturbance = config.disturbance._asdict()
  collect = functools.cache(functools.partial(_collector, config, policy))
  return shards.Dataset(
    name=NAME,
    preset=preset,
    version=VERSION,
    description=DESCRIPTION,
    citation=CITATION,
    recipe={**config._asdict(), "disturbance": disturbance, "version": VERSION},
    features=functools.partial(features, config.size),
    shard_records=counts,
    examples=lambda shard: examples(config, collect(), shard, counts[shard]),
  )


def features(size: int) -> tfds.features.FeaturesDict:
  """What a record holds, for mazes of `size` cells a side."""
  series = functools.partial(
    tfds.features.Tensor,
    shape=(None, 2),
    dtype=np.float32,
    encoding=tfds.features.Encoding.BYTES,
  )
  return tfds.features.FeaturesDict(
    {
      "walls": tfds.features.Tensor(
        shape=(size + 2, size + 2),
        dtype=np.bool_,
        encoding=tfds.features.Encoding.BYTES,
        doc="true where solid, a border included",
      ),
      "position": series(doc="row and column before each action, m"),
      "velocity": series(doc="before each action, m/s"),
      "action": series(doc="what the planner or policy asked for, in [-1, 1]"),
      "length": tfds.features.Scalar(dtype=np.int32, doc="steps"),
      "goal": tfds.features.Tensor(shape=(2,), dtype=np.int32, doc="cell; -1 if none"),
      "reached": tfds.features.Scalar(dtype=np.bool_, doc="whether the goal was, within the limit"),
      "origin": tfds.features.Tensor(
        shape=(2,), dtype=np.int32, doc="shard and candidate: with the seed, the key of the record"
      ),
    }
  )


def examples(
  config: MazeDemos, collect: Collect, shard: int, count: int
) -> Iterator[dict[str, Any]]:
  """The first `count` acceptable trajectories of a shard's own stream of keys.

  Refused are mazes in which the goal cannot be reached, and trajectories of at most `min_steps`.
  """
  shard_key = jax.random.fold_in(jax.random.key(config.seed), shard)
  kept, first = 0, 0
  while kept < count:
    batch = jax.tree.map(np.asarray, collect(shard_key, first))
    for row in np.flatnonzero(batch.reachable & (batch.length > config.min_steps))[: count - kept]:
      length = int(batch.length[row])
      yield {
        "walls": batch.walls[row],
        "position": batch.position[row, :length],
        "velocity": batch.velocity[row, :length],
        "action": batch.action[row, :length],
        "length": length,
        "goal": batch.goal[row],
        "reached": length < config.max_steps,
        "origin": np.array([shard, first + row], np.int32),
      }
      kept += 1
    first += _CANDIDATES


def _collector(config: MazeDemos, policy: cloning.Policy | None) -> Collect:
  """Compiles what makes `_CANDIDATES` trajectories at a time."""
  size, max_steps = config.size, config.max_steps
  if config.collector == "clone":
    key = jax.random.fold_in(jax.random.key(config.seed), _CLONE_STREAM)
    policy = functools.partial(cloning.act, cloning.clone_planner(key, size, max_steps))

  def one(key: Key) -> planner.Trajectory:
    if policy is None:
      return planner.demonstrate(key, size, max_steps, config.disturbance)
    return cloning.roll(key, policy, size, max_steps)

  @jax.jit
  def collect(shard_key: Key, first: int | Array) -> planner.Trajectory:
    numbers = first + jnp.arange(_CANDIDATES)
    return jax.vmap(one)(jax.vmap(functools.partial(jax.random.fold_in, shard_key))(numbers))

  return collect
