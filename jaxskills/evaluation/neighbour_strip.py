"""What an embedding takes for the same: frames, and beside each the frame it finds nearest."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from jaxskills.evaluation import nearest
from jaxskills.evaluation.embedding_record import EmbeddingRecord
from jaxskills.evaluation.style import GREY, PAGE_WIDTH, STYLE, VERMILLION

INSTANTS = 6
_FAR = 0.15  # of the task's progress, from which on a find is marked as wrong


class Found(NamedTuple):
  """A frame of a record."""

  video: int
  time: int
  view: int


def strip(
  record: EmbeddingRecord, titles: Mapping[str, str], query: int = 0, instants: int | None = None
) -> Figure:
  """A row for each of a few instants: the frame, then what each model finds nearest to it.

  For each model twice: in the other view of the same demonstration, and in another demonstration of
  the task, seen by another camera. Below each frame stands how far the task has come in it; a find
  that is off by more than a seventh is framed.

  Args:
    record: at least two views.
    titles: models to show, and what each is called.
    query: number of the video that is asked for.
    instants: rows; `INSTANTS` if None.
  """
  instants = instants or INSTANTS
  times = np.round(np.linspace(0, record.length[query] - 1, instants)).astype(int)
  others = other_videos(record, query)
  asked = [Found(query, int(time), 0) for time in times]
  columns: list[tuple[str, list[Found]]] = [(f"asked\n({record.views[0]})", asked)]
  for model, title in titles.items():
    columns.append((f"{title}\nother view", nearest_frames(record, model, asked, [query])))
    if others:
      columns.append(("\nother video", nearest_frames(record, model, asked, others)))
  small: dict[Any, Any] = {
    "axes.titlesize": 9,
    "axes.titleweight": "normal",
    "axes.titlelocation": "center",
  }
  with mpl.rc_context(STYLE | small):
    side = min(1.3, PAGE_WIDTH / len(columns))
    figure = Figure(
      figsize=(side * len(columns), 0.5 + (side + 0.16) * instants), layout="constrained"
    )
    figure.get_layout_engine().set(w_pad=0.015, h_pad=0.015, wspace=0.0, hspace=0.0)  # pyright: ignore
    grid = figure.subplots(instants, len(columns), squeeze=False)
    for at, (title, finds) in enumerate(columns):
      for row, found in enumerate(finds):
        axes = grid[row, at]
        axes.imshow(record.frames[found.video, found.time, found.view], interpolation="nearest")
        done = float(record.progress[found.video, found.time])
        is_off = abs(done - float(record.progress[query, times[row]])) > _FAR
        axes.set_xlabel(
          f"{done:.0%}", fontsize=8.5, labelpad=2, color=VERMILLION if is_off else GREY
        )
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
          spine.set_visible(is_off)
          spine.set_color(VERMILLION)
          spine.set_linewidth(2.5)
      grid[0, at].set_title(title)
  return figure


def other_videos(record: EmbeddingRecord, query: int) -> list[int]:
  """The other successes of the task."""
  same = (record.tasks == record.tasks[query]) & record.is_success
  return [int(video) for video in np.flatnonzero(same) if video != query]


def nearest_frames(
  record: EmbeddingRecord, model: str, asked: Sequence[Found], videos: Sequence[int]
) -> list[Found]:
  """What a model finds for each frame among all frames of some videos in other views."""
  views = range(len(record.views))
  finds = []
  for one in asked:
    there = [
      Found(video, time, view)
      for video in videos
      for view in views
      if view != one.view
      for time in range(int(record.length[video]))
    ]
    candidates = np.stack([record.embeddings[model][found] for found in there])
    own = record.embeddings[model][one]
    finds.append(there[int(nearest.nearest(own[None], candidates)[0])])
  return finds
