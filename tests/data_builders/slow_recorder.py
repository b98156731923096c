"""Stands in for demonstrations where a build is stopped: numbers of the right form, .3 s each."""

import time

import numpy as np

LABELS = {
  "progress": np.float32,
  **dict.fromkeys(("phase", "in_zone", "stack_height", "subgoals"), np.int32),
  **dict.fromkeys(("grasped", "in_contact", "lifted", "success"), bool),
}


def make_recorder():
  """The work of a process."""

  def work(planned):
    time.sleep(0.3)
    rng = np.random.default_rng(planned.seed)
    return {
      **planned._asdict(),
      "success": True,
      "scene": "{}",
      "length": 9,
      **{name: rng.random((9, 16), np.float32) for name in ("qpos", "qvel", "ctrl")},
      "labels": {name: np.zeros(9, dtype) for name, dtype in LABELS.items()},
    }

  return work
