"""What an imitating run keeps for its film: a demonstration and a rollout beside it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxskills.evaluation import array_file

_FILES = "imitation_*.npz"


class ImitationRecord(NamedTuple):
  """One demonstration and one episode of the policy that learned from it.

  Attributes:
    title: of the policy, e.g. the reward that it learned from.
    seconds_per_frame: of both, s.
    demonstration: uint8 `[time, rows, columns, 3]`.
    rollout: uint8 `[step, rows, columns, 3]`, as many rows and columns.
    reward: what each frame of the rollout earned, `[step]`.
    is_success: whether the rollout did the task, by the true predicate.
  """

  title: str
  seconds_per_frame: float
  demonstration: np.ndarray
  rollout: np.ndarray
  reward: np.ndarray
  is_success: bool


def save(folder: Path, name: str, record: ImitationRecord) -> Path:
  """Writes a record into `folder` (usually `<workdir>/report/data`).

  Raises:
    UserError: if the disk is full or cannot be written.
  """
  return array_file.save(Path(folder) / _FILES.replace("*", name), record._asdict())


def find(folder: Path) -> list[Path]:
  """Records in a folder, by name."""
  return sorted(Path(folder).glob(_FILES))


def load(path: Path) -> ImitationRecord:
  """Reads a record.

  Raises:
    OSError: if there is no such file, or it cannot be read.
    UserError: if it is damaged, holds pickles, lacks an array, or its arrays do not fit together.
  """
  fields = array_file.load(path, ImitationRecord._fields)
  record = ImitationRecord(**{name: fields[name] for name in ImitationRecord._fields})
  for name in ("demonstration", "rollout"):
    values = getattr(record, name)
    if values.ndim != 4 or values.dtype != np.uint8 or not len(values):
      raise array_file.damaged(Path(path), f"{name} has shape {list(values.shape)}")
  if record.reward.shape != record.rollout.shape[:1]:
    raise array_file.damaged(Path(path), f"{len(record.rollout)} frames, {record.reward.shape}")
  if record.demonstration.shape[1:] != record.rollout.shape[1:]:
    raise array_file.damaged(Path(path), "frames of two sizes")
  return record._replace(
    title=str(record.title),
    seconds_per_frame=float(record.seconds_per_frame),
    is_success=bool(record.is_success),
  )
