"""Decoded, synchronised multi-view videos in one folder, memory-mapped: where learners get frames.

Whatever made the videos (rendered demonstrations, a user's own films) writes them here once, as
plain uint8 pictures, so that drawing a batch is copying bytes. A folder holds

  frames.npy            [frame, view, rows, columns, 3] uint8, one video after the other
  label_<name>.npy      [frame, ...], what evaluation may look at and training may not
  index.npz             `VideoIndex`
  manifest.json         names, hashes and the recipe; written last, so what has one is complete
  store.unfinished.txt  only while videos are missing: those that are there, with their hashes

and nothing is pickled. `video_writer.StoreWriter` makes one.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxskills.errors import UserError

SPLITS = ("train", "val", "test", "shapes", "looks")
"""What `VideoIndex.split` counts: by seed, and two kinds of test that differ from training."""

MANIFEST = "manifest.json"
UNFINISHED = "store.unfinished.txt"
INDEX = "index.npz"
FRAMES = "frames.npy"
FORMAT = 1


class VideoIndex(NamedTuple):
  """One row per video; NumPy arrays `[videos]`."""

  start: np.ndarray
  """int64: the row of its first frame in `VideoStore.frames`."""
  length: np.ndarray
  """int32: frames."""
  seconds_per_frame: np.ndarray
  """float32."""
  task: np.ndarray
  """int32: which of `VideoStore.tasks`."""
  is_success: np.ndarray
  """bool: false for a fake (failed) demonstration."""
  split: np.ndarray
  """int32: which of `SPLITS`."""

  @property
  def total(self) -> int:
    """Frames of all videos, counting a view pair or quadruple once."""
    return int(self.length.sum())


def make_index(
  length: Sequence[int] | np.ndarray,
  *,
  seconds_per_frame: float | Sequence[float] | np.ndarray,
  task: int | Sequence[int] | np.ndarray = 0,
  is_success: bool | Sequence[bool] | np.ndarray = True,
  split: int | Sequence[int] | np.ndarray = 0,
) -> VideoIndex:
  """An index of videos that lie one after the other; a single value is of all videos.

  Raises:
    ValueError: for no videos, an empty one, a wrong number of values, or values out of range.
  """
  lengths = np.asarray(length, np.int32)
  if lengths.ndim != 1 or not len(lengths) or lengths.min() < 1:
    raise ValueError(f"there must be one or more videos of one or more frames each, got {length}")

  def column(name: str, value: Any, dtype: Any) -> np.ndarray:
    given = np.asarray(value, dtype)
    if given.shape not in ((), lengths.shape):
      raise ValueError(f"{name} has shape {given.shape} for {len(lengths)} videos")
    return np.array(np.broadcast_to(given, lengths.shape))

  index = VideoIndex(
    start=np.cumsum(lengths, dtype=np.int64) - lengths,
    length=lengths,
    seconds_per_frame=column("seconds_per_frame", seconds_per_frame, np.float32),
    task=column("task", task, np.int32),
    is_success=column("is_success", is_success, bool),
    split=column("split", split, np.int32),
  )
  if not np.all(np.isfinite(index.seconds_per_frame) & (index.seconds_per_frame > 0)):
    raise ValueError("seconds_per_frame must be positive")
  if index.split.min() < 0 or index.split.max() >= len(SPLITS):
    raise ValueError(f"split counts {', '.join(SPLITS)}; got {index.split.max()}")
  return index


@dataclass(frozen=True)
class VideoStore:
  """Videos that can be read; see `open_store`.

  Attributes:
    frames: uint8 `[frame, view, rows, columns, 3]`, a read-only memory map.
    index: where each video lies and what is known of it.
    tasks: names that `index.task` counts.
    views: names of the cameras, in the order of the axis `view`.
    names: of the videos.
    labels: `[frame, ...]` each, for evaluation only, e.g. `progress` float32, `phase` int32; may be
      empty.
    fingerprint: sha256 of all content; equal wherever the same pictures, labels and index are.
    recipe: what made the videos, as JSON gives it back.
    directory: where they lie.
  """

  frames: np.ndarray
  index: VideoIndex
  tasks: tuple[str, ...]
  views: tuple[str, ...]
  names: tuple[str, ...]
  labels: dict[str, np.ndarray]
  fingerprint: str
  recipe: dict[str, Any]
  directory: Path

  def select(
    self,
    *,
    tasks: Sequence[str] | None = None,
    splits: Sequence[str] | None = None,
    success: bool | None = None,
  ) -> np.ndarray:
    """Numbers of the videos that are all that is asked, in order; may be empty.

    Args:
      tasks: any of these names; all if None.
      splits: any of these names; all if None.
      success: true for successful demonstrations only, false for fakes only.

    Raises:
      UserError: for a task or split that does not exist.
    """
    chosen = np.ones(len(self.names), bool)
    if tasks is not None:
      chosen &= np.isin(self.index.task, _numbers(tasks, self.tasks, "task"))
    if splits is not None:
      chosen &= np.isin(self.index.split, _numbers(splits, SPLITS, "split"))
    if success is not None:
      chosen &= self.index.is_success == success
    return np.flatnonzero(chosen)

  def rows_of(self, video: int) -> slice:
    """Where a video lies in `frames` and in every label."""
    start = int(self.index.start[video])
    return slice(start, start + int(self.index.length[video]))


def open_store(directory: str | Path, *, verify: bool = False) -> VideoStore:
  """Opens a complete store.

  The sizes of all files and the hash of the index are always checked; the hashes of the videos only
  if asked, since that reads every byte.

  Args:
    directory: the store's own folder.
    verify: whether to read and check every video.

  Raises:
    UserError: if the store is missing, unfinished or damaged, naming the file or the first damaged
      video.
  """
  folder = Path(directory)
  manifest = _read_manifest(folder)
  try:
    index_sha256, shape = manifest["index_sha256"], tuple(manifest["shape"])
    tasks, views, names = (tuple(manifest[key]) for key in ("tasks", "views", "names"))
    hashes, labels = tuple(manifest["sha256"]), dict(manifest["labels"])
    fingerprint, recipe = manifest["fingerprint"], manifest["recipe"]
  except (KeyError, TypeError, ValueError) as error:
    raise _damaged(folder / MANIFEST, f"lacks {error}") from error
  index = _read_index(folder / INDEX, index_sha256)
  frames = _map(folder / FRAMES, np.dtype(np.uint8), (index.total, *shape))
  held = {
    name: _map(folder / label_file(name), np.dtype(dtype), (index.total, *map(int, sizes)))
    for name, (dtype, sizes) in labels.items()
  }
  store = VideoStore(frames, index, tasks, views, names, held, fingerprint, recipe, folder)
  if not len(names) == len(hashes) == len(index.length) or fingerprint_of(manifest) != fingerprint:
    raise _damaged(folder / MANIFEST, "contradicts itself")
  if verify:
    for video, name in enumerate(names):
      if hash_video(frames, held, store.rows_of(video)) != hashes[video]:
        raise _damaged(folder / FRAMES, f"differs from what was written in video {name}")
  return store


def label_file(name: str) -> str:
  """The file of a label."""
  return f"label_{name}.npy"


def hash_video(frames: np.ndarray, labels: Mapping[str, np.ndarray], rows: slice) -> str:
  """The sha256 of the bytes of one video: its frames, then its labels by name."""
  digest = hashlib.sha256()
  for start in range(rows.start, rows.stop, 64):  # a long video never lies in memory as a whole
    digest.update(np.ascontiguousarray(frames[start : min(start + 64, rows.stop)]).data)
  for name in sorted(labels):
    digest.update(np.ascontiguousarray(labels[name][rows]).data)
  return digest.hexdigest()


def fingerprint_of(manifest: Mapping[str, Any]) -> str:
  """One hash of all that a manifest says of the content; not of the recipe."""
  keys = ("index_sha256", "shape", "tasks", "views", "names", "labels", "sha256")
  content = json.dumps({key: manifest[key] for key in keys}, sort_keys=True)
  return hashlib.sha256(content.encode()).hexdigest()


def _read_manifest(folder: Path) -> dict[str, Any]:
  path = folder / MANIFEST
  if not path.exists():
    if (folder / UNFINISHED).exists():
      raise UserError(f"the videos in {folder} are not complete; run what makes them again.")
    raise UserError(f"there are no videos in {folder}: it has no {MANIFEST}.")
  try:
    fields = json.loads(path.read_text())
    found = fields["format"]
  except (ValueError, TypeError, KeyError, OSError) as error:
    raise _damaged(path, "cannot be read") from error
  if found != FORMAT:
    raise UserError(f"{path} is of format {found}, this version reads {FORMAT}; make it anew.")
  return fields


def _read_index(path: Path, sha256: str) -> VideoIndex:
  try:
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
      raise _damaged(path, "differs from what was written")
    with np.load(path, allow_pickle=False) as arrays:
      return VideoIndex(**{name: arrays[name] for name in VideoIndex._fields})
  except (OSError, ValueError, KeyError) as error:
    raise _damaged(path, "is missing" if not path.exists() else "cannot be read") from error


def _map(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
  """A read-only memory map of an array that must have this dtype and shape."""
  try:
    array = np.lib.format.open_memmap(path, mode="r")  # which unpickles nothing
  except (OSError, ValueError) as error:
    raise _damaged(path, "is missing" if not path.exists() else "is cut short") from error
  if array.dtype != dtype or array.shape != shape:
    raise _damaged(path, f"holds {array.dtype}{array.shape} instead of {dtype}{shape}")
  return array


def _numbers(names: Sequence[str], known: Sequence[str], what: str) -> list[int]:
  if missing := [name for name in names if name not in known]:
    raise UserError(f"no {what} {missing[0]} among these videos; there are {', '.join(known)}")
  return [known.index(name) for name in names]


def _damaged(path: Path, how: str) -> UserError:
  return UserError(f"{path} {how}; delete {path.parent} and make the videos again.")
