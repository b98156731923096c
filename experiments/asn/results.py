"""The figures of a run of embeddings, and what its report shows.

Every embedding of every seed is scored on the same videos, with the baselines beside it
(`evaluation.embedding_scores`). The videos are those of the split "test", whose scenes no method
has seen, whatever the task.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxskills.data.video_store import VideoStore
from jaxskills.evaluation import (
  alignment,
  embedded_videos,
  embedding_record,
  embedding_report,
  embedding_scores,
  embedding_table,
  video_baselines,
)
from jaxskills.evaluation.embedded_videos import EmbeddedVideo
from jaxskills.experiments.asn import methods, stages
from jaxskills.experiments.asn.stages import Column
from jaxskills.training.progress import ProgressReport
from jaxskills.training.workdir import Workdir

UNSEEN = "alignment_unseen_view"
"""The score of views of which one no method was trained on."""
_SHOWN = 4  # successes, and as many fakes, that the report's pictures are made of
_BATCH = 256

Embedded = dict[str, list[list[EmbeddedVideo]]]
"""By model, for each seed: the videos."""


def figures(
  config: ConfigDict, found: Mapping[str, Any], store: VideoStore, folder: Workdir
) -> dict[str, Any]:
  """All final figures, `<score>.<model>.<train>-><test>`, and the arrays of the report.

  Args:
    config: of the run.
    found: results of its stages.
    store: the videos.
    folder: of the run.
  """
  made: dict[str, Any] = {"titles": {name: methods.METHODS[name].title for name in config.methods}}
  with ProgressReport() as shown:
    for column in stages.columns(config):
      shown.note(f"scoring {column.name}")
      videos = store.select(tasks=list(column.test), splits=("test",))
      others = store.select(tasks=list(column.test), splits=("shapes",))
      embedded = embed(config, found, store, column, videos, config.data.views)
      kinds = embed(config, found, store, column, others, config.data.views)
      for model, by_seed in embedded.items():
        scores = [
          embedding_scores.score_videos(some, other_kinds=more)
          for some, more in zip(by_seed, kinds[model], strict=True)
        ]
        embedding_table.add(made, model, column.name, scores)
      blind = embedding_scores.blind_scores(embedded["pixels"][0])
      for model, scores in blind.items():
        embedding_table.add(made, model, column.name, [scores])
      for model, figure in _unseen(config, found, store, column, videos).items():
        made.setdefault(UNSEEN, {}).setdefault(model, {})[column.name] = figure
      record(config, store, column, videos, embedded, folder)
  return made


def alignment_of(
  config: ConfigDict, found: Mapping[str, Any], store: VideoStore, *, split: str, most: int
) -> dict[str, Any]:
  """Alignment errors alone, on another split: `<model>.<train>-><test>`."""
  made: dict[str, Any] = {}
  for column in stages.columns(config):
    videos = store.select(tasks=list(column.test), splits=(split,))[:most]
    embedded = embed(config, found, store, column, videos, config.data.views)
    for model, by_seed in embedded.items():
      made.setdefault(model, {})[column.name] = _alignment(by_seed)
  return made


def embed(
  config: ConfigDict,
  found: Mapping[str, Any],
  store: VideoStore,
  column: Column,
  videos: np.ndarray,
  views: Sequence[str],
) -> Embedded:
  """Embeds videos with every method and baseline that looks at something."""
  cameras = [store.views.index(view) for view in views]

  def seen(act: Any, offsets: Sequence[int] = (0,)) -> list[EmbeddedVideo]:
    return embedded_videos.embed_videos(act, store, videos, cameras, batch=_BATCH, offsets=offsets)

  made: Embedded = {}
  for seed in stages.seeds(config):
    for name, act in stages.embedders(config, found, column.train, seed).items():
      made.setdefault(name, []).append(seen(act, stages.offsets(name, store)))
  made["pixels"] = [seen(video_baselines.pixels)]
  made["random_features"] = [
    seen(act) for act in (untrained(config, seed) for seed in stages.seeds(config))
  ]
  for kind in video_baselines.STATES:
    measured = [
      embedded_videos.measure_videos(kind, store, videos, cameras, seed=seed)
      for seed in stages.seeds(config)
    ]
    made[kind] = measured
  return made


def untrained(config: ConfigDict, seed: int) -> Any:
  """The network of all methods as it begins, as a function of uint8 frames."""
  spec = methods.make_spec(config, "AB")
  learner = methods.make_learner(config, methods.METHODS["tcn_lifted"], spec)
  params = learner.init(jax.random.key(seed)).params
  act = jax.jit(learner.act)
  return lambda frames: act(params, frames)


def record(
  config: ConfigDict,
  store: VideoStore,
  column: Column,
  videos: np.ndarray,
  embedded: Embedded,
  folder: Workdir,
) -> None:
  """Keeps a few successes and fakes of the first seed for the report's pictures."""
  good = np.flatnonzero(store.index.is_success[videos])[:_SHOWN]
  bad = np.flatnonzero(~store.index.is_success[videos])[:_SHOWN]
  kept = np.concatenate([good, bad])
  views = [store.views.index(view) for view in config.data.views]
  some = {
    model: [by_seed[0][number] for number in kept]
    for model, by_seed in embedded.items()
    if model not in video_baselines.STATES
  }
  made = embedding_record.make_record(column.name, store, videos[kept], views, some)
  embedding_record.save(folder.report / "data", made)


def write_report(folder: Workdir) -> Path:
  """Writes the run's report; see `evaluation.embedding_report`."""
  return embedding_report.write_report(folder.path)


def _unseen(
  config: ConfigDict,
  found: Mapping[str, Any],
  store: VideoStore,
  column: Column,
  videos: np.ndarray,
) -> dict[str, Any]:
  """Alignment of a camera that training has seen with one that it has not."""
  views = (config.data.views[0], config.data.unseen_view)
  embedded = embed(config, found, store, column, videos, views)
  return {model: _alignment(by_seed) for model, by_seed in embedded.items()}


def _alignment(by_seed: Sequence[Sequence[EmbeddedVideo]]) -> dict[str, Any]:
  scores = [
    {
      "alignment": np.array(
        [alignment.same_demonstration_error(video.embeddings) for video in videos]
      )
    }
    for videos in by_seed
  ]
  return embedding_table.summarize(scores)["alignment"]
