"""The safety filter in C for one robot: `c/safety.c` and its limits as a header.

`measure` times it on this machine: what the filter adds to a tick.
"""

import ctypes
import math
import tempfile
from importlib import resources

import numpy as np

from jaxskills.deploy.native import compile_library
from jaxskills.deploy.safety_limits import Limits

_INTEGERS = ("controlled",)
_DEFINED = ("robot", "joints", "brakes", "window")
_NOT_NEEDED = ("velocity", "acceleration", "jerk", "torque_rate")  # what follows from them is
_LATENCY = "safety_latency.c"


def write(limits: Limits) -> dict[str, bytes]:
  """`safety.h`, `safety.c` and `safety_limits.h`: all that a robot's controller compiles."""
  return {
    "safety.h": _source("safety.h"),
    "safety.c": _source("safety.c"),
    "safety_limits.h": _header(limits).encode(),
  }


def measure(limits: Limits, calls: int = 50_000) -> np.ndarray:
  """Seconds of each of `calls` calls of `safety_step` in C, on this machine, as it is loaded.

  A robot in RUN whose targets step at random at 50 Hz and which is read anew in every tick.

  Raises:
    UserError: if there is no C compiler.
  """
  seconds = np.empty(calls)
  with tempfile.TemporaryDirectory() as folder:
    sources = {**write(limits), _LATENCY: _source(_LATENCY)}
    library = ctypes.CDLL(str(compile_library(sources, folder)))
    library.safety_latency.argtypes = [ctypes.c_long, ctypes.c_void_p]
    library.safety_latency.restype = ctypes.c_double
    assert not math.isnan(library.safety_latency(calls, seconds.ctypes.data)), "it did not run"
  return seconds


def _source(name: str) -> bytes:
  return resources.files("jaxskills.deploy").joinpath("c", name).read_bytes()


def _header(limits: Limits) -> str:
  """The limits as constants; decimal numbers that read back to the same bits."""
  count, actions = len(limits.joints), len(limits.controlled)
  lines = [
    f"/* Limits of the safety filter: {limits.robot}, written with the bundle.",
    " * rad, s, N m; jaxskills.deploy.safety_limits says where each comes from. */",
    "#ifndef SAFETY_LIMITS_H",
    "#define SAFETY_LIMITS_H",
    "",
    "#include <math.h>",
    "",
    f"#define SAFETY_JOINTS {count}",
    f"#define SAFETY_ACTIONS {actions}",
    f"#define SAFETY_WINDOW {limits.window}",
    f"#define SAFETY_BRAKES {int(limits.brakes)}",
    "",
    *(f"/* {index}: {name} */" for index, name in enumerate(limits.joints)),
    "",
  ]
  for field in Limits._fields:
    if field not in (*_DEFINED, *_NOT_NEEDED):
      lines.append(_constant(field, getattr(limits, field)))
  return "\n".join([*lines, "", "#endif", ""])


def _constant(field: str, value: float | np.ndarray) -> str:
  name = f"SAFETY_{field.upper()}"
  if not isinstance(value, np.ndarray):
    return f"static const double {name} = {_literal(value)};"
  kind = "int" if field in _INTEGERS else "double"
  numbers = [str(entry) if kind == "int" else _literal(entry) for entry in value.tolist()]
  rows = [", ".join(numbers[start : start + 4]) for start in range(0, len(numbers), 4)]
  return f"static const {kind} {name}[{len(numbers)}] = {{\n  " + ",\n  ".join(rows) + "};"


def _literal(value: float) -> str:
  if math.isinf(value):
    return "HUGE_VAL" if value > 0 else "-HUGE_VAL"
  return repr(float(value))
