"""Scores of what single frames tell: phase, attributes, progress, and what they are found by."""

import itertools
from collections.abc import Sequence

import numpy as np

from jaxskills.evaluation import classification, retrieval, score_sampling
from jaxskills.evaluation.embedded_videos import EmbeddedVideo
from jaxskills.evaluation.score_sampling import ScoreConfig, Scores


def neighbour_scores(videos: Sequence[EmbeddedVideo], config: ScoreConfig) -> Scores:
  """Errors of the phase (of successes) and of all attributes by neighbours in other videos."""
  good, scores = [video for video in videos if video.is_success], {}
  names = [name for name in ("phase",) if good and all(name in video.labels for video in good)]
  for some, wanted in ((good, names), (list(videos), score_sampling.attributes(videos))):
    if len(some) > 1 and wanted:
      labels = {
        name: [score_sampling.labels(video, name, config).astype(np.int64) for video in some]
        for name in wanted
      }
      frames = [score_sampling.frames(video, config) for video in some]
      found = classification.neighbour_errors(frames, labels, neighbours=config.neighbours)
      scores |= {f"{name}_error": np.array([errors.mean]) for name, errors in found.items()}
  return scores


def linear_scores(videos: Sequence[EmbeddedVideo], config: ScoreConfig) -> Scores:
  """Errors of a linear map to phases with few and with all labels, and R^2 of one to progress.

  Maps are fitted to one half of the successes and judged on the other, both ways round.
  """
  good, scores = [video for video in videos if video.is_success], {}
  halves = score_sampling.halves(good, config)
  if halves and all("phase" in video.labels for video in good):
    errors = [
      classification.linear_errors_by_share(
        score_sampling.labelled(train, "phase", config),
        score_sampling.labelled(test, "phase", config),
        draws=config.draws,
        seed=config.seed,
      )
      for train, test in halves
    ]
    for share in errors[0]:
      mean = np.mean([found[share].mean() for found in errors])
      scores[f"linear_phase_error_{round(100 * share)}"] = np.array([mean])
  if halves and all("progress" in video.labels for video in good):
    explained = [
      classification.progress_r2(
        score_sampling.labelled(train, "progress", config),
        score_sampling.labelled(test, "progress", config),
      )
      for train, test in halves
    ]
    scores["progress_r2"] = np.array([np.mean(explained)])
  return scores


def view_scores(videos: Sequence[EmbeddedVideo], config: ScoreConfig) -> Scores:
  """Recall of the same instant in another view, over all ordered pairs of views."""
  step, miss = (of(videos[0], config) for of in (score_sampling.stride, score_sampling.miss))
  strided = [video.embeddings[::step] for video in videos]
  recalls = [
    retrieval.view_recall(strided, a, b, tolerance=miss)
    for a, b in itertools.permutations(range(strided[0].shape[1]), 2)
  ]
  return _means("view_recall", recalls)


def kind_scores(
  videos: Sequence[EmbeddedVideo], other_kinds: Sequence[EmbeddedVideo], config: ScoreConfig
) -> Scores:
  """Recall of the same phase among videos of the same task with other kinds of objects."""
  both = [
    [video for video in some if video.is_success and "phase" in video.labels]
    for some in (videos, other_kinds)
  ]
  recalls = []
  for task in sorted({video.task for video in both[0]} & {video.task for video in both[1]}):
    frames, labels = [], []
    for some in both:
      own = [video for video in some if video.task == task]
      frames.append(np.concatenate([score_sampling.frames(video, config) for video in own]))
      phases = [score_sampling.labels(video, "phase", config) for video in own]
      labels.append(np.concatenate(phases).astype(np.int64))
    recalls.append(retrieval.label_recall(frames[0], labels[0], frames[1], labels[1]))
  return _means("kind_recall", recalls)


def _means(name: str, recalls: Sequence[retrieval.Recalls]) -> Scores:
  counts = recalls[0] if recalls else ()
  return {
    f"{name}_{count}": np.array([np.mean([recall[count] for recall in recalls])])
    for count in counts
  }
