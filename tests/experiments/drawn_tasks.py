"""A store as `asn/blocks` gets it, drawn in no time: three tasks, four cameras, all splits."""

import numpy as np

from jaxskills.data.video_plan import StorePlan
from jaxskills.data.video_store import SPLITS, VideoStore, make_index
from jaxskills.data.video_writer import StoreWriter

TASKS = ("A", "B", "C")
VIEWS = ("front", "left", "right", "high")
SIDE, FRAMES = 16, 24
_LABELS = {
  "progress": ("float32", ()),
  "phase": ("int32", ()),
  "joints": ("float32", (7,)),
  "objects": ("float32", (21,)),
}


def write(directory) -> VideoStore:
  """Of each task and split two successes and a fake; a bright spot moves across noise."""
  kinds = [
    (task, split, success)
    for task in range(len(TASKS))
    for split in range(len(SPLITS))
    for success in (True, True, False)
  ]
  task, split, success = (np.array(column) for column in zip(*kinds, strict=True))
  plan = StorePlan(
    index=make_index(
      [FRAMES] * len(kinds),
      seconds_per_frame=0.1,
      task=task,
      is_success=success,
      split=split,
    ),
    names=tuple(f"video{number}" for number in range(len(kinds))),
    tasks=TASKS,
    views=VIEWS,
    rows=SIDE,
    columns=SIDE,
    labels=_LABELS,
    recipe={},
  )
  with StoreWriter(directory, plan) as writer:
    for video in writer.missing():
      writer.write(video, frames(video), _labels(video))
    return writer.finish()


def frames(video: int) -> np.ndarray:
  """Of one video, uint8 `[time, view, rows, columns, 3]`: how far the spot is tells the time."""
  noise = np.random.default_rng(video)
  frames = noise.integers(0, 60, (FRAMES, len(VIEWS), SIDE, SIDE, 3), np.uint8)
  for time in range(FRAMES):
    frames[time, :, 4:8, time * (SIDE - 4) // FRAMES :][:, :, :4] = 250
  return frames


def _labels(video: int) -> dict[str, np.ndarray]:
  progress = np.linspace(0, 1, FRAMES, dtype=np.float32)
  return {
    "progress": progress,
    "phase": (3.999 * progress).astype(np.int32),
    "joints": np.outer(progress, np.arange(7)).astype(np.float32),
    "objects": np.full((FRAMES, 21), 0.1 * video, np.float32),
  }
