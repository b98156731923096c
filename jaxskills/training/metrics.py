"""Where figures go: `metrics.jsonl`, TensorBoard events, and the fingerprint of parameters.

A row is flat: `stage`, `chunk`, `env_steps`, `updates`, `wall_seconds` and one entry per metric, a
number or, of several runs trained as one, a list of n. What is not finite is written as null, since
JSON has no other word for it.
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np

from jaxskills import disk
from jaxskills.training import storage
from jaxskills.training.run_state import is_key
from jaxskills.training.tensorboard import EventFile

Row = Mapping[str, Any]
Figure = float | None | list[float | None]
_NOT_METRICS = ("stage", "chunk", "env_steps", "updates", "wall_seconds")


def flatten(metrics: Mapping[str, Any]) -> dict[str, Figure]:
  """Brings metrics to the host as named figures.

  Args:
    metrics: scalars or `[n]`, possibly in nested dictionaries, whose names are joined by `/`.
  """
  flat: dict[str, Figure] = {}
  for path, leaf in jax.tree_util.tree_flatten_with_path(jax.device_get(metrics))[0]:
    name, values = jax.tree_util.keystr(path, simple=True, separator="/"), np.asarray(leaf)
    if values.ndim > 1:
      raise ValueError(f"metric {name} must be a scalar or [n], got shape {list(values.shape)}")
    flat[name] = [_number(value) for value in values] if values.ndim else _number(values)
  return flat


def mean(figure: Figure) -> float | None:
  """One number for a figure; of several, the mean of those that are finite."""
  if not isinstance(figure, list):
    return figure
  finite = [value for value in figure if value is not None]
  return sum(finite) / len(finite) if finite else None


def _number(value: Any) -> float | None:
  number = float(value)
  return number if math.isfinite(number) else None


class Writer(Protocol):
  """Takes rows of metrics; every method raises `UserError` if the disk fails."""

  def write(self, row: Row) -> None:
    """Adds a row."""
    ...

  def flush(self) -> None:
    """Makes all rows so far durable; called before each checkpoint."""
    ...

  def close(self) -> None:
    """Lets go of files."""
    ...


class JsonLines:
  """Appends rows to a file, one JSON object a line."""

  def __init__(self, path: Path) -> None:
    """Opens the file for appending."""
    self._path = path
    with storage.disk_faults(f"write {path}"):
      self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115  (closed by `close`)

  def write(self, row: Row) -> None:
    """Adds a row and hands it to the operating system."""
    with storage.disk_faults(f"write {self._path}"):
      self._file.write(json.dumps(row, allow_nan=False) + "\n")
      self._file.flush()

  def flush(self) -> None:
    """Makes all rows durable."""
    with storage.disk_faults(f"write {self._path}"):
      os.fsync(self._file.fileno())

  def close(self) -> None:
    """Closes the file."""
    with storage.disk_faults(f"write {self._path}"):
      self._file.close()


class TensorBoard:
  """Writes rows as TensorBoard events, over environment steps or else over updates."""

  def __init__(self, folder: Path, *, since: int) -> None:
    """Opens a new events file.

    Args:
      folder: of one stage.
      since: the step from which the stage goes on; TensorBoard then ignores later events that an
        earlier process left. 0 at the beginning.
    """
    self._events = EventFile(folder, restart_step=since + 1 if since else 0)

  def write(self, row: Row) -> None:
    """Adds a row; of several runs, the mean and each under its number."""
    lines: dict[str, Figure] = {}
    for name, figure in row.items():
      if name not in _NOT_METRICS:
        lines[name] = mean(figure)
        if isinstance(figure, list):
          lines |= {f"{name}/{index}": value for index, value in enumerate(figure)}
    values = {name: value for name, value in lines.items() if isinstance(value, float)}
    self._events.write(row["env_steps"] or row["updates"], values)

  def flush(self) -> None:
    """Makes all events durable."""
    self._events.flush()

  def close(self) -> None:
    """Closes the file."""
    self._events.close()


def read_rows(path: Path) -> tuple[list[dict[str, Any]], int]:
  """All whole rows of a `metrics.jsonl`, and how many lines are none: crashes cut lines short.

  Without a file there are no rows.
  """
  rows, skipped = [], 0
  if not path.exists():
    return rows, skipped
  for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
    if not line.strip():
      continue
    try:
      row = json.loads(line)
    except ValueError:
      row = None
    if isinstance(row, dict) and isinstance(row.get("stage"), str):
      rows.append(row)
    else:
      skipped += 1
  return rows, skipped


def forget_rows_after(path: Path, stage: str, chunk: int) -> None:
  """Drops what a stage wrote after the checkpoint from which it goes on.

  Raises:
    UserError: if the disk is full or cannot be written; the file is as before.
  """
  if not path.exists():
    return
  rows, _ = read_rows(path)
  rows = [row for row in rows if row["stage"] != stage or row["chunk"] <= chunk]
  content = "".join(json.dumps(row) + "\n" for row in rows)
  with storage.disk_faults(f"write {path}"):
    if content.encode() != path.read_bytes():
      disk.write_atomically(path, content.encode())


def parameters_sha256(tree: Any) -> str:
  """Sha256 over the bytes of all leaves, in the order of their paths: equal iff the bits are."""
  leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
  digest = hashlib.sha256()
  for _, leaf in sorted(leaves, key=lambda item: jax.tree_util.keystr(item[0])):
    if is_key(leaf):
      leaf = jax.random.key_data(leaf)
    digest.update(np.ascontiguousarray(jax.device_get(leaf)).tobytes())
  return digest.hexdigest()
