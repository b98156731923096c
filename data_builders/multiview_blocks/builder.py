"""The data set `multiview_blocks`: what a Panda did with coloured blocks, and how it failed at it.

Adversarial Skill Networks (Mees et al. 2020), section IV: tasks A to D (`envs.tabletop.tasks`), of
each as many successes and failures as the paper's 150 and 150 in `paper`. Stored are positions,
velocities, controls and the scene, 50 kB a demonstration; the pictures, 7 MB of it with four views
of 64 x 64, are drawn from them where they are wanted (`jaxskills.data.render`). The paper's videos
are not public; scenes, failures and splits are ours.
"""

import functools
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from jaxskills.data_builders import shards
from jaxskills.data_builders.recorders import Planned, Recorders
from jaxskills.envs.tabletop.tasks import TASKS

NAME = "multiview_blocks"
VERSION = "1.0.0"
DESCRIPTION = (
  "Demonstrations of four block tasks by a Panda, and failed ones, as states, controls and scenes"
  " that can be drawn from four cameras (after ASN, Mees et al. 2020)."
)
CITATION = """@inproceedings{mees2020asn,
  title={Adversarial Skill Networks: Unsupervised Robot Skill Learning from Video},
  author={Oier Mees and Markus Merklinger and Gabriel Kalweit and Wolfram Burgard},
  booktitle={IEEE International Conference on Robotics and Automation (ICRA)},
  year={2020},
}"""


class Split(NamedTuple):
  """A part of the records.

  Attributes:
    name: one of `video_store.SPLITS`.
    condition: of its scenes, one of `scene.CONDITIONS`.
    tenths: of all records.
  """

  name: str
  condition: str
  tenths: int


SPLITS = (
  Split("train", "train", 6),
  Split("val", "train", 1),
  Split("test", "train", 1),
  Split("shapes", "shapes", 1),
  Split("looks", "looks", 1),
)
"""By seed, then two that differ from training: by the kind of object, and by sizes, textures and
backgrounds. A split by camera takes no records of its own: leave out a view when drawing."""


class MultiviewBlocks(NamedTuple):
  """The recipe of one variant of the data set.

  Attributes:
    tasks: names, of `tasks.TASKS`.
    successes: of each task, over all splits.
    fakes: failures of each task; the kinds of `fakes.FAKES` take turns.
    seed: of all scenes.
    shard_records: demonstrations per shard.
  """

  tasks: tuple[str, ...] = tuple(TASKS)
  successes: int = 40
  fakes: int = 20
  seed: int = 0
  shard_records: int = 30


PRESETS = {
  "small": MultiviewBlocks(),
  "quick": MultiviewBlocks(tasks=("A", "B", "C"), successes=100, fakes=50, shard_records=50),
  "paper": MultiviewBlocks(successes=150, fakes=150, shard_records=100),
}
_RECORDER = "jaxskills.data_builders.multiview_blocks.recording:make_recorder"
_MOST = 400_000  # records of a task: then seeds would run into those of another recipe


def multiview_blocks(preset: str = "small", **changes: Any) -> shards.Dataset:
  """Describes a variant of the data set, ready for `shards.build`.

  Args:
    preset: a key of `PRESETS`.
    **changes: fields of `MultiviewBlocks` to replace, e.g. `successes=10`.

  Raises:
    ValueError: for a task that does not exist, no records, or too many.
  """
  config = PRESETS[preset]._replace(**changes)
  if unknown := [task for task in config.tasks if task not in TASKS]:
    raise ValueError(f"no task {unknown[0]!r}; there are {', '.join(TASKS)}")
  number = config.successes + config.fakes
  if not config.tasks or not 0 < number <= _MOST:
    raise ValueError(f"there must be a task, and 1 to {_MOST} records of each, not {number}")
  records = plan(config)
  size = config.shard_records
  parts = [records[first : first + size] for first in range(0, len(records), size)]
  crew = Recorders(_RECORDER)
  recipe = {**config._asdict(), "tasks": list(config.tasks), "version": VERSION}
  return shards.Dataset(
    name=NAME,
    preset=preset,
    version=VERSION,
    description=DESCRIPTION,
    citation=CITATION,
    recipe=recipe,
    features=features,
    shard_records=tuple(len(part) for part in parts),
    examples=lambda shard: crew.record(parts[shard]),
  )


def plan(config: MultiviewBlocks) -> list[Planned]:
  """What each record is to be, in order: by task, by split, successes first.

  No two of a task have the same seed, so that no scene is in two splits.
  """
  from jaxskills.envs.tabletop.fakes import FAKES  # imports inverse kinematics, .5 s

  failures, planned = tuple(FAKES), []
  for index, task in enumerate(config.tasks):
    seed, turn = config.seed * 1_000_000, 3 * index  # another kind of failure first in each task
    for split, successes, fakes in zip(
      SPLITS, _parts(config.successes), _parts(config.fakes), strict=True
    ):
      kinds = [""] * successes
      kinds += [failures[(turn + number) % len(failures)] for number in range(fakes)]
      for kind in kinds:
        planned.append(Planned(task, split.name, split.condition, seed, kind))
        seed += 1
      turn += fakes
  return planned


def features() -> tfds.features.FeaturesDict:
  """What a record holds; time runs at `scene.FRAMES_PER_SECOND`."""
  tensor = functools.partial(tfds.features.Tensor, encoding=tfds.features.Encoding.BYTES)
  rows = functools.partial(tensor, shape=(None, None), dtype=np.float32)
  label = functools.partial(tensor, shape=(None,))
  return tfds.features.FeaturesDict(
    {
      "task": tfds.features.Text(doc="A, B, C or D"),
      "split": tfds.features.Text(doc="train, val, test, shapes or looks"),
      "condition": tfds.features.Text(doc="what the scene was drawn from: train, shapes or looks"),
      "seed": tfds.features.Scalar(dtype=np.int64, doc="with task, condition and fake, all of it"),
      "fake": tfds.features.Text(doc="kind of failure; empty for a success"),
      "success": tfds.features.Scalar(dtype=np.bool_, doc="by the true predicate, at the end"),
      "scene": tfds.features.Text(doc="all that is static, as JSON: envs.tabletop.scene.Scene"),
      "length": tfds.features.Scalar(dtype=np.int32, doc="frames"),
      "qpos": rows(doc="7 joints (rad), 2 fingers (m), place (m) and quaternion of each object"),
      "qvel": rows(doc="7 joints, 2 fingers, linear and angular velocity of each object"),
      "ctrl": rows(doc="targets of 7 joints (rad), and of the fingers (m)"),
      "labels": {  # envs.tabletop.labels.label; for evaluation only
        "progress": label(dtype=np.float32, doc="done sub-goals, in [0, 1]"),
        "phase": label(dtype=np.int32, doc="index into envs.tabletop.scripts.PHASES"),
        "grasped": label(dtype=np.bool_, doc="an object is between both fingertips"),
        "in_contact": label(dtype=np.bool_, doc="the hand touches an object"),
        "lifted": label(dtype=np.bool_, doc="a grasped object touches nothing else"),
        "in_zone": label(dtype=np.int32, doc="objects in their own zones"),
        "stack_height": label(dtype=np.int32, doc="objects of the tallest stack"),
        "subgoals": label(dtype=np.int32, doc="sub-goals that are met"),
        "success": label(dtype=np.bool_, doc="whether the task is done"),
      },
    }
  )


def _parts(count: int) -> list[int]:
  """Cuts a number into those of the splits, as near to their tenths as whole numbers come."""
  tenths = np.cumsum([0, *(split.tenths for split in SPLITS)])
  return [int(part) for part in np.diff((count * tenths + 5) // 10)]
