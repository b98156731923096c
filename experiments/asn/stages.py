"""The stages of a run: one embedding for each method, set of training tasks, and seed.

Nothing is chosen by looking at results: an embedding is what the last update left. (ASN's released
code keeps the checkpoint with the best alignment on the very videos that it then reports.)
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxskills.data.video_feed import VideoFeed
from jaxskills.data.video_store import VideoStore
from jaxskills.envs.tabletop.tasks import TASKS
from jaxskills.evaluation.embedded_videos import Embed
from jaxskills.experiments.asn import methods
from jaxskills.networks.embedder import Backbone, BnMode
from jaxskills.training.run_state import BuildStage, Stage
from jaxskills.types import Key, Metrics, Step

ARROW = "->"


class Column(NamedTuple):
  """A column of the papers' tables: `AB->C` trains on A and B and tests on C."""

  train: str
  test: str

  @property
  def name(self) -> str:
    """As configurations and summaries write it."""
    return f"{self.train}{ARROW}{self.test}"


class EmbeddingState(NamedTuple):
  """All that training an embedding remembers, besides the position in the data."""

  learner: Any
  key: Key
  updates: Step


def columns(config: ConfigDict) -> list[Column]:
  """The columns that a configuration names.

  Raises:
    ValueError: for one that is not of the form `AB->C`.
  """
  found = []
  for name in config.columns:
    train, arrow, test = name.partition(ARROW)
    if not (arrow and train.isalpha() and test.isalpha()):
      raise ValueError(f"config.columns takes such as AB->C, not {name!r}")
    if sorted(set(train)) != list(train) or sorted(set(test)) != list(test):
      raise ValueError(f"name each task of {name!r} once, in alphabetical order")
    found.append(Column(train, test))
  return found


def all_tasks(config: ConfigDict) -> list[str]:
  """Every task that some column trains or tests on, in alphabetical order."""
  return sorted(set("".join(column.train + column.test for column in columns(config))))


def check(config: ConfigDict) -> None:
  """Refuses columns that are none, and learners that cannot be built.

  Raises:
    ValueError: naming what is wrong.
  """
  for task in all_tasks(config):
    if task not in TASKS:
      raise ValueError(f"no task {task!r}; there are {', '.join(TASKS)}")
  for key, known in (("backbone", get_args(Backbone)), ("bn_mode", get_args(BnMode))):
    if config.embedder[key] not in known:
      given = config.embedder[key]
      raise ValueError(f"config.embedder.{key} is one of {', '.join(known)}, not {given!r}")
  if not columns(config):
    raise ValueError("config.columns names no tasks to train on; AB->C is a column")
  for train in training_sets(config):
    able = [name for name in config.methods if can_train(methods.METHODS[name], train)]
    if not able:
      raise ValueError(f"no method of {list(config.methods)} learns from task {train} alone")
    for name in able:
      methods.make_learner(config, methods.METHODS[name], methods.make_spec(config, train))


def training_sets(config: ConfigDict) -> list[str]:
  """Every set of tasks that something is trained on, in the order of the columns."""
  return list(dict.fromkeys(column.train for column in columns(config)))


def can_train(method: methods.Method, train: str) -> bool:
  """Whether a method learns from these tasks: ASN's adversary needs two to confuse."""
  return method.kind != "asn" or len(train) > 1


def stage_name(method: str, train: str, seed: int) -> str:
  """Of the stage, and of its folder."""
  return f"embed/{method}_{train}_seed{seed}"


def seeds(config: ConfigDict) -> range:
  """Of the embeddings."""
  return range(config.seed, config.seed + config.num_seeds)


def make_stages(config: ConfigDict, store: VideoStore | None) -> list[tuple[str, BuildStage]]:
  """The stages of a run in order; without videos they cannot be run, but their results loaded."""

  def build(name: str, method: str, train: str, seed: int) -> BuildStage:
    return lambda results: embedding_stage(config, name, method, train, seed, store)

  return [
    (name := stage_name(method, train, seed), build(name, method, train, seed))
    for train in training_sets(config)
    for seed in seeds(config)
    for method in config.methods
    if can_train(methods.METHODS[method], train)
  ]


def embedding_stage(
  config: ConfigDict,
  name: str,
  method: str,
  train: str,
  seed: int,
  store: VideoStore | None,
) -> Stage:
  """Trains one embedding; its result is what the learner's `act` takes."""
  chosen, group = methods.METHODS[method], config.training
  learner = methods.make_learner(config, chosen, methods.make_spec(config, train))
  feed = None
  if store is not None:
    sampler = methods.make_sampler(config, chosen, store, train)
    feed = VideoFeed(store, sampler, group.updates_per_chunk, seed)

  def init(key: Key) -> EmbeddingState:
    learner_key, run_key = jax.random.split(jax.random.fold_in(key, seed))
    return EmbeddingState(learner.init(learner_key), run_key, jnp.zeros((), jnp.int32))

  def chunk(state: EmbeddingState, batches: Any) -> tuple[EmbeddingState, Metrics]:
    def update(state: EmbeddingState, batch: Any) -> tuple[EmbeddingState, Metrics]:
      key = jax.random.fold_in(state.key, state.updates)
      trained, metrics = learner.update(state.learner, batch, key)
      return EmbeddingState(trained, state.key, state.updates + 1), metrics

    state, metrics = jax.lax.scan(update, state, batches)
    return state, jax.tree.map(jnp.mean, metrics)

  return Stage(
    name=name,
    init=init,
    chunk=chunk,
    chunks=-(-group.updates // group.updates_per_chunk),
    per_chunk=group.updates_per_chunk,
    unit="updates",
    finish=lambda state: state.learner.params,
    counters=lambda state: {"env_steps": jnp.zeros((), jnp.int32), "updates": state.updates},
    feed=feed,
    headline=("loss", "encoder_loss", "positive_distance", "negative_distance"),
  )


def embedders(config: ConfigDict, results: Mapping[str, Any], train: str) -> dict[str, list[Embed]]:
  """The trained embeddings as functions of uint8 frames: by method, one for each seed."""
  spec = methods.make_spec(config, train)
  made = {}
  for name in config.methods:
    if can_train(methods.METHODS[name], train):
      act = jax.jit(methods.make_learner(config, methods.METHODS[name], spec).act)
      names = (stage_name(name, train, seed) for seed in seeds(config))
      made[name] = [functools.partial(act, results[stage]) for stage in names]
  return made


def untrained(config: ConfigDict, train: str) -> list[Embed]:
  """The network of most methods as it begins, for each seed."""
  method = methods.METHODS["tcn_lifted"]
  learner = methods.make_learner(config, method, methods.make_spec(config, train))
  act = jax.jit(learner.act)
  keys = [jax.random.key(seed) for seed in seeds(config)]
  return [functools.partial(act, learner.init(key).params) for key in keys]


def offsets(name: str, store: VideoStore) -> list[int]:
  """Where the frames of one embedding lie, counted from the present one, oldest first."""
  if name not in methods.METHODS:  # a baseline
    return [0]
  method = methods.METHODS[name]
  stride = max(1, round(method.stride_seconds / float(store.index.seconds_per_frame[0])))
  return [-stride * back for back in reversed(range(methods.input_frames(method)))]
