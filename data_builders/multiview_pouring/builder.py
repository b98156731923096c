"""The data set `multiview_pouring`: a hand that pours beads, seen from four sides.

After the videos of Time-Contrastive Networks (Sermanet et al. 2018, section IV-A1): 133 sequences
of about 5 s for training, 17 for validation and 30 for testing, of people who pour liquids, by two
cameras; cups clear and opaque, and in testing clear only. Here physics pours, the five attributes
of their Table II come from its state instead of from people's judgement, and there are failures,
and a split of other textures and colours, which theirs has not. Stored are states and the scene;
the pictures are drawn from them where they are wanted (`jaxskills.data.render`).
"""

import functools
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from jaxskills.data_builders import shards
from jaxskills.data_builders.recorders import Planned, Recorders

NAME = "multiview_pouring"
TASK = "pouring"
VERSION = "1.0.0"
DESCRIPTION = (
  "Beads that a hand pours from one vessel into another, and failures to, as states and scenes"
  " that can be drawn from four cameras (after TCN, Sermanet et al. 2018)."
)
CITATION = """@inproceedings{sermanet2018tcn,
  title={Time-Contrastive Networks: Self-Supervised Learning from Video},
  author={Pierre Sermanet and Corey Lynch and Yevgen Chebotar and Jasmine Hsu and Eric Jang and
    Stefan Schaal and Sergey Levine},
  booktitle={IEEE International Conference on Robotics and Automation (ICRA)},
  year={2018},
}"""

SPLITS = (("train", "train"), ("val", "train"), ("test", "test"), ("looks", "looks"))
"""Names, of `video_store.SPLITS`, and conditions of their scenes, of `scene.CONDITIONS`."""


class MultiviewPouring(NamedTuple):
  """The recipe of one variant of the data set.

  Attributes:
    successes: demonstrations of each of `SPLITS`.
    fakes: failures of each; the kinds of `scripts.FAKES` take turns.
    seed: of all scenes.
    shard_records: demonstrations per shard.
  """

  successes: tuple[int, ...]
  fakes: tuple[int, ...]
  seed: int = 0
  shard_records: int = 14


PRESETS = {
  "small": MultiviewPouring(successes=(12, 3, 5, 2), fakes=(3, 1, 1, 1)),
  "quick": MultiviewPouring(successes=(60, 4, 20, 8), fakes=(12, 1, 5, 3)),
  "paper": MultiviewPouring(successes=(133, 17, 30, 30), fakes=(27, 3, 6, 6), shard_records=42),
}
_MOST = 1_000_000  # records: then seeds would run into those of another recipe


def multiview_pouring(preset: str = "small", **changes: Any) -> shards.Dataset:
  """Describes a variant of the data set, ready for `shards.build`.

  Args:
    preset: a key of `PRESETS`.
    **changes: fields of `MultiviewPouring` to replace, e.g. `seed=1`.

  Raises:
    ValueError: for other than one number of records a split, no records, or too many.
  """
  config = PRESETS[preset]._replace(**changes)
  if not len(config.successes) == len(config.fakes) == len(SPLITS):
    raise ValueError(
      f"there are {len(SPLITS)} splits, not {len(config.successes)} and {len(config.fakes)}"
    )
  records = plan(config)
  if not records or len(records) > _MOST:
    raise ValueError(f"there must be 1 to {_MOST} records, not {len(records)}")
  size = config.shard_records
  parts = [records[first : first + size] for first in range(0, len(records), size)]
  crew = Recorders("jaxskills.data_builders.multiview_pouring.recording:make_recorder")
  return shards.Dataset(
    name=NAME,
    preset=preset,
    version=VERSION,
    description=DESCRIPTION,
    citation=CITATION,
    recipe={
      **config._asdict(),
      "successes": list(config.successes),
      "fakes": list(config.fakes),
      "version": VERSION,
    },
    features=features,
    shard_records=tuple(len(part) for part in parts),
    examples=lambda shard: crew.record(parts[shard]),
  )


def plan(config: MultiviewPouring) -> list[Planned]:
  """What each record is to be, in order: by split, successes first; no two have the same seed."""
  from jaxskills.envs.pouring.scripts import FAKES  # imports the world

  planned, turn = [], 0
  for (name, condition), successes, fakes in zip(
    SPLITS, config.successes, config.fakes, strict=True
  ):
    kinds = [""] * successes + [FAKES[(turn + number) % len(FAKES)] for number in range(fakes)]
    for kind in kinds:
      planned.append(Planned(TASK, name, condition, config.seed * _MOST + len(planned), kind))
    turn += fakes
  return planned


def features() -> tfds.features.FeaturesDict:
  """What a record holds; time runs at `scene.FRAMES_PER_SECOND`."""
  tensor = functools.partial(tfds.features.Tensor, encoding=tfds.features.Encoding.BYTES)
  rows = functools.partial(tensor, shape=(None, None), dtype=np.float32)
  label = functools.partial(tensor, shape=(None,))
  yes = functools.partial(label, dtype=np.bool_)
  return tfds.features.FeaturesDict(
    {
      "task": tfds.features.Text(doc="pouring"),
      "split": tfds.features.Text(doc="train, val, test or looks"),
      "condition": tfds.features.Text(doc="what the scene was drawn from: train, test or looks"),
      "seed": tfds.features.Scalar(dtype=np.int64, doc="with condition and fake, all of it"),
      "fake": tfds.features.Text(doc="kind of failure; empty for a success"),
      "success": tfds.features.Scalar(dtype=np.bool_, doc="by the true predicate, at the end"),
      "scene": tfds.features.Text(doc="all that is static, as JSON: envs.pouring.scene.Scene"),
      "length": tfds.features.Scalar(dtype=np.int32, doc="frames"),
      "qpos": rows(doc="7 joints (m, rad), place (m) and quaternion of 2 vessels, place of beads"),
      "qvel": rows(doc="7 joints, linear and angular velocity of 2 vessels, velocity of beads"),
      "ctrl": rows(doc="targets of the 7 joints"),
      "labels": {  # envs.pouring.demonstration.label; for evaluation only
        "contact": yes(doc="the hand is in contact with the container"),
        "distance": yes(doc="the container is within pouring distance"),
        "angle": label(dtype=np.int32, doc="of -45, 0, 45 and 90 degrees, the nearest"),
        "flowing": yes(doc="beads are falling"),
        "has_liquid": yes(doc="the recipient holds beads"),
        "tilt": label(dtype=np.float32, doc="degrees towards the recipient"),
        "poured": label(dtype=np.int32, doc="beads in the recipient"),
        "phase": label(dtype=np.int32, doc="index into envs.pouring.demonstration.PHASES"),
        "progress": label(dtype=np.float32, doc="by the events of TCN's alignment, in [0, 1]"),
        "success": yes(doc="whether it is done"),
      },
    }
  )
