"""A store as `tcn/pouring` gets it, drawn in no time: four cameras, its splits, five attributes."""

import numpy as np

from jaxskills.data.video_plan import StorePlan
from jaxskills.data.video_store import SPLITS, VideoStore, make_index
from jaxskills.data.video_writer import StoreWriter
from tests.experiments import drawn_tasks

FRAMES = drawn_tasks.FRAMES
SHOWN = {
  "contact": (np.arange(FRAMES) >= 4) & (np.arange(FRAMES) < 20),
  "distance": (np.arange(FRAMES) >= 8) & (np.arange(FRAMES) < 16),
  "angle": np.repeat([1, 2, 3, 0], FRAMES // 4).astype(np.int32),
  "flowing": (np.arange(FRAMES) >= 10) & (np.arange(FRAMES) < 15),
}
"""Attributes that the place of the bright spot tells; "has_liquid" goes by a coin that no picture
shows."""
_SPLITS = ("train", "val", "test", "looks")


def write(directory) -> VideoStore:
  """Of each split three successes and a fake; a bright spot moves across noise."""
  kinds = [(SPLITS.index(split), good) for split in _SPLITS for good in (True, True, True, False)]
  split, success = (np.array(column) for column in zip(*kinds, strict=True))
  labels = {name: (values.dtype.str, ()) for name, values in _labels(0).items()}
  plan = StorePlan(
    index=make_index(
      [FRAMES] * len(kinds),
      seconds_per_frame=0.1,
      task=np.zeros(len(kinds), int),
      is_success=success,
      split=split,
    ),
    names=tuple(f"video{number}" for number in range(len(kinds))),
    tasks=("pouring",),
    views=drawn_tasks.VIEWS,
    rows=drawn_tasks.SIDE,
    columns=drawn_tasks.SIDE,
    labels=labels | {"joints": ("<f4", (7,)), "objects": ("<f4", (14,))},
    recipe={},
  )
  with StoreWriter(directory, plan) as writer:
    for video in writer.missing():
      states = {"joints": np.zeros((FRAMES, 7)), "objects": np.zeros((FRAMES, 14))}
      states = {name: values.astype(np.float32) for name, values in states.items()}
      writer.write(video, drawn_tasks.frames(video), _labels(video) | states)
    return writer.finish()


def _labels(video: int) -> dict[str, np.ndarray]:
  progress = np.linspace(0, 1, FRAMES, dtype=np.float32)
  return {
    **SHOWN,
    "has_liquid": np.random.default_rng([1, video]).permutation(FRAMES) < FRAMES // 2,
    "progress": progress,
    "phase": (4.999 * progress).astype(np.int32),
  }
