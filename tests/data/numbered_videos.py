"""A small store of videos whose every pixel tells which video, instant and view it is from."""

import numpy as np

from jaxskills.data.video_plan import StorePlan
from jaxskills.data.video_store import VideoStore, make_index
from jaxskills.data.video_writer import StoreWriter

LENGTHS = (7, 30, 12, 25, 40)
ROWS, COLUMNS = 4, 6


def plan(**changes) -> StorePlan:
  """Five videos of two tasks from three views at 10 frames a second; video 3 is a fake."""
  fields = {
    "index": make_index(
      LENGTHS,
      seconds_per_frame=0.1,
      task=[0, 1, 0, 1, 1],
      is_success=[True, True, True, False, True],
      split=[0, 0, 1, 0, 2],
    ),
    "names": ("a", "b", "c", "d", "e"),
    "tasks": ("stack", "push"),
    "views": ("front", "left", "high"),
    "rows": ROWS,
    "columns": COLUMNS,
    "labels": {"progress": ("float32", ()), "joints": ("float32", (7,))},
    "recipe": {"seed": 3},
  }
  return StorePlan(**{**fields, **changes})


def frames(video: int, views: int = 3) -> np.ndarray:
  """`[length, view, rows, columns, 3]`: red is the video, green the instant, blue the view."""
  shape = (LENGTHS[video], views, ROWS, COLUMNS)
  time, view = np.ogrid[: shape[0], : shape[1]]
  told = [np.broadcast_to(x[..., None, None], shape) for x in (np.full((1, 1), video), time, view)]
  return np.stack(told, axis=-1).astype(np.uint8)


def labels(video: int) -> dict[str, np.ndarray]:
  """Progress from 0 to 1, and joints that tell the video."""
  length = LENGTHS[video]
  return {
    "progress": np.linspace(0, 1, length, dtype=np.float32),
    "joints": np.full((length, 7), video, np.float32),
  }


def write(directory) -> VideoStore:
  """The whole store."""
  with StoreWriter(directory, plan()) as writer:
    for video in writer.missing():
      writer.write(video, frames(video), labels(video))
    return writer.finish()
