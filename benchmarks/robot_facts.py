"""What a robot's benchmark reports beside rates: memory, contacts, processors, faults."""

import ctypes
import gc
import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import mujoco
import numpy as np
from jaxtyping import Float

from jaxskills.benchmarks import measuring

_SETTINGS = ("XLA_FLAGS", "XLA_PYTHON_CLIENT_MEM_FRACTION", "JAX_PLATFORMS")  # of rates
_WARP_CALLS = "_JAX_CALLABLE_VARIADIC_TUPLE_REGISTRY"  # of mujoco-mjx 3.17
FAULTS = ("overflow", "quarantined", "nonfinite")
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Meter:
  """A contender's `run` that remembers what its calls reported and how busy they were.

  Faults are not raised where they happen: they fail the benchmark once its tables are printed.

  Attributes:
    faults: of all calls. `overflow` counts control steps of a world in which the engine dropped a
      contact or a constraint; `quarantined` worlds that were put aside for not being finite, in
      their whole life; `nonfinite` calls, or gradient steps, whose figures were not finite.
  """

  def __init__(self, run: Callable[[], Mapping[str, float]]):
    """Wraps `run`, whose figures are `FAULTS` and anything else that has to be finite."""
    self.faults = dict.fromkeys(FAULTS, 0)
    self._run = run
    self._cpu = self._wall = 0.0

  def __call__(self) -> dict[str, float]:
    """Runs; nothing of what it returns can end a race."""
    cpu, wall = time.process_time(), time.perf_counter()
    figures = dict(self._run())
    self._cpu += time.process_time() - cpu
    self._wall += time.perf_counter() - wall
    for name in ("overflow", "nonfinite"):
      self.faults[name] += round(figures.pop(name, 0.0))
    self.faults["quarantined"] = round(figures.pop("quarantined", 0.0))
    self.faults["nonfinite"] += not all(math.isfinite(value) for value in figures.values())
    return {}

  def forget(self) -> None:
    """Begins to count processor time anew."""
    self._cpu = self._wall = 0.0

  @property
  def cpu_utilisation(self) -> float:
    """Processor cores busy on average while it ran, this process' alone."""
    return self._cpu / self._wall if self._wall else 0.0


class PeakMemory:
  """The most memory that was taken inside a `with` over what was taken before, in `mib`.

  Of the process; or, on a device with memory of its own that JAX keeps account of, what is kept
  there more than before and the temporaries that the compiled program asks for.
  """

  mib: float = 0.0

  def __init__(self, program: Any):
    """Measures around the first call of `program`, as `jax.jit` compiles it, or of None."""
    self._program = program

  def __enter__(self) -> "PeakMemory":
    gc.collect()
    _give_back()
    self._in_use = _device_stats().get("bytes_in_use")
    try:
      _CLEAR.write_text("5")  # from here on the peak is of what comes
    except OSError:
      pass  # then it is the peak since the process began
    self._before = _of_process("VmRSS")
    return self

  def __exit__(self, *_: object) -> None:
    if self._in_use is None or self._program is None:
      grown = _of_process("VmHWM") - self._before
    else:
      grown = _device_stats()["bytes_in_use"] - self._in_use
      grown += self._program.memory_analysis().temp_size_in_bytes
    self.mib = max(0.0, grown) / 2**20


def contacts_per_world(
  model: mujoco.MjModel, qpos: Float[Any, "worlds nq"], sample: int = 64
) -> float:
  """Mean number of active contacts in poses, counted by C MuJoCo whatever engine led there.

  Args:
    model: whose geoms touch.
    qpos: of the worlds.
    sample: worlds that are looked at, evenly spread.
  """
  data, counts = mujoco.MjData(model), []
  chosen = np.unique(np.linspace(0, len(qpos) - 1, min(sample, len(qpos))).round().astype(int))
  for pose in np.asarray(qpos)[chosen]:
    data.qpos[:] = pose
    mujoco.mj_fwdPosition(model, data)
    counts.append(np.sum(data.contact.efc_address >= 0))
  return float(np.mean(counts))


def warp_facts(model: mujoco.MjModel) -> dict[str, Any]:
  """How MuJoCo Warp runs here, as JAX calls it.

  Without captured graphs, or without the memory pool that they need, every kernel is launched by
  itself and rates mean nothing; `graph_fault` then says so.
  """
  import warp
  from mujoco import mjx

  mode = mjx.put_model(model, impl="warp").opt._impl.graph_mode  # pyright: ignore
  device = warp.get_preferred_device()
  facts: dict[str, Any] = {
    "warp": warp.__version__,
    "warp_device": str(device),
    "graph_mode": getattr(mode, "name", str(mode)),
  }
  if device.is_cuda:
    pooled = bool(device.is_mempool_supported and device.is_mempool_enabled)
    facts["warp_memory_pool"] = pooled
    if facts["graph_mode"] == "NONE" or not pooled:
      facts["graph_fault"] = f"warp captures no graphs: mode {facts['graph_mode']}, pool {pooled}"
  return facts


def captured_graphs() -> set[Any]:
  """Keys of the graphs that Warp has captured for calls from JAX, and still holds.

  A graph belongs to the addresses of its buffers. Where these keep moving, Warp captures anew and
  anew, and no setting says so; on a CPU it captures none.
  """
  calls = getattr(sys.modules.get("mujoco.mjx.warp.ffi"), _WARP_CALLS, {})
  return {key for call in calls.values() for key in getattr(call, "captures", ())}


def machine(engines: Sequence[str]) -> dict[str, Any]:
  """Facts of the machine, of what is installed and how it is set."""
  facts = measuring.machine("brax")
  settings: Any = jax.config
  facts["precision"] = f"float32, products {settings.jax_default_matmul_precision or 'default'}"
  facts["engines"] = list(engines)
  facts["settings"] = {name: os.environ[name] for name in _SETTINGS if name in os.environ}
  return facts


def _device_stats() -> Mapping[str, int]:
  device = jax.devices()[0]
  return (device.memory_stats() or {}) if device.platform != "cpu" else {}


def _of_process(name: str) -> float:
  """A line of Linux's account of this process, bytes; 0 elsewhere."""
  try:
    lines = _STATUS.read_text().splitlines()
  except OSError:
    return 0.0
  return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith(name)), 0.0)


def _give_back() -> None:
  """Hands freed memory back to the system, where the C library can, so that it is not reused."""
  trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
  if trim is not None:
    trim(0)
