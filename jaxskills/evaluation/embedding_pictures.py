"""Sections of an embedding's report that show it: matrices, projections, neighbours, films.

Each is drawn from the recordings of a run, one picture for each pair of training and test tasks. A
section raises when there is no recording.
"""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from jaxskills.evaluation import (
  embedding_plots,
  embedding_record,
  embedding_table,
  imitation_record,
  neighbour_strip,
  page,
  reward_audit,
  side_by_side,
)
from jaxskills.evaluation.embedding_plots import Points, Rewards
from jaxskills.evaluation.embedding_record import EmbeddingRecord
from jaxskills.evaluation.report_record import Report, picture

MOST = 6
"""Models in a picture; these come before others."""
_FIRST = ("tcn_lifted", "asn", "pixels", "random_features")
POINTS = 400  # that a projection is of, at most


def matrices(report: Report) -> str:
  """How two views of the first success align, frame by frame."""

  def draw(record: EmbeddingRecord) -> Figure:
    first = _successes(record)[0]
    models = {title: record.of(model, first) for model, title in _titles(report, record).items()}
    views = [str(view) for view in record.views]
    return embedding_plots.alignment_matrices(models, views, record.seconds_per_frame)

  return _pictures(
    report,
    "alignment",
    draw,
    "Distances between all frames of two views, and each frame's nearest neighbour",
    "One demonstration by two cameras. Dark is near; dots are the nearest neighbours, the line is "
    "where they belong; the number is this demonstration's alignment error over all views.",
  )


def projected(report: Report) -> str:
  """Frames of all recorded successes, coloured by progress."""

  def draw(record: EmbeddingRecord) -> Figure:
    videos = _successes(record)
    every = max(1, -(-int(record.length[videos].sum()) * len(record.views) // POINTS))
    rows = [(video, slice(0, int(record.length[video]), every)) for video in videos]
    views = len(record.views)
    progress = np.concatenate([np.repeat(record.progress[row], views) for row in rows])
    group = np.concatenate([np.tile(np.arange(views), len(record.progress[row])) for row in rows])
    points = {}
    for model, title in _titles(report, record).items():
      values = [record.embeddings[model][row] for row in rows]
      flat = np.concatenate([value.reshape(-1, value.shape[-1]) for value in values])
      points[title] = Points(flat, progress, group)
    return embedding_plots.projected(points, [str(view) for view in record.views])

  return _pictures(
    report,
    "projections",
    draw,
    "Embeddings in two dimensions, coloured by progress",
    "Frames of a few successful test demonstrations: principal components above, t-SNE (perplexity "
    "40, as in ASN's figure 4) below. A good embedding has one colour in one place whatever the "
    "camera. Distances between clusters of t-SNE mean nothing.",
  )


def strips(report: Report) -> str:
  """What each model finds nearest to a few frames."""

  def draw(record: EmbeddingRecord) -> Figure:
    return neighbour_strip.strip(record, _titles(report, record), _successes(record)[0])

  return _pictures(
    report,
    "neighbours",
    draw,
    "Frames and their nearest neighbours",
    "Left: frames of one demonstration. Then, for each model, the nearest frame of another camera "
    "in the same demonstration, and in other demonstrations of the task. Below each frame: "
    "progress; orange where it is off by more than 15 %.",
  )


def rewards(report: Report) -> str:
  """Rewards of a goal frame over time, for successes and fakes."""

  def draw(record: EmbeddingRecord) -> Figure:
    titles = _titles(report, record)
    return embedding_plots.rewards(
      {title: goal_rewards(record, model) for model, title in titles.items()}
    )

  return _pictures(
    report,
    "rewards",
    draw,
    "Reward of a goal frame over time, for successes and fakes",
    "Minus the distance to the last frame of one successful demonstration, whose scene, camera and "
    "execution are others than those of the attempts (as in ASN's figure 5, but with fakes, and "
    "without stretching each curve to its own range). 1 is the distance from that demonstration's "
    "start, in the embedding's units beside it.",
  )


def goal_rewards(record: EmbeddingRecord, model: str) -> Rewards:
  """Rewards by the first success's last frame in view 0, of the other videos in view 1."""
  first = _successes(record)[0]
  goal = record.of(model, first)[-1, 0]
  curves: dict[bool, list[np.ndarray]] = {True: [], False: []}
  for video in range(len(record.length)):
    if video != first and record.tasks[video] == record.tasks[first]:
      reward = reward_audit.goal_reward(record.of(model, video)[:, 1], goal)
      curves[bool(record.is_success[video])].append(reward)
  unit = -float(reward_audit.goal_reward(record.of(model, first)[:1, 1], goal)[0])
  return Rewards(curves[True], curves[False], max(unit, 1e-12))


def imitations(report: Report) -> str:
  """Rollouts of policies beside the demonstrations that they learned from; nothing without any."""
  html = ""
  for path in imitation_record.find(report.data):
    record = imitation_record.load(path)
    file = path.with_suffix(".mp4").name
    side_by_side.film_beside(
      report.folder / file,
      record.demonstration,
      record.rollout,
      seconds_per_frame=record.seconds_per_frame,
      captions=("Demonstration", f"Policy: {record.title}"),
      rewards={"reward": record.reward},
    )
    end = "does the task" if record.is_success else "does not do the task"
    caption = f"{record.title}: the policy {end}, by the simulator's own judgement. Real time."
    html += page.film(file, caption)
  return html


def _pictures(
  report: Report, name: str, draw: Callable[[EmbeddingRecord], Figure], alt: str, caption: str
) -> str:
  """One picture for each recording.

  Raises:
    ValueError: if there is none.
  """
  html = ""
  for path in embedding_record.find(report.data):
    record = embedding_record.load(path)
    head = record.column.replace("->", " \u2192 ")
    file = f"{name}_{record.column.replace('->', '_to_')}.png"
    html += picture(report, draw(record), file, alt, f"{head}. {caption}")
  if not html:
    raise ValueError("no videos were recorded")
  return html


def _titles(report: Report, record: EmbeddingRecord) -> dict[str, str]:
  """What each model that is shown is called: of many, only a few."""
  first = [model for model in _FIRST if model in record.embeddings]
  shown = {
    *first,
    *[model for model in record.embeddings if model not in first][: MOST - len(first)],
  }
  return {
    model: embedding_table.label(report.figures, model)
    for model in record.embeddings
    if model in shown
  }


def _successes(record: EmbeddingRecord) -> list[int]:
  """Numbers of the successes; of all videos if there is none."""
  found = np.flatnonzero(record.is_success).tolist()
  return found or list(range(len(record.length)))
