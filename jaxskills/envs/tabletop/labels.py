"""What is true of each frame of a recording: for evaluation only, never for training."""

import numpy as np

from jaxskills.envs.tabletop import tasks
from jaxskills.envs.tabletop.demonstrator import Recording
from jaxskills.envs.tabletop.scene import Scene
from jaxskills.envs.tabletop.scripts import PHASES

_OFF = 0.005  # m over the table, of what is lifted: closing fingers make a thing hop a little
_CLOSED = 0.01  # m; fingers that are nearer have nothing between them, and push


def judged(scene: Scene, recording: Recording) -> tasks.Situation:
  """All frames as success sees them."""
  return tasks.situation(
    recording.qpos.astype(np.float64),
    recording.qvel.astype(np.float64),
    recording.gripper,
    len(scene.items),
  )


def label(scene: Scene, recording: Recording) -> dict[str, np.ndarray]:
  """Labels, each `[time]`.

  Returns:
    `progress` (float32): done sub-goals and the share of the one under way, in [0, 1]; never
    falls, so of what failed it is the most that had been reached. `phase` (int32): index into
    `PHASES`. `grasped`: an object is between both fingertips. `in_contact`: the hand touches an
    object. `lifted`: a grasped object is off the table and touches nothing else. `in_zone` (int32):
    how many objects are in their own zones. `stack_height` (int32): how many the tallest stack has.
    `subgoals` (int32): how many sub-goals are met. `success` (bool): by the true predicate.
  """
  layout, now = scene.layout, judged(scene, recording)
  goal = scene.goal
  hand, tips, other = (np.stack(part) for part in zip(*recording.touches, strict=True))
  tips &= (recording.qpos[:, 7] > _CLOSED)[:, None]
  clearance = np.asarray(now.positions)[..., 2] - layout.half_extents[:, 2]
  zones = np.zeros(len(recording.qpos), np.int32)
  if goal.sorts:
    each = [tasks.in_zone(layout, now, index) for index in range(len(goal.colors))]
    zones = np.sum(each, axis=0).astype(np.int32)
  return {
    "progress": recording.progress,
    "phase": np.array([PHASES.index(phase) for phase in recording.phases], np.int32),
    "grasped": np.any(tips, axis=1),
    "in_contact": np.any(hand, axis=1),
    "lifted": np.any(tips & ~other & (clearance > _OFF), axis=1),
    "in_zone": zones,
    "stack_height": np.asarray(tasks.stack_height(layout, now), np.int32),
    "subgoals": np.asarray(tasks.subgoals_met(goal, layout, now)).sum(axis=1).astype(np.int32),
    "success": np.asarray(tasks.is_success(goal, layout, now)),
  }
