"""Checkpoints that are whole or absent: Orbax arrays, a record, and a sha256 manifest written last.

A checkpoint is a folder: `state/` (Orbax), `record.json`, `feed.bin` and `manifest.json`, which has
the sha256 of all the others. It is made under a temporary name and renamed, so a kill or a full
disk at any moment leaves the earlier ones as they were. The loader reads nothing that does not
match its manifest, falls back to the checkpoint before, and says so. Nothing is pickled.
"""

import hashlib
import json
import logging
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from orbax.checkpoint import v1 as ocp

from jaxskills import disk
from jaxskills.errors import UserError
from jaxskills.training import storage
from jaxskills.training.run_state import is_key

FORMAT = 1
KEEP = 2
_STRAGGLER_SECONDS = 5.0


class Damaged(Exception):
  """A checkpoint's files are not those that its manifest describes."""


class Saved(NamedTuple):
  """What a checkpoint holds.

  Attributes:
    tree: the arrays, in the structure that the loader asked for.
    record: plain JSON values.
    feed: position of the data feed.
  """

  tree: Any
  record: Mapping[str, Any]
  feed: bytes


def save(folder: Path, tree: Any, record: Mapping[str, Any], feed: bytes = b"") -> None:
  """Writes a checkpoint; when it returns, the folder is there and whole.

  It reads the arrays before it returns and keeps none, so they may be donated afterwards.

  Raises:
    UserError: if the disk is full or cannot be written; nothing is left behind.
  """
  temporary = folder.with_name(f".tmp-{folder.name}")
  with storage.disk_faults(f"save {folder}", then=_GO_ON):
    try:
      folder.parent.mkdir(parents=True, exist_ok=True)
      shutil.rmtree(temporary, ignore_errors=True)
      temporary.mkdir()
      arrays = _pack(tree)
      if arrays:
        with _quiet():
          ocp.save(str(temporary / "state"), arrays)
      content = {"format": FORMAT, "record": record, "leaves": describe(tree)}
      (temporary / "record.json").write_text(json.dumps(content, indent=1, allow_nan=False))
      (temporary / "feed.bin").write_bytes(feed)
      digests = {name: _digest(temporary / name, sync=True) for name in _files(temporary)}
      disk.write_atomically(temporary / "manifest.json", json.dumps(digests, indent=1).encode())
      storage.remove_folder(folder)
      os.rename(temporary, folder)
      disk.sync_folder(folder.parent)
    except BaseException:
      shutil.rmtree(temporary, ignore_errors=True)
      raise


_GO_ON = "run the same command again: it goes on from the checkpoint before"


def load(folder: Path, like: Any) -> Saved:
  """Reads a checkpoint after verifying every byte of it.

  Args:
    folder: as given to `save`.
    like: pytree of `jax.Array` or `jax.ShapeDtypeStruct`; a leaf's `sharding` says where its array
      goes, without one to the first device.

  Raises:
    Damaged: if a file is missing, unreadable or differs from the manifest, saying which.
    UserError: if it is whole but of another shape than `like`, naming the first leaf that differs.
  """
  verify(folder)
  content = json.loads((folder / "record.json").read_text())
  if difference := first_difference(content["leaves"], describe(like)):
    name, there, here = difference
    raise UserError(
      f"{folder} was written by other code: {name} is {there} there and {here} here; "
      "go on with the version that wrote it, or choose another --workdir."
    )
  abstract = _pack(like)
  arrays: Mapping[str, Any] = {}
  if abstract:
    with _quiet():
      arrays = ocp.load(str(folder / "state"), abstract)
  return Saved(_unpack(like, arrays), content["record"], (folder / "feed.bin").read_bytes())


def verify(folder: Path) -> None:
  """Compares all files with the manifest.

  Raises:
    Damaged: naming the first file that differs.
  """
  try:
    digests = json.loads((folder / "manifest.json").read_bytes())
  except (OSError, ValueError) as error:
    raise Damaged("manifest.json is missing or not readable") from error
  if missing := sorted(set(digests) - set(_files(folder))):
    raise Damaged(f"{missing[0]} is missing")
  for name, digest in digests.items():
    try:
      same = _digest(folder / name) == digest
    except OSError as error:
      raise Damaged(f"{name} is not readable") from error
    if not same:
      raise Damaged(f"{name} differs from its sha256")


class Checkpoints:
  """The numbered checkpoints of one stage, of which the newest good ones are kept."""

  def __init__(self, folder: Path, notify: Callable[[str], None]) -> None:
    """Removes what a killed process left half-written.

    Args:
      folder: holds one folder per checkpoint, named by its chunk.
      notify: told, in words, when a checkpoint turns out to be damaged.
    """
    self._folder = folder
    self._notify = notify
    self._damaged: set[int] = set()
    for leftover in folder.glob(".tmp-*"):
      shutil.rmtree(leftover, ignore_errors=True)

  def numbers(self) -> list[int]:
    """The chunks at which checkpoints exist, oldest first."""
    names = [path.name for path in self._folder.glob("[0-9]*") if path.name.isdigit()]
    return sorted(int(name) for name in names)

  def path(self, number: int) -> Path:
    """Where the checkpoint of a chunk is."""
    return self._folder / f"{number:08d}"

  def save(self, number: int, tree: Any, record: Mapping[str, Any], feed: bytes = b"") -> None:
    """Adds a checkpoint and then drops the ones that are no longer needed.

    Raises:
      UserError: see `save`; all earlier ones are still there.
    """
    save(self.path(number), tree, record, feed)
    self._damaged.discard(number)
    good = [other for other in self.numbers() if other not in self._damaged]
    for other in set(self.numbers()) - set(good[-KEEP:]):
      storage.remove_folder(self.path(other))

  def newest(self, like: Any) -> Saved | None:
    """The newest whole checkpoint, or None.

    Raises:
      UserError: if it was made for other arrays than `like`.
    """
    for number in reversed(self.numbers()):
      try:
        return load(self.path(number), like)
      except Damaged as damage:
        self._damaged.add(number)
        self._notify(f"checkpoint {self.path(number)} is damaged ({damage}); trying the one before")
    return None

  def clear(self) -> None:
    """Deletes them all."""
    for number in self.numbers():
      storage.remove_folder(self.path(number))


def _named_leaves(tree: Any) -> list[tuple[str, Any]]:
  """Leaves by path, in the order of the tree."""
  leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
  names = [jax.tree_util.keystr(path, simple=True, separator=".") or "value" for path, _ in leaves]
  if len(set(names)) != len(names):
    repeated = next(name for name in names if names.count(name) > 1)
    raise ValueError(f"two leaves of the state are both called {repeated!r}")
  return [(name, leaf) for name, (_, leaf) in zip(names, leaves, strict=True)]


def describe(tree: Any) -> dict[str, str]:
  """Dtype and shape of every leaf in words, by path."""
  return {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in _named_leaves(tree)}


def first_difference(
  there: Mapping[str, str], here: Mapping[str, str]
) -> tuple[str, str, str] | None:
  """The first leaf on which two descriptions differ: its path and what either says of it."""
  for name in sorted({*there, *here}):
    sides = there.get(name, "absent"), here.get(name, "absent")
    if sides[0] != sides[1]:
      return name, *sides
  return None


def _key_data(leaf: Any) -> Any:
  return jax.random.key_data(leaf) if is_key(leaf) else leaf


def _pack(tree: Any) -> dict[str, Any]:
  """What Orbax is given: named arrays; typed keys as their data, arrays without elements left out.

  Works on arrays and on `jax.ShapeDtypeStruct`.
  """

  def raw(leaf: Any) -> Any:
    if isinstance(leaf, jax.ShapeDtypeStruct):
      data = jax.eval_shape(_key_data, leaf)
      place = leaf.sharding or jax.sharding.SingleDeviceSharding(jax.devices()[0])
      return jax.ShapeDtypeStruct(data.shape, data.dtype, sharding=place)
    return _key_data(leaf)

  return {name: raw(leaf) for name, leaf in _named_leaves(tree) if leaf.size}


def _unpack(like: Any, arrays: Mapping[str, Any]) -> Any:
  """The inverse of `_pack`, in the structure of `like`."""

  def restore(name: str, leaf: Any) -> jax.Array:
    data = jax.eval_shape(_key_data, leaf)
    value = arrays[name] if leaf.size else jnp.zeros(data.shape, data.dtype)
    if is_key(leaf):
      value = jax.random.wrap_key_data(value, impl=_key_implementation(leaf))
    return value if leaf.sharding is None else jax.device_put(value, leaf.sharding)

  leaves = [restore(name, leaf) for name, leaf in _named_leaves(like)]
  return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _key_implementation(leaf: Any) -> Any:
  """The PRNG behind a key of which only shape and dtype are known; only a trace can tell."""
  found = []
  jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), leaf)
  return found[0]


def _files(folder: Path) -> list[str]:
  """Relative names of all files but the manifest, in a fixed order."""
  paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
  return sorted(path.as_posix() for path in paths if path.as_posix() != "manifest.json")


def _digest(path: Path, *, sync: bool = False) -> str:
  """Sha256 of a file, which is made durable first if `sync`."""
  with open(path, "rb") as file:
    if sync:
      os.fsync(file.fileno())
    return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
  """Keeps Orbax from printing the tracebacks of an error that is about to be told in one line.

  Orbax logs it, in several threads that may outlive the error and are waited for here. Tensorstore,
  whose write failed, goes on to report to an event loop that Orbax has closed by then: that comes
  late, so after an error its filter stays.
  """
  logger, report, threads = logging.getLogger("absl"), sys.unraisablehook, threading.enumerate()
  before, logger.disabled = logger.disabled, True

  def filtered(unraisable: Any) -> None:
    if str(unraisable.exc_value) != "Event loop is closed":
      report(unraisable)

  sys.unraisablehook = filtered
  try:
    yield
    sys.unraisablehook = report
  except BaseException:
    for thread in set(threading.enumerate()) - set(threads):
      threading.Thread.join(thread, _STRAGGLER_SECONDS)  # Orbax's own `join` raises
    raise
  finally:
    logger.disabled = before
