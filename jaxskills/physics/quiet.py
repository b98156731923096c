"""MuJoCo's warnings: what they say of a world, and how to keep them off the screen.

`quiet` keeps MuJoCo from printing a line for every one, and from writing MUJOCO_LOG.TXT. The
handler of warnings belongs to the whole process. So users of `quiet` are counted: the first one
takes the handler that was there away, and the last one, in whichever thread, puts it back.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mujoco

BAD = tuple(
  int(getattr(mujoco.mjtWarning, f"mjWARN_{name}"))
  for name in ("BADQPOS", "BADQVEL", "BADQACC", "BADCTRL")
)
"""Warnings of numbers that are not finite or out of bounds, as indices into `mjData.warning`."""

FULL = tuple(
  int(getattr(mujoco.mjtWarning, f"mjWARN_{name}")) for name in ("CONTACTFULL", "CNSTRFULL")
)
"""Warnings that contacts or constraints were dropped, likewise."""

_lock = threading.Lock()
_users = 0
_before: Any = None  # the handler that was there when the first user came


@contextmanager
def quiet() -> Iterator[None]:
  """MuJoCo's warnings go nowhere for as long as any thread is inside of this."""
  global _users, _before
  with _lock:
    if not _users:
      _before = mujoco.get_mju_user_warning()
      mujoco.set_mju_user_warning(_ignore)
    _users += 1
  try:
    yield
  finally:
    with _lock:
      _users -= 1
      if not _users:
        mujoco.set_mju_user_warning(_before)
        _before = None


def _ignore(message: str) -> None:
  """Takes the place of the printing."""
