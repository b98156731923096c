"""Writing a `VideoStore`: resumable video by video, by one process or several.

The lengths of all videos are known before the first frame, so every video has its place from the
start. A video counts once all its bytes are on the disk and a line with their hash stands in
`store.unfinished.txt`; whoever opens the same folder with the same plan goes on with the others.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxskills import disk
from jaxskills.data.rows_file import RowsFile
from jaxskills.data.video_plan import StorePlan
from jaxskills.data.video_store import (
  FRAMES,
  INDEX,
  MANIFEST,
  UNFINISHED,
  VideoStore,
  fingerprint_of,
  hash_video,
  label_file,
  open_store,
)
from jaxskills.errors import UserError

_BEGUN = "begun"  # stands for the hash of a video that is being written anew


class StoreWriter:
  """Fills a folder with the videos of a plan, in any order; use it as a context or `close` it.

  Several processes may each have a writer of the same plan and folder, as long as no two write the
  same video. One of them calls `finish` when all are there.
  """

  def __init__(self, directory: str | Path, plan: StorePlan):
    """Takes a folder, or goes on in one that holds a part of the same plan.

    Raises:
      ValueError: if the plan contradicts itself.
      UserError: if the folder holds something else, cannot be written to, or has too little room.
    """
    plan.check()
    self.directory = Path(directory)
    self.plan = plan
    self._description = plan.describe()
    self._files: dict[str, RowsFile] = {}
    total = plan.index.total
    try:
      with self._disk():
        self.directory.mkdir(parents=True, exist_ok=True)
        with disk.alone_in(self.directory):
          self._take()
          self._open(FRAMES, np.dtype(np.uint8), (total, *plan.shape))
          for name, (dtype, sizes) in plan.labels.items():
            self._open(label_file(name), np.dtype(dtype), (total, *sizes))
          if any(file.is_new for file in self._files.values()):
            self._mark_unfinished({})
    except BaseException:
      self.close()
      raise

  def __enter__(self) -> "StoreWriter":
    """The writer itself."""
    return self

  def __exit__(self, *error: object) -> None:
    """Closes the files; what is unfinished stays so."""
    self.close()

  def missing(self, *, verify: bool = False) -> list[int]:
    """Numbers of the videos that are not there yet, in order.

    Args:
      verify: whether to read those that are there, and count damaged ones as missing.
    """
    held = self._finished()
    if verify:
      frames, labels = self._arrays()
      held = {
        video: sha256
        for video, sha256 in held.items()
        if hash_video(frames, labels, self.plan.rows_of(video)) == sha256
      }
    return [video for video in range(len(self.plan.names)) if video not in held]

  def write(
    self,
    video: int,
    frames: np.ndarray | Iterable[np.ndarray],
    labels: Mapping[str, np.ndarray] | None = None,
  ) -> None:
    """Writes one video, whole or not at all.

    Args:
      video: its number in the plan.
      frames: uint8 `[length, view, rows, columns, 3]`, or such arrays one after the other, for a
        video that is too long for the memory.
      labels: `[length, ...]` by the names of the plan.

    Raises:
      ValueError: if an array is not of the plan's shape.
      UserError: if the disk is full; what was finished before stays.
    """
    rows, labels = self.plan.rows_of(video), labels or {}
    if set(labels) != set(self.plan.labels):
      raise ValueError(
        f"{self.plan.names[video]} comes with labels {sorted(labels)}, not"
        f" {sorted(self.plan.labels)}"
      )
    digest, place = hashlib.sha256(), rows.start
    with self._disk():
      self._begin(video)
    for piece in [frames] if isinstance(frames, np.ndarray) else frames:
      self._check_rows(video, FRAMES, piece, place + len(piece), rows)
      with self._disk():
        digest.update(self._files[FRAMES].write(place, piece))
      place += len(piece)
    if place != rows.stop:
      self._refuse_length(video, place - rows.start)
    for name in sorted(labels):
      values = np.asarray(labels[name], self.plan.labels[name][0])
      self._check_rows(video, label_file(name), values, rows.start + len(values), rows)
      if len(values) != rows.stop - rows.start:
        self._refuse_length(video, len(values))
      with self._disk():
        digest.update(self._files[label_file(name)].write(rows.start, values))
    with self._disk():
      for file in self._files.values():
        file.sync()
      self._note(video, digest.hexdigest())

  def finish(self) -> VideoStore:
    """Declares the store complete, and opens it; one that is complete already is only opened.

    Raises:
      ValueError: if videos are missing.
      UserError: if the disk is full.
    """
    held = self._finished()
    if missing := [name for video, name in enumerate(self.plan.names) if video not in held]:
      raise ValueError(f"{len(missing)} videos are missing, the first is {missing[0]}")
    manifest = {**self._description, "sha256": [held[video] for video in range(len(held))]}
    manifest["fingerprint"] = fingerprint_of(manifest)
    with self._disk(), disk.alone_in(self.directory):
      if not (self.directory / MANIFEST).exists():
        disk.write_atomically(self.directory / INDEX, self.plan.index_bytes())
        content = (json.dumps(manifest, indent=1) + "\n").encode()
        disk.write_atomically(self.directory / MANIFEST, content)
      (self.directory / UNFINISHED).unlink(missing_ok=True)
    return open_store(self.directory)

  def close(self) -> None:
    """Closes the files; calling it twice is fine."""
    while self._files:
      self._files.popitem()[1].close()

  def _take(self) -> None:
    """Makes an empty folder ours, or sees that it already is; what is complete stays so."""
    marker, complete = self.directory / UNFINISHED, self.directory / MANIFEST
    if complete.exists() or marker.exists():
      path = complete if complete.exists() else marker
      try:
        text = path.read_text()
        found = json.loads(text if path is complete else text.partition("\n")[0])
        described = {key: found.get(key) for key in self._description}
      except (ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged; delete {self.directory}.") from error
      self._refuse_other(described)
    elif (self.directory / FRAMES).exists():
      raise UserError(f"{self.directory} holds frames of nobody knows what; choose another folder.")
    else:
      self._mark_unfinished({})

  def _mark_unfinished(self, held: Mapping[int, str]) -> None:
    """Says that these videos are there and all others are not."""
    lines = [json.dumps(self._description), *(f"{video} {sha}" for video, sha in held.items()), ""]
    disk.write_atomically(self.directory / UNFINISHED, "\n".join(lines).encode())
    (self.directory / MANIFEST).unlink(missing_ok=True)

  def _refuse_other(self, found: Mapping[str, Any]) -> None:
    keys = sorted(set(found) | set(self._description))
    differing = [key for key in keys if found.get(key) != self._description.get(key)]
    if differing:
      raise UserError(
        f"{self.directory} holds other videos (they differ in {', '.join(differing)}); choose"
        " another folder or delete that one."
      )

  def _open(self, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    self._files[name] = RowsFile(self.directory / name, dtype, shape)

  def _finished(self) -> dict[int, str]:
    """Hashes of the finished videos; a line that a crash cut short does not count."""
    if (complete := self.directory / MANIFEST).exists():
      return dict(enumerate(json.loads(complete.read_text())["sha256"]))
    held = {}
    for line in (self.directory / UNFINISHED).read_text().split("\n")[1:-1]:
      video, _, sha256 = line.partition(" ")
      held[int(video)] = sha256
    return {video: sha256 for video, sha256 in held.items() if sha256 != _BEGUN}

  def _begin(self, video: int) -> None:
    """Says that a video is not there, before its first byte changes."""
    with disk.alone_in(self.directory):
      held = self._finished()
      if (self.directory / MANIFEST).exists():
        self._mark_unfinished(held)
    if video in held:
      self._note(video, _BEGUN)

  def _note(self, video: int, word: str) -> None:
    """Adds a line in one piece, whoever else adds lines."""
    with disk.alone_in(self.directory), open(self.directory / UNFINISHED, "rb+") as file:
      file.seek(file.read().rfind(b"\n") + 1)  # over what a full disk or a crash has cut short
      file.truncate()
      file.write(f"{video} {word}\n".encode())
      file.flush()
      os.fsync(file.fileno())

  def _arrays(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    names = {name: label_file(name) for name in self.plan.labels}
    load = {
      file: np.load(self.directory / file, mmap_mode="r", allow_pickle=False)
      for file in (FRAMES, *names.values())
    }
    return load[FRAMES], {name: load[file] for name, file in names.items()}

  def _check_rows(self, video: int, file: str, piece: np.ndarray, end: int, rows: slice) -> None:
    held = self._files[file]
    if piece.dtype != held.dtype or piece.shape[1:] != held.shape[1:]:
      raise ValueError(
        f"{self.plan.names[video]} brings {piece.dtype}{piece.shape} for {file}, which takes"
        f" {held.dtype}[length, {', '.join(map(str, held.shape[1:]))}]"
      )
    if end > rows.stop:
      self._refuse_length(video, end - rows.start)

  def _refuse_length(self, video: int, length: int) -> None:
    planned = self.plan.index.length[video]
    raise ValueError(f"{self.plan.names[video]} has {length} frames instead of {planned}")

  @contextlib.contextmanager
  def _disk(self) -> Iterator[None]:
    try:
      yield
    except OSError as error:
      reason = error.strerror or str(error)
      raise UserError(
        f"cannot write videos to {self.directory} ({reason}); make room or choose another folder,"
        " then run the same command again: finished videos are kept."
      ) from error
