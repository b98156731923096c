"""Named arrays in an npz file without pickles: how runs keep recordings for their reports."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from jaxskills import disk
from jaxskills.errors import UserError
from jaxskills.training import storage


def save(path: Path, fields: Mapping[str, Any]) -> Path:
  """Writes arrays by name, compressed, atomically; makes the folder if need be.

  Raises:
    UserError: if the disk is full or cannot be written.
  """
  content, path = BytesIO(), Path(path)
  np.savez_compressed(content, allow_pickle=False, **fields)
  with storage.disk_faults(f"write {path}"):
    path.parent.mkdir(parents=True, exist_ok=True)
    disk.write_atomically(path, content.getvalue())
  return path


def load(path: Path, needed: Sequence[str]) -> dict[str, Any]:
  """Reads every array of a file.

  Raises:
    OSError: if there is no such file, or it cannot be read.
    UserError: if it is damaged, holds pickles, or lacks one that is needed, naming which.
  """
  path = Path(path)
  try:
    with np.load(path, allow_pickle=False) as archive:
      fields: dict[str, Any] = {name: archive[name] for name in archive.files}
  except OSError:
    raise
  except Exception as error:  # of many kinds: zipfile's, zlib's, tokenize's, NumPy's
    raise damaged(path, str(error)) from None
  missing = [name for name in needed if name not in fields]
  if missing:
    raise UserError(f"{path} lacks {', '.join(missing)}; it was not written by this version")
  return fields


def damaged(path: Path, reason: str) -> UserError:
  """What to tell of a file whose content cannot be right."""
  return UserError(f"{path} is damaged ({reason}); run the experiment again")
