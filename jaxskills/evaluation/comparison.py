"""One row per method of a run: what it sees, how much it trained, how often it succeeds.

The figures are the final ones of `summary.json`; where a run has none yet (still training, or
killed), the last evaluation of `metrics.jsonl` stands in and is marked as such.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxskills.evaluation import intervals, run_records
from jaxskills.evaluation.run_records import Method, Run


class Row(NamedTuple):
  """What the table says of one method; NaN and empty where unknown."""

  name: str
  actor: str
  critic: str
  env_steps: float
  success_rate: float
  interval: intervals.Interval
  episodes: float
  seconds: float
  seeds: int
  is_final: bool
  """False if the rate is an evaluation during training, not the final one."""


def main_method(summary: Mapping[str, Any], found: Sequence[Method]) -> str:
  """The method that the run is about: trained, but no baseline; the paper's own if it is one."""
  paper = str(summary.get("experiment", "")).split("/")[0]
  baselines = _object(_object(summary.get("metrics")).get("baselines"))
  names = [method.name for method in found if method.name not in baselines]
  return paper if paper in names or not names else names[0]


def compare(runs: Sequence[Run], found: Sequence[Method]) -> list[Row]:
  """Rows of all methods, the run's own first, then its baselines.

  Args:
    runs: the run folder and those below it, the run itself first.
    found: the methods that were trained.
  """
  summary = runs[0].summary if runs else {}
  figures = _object(summary.get("metrics"))
  main = main_method(summary, found)
  reported: dict[str, Mapping[str, Any]] = {}
  if "success_rate" in figures:
    reported[main] = figures
  for name, baseline in _object(figures.get("baselines")).items():
    reported[str(name)] = _object(baseline)
  trained = {method.name: method for method in found}
  names = [main] if main in trained or main in reported else []
  names += [name for name in [*reported, *trained] if name not in names]
  return [
    _row(name, reported.get(name, {}), trained.get(name), figures) for name in dict.fromkeys(names)
  ]


def _row(
  name: str, figures: Mapping[str, Any], method: Method | None, shared: Mapping[str, Any]
) -> Row:
  seen = _object(figures.get("inputs"))
  last = run_records.last_row(method.runs, method.stage) if method else {}
  curve = run_records.curve(method.runs, method.stage, "eval/success_rate") if method else None
  is_final = "success_rate" in figures
  rates = np.atleast_1d(np.asarray(_number(figures.get("success_rate")), np.float64))
  episodes = _number(figures.get("episodes", shared.get("episodes") if is_final else None))
  seeds = max(rates.size, len(curve.values) if curve else 1)
  if not is_final and curve is not None:
    rates, episodes = curve.values[:, -1], curve.episodes
  interval = _interval(figures.get("success_rate_ci"), rates, episodes)
  seconds = figures.get("training_seconds", figures.get("wall_seconds", last.get("wall_seconds")))
  return Row(
    name,
    _inputs(seen.get("actor")),
    _inputs(seen.get("critic")),
    _mean(_number(figures.get("env_steps", last.get("env_steps")))),
    _mean(rates),
    interval,
    _mean(episodes),
    _mean(_number(seconds)),
    int(_mean(_number(figures.get("seeds", seeds)))),
    is_final,
  )


def _interval(given: Any, rates: np.ndarray, episodes: Any) -> intervals.Interval:
  """The reported interval, or the one that the rates and the episodes give."""
  bounds = np.ravel(_number(given))
  if bounds.size == 2 and np.isfinite(bounds).all():
    return intervals.Interval(float(bounds[0]), float(bounds[1]))
  count = _mean(episodes)
  if np.isfinite(rates).all() and math.isfinite(count) and count >= 1:
    return intervals.rate_interval(rates, int(count))
  return intervals.Interval(math.nan, math.nan)


def _inputs(value: Any) -> str:
  if isinstance(value, str):
    return value
  if isinstance(value, Sequence):
    return " + ".join(str(part) for part in value)
  return ""


def _number(value: Any) -> Any:
  """Numbers as float or array; whatever is none becomes NaN."""
  try:
    return np.asarray(value, np.float64)
  except (TypeError, ValueError):
    return np.float64(np.nan)


def _mean(value: Any) -> float:
  return float(np.mean(value)) if np.size(value) else math.nan


def _object(value: Any) -> Mapping[str, Any]:
  return value if isinstance(value, Mapping) else {}
