"""Faults of the disk as one line for the user, and folders that vanish in one step."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxskills.errors import UserError

# What the operating system calls it, and what to do about it.
_REMEDIES = {
  errno.ENOSPC: "free some space",
  errno.EDQUOT: "free some space or raise your quota",
  errno.EFBIG: "raise the file size limit (ulimit -f)",
  errno.EROFS: "choose a --workdir that can be written",
  errno.EACCES: "choose a --workdir that you may write",
  errno.EPERM: "choose a --workdir that you may write",
  errno.ENOTDIR: "choose another --workdir",
  errno.EIO: "check the disk",
}


@contextmanager
def disk_faults(doing: str, *, then: str = "run the same command again") -> Iterator[None]:
  """Turns a full, read-only or broken disk into one line for the user.

  Args:
    doing: what was tried, e.g. `"save runs/maze/checkpoints/rl"`.
    then: what to do once the cause is gone.

  Raises:
    UserError: for faults of the disk; anything else passes through.
  """
  try:
    yield
  except Exception as error:
    number = _fault(error)
    if number is None:
      raise
    reason = os.strerror(number).lower()
    raise UserError(f"cannot {doing}: {reason}; {_REMEDIES[number]}, then {then}.") from error


def _fault(error: BaseException | None) -> int | None:
  """The errno at the root of an error; tensorstore gives it only as text."""
  while error is not None:
    if isinstance(error, OSError) and error.errno in _REMEDIES:
      return error.errno
    if not isinstance(error, OSError):
      for number in _REMEDIES:
        if os.strerror(number) in str(error):
          return number
    error = error.__cause__ or error.__context__
  return None


def remove_folder(folder: Path) -> None:
  """Deletes a folder; a reader sees all of it or nothing."""
  if folder.exists():
    trash = folder.with_name(f".tmp-removed-{folder.name}")
    shutil.rmtree(trash, ignore_errors=True)
    os.rename(folder, trash)
    shutil.rmtree(trash, ignore_errors=True)
