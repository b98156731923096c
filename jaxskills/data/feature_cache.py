"""What a frozen trunk makes of the frames of a video store, computed once and kept on disk.

Feature maps are large: Inception's are 700 kB a frame as float16, more than twice its 299x299
pixels. A head trained on them costs no forward pass of the trunk, but cannot augment pictures. A
folder holds

  features.npy             [frame, view, rows, columns, channels] float16
  manifest.json            what they are of, and a hash for each video; what has one is complete
  cache.unfinished.json    the same while videos are missing; running again goes on with those
"""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxskills.data.frozen_trunk import FrozenTrunk
from jaxskills.data.rows_file import RowsFile
from jaxskills.data.video_store import VideoIndex, VideoStore
from jaxskills.errors import UserError

FEATURES, MANIFEST, UNFINISHED = "features.npy", "manifest.json", "cache.unfinished.json"
FORMAT = 1


class FeatureCache(NamedTuple):
  """Features on disk.

  Attributes:
    features: float16 `[frame, view, rows, columns, channels]`, a read-only memory map.
    fingerprint: sha256 of the store's fingerprint, what was chosen of it, and the trunk's identity.
    videos: numbers in the store of those that are here, one after the other.
    views: names of the cameras, in the order of the axis `view`.
  """

  features: np.ndarray
  fingerprint: str
  videos: np.ndarray
  views: tuple[str, ...]

  def as_store(self, store: VideoStore) -> VideoStore:
    """What is here as a store, features in place of frames, for all that only picks and copies.

    It has no labels: those are for evaluation, which looks at frames.
    """
    index = VideoIndex(*(column[self.videos] for column in store.index))
    return dataclasses.replace(
      store,
      frames=self.features,
      index=index._replace(start=np.cumsum(index.length, dtype=np.int64) - index.length),
      views=self.views,
      names=tuple(store.names[video] for video in self.videos),
      labels={},
      fingerprint=self.fingerprint,
    )


class _Chosen(NamedTuple):
  """A part of a store, and where it lies in a cache."""

  store: VideoStore
  videos: np.ndarray
  cameras: list[int]
  start: np.ndarray
  """Row of the first frame of each video in the cache, and behind them the number of rows."""

  @property
  def names(self) -> tuple[str, ...]:
    """Of the videos."""
    return tuple(self.store.names[video] for video in self.videos)

  @property
  def views(self) -> tuple[str, ...]:
    """Names of the cameras."""
    return tuple(self.store.views[camera] for camera in self.cameras)


def cache_features(
  store: VideoStore,
  trunk: FrozenTrunk,
  directory: str | Path,
  *,
  videos: np.ndarray | None = None,
  views: Sequence[str] | None = None,
  batch: int = 32,
  verify: bool = False,
  say: Callable[[str], None] = lambda line: None,
) -> FeatureCache:
  """Computes what is missing and opens the cache.

  Args:
    store: the videos.
    trunk: what to apply to every frame.
    directory: the parent of caches; this one lies in a folder of its own, named by `fingerprint`.
    videos: numbers as `VideoStore.select` gives them; all if None.
    views: names of cameras; all if None.
    batch: pictures of one forward pass.
    verify: whether to read and check what is there already.
    say: is told the size before anything is computed, and each finished video.

  Raises:
    ValueError: if `batch` is less than one, no video or an unknown view is chosen, or a feature is
      too large for float16.
    UserError: if the disk has not enough room, saying how much is needed, or a file is damaged.
  """
  if batch < 1:
    raise ValueError(f"batch must be 1 or more, not {batch}")
  chosen = _choose(store, videos, views)
  fingerprint = _fingerprint(chosen, trunk)
  folder = Path(directory) / fingerprint[:16]
  shape = _shape(chosen, trunk, batch)
  try:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / MANIFEST).exists():
      _compute(chosen, trunk, folder, fingerprint, shape, batch, say)
  except OSError as error:
    reason = error.strerror or str(error)
    raise UserError(f"cannot write features to {folder} ({reason}); make room there.") from error
  cache = FeatureCache(_open(folder, fingerprint, shape), fingerprint, chosen.videos, chosen.views)
  if verify:
    _verify(chosen, cache, folder)
  return cache


def _choose(store: VideoStore, videos: np.ndarray | None, views: Sequence[str] | None) -> _Chosen:
  numbers = np.arange(len(store.names)) if videos is None else np.asarray(videos)
  names = store.views if views is None else tuple(views)
  if not len(numbers) or not set(names) <= set(store.views):
    raise ValueError(f"no features of {len(numbers)} videos from views {', '.join(names)}")
  start = np.concatenate([[0], np.cumsum(store.index.length[numbers], dtype=np.int64)])
  return _Chosen(store, numbers, [store.views.index(name) for name in names], start)


def _fingerprint(chosen: _Chosen, trunk: FrozenTrunk) -> str:
  """The sha256 that tells these features from any others."""
  told = {
    "format": FORMAT,
    "videos": chosen.store.fingerprint,
    "chosen": [chosen.videos.tolist(), chosen.cameras],
    "trunk": dict(trunk.identity),
  }
  return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _shape(chosen: _Chosen, trunk: FrozenTrunk, batch: int) -> tuple[int, ...]:
  example = jax.ShapeDtypeStruct((batch, *chosen.store.frames.shape[2:]), np.uint8)
  of_picture = jax.eval_shape(trunk.features, example).shape[1:]
  return int(chosen.start[-1]), len(chosen.cameras), *of_picture


def _compute(
  chosen: _Chosen,
  trunk: FrozenTrunk,
  folder: Path,
  fingerprint: str,
  shape: tuple[int, ...],
  batch: int,
  say: Callable[[str], None],
) -> None:
  """Fills in the videos that are missing, one after the other, and declares the cache complete."""
  hashes = _finished(folder, fingerprint)
  if not (folder / FEATURES).exists():
    _check_room(folder, shape, say)
    hashes = {}
  file = RowsFile(folder / FEATURES, np.dtype(np.float16), shape)
  if file.is_new:
    hashes = {}
  features, total = jax.jit(trunk.features), len(chosen.videos)
  try:
    for number, name in enumerate(chosen.names):
      if name in hashes:
        continue
      rows, place = chosen.store.rows_of(int(chosen.videos[number])), int(chosen.start[number])
      digest = hashlib.sha256()
      for start in range(rows.start, rows.stop, batch):
        pictures = chosen.store.frames[start : min(start + batch, rows.stop)][:, chosen.cameras]
        values = _apply(features, pictures, batch)
        digest.update(file.write(place + start - rows.start, values))
      file.sync()
      hashes[name] = digest.hexdigest()
      _note(folder / UNFINISHED, fingerprint, hashes)
      say(f"features of {name} ({number + 1} of {total} videos)")
  finally:
    file.close()
  _note(folder / MANIFEST, fingerprint, hashes)
  (folder / UNFINISHED).unlink(missing_ok=True)


def _apply(features: Callable[[Any], Any], frames: np.ndarray, batch: int) -> np.ndarray:
  """Runs all views of some frames through the trunk in passes of one size, so of one program."""
  flat = frames.reshape(-1, *frames.shape[2:])
  passes = []
  for start in range(0, len(flat), batch):
    part = flat[start : start + batch]
    filled = np.concatenate([part, np.zeros((batch - len(part), *part.shape[1:]), np.uint8)])
    passes.append(np.asarray(features(filled))[: len(part)])
  values = np.concatenate(passes)
  if not np.all(np.abs(values) <= np.finfo(np.float16).max):
    raise ValueError("a feature is not finite or too large for float16; check the trunk's weights")
  return values.astype(np.float16).reshape(*frames.shape[:2], *values.shape[1:])


def _check_room(folder: Path, shape: tuple[int, ...], say: Callable[[str], None]) -> None:
  needed = int(np.prod(shape, dtype=np.int64)) * 2
  free = shutil.disk_usage(folder).free
  size = f"{needed / 1e9:.2f} GB"
  if needed > free:
    raise UserError(
      f"features of these videos take {size} in {folder} and {free / 1e9:.2f} GB are free; make"
      " room, or use fewer videos, smaller pictures or a trunk with smaller maps."
    )
  say(f"features of {shape[0]} frames from {shape[1]} views take {size} in {folder}")


def _finished(folder: Path, fingerprint: str) -> dict[str, str]:
  path = folder / UNFINISHED
  return _read(path, fingerprint) if path.exists() else {}


def _read(path: Path, fingerprint: str) -> dict[str, str]:
  """Hashes of the finished videos by name."""
  try:
    fields = json.loads(path.read_text())
    if fields["fingerprint"] != fingerprint:
      raise ValueError("it is of other features")
    return dict(fields["sha256"])
  except (ValueError, KeyError, TypeError) as error:
    raise UserError(f"{path} is damaged; delete {path.parent}.") from error


def _verify(chosen: _Chosen, cache: FeatureCache, folder: Path) -> None:
  hashes = _read(folder / MANIFEST, cache.fingerprint)
  for number, name in enumerate(chosen.names):
    digest = hashlib.sha256()
    for row in range(int(chosen.start[number]), int(chosen.start[number + 1])):
      digest.update(np.ascontiguousarray(cache.features[row]).data)
    if digest.hexdigest() != hashes.get(name):
      raise UserError(f"{folder / FEATURES} is damaged in video {name}; delete {folder}.")


def _note(path: Path, fingerprint: str, hashes: Mapping[str, str]) -> None:
  temporary = path.with_name(f".tmp-{path.name}")
  temporary.write_text(json.dumps({"fingerprint": fingerprint, "sha256": dict(hashes)}))
  temporary.replace(path)


def _open(folder: Path, fingerprint: str, shape: tuple[int, ...]) -> np.ndarray:
  _read(folder / MANIFEST, fingerprint)
  path = folder / FEATURES
  try:
    features = np.load(path, mmap_mode="r", allow_pickle=False)
  except (OSError, ValueError) as error:
    raise UserError(f"{path} is missing or cut short; delete {folder}.") from error
  if features.dtype != np.float16 or features.shape != shape:
    raise UserError(f"{path} holds {features.dtype}{features.shape}; delete {folder}.")
  return features
