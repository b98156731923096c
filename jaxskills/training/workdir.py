"""The folder of one run: which run it is, who is working in it, and where its parts are.

`config.json` says what the run is. The same command on the same folder goes on with it; another
one is refused. A lock keeps two processes from writing the same files; the operating system drops
it with the process, so a kill leaves nothing to clean up.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from jaxskills import disk
from jaxskills.errors import UserError
from jaxskills.training import storage

_SHOWN = 3  # differing keys that an error names


class Workdir(NamedTuple):
  """A folder that this process holds the lock of; `open_workdir` makes it."""

  path: Path

  @property
  def config(self) -> Path:
    """What the run is, as JSON."""
    return self.path / "config.json"

  @property
  def checkpoints(self) -> Path:
    """One folder per stage."""
    return self.path / "checkpoints"

  @property
  def metrics(self) -> Path:
    """One JSON object a line."""
    return self.path / "metrics.jsonl"

  @property
  def tensorboard(self) -> Path:
    """One folder of events per stage."""
    return self.path / "tensorboard"

  @property
  def summary(self) -> Path:
    """The final figures."""
    return self.path / "summary.json"

  @property
  def report(self) -> Path:
    """Plots, videos and a page to look at them."""
    return self.path / "report"


@contextmanager
def open_workdir(
  path: str | Path, run: Mapping[str, Any], *, overwrite: bool = False
) -> Iterator[Workdir]:
  """Takes a folder for a run, new or to be resumed, and holds it while the block runs.

  Args:
    path: the folder; made if absent.
    run: what the run is, e.g. `{"experiment", "preset", "seed", "config"}`; nested mappings of
      JSON values.
    overwrite: discard what an earlier run left there; files that no run makes are kept.

  Raises:
    UserError: if another process works there, if it holds another run (naming the keys that
      differ), or if it cannot be written.
  """
  folder = Workdir(Path(path).expanduser().resolve())
  with storage.disk_faults(f"use {path} as the workdir"):
    try:
      folder.path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, FileNotFoundError) as error:
      raise UserError(f"{path} cannot be a workdir: no folder can be made there.") from error
    lock = open(folder.path / "lock", "a+")  # noqa: SIM115  (held for the whole block)
  with lock:
    _take(lock, path)
    with storage.disk_faults(f"write {path}"):
      if overwrite:
        _discard(folder)
      _claim(folder, path, run)
    yield folder


def read_config(path: str | Path) -> Mapping[str, Any]:
  """What the run in a folder is.

  Raises:
    UserError: if the folder holds no run.
  """
  folder = Workdir(Path(path).expanduser().resolve())
  try:
    return json.loads(folder.config.read_text())
  except (OSError, ValueError) as error:
    raise UserError(
      f"{path} holds no run: config.json is missing or not readable; "
      "name the --workdir of a 'jaxskills train'."
    ) from error


def _take(lock: Any, path: str | Path) -> None:
  """Locks a file and writes in it who did."""
  try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError as error:
    lock.seek(0)
    holder = lock.read().strip() or "another process"
    raise UserError(
      f"{path} is in use by {holder}; wait until it ends, or choose another --workdir."
    ) from error
  with storage.disk_faults(f"write {path}"):
    lock.truncate(0)
    lock.write(f"process {os.getpid()} on {socket.gethostname()}")
    lock.flush()


def _discard(folder: Workdir) -> None:
  """Removes a run; what says which run it was goes last, so that a kill leaves no orphans."""
  for part in (folder.checkpoints, folder.tensorboard, folder.report):
    storage.remove_folder(part)
  for part in (folder.metrics, folder.summary, folder.config):
    part.unlink(missing_ok=True)


def _claim(folder: Workdir, path: str | Path, run: Mapping[str, Any]) -> None:
  """Compares the run with the one in the folder, or makes it the folder's run."""
  content = json.dumps(run, indent=2, sort_keys=True, default=_plain)
  if not folder.config.exists():
    if folder.checkpoints.exists():
      raise UserError(
        f"{path} holds checkpoints but no config.json; choose another --workdir or empty it."
      )
    disk.write_atomically(folder.config, content.encode())
    return
  there, here = _flatten(read_config(path)), _flatten(json.loads(content))
  differing = [
    f"{key} is {there.get(key, 'absent')} there and {here.get(key, 'absent')} here"
    for key in sorted(set(there) | set(here), key=lambda key: (key != "experiment", key))
    if there.get(key) != here.get(key)
  ]
  if differing:
    more = len(differing) - _SHOWN
    shown = ", ".join(differing[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    raise UserError(
      f"{path} holds another run: {shown}; "
      "choose another --workdir, or discard that run with --overwrite."
    )


def _flatten(tree: Any, prefix: str = "") -> dict[str, str]:
  """Dotted keys to JSON text, which compares without surprises."""
  if isinstance(tree, Mapping):
    parts = [_flatten(value, f"{prefix}.{key}" if prefix else key) for key, value in tree.items()]
    return {key: value for part in parts for key, value in part.items()}
  return {prefix: json.dumps(tree)}


def _plain(value: Any) -> Any:
  """JSON for what configs hold besides JSON: mappings and NumPy scalars and arrays."""
  if isinstance(value, Mapping) or hasattr(value, "items"):
    return dict(value.items())
  if hasattr(value, "tolist"):
    return value.tolist()
  raise TypeError(f"a config cannot hold {value!r}, a {type(value).__name__}")
