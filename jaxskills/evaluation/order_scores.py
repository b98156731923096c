"""Scores of time across demonstrations: alignment by key frames, Kendall's tau, cycles."""

import itertools
from collections.abc import Sequence

import numpy as np

from jaxskills.evaluation import alignment, cycle_consistency, score_sampling
from jaxskills.evaluation.embedded_videos import EmbeddedVideo
from jaxskills.evaluation.score_sampling import ScoreConfig, Scores

SCALES: tuple[tuple[str, alignment.Scale], ...] = (
  ("across_by_segment", "segment"),
  ("across_by_video", "video"),
)
"""The two readings of TCN's alignment error; see `alignment.cross_demonstration_error`."""


def order_scores(videos: Sequence[EmbeddedVideo], config: ScoreConfig) -> Scores:
  """Alignment across demonstrations, Kendall's tau and cycles, between successes of one task.

  Alignment takes only pairs whose phases come in the same order: others do not correspond.
  """
  values: dict[str, list[float]] = {}
  for source, partners in score_sampling.partners(videos, config):
    of_source: dict[str, list[float]] = {}
    views, step = range(source.embeddings.shape[1]), score_sampling.stride(source, config)
    miss = score_sampling.miss(source, config)
    for target, view in itertools.product(partners, views):
      a, b = source.embeddings[:, view], target.embeddings[:, view]
      tau = alignment.kendalls_tau(
        a, b, stride_seconds=config.stride_seconds, seconds_per_frame=source.seconds_per_frame
      )
      of_source.setdefault("kendalls_tau", []).append(tau)
      home = cycle_consistency.two_way(a[::step], b[::step], tolerance=miss)
      of_source.setdefault("two_way_cycles", []).append(home)
      if (parts := score_sampling.segments(source, target)) is not None:
        for name, scale in SCALES:
          error = alignment.cross_demonstration_error(a, b, *parts, scale=scale)
          of_source.setdefault(name, []).append(error)
    for (b, c), view in itertools.product(itertools.pairwise(partners), views):
      trio = [video.embeddings[::step, view] for video in (source, b, c)]
      home = cycle_consistency.three_way(trio[0], trio[1], trio[2], tolerance=miss)
      of_source.setdefault("three_way_cycles", []).append(home)
    for name, found in of_source.items():
      values.setdefault(name, []).append(float(np.mean(found)))
  return {name: np.array(found) for name, found in values.items()}


def blind_scores(videos: Sequence[EmbeddedVideo], config: ScoreConfig) -> dict[str, Scores]:
  """Alignment across demonstrations expected of random frames ("chance") and of the "middle"."""
  scores: dict[str, Scores] = {"chance": {}, "middle": {}}
  for name, scale in SCALES:
    found = []
    for source, partners in score_sampling.partners(videos, config):
      pairs = [score_sampling.segments(source, target) for target in partners]
      errors = [
        alignment.cross_demonstration_blind_errors(*parts, scale=scale) for parts in pairs if parts
      ]
      if errors:
        found.append(np.mean(errors, axis=0))
    if found:
      scores["chance"][name], scores["middle"][name] = np.array(found).T
  return scores
