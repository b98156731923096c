"""The figures of a run of embeddings, and what its report shows.

Every embedding of every seed is scored on the same videos, with the baselines beside it
(`evaluation.embedding_scores`). The videos of a run are those of the split "test", whose scenes no
method has seen, whatever the task.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from jaxskills.data.video_store import VideoStore
from jaxskills.evaluation import (
  embedded_videos,
  embedding_record,
  embedding_report,
  embedding_scores,
  embedding_table,
  video_baselines,
)
from jaxskills.evaluation.embedded_videos import Embed, EmbeddedVideo
from jaxskills.evaluation.score_sampling import Scores
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
  config: ConfigDict,
  found: Mapping[str, Any],
  store: VideoStore,
  folder: Workdir | None,
  *,
  split: str = "test",
  most: int | None = None,
) -> dict[str, Any]:
  """All final figures, `<score>.<model>.<train>-><test>`, and the arrays of the report.

  Args:
    config: of the run.
    found: results of its stages.
    store: the videos.
    folder: of the run; None leaves its report as it is.
    split: which videos.
    most: how many of each column at most; `evenly` says which. All if None.
  """
  made: dict[str, Any] = {"titles": {name: methods.METHODS[name].title for name in config.methods}}
  with ProgressReport() as shown:
    for column in stages.columns(config):
      shown.note(f"scoring {column.name}")
      videos = judged_by(store, column, split, most)
      others = store.select(tasks=column.test_tasks, splits=("shapes",))
      models = eyes(config, found, column)
      embedded = embed(config, models, store, videos, config.data.views)
      kinds = embed(config, models, store, others, config.data.views) if len(others) else {}
      scores = {
        model: [
          embedding_scores.score_videos(some, other_kinds=more)
          for some, more in zip(by_seed, kinds.get(model, [[]] * len(by_seed)), strict=True)
        ]
        for model, by_seed in embedded.items()
      }
      for model, by_seed in scores.items():
        embedding_table.add(made, model, column.name, by_seed)
      if {"asn", "tcn_lifted"} <= scores.keys():
        difference = embedding_table.difference(scores["asn"], scores["tcn_lifted"], "alignment")
        made.setdefault("differences", {}).setdefault("asn-tcn_lifted", {})[column.name] = (
          difference
        )
      blind = embedding_scores.blind_scores(embedded["pixels"][0])
      for model, blindly in blind.items():
        embedding_table.add(made, model, column.name, [blindly])
      if config.data.unseen_view:
        pair = (config.data.views[0], config.data.unseen_view)
        for model, figure in _alignments(embed(config, models, store, videos, pair)).items():
          made.setdefault(UNSEEN, {}).setdefault(model, {})[column.name] = figure
      if folder is not None:
        record(config, store, column, videos, embedded, folder)
  return made


def alignment_of(
  config: ConfigDict, found: Mapping[str, Any], store: VideoStore, *, split: str, most: int
) -> dict[str, Any]:
  """Alignment errors alone, on another split: `<model>.<train>-><test>`, baselines among them.

  Args:
    config: of the run.
    found: results of its stages.
    store: the videos.
    split: which of them.
    most: how many videos of each column at most; `evenly` says which.
  """
  made: dict[str, Any] = {}
  for column in stages.columns(config):
    videos = judged_by(store, column, split, most)
    models = eyes(config, found, column)
    embedded = embed(config, models, store, videos, config.data.views)
    for model, figure in _alignments(embedded).items():
      made.setdefault(model, {})[column.name] = figure
  return made


def judged_by(store: VideoStore, column: Column, split: str, most: int | None) -> np.ndarray:
  """Numbers of the videos of a split that a column is judged by, all or at most so many."""
  videos = store.select(tasks=column.test_tasks, splits=(split,))
  return videos if most is None else evenly(store, videos, most)


def evenly(store: VideoStore, videos: np.ndarray, most: int) -> np.ndarray:
  """At most so many of some videos, `[number]`, in proportion of each task, successes and fakes."""
  kinds = np.lexsort((~store.index.is_success[videos], store.index.task[videos]))
  count = min(most, len(videos))
  places = (np.arange(count) + 0.5) * len(videos) / max(count, 1)
  return np.sort(videos[kinds[places.astype(int)]])


def eyes(config: ConfigDict, found: Mapping[str, Any], column: Column) -> dict[str, list[Embed]]:
  """All that embeds frames, for each seed: the methods, and networks that learned nothing."""
  trained = stages.embedders(config, found, column.train)
  published = stages.image_features(config)
  return {
    **trained,
    "random_features": stages.untrained(config, column.train),
    **({"imagenet": published} if published else {}),
  }


def embed(
  config: ConfigDict,
  models: Mapping[str, Sequence[Embed]],
  store: VideoStore,
  videos: np.ndarray,
  views: Sequence[str],
) -> Embedded:
  """Videos as the models see them, and as the baselines without a network do."""
  cameras = [store.views.index(view) for view in views]

  def seen(act: Embed, offsets: Sequence[int] = (0,)) -> list[EmbeddedVideo]:
    return embedded_videos.embed_videos(act, store, videos, cameras, batch=_BATCH, offsets=offsets)

  made: Embedded = {
    name: [seen(act, stages.offsets(name, store)) for act in by_seed]
    for name, by_seed in models.items()
  }
  made["pixels"] = [seen(video_baselines.pixels)]
  measured = video_baselines.STATES if {"joints", "objects"} <= store.labels.keys() else ()
  for kind in measured:
    made[kind] = [
      embedded_videos.measure_videos(kind, store, videos, cameras, seed=seed)
      for seed in stages.seeds(config)
    ]
  return made


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


def _alignments(embedded: Embedded) -> dict[str, Any]:
  """Alignment errors by model, with what looking at nothing has on the same videos."""
  by_model: dict[str, list[Scores]] = {
    model: [embedding_scores.alignment_scores(videos) for videos in by_seed]
    for model, by_seed in embedded.items()
  }
  blind = embedding_scores.blind_alignment(embedded["pixels"][0])
  by_model |= {model: [scores] for model, scores in blind.items()}
  return {model: embedding_table.summarize(some)["alignment"] for model, some in by_model.items()}
