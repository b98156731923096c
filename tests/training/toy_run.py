"""A small run that has everything a real one has: worlds, replay, optimiser, keys and a feed.

Tests run it in their own process and, to kill it, in another:
`python toy_run.py WORKDIR [--pause SECONDS]`.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxskills.errors import Interrupted, UserError
from jaxskills.training import metrics, sharding
from jaxskills.training.loop import run_stages
from jaxskills.training.progress import ProgressReport
from jaxskills.training.run_state import Stage, StageReport
from jaxskills.training.runtime import configure_jax
from jaxskills.training.stage_runner import SavePolicy
from jaxskills.training.workdir import open_workdir

TOY_RUN = Path(__file__)
WORLDS, CAPACITY, SIZE = 8, 64, 4
CONFIG = {"experiment": "toy", "preset": "quick", "seed": 0, "config": {"learner": {"rate": 0.01}}}


class ToyFeed:
  """Batches that depend on a cursor.

  It hands out the same array every time, which is what a feed may do, and calls `before` first:
  tests stop, break and slow a run there.
  """

  def __init__(self, before: Callable[[int], None] = lambda cursor: None) -> None:
    """Starts at the beginning."""
    self.cursor, self.before, self.batch = 0, before, np.zeros((16, SIZE), np.float32)

  def next(self) -> dict:
    """A batch of noise."""
    self.before(self.cursor)
    self.cursor += 1
    noise = np.random.default_rng(self.cursor).normal(size=(16, SIZE))
    self.batch[:] = noise
    return {"x": self.batch}

  def get_state(self) -> bytes:
    """The cursor."""
    return str(self.cursor).encode()

  def set_state(self, state: bytes) -> None:
    """Goes there."""
    self.cursor = int(state)


class Crash(Exception):
  """Stands for a kill in this process: nothing is saved on the way out."""


def crash_at(cursor_of_death: int):
  """Dies when the feed is asked for the batch after this many."""

  def before(cursor: int) -> None:
    if cursor == cursor_of_death:
      raise Crash

  return before


class PretrainState(NamedTuple):
  """Parameters, their optimiser, and a key."""

  params: dict
  optimizer: optax.OptState
  key: jax.Array
  empty: jax.Array
  step: jax.Array


class RlState(NamedTuple):
  """Worlds with keys of their own, a byte replay, and parameters."""

  params: dict
  optimizer: optax.OptState
  worlds: jax.Array
  world_keys: jax.Array
  replay: jax.Array
  key: jax.Array
  step: jax.Array


def pretrain(feed: ToyFeed, chunks: int) -> Stage:
  """Regression on a stream."""
  optimizer = optax.adam(1e-2)

  def init(key):
    params = {"w": jax.random.normal(key, (SIZE, SIZE)), "b": jnp.zeros(SIZE)}
    empty, step = jnp.zeros((0, 3)), jnp.zeros((), jnp.int32)
    return PretrainState(params, optimizer.init(params), key, empty, step)

  def loss(params, x, key):
    target = jnp.sin(x) + 0.1 * jax.random.normal(key, x.shape)
    return jnp.mean((x @ params["w"] + params["b"] - target) ** 2)

  def chunk(state, data):
    key, noise_key = jax.random.split(state.key)
    value, gradient = jax.value_and_grad(loss)(state.params, data["x"], noise_key)
    updates, moments = optimizer.update(gradient, state.optimizer)
    params = optax.apply_updates(state.params, updates)
    return PretrainState(params, moments, key, state.empty, state.step + 1), {"loss": value}

  return Stage(
    name="pretrain/toy",
    init=init,
    chunk=chunk,
    chunks=chunks,
    per_chunk=16,
    unit="samples",
    finish=lambda state: state.params,
    counters=lambda state: {"env_steps": 0, "updates": state.step},
    feed=feed,
    evaluate=lambda state: {"norm": jnp.sum(state.params["w"] ** 2)},
    evaluate_every=5,
    headline=("loss",),
  )


def rl(prior: dict, chunks: int) -> Stage:
  """Worlds that walk at random, a replay that remembers them, a regression on the replay."""
  optimizer = optax.adam(1e-2)

  def init(key):
    world_keys = jax.vmap(lambda index: jax.random.fold_in(key, index))(jnp.arange(WORLDS))
    worlds = jax.vmap(lambda world_key: jax.random.normal(world_key, (SIZE,)))(world_keys)
    replay = jnp.zeros((CAPACITY, WORLDS, SIZE), jnp.uint8)
    params = jax.tree.map(jnp.copy, prior)
    step = jnp.zeros((), jnp.int32)
    return RlState(params, optimizer.init(params), worlds, world_keys, replay, key, step)

  def walk(world, key):
    key, noise_key = jax.random.split(key)
    return jnp.tanh(world + 0.3 * jax.random.normal(noise_key, (SIZE,))), key

  def loss(params, x):
    return jnp.mean((x @ params["w"] + params["b"] - x[:, ::-1]) ** 2)

  def chunk(state, data):
    del data
    worlds, world_keys = jax.vmap(walk)(state.worlds, state.world_keys)
    row = jnp.round(127.0 * (worlds + 1.0)).astype(jnp.uint8)
    replay = state.replay.at[state.step % CAPACITY].set(row)
    key, sample_key = jax.random.split(state.key)
    rows = jax.random.randint(sample_key, (16,), 0, jnp.minimum(state.step + 1, CAPACITY))
    batch = replay[rows, jnp.arange(16) % WORLDS].astype(jnp.float32) / 127.0 - 1.0
    value, gradient = jax.value_and_grad(loss)(state.params, batch)
    updates, moments = optimizer.update(gradient, state.optimizer)
    params = optax.apply_updates(state.params, updates)
    step = state.step + 1
    state = RlState(params, moments, worlds, world_keys, replay, key, step)
    return state, {"loss": value, "spread": jnp.std(worlds)}

  def shardings(mesh, state):
    return sharding.replicate(mesh, state)._replace(
      worlds=sharding.shard_worlds(mesh, state.worlds),
      world_keys=sharding.shard_worlds(mesh, state.world_keys),
    )

  return Stage(
    name="rl/toy",
    init=init,
    chunk=chunk,
    chunks=chunks,
    per_chunk=WORLDS,
    unit="environment steps",
    finish=lambda state: {"params": state.params, "worlds": state.worlds},
    counters=lambda state: {"env_steps": state.step * WORLDS, "updates": state.step},
    shardings=shardings,
    headline=("loss",),
  )


def toy_stages(
  *, chunks: int = 12, before: Callable[[int], None] = lambda cursor: None
) -> list[tuple[str, Any]]:
  """Both stages; the second starts from the first one's parameters."""
  return [
    ("pretrain/toy", lambda results: pretrain(ToyFeed(before), chunks)),
    ("rl/toy", lambda results: rl(results["pretrain/toy"], chunks)),
  ]


class Outcome(NamedTuple):
  """What a run in this process came to."""

  results: dict[str, Any]
  reports: dict[str, StageReport]
  rows: list[dict]
  said: str


def run_toy(
  path: Path,
  *,
  before: Callable[[int], None] = lambda cursor: None,
  stages: Sequence[tuple[str, Any]] | None = None,
  every: float = 0.0,
  devices: Sequence[Any] | None = None,
  said: StringIO | None = None,
) -> Outcome:
  """Runs or resumes in this process, saving after every chunk unless told otherwise."""
  said = said or StringIO()
  with open_workdir(path, CONFIG) as workdir:
    results, reports = run_stages(
      workdir,
      toy_stages(before=before) if stages is None else stages,
      0,
      save_policy=SavePolicy(every, share=1.0),
      progress=ProgressReport(said),
      devices=devices,
    )
  return Outcome(results, reports, rows_without_clocks(path), said.getvalue())


def rows_without_clocks(path: Path) -> list[dict]:
  """Rows of a run that must not depend on when it ran."""
  rows, _ = metrics.read_rows(path / "metrics.jsonl")
  return [{name: row[name] for name in row if name != "wall_seconds"} for row in rows]


def hashes(outcome: Outcome) -> dict[str, str]:
  """Fingerprints of all results."""
  return {name: report.parameters_sha256 for name, report in outcome.reports.items()}


def main() -> int:
  """Runs it as the command line would, and says what became of it."""
  parser = argparse.ArgumentParser()
  parser.add_argument("workdir")
  parser.add_argument("--pause", type=float, default=0.0)
  arguments = parser.parse_args()
  configure_jax()
  try:
    with open_workdir(arguments.workdir, CONFIG) as workdir:
      stages = toy_stages(before=lambda cursor: time.sleep(arguments.pause))
      _, reports = run_stages(workdir, stages, 0, save_policy=SavePolicy(0.0, share=1.0))
  except UserError as error:
    print(f"jaxskills: {error}", file=sys.stderr)
    return 2
  except Interrupted as stop:
    print(stop)
    return 0
  print(json.dumps({name: report.parameters_sha256 for name, report in reports.items()}))
  return 0


if __name__ == "__main__":
  sys.exit(main())
