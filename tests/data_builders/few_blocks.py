"""Records of `multiview_blocks` that take no time: real scenes in which the robot only sways."""

import numpy as np

from jaxskills.data_builders import shards
from jaxskills.data_builders.multiview_blocks import builder
from jaxskills.envs.tabletop.sampling import sample_scene, streams
from jaxskills.envs.tabletop.scene import start_qpos

FRAMES = 6
_KINDS = {"progress": np.float32, "phase": np.int32, "in_zone": np.int32, "subgoals": np.int32}


def few_blocks(**changes):
  """The data set, ready for `shards.build`."""
  changes = {"tasks": ("A", "B"), "successes": 4, "fakes": 2, "shard_records": 5, **changes}
  dataset = builder.multiview_blocks("small", **changes)
  planned = builder.plan(builder.MultiviewBlocks(**changes))
  size = changes["shard_records"]
  return dataset._replace(
    examples=lambda shard: map(record, planned[shard * size : (shard + 1) * size])
  )


def build(directory, **changes):
  """Builds it."""
  return shards.build(few_blocks(**changes), directory)


def record(planned):
  """A record whose arm turns by its first joint, a little further in each frame."""
  task, condition, seed = planned.task, planned.condition, planned.seed
  scene = sample_scene(task, seed, condition, 0, streams(task, seed, condition, 0))
  frames = FRAMES + seed % 3
  qpos = np.tile(start_qpos(scene).astype(np.float32), (frames, 1))
  qpos[:, 0] += 0.1 * np.arange(frames, dtype=np.float32)
  labels = {
    name: np.zeros(frames, _KINDS.get(name, np.int32 if name == "stack_height" else bool))
    for name in builder.features()["labels"]
  }
  labels["progress"] = np.linspace(0, 1, frames, dtype=np.float32)
  return {
    **planned._asdict(),
    "success": not planned.fake,
    "scene": scene.to_json(),
    "length": frames,
    "qpos": qpos,
    "qvel": np.zeros((frames, qpos.shape[1]), np.float32),
    "ctrl": np.zeros((frames, 8), np.float32),
    "labels": labels,
  }
