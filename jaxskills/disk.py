"""Files that a crash leaves as they were or as they shall be, and folders that processes share."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
  """Replaces a file in one step; after a crash it holds the old bytes or the new ones."""
  temporary = path.with_name(f".tmp-{path.name}")
  try:
    with open(temporary, "wb") as file:
      file.write(content)
      file.flush()
      os.fsync(file.fileno())
    os.replace(temporary, path)
  except BaseException:
    temporary.unlink(missing_ok=True)
    raise
  sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
  """Makes the names in a folder durable."""
  descriptor = os.open(folder, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
  """Waits until no other process is in here; the lock goes when the process does."""
  handle = os.open(directory, os.O_RDONLY)
  try:
    fcntl.flock(handle, fcntl.LOCK_EX)
    yield
  finally:
    os.close(handle)
