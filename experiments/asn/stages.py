"""The stages of a run: one embedding for each method, set of training tasks, and seed.

Nothing is chosen by looking at results: an embedding is what the last update left. (ASN's released
code keeps the checkpoint with the best alignment on the very videos that it then reports.)
"""

import copy
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxskills.data.feature_cache import cache_features
from jaxskills.data.video_feed import VideoFeed
from jaxskills.data.video_store import VideoStore
from jaxskills.evaluation.embedded_videos import Embed
from jaxskills.experiments.asn import methods
from jaxskills.experiments.asn.task_sets import Column, in_file_names, read_column, tasks_in
from jaxskills.learners.frame_encoder import with_cached_trunk
from jaxskills.training.progress import ProgressReport
from jaxskills.training.run_state import BuildStage, Stage
from jaxskills.types import Key, Metrics, Step


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
  return [read_column(name) for name in config.columns]


def all_tasks(config: ConfigDict) -> list[str]:
  """Every task that some column trains or tests on, in alphabetical order."""
  sets = [written for column in columns(config) for written in column]
  return sorted({task for written in sets for task in tasks_in(written)})


def training_sets(config: ConfigDict) -> list[str]:
  """Every set of tasks that something is trained on, in the order of the columns."""
  return list(dict.fromkeys(column.train for column in columns(config)))


def can_train(method: methods.Method, train: str) -> bool:
  """Whether a method learns from these tasks: ASN's adversary needs two to confuse."""
  return method.kind != "asn" or len(tasks_in(train)) > 1


def able_methods(config: ConfigDict, train: str) -> list[str]:
  """The methods of a configuration that can learn from a set of tasks, in its order."""
  return [name for name in config.methods if can_train(methods.METHODS[name], train)]


def stage_name(method: str, train: str, seed: int) -> str:
  """Of the stage, and of its folder."""
  return f"embed/{method}_{in_file_names(train)}_seed{seed}"


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
    for method in able_methods(config, train)
  ]


def training_store(config: ConfigDict, store: VideoStore) -> VideoStore:
  """What batches are drawn from: the videos, or what a frozen trunk makes of those to train on.

  Features lie in a folder of the videos' own, for all runs with these weights.
  """
  trunk = methods.published_trunk(config) if config.embedder.cache else None
  if trunk is None:
    return store
  tasks = sorted({task for train in training_sets(config) for task in tasks_in(train)})
  videos = store.select(tasks=tasks, splits=("train",))
  with ProgressReport() as shown:
    shown.note("features of the frozen trunk are computed once; no picture is augmented")
    cache = cache_features(
      store,
      trunk,
      store.directory / "features",
      videos=videos,
      views=config.data.views,
      say=shown.note,
    )
  return cache.as_store(store)


def embedding_stage(
  config: ConfigDict,
  name: str,
  method: str,
  train: str,
  seed: int,
  store: VideoStore | None,
) -> Stage:
  """Trains one embedding; its result is what `act` of a learner of frames takes.

  Args:
    config: of the run.
    name: of the stage.
    method: of `methods.METHODS`.
    train: the set of tasks.
    seed: of the embedding and of the order of its batches.
    store: from `training_store`; without it the stage cannot be run, but its result loaded.
  """
  chosen, group = methods.METHODS[method], config.training
  spec = methods.make_training_spec(config, train)
  learner = methods.make_learner(config, chosen, spec)
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

  def finish(state: EmbeddingState) -> Any:
    params = state.learner.params
    if spec.features is None:
      return params
    options = methods.embedder_options(config)
    return {**params, "encoder": with_cached_trunk(params["encoder"], options, spec)}

  return Stage(
    name=name,
    init=init,
    chunk=chunk,
    chunks=-(-group.updates // group.updates_per_chunk),
    per_chunk=group.updates_per_chunk,
    unit="updates",
    finish=finish,
    counters=lambda state: {"env_steps": jnp.zeros((), jnp.int32), "updates": state.updates},
    feed=feed,
    headline=("loss", "encoder_loss", "positive_distance", "negative_distance"),
  )


def embedders(config: ConfigDict, results: Mapping[str, Any], train: str) -> dict[str, list[Embed]]:
  """The trained embeddings as functions of uint8 frames: by method, one for each seed."""
  spec = methods.make_spec(config, train)
  made = {}
  for name in able_methods(config, train):
    act = jax.jit(methods.make_learner(config, methods.METHODS[name], spec).act)
    names = (stage_name(name, train, seed) for seed in seeds(config))
    made[name] = [functools.partial(act, results[stage]) for stage in names]
  return made


def untrained(config: ConfigDict, train: str) -> list[Embed]:
  """The network of most methods with random weights, for each seed."""
  config = copy.deepcopy(config)
  config.embedder.weights = ""
  method = methods.METHODS["tcn_lifted"]
  learner = methods.make_learner(config, method, methods.make_spec(config, train))
  act = jax.jit(learner.act)
  keys = [jax.random.key(seed) for seed in seeds(config)]
  return [functools.partial(act, learner.init(key).params) for key in keys]


def image_features(config: ConfigDict) -> list[Embed]:
  """What published weights see by themselves: the trunk's maps, averaged over all places.

  One function of frames, or none without `config.embedder.weights`.
  """
  trunk = methods.published_trunk(config)
  if trunk is None:
    return []
  return [jax.jit(lambda frames: jnp.mean(trunk.features(frames), axis=(1, 2)))]


def offsets(name: str, store: VideoStore) -> list[int]:
  """Where the frames of one embedding lie, counted from the present one, oldest first."""
  if name not in methods.METHODS:  # a baseline
    return [0]
  method = methods.METHODS[name]
  stride = max(1, round(method.stride_seconds / float(store.index.seconds_per_frame[0])))
  return [-stride * back for back in reversed(range(methods.input_frames(method)))]
