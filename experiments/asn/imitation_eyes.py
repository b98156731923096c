"""The embeddings that imitating policies see through, and are rewarded by: some for each seed.

They come from a finished run of `asn/blocks`, whose seeds are dealt to those of the policies, so
that an interval over seeds covers both. "untrained" stands for the same network with random
weights.

Several embeddings stand side by side, as one that is longer: where each of them puts a hand a few
centimetres off, all of them together do less, because they do not agree on where.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from ml_collections import ConfigDict

from jaxskills.errors import UserError
from jaxskills.experiments.asn import blocks, methods, stages
from jaxskills.training import loop
from jaxskills.types import Params

UNTRAINED = "untrained"

Frames = UInt8[Array, "batch rows columns 3"]


class Eyes(NamedTuple):
  """Embeddings of single frames.

  Attributes:
    embed: `(params, frames [batch, rows, columns, 3]) -> [batch, members * dim]`, deterministic;
      jitted, so that it is compiled once for all that is embedded outside of training. A distance
      is the root of the members' mean squared distance.
    params: of every seed, stacked: leaves `[seeds, members, ...]`.
  """

  embed: Callable[[Params, Frames], Float[Array, "batch dim"]]
  params: Params


def load_eyes(config: ConfigDict) -> Eyes:
  """The embeddings that `config.embedding` names, `members` of them for each seed.

  Seed 0 has the first ones of the run, seed 1 the next; where they are used up they begin again.

  Raises:
    UserError: if there is no such run, or its embeddings are not of single frames of this size.
  """
  chosen = config.embedding
  if chosen.method == UNTRAINED:
    described, method = blocks.get_config("quick"), "tcn_lifted"
    described.update_from_flattened_dict(
      {"data.rows": config.views.size, "data.columns": config.views.size}
    )
    spec = methods.make_spec(described, "AB")
    learner = methods.make_learner(described, methods.METHODS[method], spec)
    keys = jax.random.split(jax.random.key(config.seed), (config.num_seeds, chosen.members))
    params = jax.vmap(jax.vmap(lambda key: learner.init(key).params))(keys)
    return Eyes(_side_by_side(learner.act), params)
  if not chosen.run:
    raise UserError(
      "give the folder of a finished run of asn/blocks by --config.embedding.run=DIR, or see "
      f"through random weights by --config.embedding.method={UNTRAINED}"
    )
  path = Path(chosen.run).expanduser().resolve()
  described = blocks.run_config(path)
  _check(config, described)
  learner = methods.make_learner(
    described, methods.METHODS[chosen.method], methods.make_spec(described, chosen.train)
  )
  found = _results(described, path, chosen.method, chosen.train)
  own = [found[number % len(found)] for number in range(config.num_seeds * chosen.members)]

  def dealt(*leaves: np.ndarray) -> Array:
    return jnp.stack(leaves).reshape(config.num_seeds, chosen.members, *leaves[0].shape)

  return Eyes(_side_by_side(learner.act), jax.tree.map(dealt, *own))


def _side_by_side(act: Callable[[Params, Frames], Array]) -> Callable[[Params, Frames], Array]:
  """What several networks make of frames, as one embedding of theirs."""

  @jax.jit
  def embed(params: Params, frames: Frames) -> Float[Array, "batch dim"]:
    each = jax.vmap(act, (0, None), out_axes=1)(params, frames)
    return each.reshape(len(frames), -1) / math.sqrt(each.shape[1])

  return embed


def _results(described: ConfigDict, path: Path, method: str, train: str) -> list[Params]:
  """Parameters of all seeds of a run, on the host."""

  def build(name: str, seed: int) -> stages.BuildStage:
    return lambda results: stages.embedding_stage(described, name, method, train, seed, None)

  names = {stages.stage_name(method, train, seed): seed for seed in stages.seeds(described)}
  found, _ = loop.load_results(path, [(name, build(name, seed)) for name, seed in names.items()])
  return [jax.tree.map(np.asarray, found[name]) for name in names]


def _check(config: ConfigDict, described: ConfigDict) -> None:
  """Refuses embeddings that cannot be seen through.

  Raises:
    UserError: saying why.
  """
  chosen, size = config.embedding, config.views.size
  where = f"the run in {chosen.run}"
  if chosen.method not in described.methods:
    known = ", ".join(described.methods)
    raise UserError(f"{where} has no method {chosen.method}; it has {known}")
  if chosen.train not in stages.training_sets(described):
    known = ", ".join(stages.training_sets(described))
    raise UserError(f"{where} has not trained on {chosen.train}; it has on {known}")
  if methods.input_frames(methods.METHODS[chosen.method]) > 1:
    raise UserError(f"{chosen.method} embeds several frames at once; choose one of single frames")
  drawn = (described.data.rows, described.data.columns)
  if drawn != (size, size):
    raise UserError(
      f"{where} saw pictures of {drawn[0]} x {drawn[1]}; set --config.views.size to match"
    )
