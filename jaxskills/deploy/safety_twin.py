"""The safety filter of a bundle's own C, compiled here, as a function of many filters at once.

It takes and gives what `safety.step` does, so that the two can be compared to the bit.
"""

import ctypes
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import numpy as np

from jaxskills.deploy import native
from jaxskills.deploy.safety import Command, Limits, Output, Reading

SOURCES = ("safety.c", "safety.h", "safety_limits.h")
_BATCH = "safety_batch.c"


class Twin:
  """Filters in C, each with its own state."""

  def __init__(
    self, sources: Mapping[str, bytes], limits: Limits, filters: int, folder: Path
  ) -> None:
    """Compiles them and begins.

    Args:
      sources: `SOURCES`, by name; others are not looked at.
      limits: of the robot; they say how many joints and actions there are.
      filters: side by side.
      folder: for what the compiler makes; it must stay until the last call.

    Raises:
      UserError: if there is no compiler, or it refuses the sources.
    """
    harness = resources.files("jaxskills.deploy").joinpath("c", _BATCH).read_bytes()
    files = {**{name: sources[name] for name in SOURCES}, _BATCH: harness}
    self._library = ctypes.CDLL(str(native.compile_library(files, folder, name="twin")))
    self._library.safety_batch_bytes.restype = ctypes.c_long
    self._library.safety_batch_start.argtypes = [ctypes.c_void_p, ctypes.c_long]
    self._library.safety_batch_step.argtypes = [
      ctypes.c_void_p,
      ctypes.c_long,
      ctypes.c_void_p,
      ctypes.c_void_p,
    ]
    self._library.safety_target_of.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    self._filters, self._joints = filters, len(limits.joints)
    self._states = np.zeros((filters, self._library.safety_batch_bytes() // 8))
    self._library.safety_batch_start(self._states.ctypes.data, filters)

  def step(
    self,
    now: np.ndarray,
    reading: Reading,
    command: Command,
    late: np.ndarray,
    reset: np.ndarray,
  ) -> Output:
    """One tick of every filter; all arrays are `[filters, ...]`."""
    columns = (now, *reading, *command, late, reset)
    inputs = np.concatenate(
      [np.asarray(column, np.float64).reshape(self._filters, -1) for column in columns], axis=1
    )
    outputs = np.empty((self._filters, 2 + 3 * self._joints))
    self._library.safety_batch_step(
      self._states.ctypes.data, self._filters, inputs.ctypes.data, outputs.ctypes.data
    )
    vectors = np.split(outputs[:, 2:], 3, axis=1)
    return Output(outputs[:, 0].astype(int), outputs[:, 1].astype(int), *vectors)

  def target_of(self, actions: np.ndarray) -> np.ndarray:
    """Joint targets `[rows, joints]`, in rad, of a policy's actions `[rows, actions]`."""
    actions = np.ascontiguousarray(actions, np.float32)
    targets = np.empty((len(actions), self._joints))
    for action, target in zip(actions, targets, strict=True):
      self._library.safety_target_of(action.ctypes.data, target.ctypes.data)
    return targets
