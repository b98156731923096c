"""How a benchmark here measures: contenders take turns, and ratios are formed turn by turn.

Absolute rates on shared processors are noise. So every round lets each contender work for the same
few seconds, one after the other in one process that has set all of them up before; the order is
turned from round to round; a ratio is that of two neighbours in time, and a row reports the median
of the rounds with their range. A figure that is not finite ends the benchmark. Time to compile is
measured apart (`compiled`) and is in no rate.
"""

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any, NamedTuple

import jax

from jaxskills.physics import processor
from jaxskills.training import summary

ROUNDS = 5


class Contender(NamedTuple):
  """One way to do the work.

  Attributes:
    name: e.g. `jaxskills` or `gymnasium-robotics PointMaze, SyncVectorEnv of 16`.
    run: does some work to its end (no asynchronous rest) and returns figures of it.
    units: of work that one call of `run` does.
  """

  name: str
  run: Callable[[], Mapping[str, float]]
  units: float


def race(
  contenders: Sequence[Contender],
  rounds: int = ROUNDS,
  seconds: float = 2.0,
  clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
  """Lets contenders take turns.

  Args:
    contenders: of different names, set up so that a call of `run` is nothing but the work. Each is
      called once before the first round, so that what happens only once is not measured.
    rounds: turns of each.
    seconds: that a turn lasts at least; it holds at least one call.
    clock: in seconds.

  Returns:
    Units of work per second of every turn, by the contenders' names.

  Raises:
    FloatingPointError: if a figure is not finite, naming contender and figure.
    ValueError: if two contenders have one name.
  """
  rates: dict[str, list[float]] = {contender.name: [] for contender in contenders}
  if len(rates) != len(contenders):
    raise ValueError(f"contenders need different names, got {[c.name for c in contenders]}")
  for contender in contenders:
    check_finite(contender.name, contender.run())
  for number in range(rounds):
    first = number % len(contenders)
    for contender in (*contenders[first:], *contenders[:first]):
      rates[contender.name].append(_rate(contender, seconds, clock))
  return rates


def _rate(contender: Contender, seconds: float, clock: Callable[[], float]) -> float:
  calls, figures, began = 0, {}, clock()
  while True:
    figures = contender.run()
    calls += 1
    spent = clock() - began
    if spent >= seconds:
      break
  check_finite(contender.name, figures)
  return calls * contender.units / spent


def check_finite(name: str, figures: Mapping[str, float]) -> None:
  """Refuses figures that are not finite.

  Raises:
    FloatingPointError: naming the first one.
  """
  for figure, value in figures.items():
    if not math.isfinite(value):
      raise FloatingPointError(f"{name}: {figure} is {float(value)}, so its rate means nothing")


def row(
  name: str,
  unit: str,
  rates: Mapping[str, Sequence[float]],
  ours: str,
  peer: str,
  floor: float | None = None,
  **facts: Any,
) -> dict[str, Any]:
  """A row of a benchmark's result.

  Args:
    name: of the row.
    unit: of the rates.
    rates: from `race`.
    ours: whose rate is `value`.
    peer: whose rate is `peer_value`; `ratio` is `ours / peer`, the median over the rounds.
    floor: the ratio that we hold ourselves to; the row says whether it was `reached`.
    **facts: whatever else belongs to the row.
  """
  ratios = [mine / theirs for mine, theirs in zip(rates[ours], rates[peer], strict=True)]
  ratio = statistics.median(ratios)
  judged = {} if floor is None else {"floor": floor, "reached": ratio >= floor}
  result = {
    "name": name,
    "value": statistics.median(rates[ours]),
    "unit": unit,
    "peer": peer,
    "ratio": ratio,
    "ratio_range": [min(ratios), max(ratios)],
    "pairs": len(ratios),
    "peer_value": statistics.median(rates[peer]),
    **judged,
    **facts,
  }
  check_finite(name, {key: result[key] for key in ("value", "ratio", "peer_value")})
  return result


def compiled(
  function: Callable[..., Any],
  *args: Any,
  donate: bool = False,
  options: dict[str, bool | str] | None = None,
) -> tuple[Any, float]:
  """Compiles for the given arguments ahead of the first call.

  Args:
    function: pure.
    *args: arrays or their shapes.
    donate: whether calls may overwrite the first argument.
    options: for the compiler.

  Returns:
    What to call instead, and the seconds that tracing and compiling took.
  """
  began = time.perf_counter()
  donated = (0,) if donate else ()
  jitted = jax.jit(function, donate_argnums=donated, compiler_options=options)
  program = jitted.lower(*args).compile()
  return program, time.perf_counter() - began


def machine(*peers: str) -> dict[str, Any]:
  """Facts of the machine, for the record; the load is that of the moment.

  Args:
    *peers: distributions whose versions belong to the record.
  """
  found = summary.versions()
  found |= {name: metadata.version(name) for name in peers}
  return {
    "cpu": processor.name(),
    "cores": processor.cores(),
    "memory_gib": _memory_gib(),
    "load_average": [round(load, 2) for load in os.getloadavg()],
    "device": summary.describe_device(),
    "system": f"{platform.system()} {platform.machine()}",
    "versions": found,
    "git": summary.git_commit(),
  }


def _memory_gib() -> float:
  return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
