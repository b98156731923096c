"""C of a bundle, compiled on this machine and called through ctypes; no JAX.

So that what a robot compiles is compared with what was trained: tests, `jaxskills verify` and the
latency table build the bundle's own sources with it.
"""

import ctypes
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxskills.errors import UserError

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
"""What our C is written to: every warning is an error."""
FLAGS = (*STRICT, "-O3", "-march=native", "-ffp-contract=off")
"""As fast as this machine can; products are not fused, so that sums round alike everywhere."""
_LIMIT_SECONDS = 300.0  # the largest network of the package compiles in a few seconds


def compiler() -> list[str]:
  """The command of a C compiler: `CC` of the environment, else cc, gcc or clang.

  Raises:
    UserError: if there is none.
  """
  chosen = shlex.split(os.environ.get("CC", ""))
  for command in [chosen] if chosen else [["cc"], ["gcc"], ["clang"]]:
    if shutil.which(command[0]):
      return command
  missing = f"the compiler {chosen[0]!r} of CC" if chosen else "a C compiler (cc, gcc or clang)"
  raise UserError(f"{missing} is not on the PATH; install one, or name it in CC.")


def compile_library(
  sources: Mapping[str, bytes],
  folder: str | Path,
  *,
  flags: Sequence[str] = FLAGS,
  name: str = "library",
) -> Path:
  """Writes sources and headers to a folder and makes a shared library of them.

  Args:
    sources: content by file name; `.c` files are compiled, all others lie beside them.
    folder: must exist; receives the files and the library.
    flags: of the compiler.
    name: the library is `<name>.so`.

  Returns:
    The path of the library, for `ctypes.CDLL`.

  Raises:
    UserError: if there is no compiler, or it refuses the sources, with its first complaint.
  """
  folder = Path(folder).resolve()
  for file, content in sources.items():
    (folder / file).write_bytes(content)
  library = folder / f"{name}.so"
  units = [file for file in sources if file.endswith(".c")]
  command = [*compiler(), *flags, "-fPIC", "-shared", "-o", str(library), *units, "-lm"]
  done = subprocess.run(
    command, cwd=folder, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False
  )
  if done.returncode:
    complaints = [line for line in done.stderr.splitlines() if "error" in line]
    first = (complaints or done.stderr.splitlines() or ["no message"])[0]
    raise UserError(f"{command[0]} cannot compile {', '.join(units)}: {first}")
  return library


class Policy:
  """The `policy_step` of a compiled `policy.c`."""

  def __init__(
    self, library: str | Path, observation_size: int, action_size: int, state_size: int = 0
  ) -> None:
    """Opens a library from `compile_library`; sizes are those of its `policy.h`."""
    self._step = ctypes.CDLL(str(library)).policy_step
    self._step.restype = None
    self._step.argtypes = [ctypes.c_void_p] * (4 if state_size else 2)
    self._sizes = observation_size, action_size, state_size

  def step(
    self, observation: np.ndarray, state: np.ndarray | None = None
  ) -> tuple[np.ndarray, np.ndarray]:
    """Actions of a batch, row after row, and the state after it.

    Args:
      observation: `[batch, observation]`.
      state: `[batch, state]` of the last step; none is zeros.

    Returns:
      Actions `[batch, action]` and the next state `[batch, state]`, float32.

    Raises:
      ValueError: if an array is not of the network's size.
    """
    observed, acted, kept = self._sizes
    rows = len(observation)
    before = np.zeros((rows, kept)) if state is None else state
    if np.shape(observation) != (rows, observed) or np.shape(before) != (rows, kept):
      raise ValueError(f"the network takes rows of {observed} numbers and a state of {kept}")
    seen, before = (np.ascontiguousarray(value, np.float32) for value in (observation, before))
    action, after = np.empty((rows, acted), np.float32), np.empty((rows, kept), np.float32)
    for row in range(rows):
      pointers = [seen[row].ctypes.data, action[row].ctypes.data]
      if kept:
        pointers = [pointers[0], before[row].ctypes.data, pointers[1], after[row].ctypes.data]
      self._step(*pointers)
    return action, after
