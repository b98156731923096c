"""What a run keeps for the pictures of its embeddings: a few videos as every model sees them.

One npz file for each pair of training and test tasks in `<workdir>/report/data`, written by the
experiment and read by the report: frames and embeddings of a few test videos, so that a report
needs neither videos nor networks.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxskills.data.video_store import VideoStore
from jaxskills.evaluation import array_file
from jaxskills.evaluation.embedded_videos import EmbeddedVideo

_PREFIX, _FILES = "embeddings_", "videos_*.npz"


class EmbeddingRecord(NamedTuple):
  """A few videos; shorter ones are filled up behind their `length` with zeros.

  Attributes:
    column: training and test tasks, e.g. "AB->C".
    tasks: of each video, `[video]`.
    views: names of the cameras, `[view]`.
    length: frames of each video, `[video]`.
    is_success: `[video]`; a fake demonstration where false.
    seconds_per_frame: s.
    progress: `[video, time]`, 0 to 1.
    frames: uint8 `[video, time, view, rows, columns, 3]`.
    embeddings: by model, float32 `[video, time, view, dim]`.
  """

  column: str
  tasks: np.ndarray
  views: np.ndarray
  length: np.ndarray
  is_success: np.ndarray
  seconds_per_frame: float
  progress: np.ndarray
  frames: np.ndarray
  embeddings: dict[str, np.ndarray]

  def of(self, model: str, video: int) -> np.ndarray:
    """One video's embeddings, `[time, view, dim]`."""
    return self.embeddings[model][video, : self.length[video]]


def make_record(
  column: str,
  store: VideoStore,
  videos: Sequence[int] | np.ndarray,
  views: Sequence[int],
  embedded: Mapping[str, Sequence[EmbeddedVideo]],
) -> EmbeddingRecord:
  """Collects frames and embeddings.

  Args:
    column: training and test tasks.
    store: where the videos lie.
    videos: their numbers; four successes and four fakes of one task do.
    views: numbers of the cameras.
    embedded: by model, the same videos and views in the same order. One seed is enough.

  Raises:
    ValueError: if a model has other videos.
  """
  numbers = np.asarray(videos)
  length = store.index.length[numbers].astype(np.int32)
  for model, some in embedded.items():
    if [len(video.embeddings) for video in some] != length.tolist():
      raise ValueError(f"{model} has embeddings of other videos")
  longest = int(length.max())

  def padded(parts: Sequence[np.ndarray]) -> np.ndarray:
    out = np.zeros((len(parts), longest, *parts[0].shape[1:]), parts[0].dtype)
    for row, part in zip(out, parts, strict=True):
      row[: len(part)] = part
    return out

  progress = [
    store.labels["progress"][store.rows_of(int(number))]
    if "progress" in store.labels
    else np.linspace(0.0, 1.0, count)
    for number, count in zip(numbers, length, strict=True)
  ]
  return EmbeddingRecord(
    column=column,
    tasks=np.array([store.tasks[task] for task in store.index.task[numbers]]),
    views=np.array([store.views[view] for view in views]),
    length=length,
    is_success=store.index.is_success[numbers],
    seconds_per_frame=float(store.index.seconds_per_frame[numbers[0]]),
    progress=padded([np.asarray(values, np.float32) for values in progress]),
    frames=padded([store.frames[store.rows_of(int(number))][:, list(views)] for number in numbers]),
    embeddings={
      model: padded([np.asarray(video.embeddings, np.float32) for video in some])
      for model, some in embedded.items()
    },
  )


def save(folder: Path, record: EmbeddingRecord) -> Path:
  """Writes a record into `folder` (usually `<workdir>/report/data`), named after its column.

  Raises:
    UserError: if the disk is full or cannot be written.
  """
  fields = record._asdict()
  models = fields.pop("embeddings")
  fields["models"] = np.array(list(models))
  fields |= {f"{_PREFIX}{model}": values for model, values in models.items()}
  name = record.column.replace("->", "_to_")
  return array_file.save(Path(folder) / _FILES.replace("*", name), fields)


def find(folder: Path) -> list[Path]:
  """Records in a folder, by name."""
  return sorted(Path(folder).glob(_FILES))


def load(path: Path) -> EmbeddingRecord:
  """Reads a record.

  Raises:
    OSError: if there is no such file, or it cannot be read.
    UserError: if it is damaged, holds pickles, lacks an array, or its arrays do not fit together.
  """
  needed = [name for name in EmbeddingRecord._fields if name != "embeddings"]
  fields = array_file.load(path, [*needed, "models"])
  models = [str(name) for name in np.ravel(fields["models"])]
  fields |= array_file.load(path, [f"{_PREFIX}{model}" for model in models])
  record = EmbeddingRecord(
    **{name: fields[name] for name in needed},
    embeddings={model: fields[f"{_PREFIX}{model}"] for model in models},
  )
  if wrong := _misfit(record):
    raise array_file.damaged(Path(path), wrong)
  return record._replace(
    column=str(record.column),
    seconds_per_frame=float(record.seconds_per_frame),
    is_success=record.is_success.astype(bool),
  )


def _misfit(record: EmbeddingRecord) -> str:
  """What does not fit together, or nothing."""
  videos, times, views = (record.frames.shape + (0, 0, 0))[:3]
  if record.frames.ndim != 6 or record.frames.dtype != np.uint8 or not videos:
    return f"frames has shape {list(record.frames.shape)}"
  if np.shape(record.seconds_per_frame) or not 0 < float(record.seconds_per_frame) < np.inf:
    return "seconds_per_frame is no positive number"
  expected = {"tasks": (videos,), "length": (videos,), "is_success": (videos,), "views": (views,)}
  expected["progress"] = (videos, times)
  arrays = {name: getattr(record, name) for name in expected}
  for model, values in record.embeddings.items():
    arrays[model], expected[model] = values, (videos, times, views, *values.shape[3:])
    if values.ndim != 4 or values.dtype.kind != "f" or not np.isfinite(values).all():
      return f"{model} is not all finite numbers of shape [video, time, view, dim]"
  for name, shape in expected.items():
    if arrays[name].shape != shape:
      return f"{name} has shape {list(arrays[name].shape)}, not {list(shape)}"
  if record.length.min() < 1 or record.length.max() > times:
    return f"a length of {record.length.max()} for {times} frames"
  return ""
