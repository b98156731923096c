"""Draws the videos of demonstrations, in a process that knows the world and no learner."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxskills.data.recorded_worlds import RecordedWorld
from jaxskills.data.video_plan import StorePlan
from jaxskills.data.video_writer import StoreWriter
from jaxskills.physics.drawing import Drawing, Painter

_PIECE = 16  # frames that are handed to the disk at a time


class Job(NamedTuple):
  """One video.

  Attributes:
    video: its number in the plan.
    scene: as JSON.
    qpos: `[time, nq]`.
    labels: `[time]` each, of the demonstration.
  """

  video: int
  scene: str
  qpos: np.ndarray
  labels: dict[str, np.ndarray]


def make_worker(
  directory: Path, plan: StorePlan, world: RecordedWorld, drawing: Drawing
) -> Callable[[Job], None]:
  """What a process does with a job: writes that video.

  Args:
    directory: of the store.
    plan: of the store.
    world: whose scenes they are.
    drawing: how it is drawn.
  """
  scenes = world.load()
  painter, writer = Painter(plan.rows, plan.columns, drawing), StoreWriter(directory, plan)

  def work(job: Job) -> None:
    painter.load(scenes.make_model(scenes.Scene.from_json(job.scene)), plan.views)

    def pieces():
      for first in range(0, len(job.qpos), _PIECE):
        part = job.qpos[first : first + _PIECE]
        frames = np.empty((len(part), *plan.shape), np.uint8)
        for qpos, frame in zip(part, frames, strict=True):
          painter.draw(qpos, frame)
        yield frames

    writer.write(job.video, pieces(), _labels(job, plan, world))

  return work


def _labels(job: Job, plan: StorePlan, world: RecordedWorld) -> dict[str, np.ndarray]:
  """Those of the demonstration, and what evaluation compares pictures with."""
  objects = np.zeros((len(job.qpos), *plan.labels["objects"][1]), np.float32)
  poses = job.qpos[:, slice(*world.objects)]
  objects[:, : poses.shape[1]] = poses  # zeros where a task has fewer of them
  return {**job.labels, "joints": job.qpos[:, : world.joints], "objects": objects}
