"""Audits of an embedding's rewards over a set of videos: `reward_audit.py`, counted.

Two settings. *Another view*: a demonstration rewards its own execution as another camera saw it,
the easiest case, and near to what training sees, whose episodes begin in the demonstration's scene.
*Another demonstration*: it rewards other executions of the task, successes and fakes, with other
objects and places, always seen by another camera.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from jaxskills.evaluation import reward_audit
from jaxskills.evaluation.embedded_videos import EmbeddedVideo
from jaxskills.evaluation.reward_audit import Audit


def reward_scores(
  videos: Sequence[EmbeddedVideo], demonstrations: int = 4, seed: int = 0
) -> dict[str, np.ndarray]:
  """Scores of the rewards; those that lack a second video or fakes are left out.

  Args:
    videos: of at least two views.
    demonstrations: successes of each task that reward others.
    seed: of their choice.
  """
  return own_scores(videos) | other_scores(videos, demonstrations, seed)


def own_scores(videos: Sequence[EmbeddedVideo]) -> dict[str, np.ndarray]:
  """A demonstration rewards itself in another view: one value per success."""
  values: list[tuple[float, float, float]] = []
  for video in videos:
    if video.is_success:
      audits = [_audit(video, video, a, b) for a, b in _views(video)]
      values.append(
        (
          float(np.mean([found.goal_progress for found in audits])),
          _share([(found.tracking, found.tracking_reversed) for found in audits]),
          _share([(found.tracking, found.tracking_frozen) for found in audits]),
        )
      )
  if not values:
    return {}
  names = ("reward_progress", "reward_over_reversed", "reward_over_frozen")
  return dict(zip(names, np.array(values).T, strict=True))


def other_scores(
  videos: Sequence[EmbeddedVideo], demonstrations: int = 4, seed: int = 0
) -> dict[str, np.ndarray]:
  """Demonstrations reward the other videos of their task: one value per task.

  The area under the ROC curve is taken within one demonstration and one pair of views, since
  distances to different goals do not share a scale, and averaged over pairs of views and over
  demonstrations. These are no independent values: all demonstrations of a task rank the same
  attempts, but for themselves. An interval of one task is hence over seeds of training alone, and
  does not tell what other attempts would show.
  """
  rng = np.random.default_rng(seed)
  found: dict[str, list[float]] = {}
  for task in sorted({video.task for video in videos}):
    own = [video for video in videos if video.task == task]
    good = [index for index, video in enumerate(own) if video.is_success]
    values = [
      _others_of(own[index], [video for at, video in enumerate(own) if at != index], a, b)
      for index in (rng.permutation(good)[:demonstrations] if good else ())
      for a, b in _views(own[index])
    ]
    for name in values[0] if values else ():
      found.setdefault(name, []).append(float(np.mean([value[name] for value in values])))
  return {name: np.array(values) for name, values in found.items()}


def _others_of(
  demonstration: EmbeddedVideo, others: Sequence[EmbeddedVideo], a: int, b: int
) -> dict[str, float]:
  good, fake = (
    [_audit(other, demonstration, a, b) for other in others if other.is_success == is_good]
    for is_good in (True, False)
  )
  values = {}
  if good:
    values["reward_progress_across"] = float(np.mean([one.goal_progress for one in good]))
  if good and fake:
    for name, field in (("goal", "goal_end"), ("tracking", "tracking")):
      scores = [np.array([getattr(one, field) for one in some]) for some in (good, fake)]
      values[f"success_auroc_{name}"] = reward_audit.area_under_roc(scores[0], scores[1])
  return values


def _audit(attempt: EmbeddedVideo, demonstration: EmbeddedVideo, a: int, b: int) -> Audit:
  return reward_audit.audit(attempt.embeddings[:, b], demonstration.embeddings[:, a])


def _views(video: EmbeddedVideo) -> list[tuple[int, int]]:
  """Ordered pairs of different views: the demonstration's, the attempt's."""
  return list(itertools.permutations(range(video.embeddings.shape[1]), 2))


def _share(pairs: Sequence[tuple[float, float]]) -> float:
  """Share of pairs whose first is greater; equal ones count half."""
  return float(np.mean([(a > b) + 0.5 * (a == b) for a, b in pairs]))
