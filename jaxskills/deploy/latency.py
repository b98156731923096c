"""How long one decision takes, on one thread: every call is timed, and the tail is what counts.

A mean hides what makes a robot stumble, so a measurement is the percentiles of all calls. Python's
calls are timed in Python, with everything prepared that a controller can prepare; C's in C, as a
controller in C would make them. The greatest values on a shared machine are those of its scheduler.
"""

import ctypes
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import onnxruntime

from jaxskills.deploy import native
from jaxskills.deploy.bundle import Bundle
from jaxskills.deploy.runtime import Policy

CALLS = 50_000
WARMUP_CALLS = 500  # caches, branch predictors and lazy initialisation, which happen once


class Latency(NamedTuple):
  """Percentiles of the time that a call took, in microseconds."""

  calls: int
  p50: float
  p99: float
  p999: float
  greatest: float

  @property
  def text(self) -> str:
    """For people."""
    return f"p50 {self.p50:.1f}, p99 {self.p99:.1f}, p99.9 {self.p999:.1f} us"


class Timed(Protocol):
  """Something whose calls can be timed."""

  def time(self, calls: int = CALLS) -> np.ndarray:
    """Nanoseconds `[calls]` of each call."""
    ...


def summarize(nanoseconds: np.ndarray) -> Latency:
  """Percentiles of the times `[calls]` of single calls."""
  quantiles = np.percentile(nanoseconds, [50.0, 99.0, 99.9, 100.0]) / 1e3
  return Latency(len(nanoseconds), *(round(float(value), 3) for value in quantiles))


def medians(turns: Sequence[Latency]) -> Latency:
  """Of several turns: all calls, the median of each percentile, and the greatest of all."""
  middle = {
    name: round(statistics.median(getattr(turn, name) for turn in turns), 3)
    for name in ("p50", "p99", "p999")
  }
  calls, greatest = sum(turn.calls for turn in turns), max(turn.greatest for turn in turns)
  return Latency(calls, **middle, greatest=greatest)


def time_calls(
  function: Callable[..., Any],
  arguments: Sequence[tuple[Any, ...]],
  calls: int = CALLS,
  *,
  warmup: int = WARMUP_CALLS,
  clock: Callable[[], int] = time.perf_counter_ns,
) -> np.ndarray:
  """Nanoseconds `[calls]` that each call of a function took.

  Args:
    function: called with one entry of `arguments` after the other, over and over.
    arguments: prepared, so that only the call is timed.
    calls: that are timed.
    warmup: calls before them that are not.
    clock: in nanoseconds.
  """
  spent, count = np.empty(calls, np.int64), len(arguments)
  for number in range(warmup):
    function(*arguments[number % count])
  for number in range(calls):
    prepared = arguments[number % count]
    began = clock()
    function(*prepared)
    spent[number] = clock() - began
  return spent


class OnnxRuntime:
  """A policy as a controller calls it: `session.run` on one thread, its inputs prepared."""

  def __init__(self, graphs: Sequence[bytes], inputs: Mapping[str, np.ndarray]) -> None:
    """Opens a session for each graph.

    Args:
      graphs: contents of the .onnx files; one decision runs all of them.
      inputs: `[rows, ...]` of every input; calls take one row after the other.
    """
    sessions = [_session(content) for content in graphs]
    rows = range(len(next(iter(inputs.values()))))
    prepared = [[_arguments(session, inputs, row) for row in rows] for session in sessions]
    if len(sessions) == 1:
      self._function, self._prepared = sessions[0].run, prepared[0]
    else:
      runs = [session.run for session in sessions]
      self._function = lambda *each: [run(*given) for run, given in zip(runs, each, strict=True)]
      self._prepared = list(zip(*prepared, strict=True))

  def time(self, calls: int = CALLS) -> np.ndarray:
    """Nanoseconds `[calls]` of each decision."""
    return time_calls(self._function, self._prepared, calls)


class BoundOnnxRuntime:
  """A policy as a controller calls it that gave onnxruntime its buffers once, and fills them."""

  def __init__(self, graph: bytes, inputs: Mapping[str, np.ndarray]) -> None:
    """Binds a buffer to every input and output, for each row.

    Args:
      graph: content of the .onnx file.
      inputs: `[rows, ...]` of every input; calls take one row after the other.
    """
    session = _session(graph)
    rows = range(len(next(iter(inputs.values()))))
    self._function = session.run_with_iobinding
    self._prepared = [(_binding(session, inputs, row),) for row in rows]

  def time(self, calls: int = CALLS) -> np.ndarray:
    """Nanoseconds `[calls]` of each decision."""
    return time_calls(self._function, self._prepared, calls)


class Runtime:
  """A policy as this package's controllers call it: `runtime.Policy.step`, its checks included."""

  def __init__(self, bundle: Bundle, inputs: Mapping[str, np.ndarray]) -> None:
    """Prepares a policy of its own.

    Args:
      bundle: that it is of.
      inputs: `[rows, ...]` of every observation; calls take one row after the other.
    """
    self._step = Policy(bundle).step
    names = [term["name"] for term in bundle.manifest["observation"]]
    rows = range(len(inputs[names[0]]))
    self._prepared = [({name: inputs[name][row].copy() for name in names},) for row in rows]

  def time(self, calls: int = CALLS) -> np.ndarray:
    """Nanoseconds `[calls]` of each step."""
    return time_calls(self._step, self._prepared, calls)


class C:
  """A bundle's policy.c, compiled for this machine and timed from C."""

  def __init__(
    self,
    sources: Mapping[str, bytes],
    observation: np.ndarray,
    folder: Path,
    flags: Sequence[str] = native.FLAGS,
  ) -> None:
    """Compiles it.

    Args:
      sources: `policy.c` and `policy.h`.
      observation: float32 `[rows, observation]`; calls take one row after the other.
      folder: for what the compiler makes; it must stay until the last call.
      flags: for the compiler.

    Raises:
      UserError: if there is no compiler, or it refuses the sources.
    """
    harness = resources.files("jaxskills.deploy").joinpath("c/policy_latency.c").read_bytes()
    wanted = {name: sources[name] for name in ("policy.c", "policy.h")}
    library = native.compile_library({**wanted, "policy_latency.c": harness}, folder, flags=flags)
    self._function = ctypes.CDLL(str(library)).policy_latency
    self._function.argtypes = [ctypes.c_void_p, ctypes.c_long, ctypes.c_long, ctypes.c_void_p]
    self._function.restype = ctypes.c_float
    self._observation = np.ascontiguousarray(observation, np.float32)

  def time(self, calls: int = CALLS) -> np.ndarray:
    """Nanoseconds `[calls]` of each call."""
    rows, spent = self._observation, np.empty(calls + WARMUP_CALLS, np.int64)
    self._function(rows.ctypes.data, len(rows), len(spent), spent.ctypes.data)
    return spent[WARMUP_CALLS:]


class TorchScript:
  """A bundle's policy.pt on one thread, without gradients."""

  def __init__(self, content: bytes, observation: np.ndarray) -> None:
    """Loads it.

    Args:
      content: of the .pt file.
      observation: float32 `[rows, observation]`; calls take one row after the other.

    Raises:
      ModuleNotFoundError: without torch.
    """
    import torch  # pyright: ignore[reportMissingImports]

    self._torch = torch
    with warnings.catch_warnings():
      warnings.simplefilter("ignore", DeprecationWarning)  # and still what robots' scripts read
      self._module = torch.jit.load(BytesIO(content)).eval()
    self._arguments = [(torch.from_numpy(row[None].copy()),) for row in observation]

  def time(self, calls: int = CALLS) -> np.ndarray:
    """Nanoseconds `[calls]` of each call."""
    threads = self._torch.get_num_threads()
    self._torch.set_num_threads(1)
    try:
      with self._torch.inference_mode():
        return time_calls(self._module, self._arguments, calls)
    finally:
      self._torch.set_num_threads(threads)


def _session(content: bytes) -> onnxruntime.InferenceSession:
  options = onnxruntime.SessionOptions()
  options.intra_op_num_threads = options.inter_op_num_threads = 1
  return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _binding(
  session: onnxruntime.InferenceSession, inputs: Mapping[str, np.ndarray], row: int
) -> onnxruntime.IOBinding:
  """One observation and room for its answer, where onnxruntime reads and writes them."""
  binding = session.io_binding()
  for node in session.get_inputs():
    value = onnxruntime.OrtValue.ortvalue_from_numpy(inputs[node.name][row : row + 1].copy())
    binding.bind_ortvalue_input(node.name, value)
  for node in session.get_outputs():
    room = np.zeros((1, *node.shape[1:]), np.float32)
    binding.bind_ortvalue_output(node.name, onnxruntime.OrtValue.ortvalue_from_numpy(room))
  return binding


def _arguments(
  session: onnxruntime.InferenceSession, inputs: Mapping[str, np.ndarray], row: int
) -> tuple[list[str], dict[str, np.ndarray]]:
  """What `session.run` takes for one observation."""
  outputs = [node.name for node in session.get_outputs()]
  names = [node.name for node in session.get_inputs()]
  return outputs, {name: inputs[name][row : row + 1].copy() for name in names}
