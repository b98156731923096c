"""Reads what runs leave behind: `summary.json`, `config.json` and the rows of `metrics.jsonl`.

A killed run ends in half a line, a running one has no summary yet, and several seeds trained at
once log lists. Reading copes with all of these; it never writes. Curves of the same method from
several run folders of one experiment (one seed each) are merged over seeds.
"""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxskills.training import metrics

_NOT_RUNS = {"checkpoints", "report", "data"}


class Curve(NamedTuple):
  """A metric over training, one line per seed."""

  x: np.ndarray
  """`[points]`: environment steps, updates or seconds, ascending."""
  values: np.ndarray
  """`[seeds, points]`; NaN where a seed has no value."""
  episodes: float = math.nan
  """Evaluation episodes behind each value, where the run says so."""


class Run(NamedTuple):
  """One run folder; what is missing is empty."""

  folder: Path
  rows: list[dict[str, Any]]
  summary: dict[str, Any]
  config: dict[str, Any]
  skipped: int
  """Lines of `metrics.jsonl` that are no JSON objects with a stage."""


def read_run(folder: Path) -> Run:
  """Reads a run folder, whatever it holds."""
  folder = Path(folder)
  try:
    rows, skipped = metrics.read_rows(folder / "metrics.jsonl")
  except OSError:
    rows, skipped = [], 0
  return Run(
    folder,
    rows,
    _read_object(folder / "summary.json"),
    _read_object(folder / "config.json"),
    skipped,
  )


def find_runs(root: Path) -> list[Run]:
  """The run in `root` and all below it, in order of their paths."""
  return [read_run(folder) for folder in _run_folders(Path(root))]


def stages(runs: list[Run], prefix: str) -> list[str]:
  """Names of the stages that begin with `prefix`, in the order that they first appear."""
  found: dict[str, None] = {}
  for run in runs:
    for row in run.rows:
      if row["stage"].startswith(prefix):
        found[row["stage"]] = None
  return list(found)


class Method(NamedTuple):
  """A stage, and the run folders that hold its seeds."""

  name: str
  """The stage without its prefix; with the folder's name where configurations differ."""
  stage: str
  runs: list[Run]


def methods(runs: list[Run], prefix: str = "rl/") -> list[Method]:
  """Every training stage under `prefix`, runs that differ only in their seed taken together."""
  found = []
  for stage in stages(runs, prefix):
    groups: dict[str, list[Run]] = {}
    for run in runs:
      if any(row["stage"] == stage for row in run.rows):
        groups.setdefault(_without_seed(run.config), []).append(run)
    for group in groups.values():
      name = stage.removeprefix(prefix)
      suffix = f" ({group[0].folder.name})" if len(groups) > 1 else ""
      found.append(Method(name + suffix, stage, group))
  return found


def last_row(runs: list[Run], stage: str) -> dict[str, Any]:
  """The last row of a stage: its counters at the end; empty if there is none."""
  rows = [row for run in runs for row in run.rows if row["stage"] == stage]
  return rows[-1] if rows else {}


def curve(runs: list[Run], stage: str, metric: str, x: str = "env_steps") -> Curve | None:
  """A metric of one stage, over all seeds found in `runs`.

  Seeds that were trained at once (lists in one file) and seeds of different run folders both
  become rows. Folders that logged at different points are put on the union of their points by
  linear interpolation, without extrapolation.

  Returns:
    The curve, or None if no row has the metric.
  """
  pieces = [piece for run in runs if (piece := _curve_of(run, stage, metric, x)) is not None]
  if len(pieces) <= 1:
    return pieces[0] if pieces else None
  points = np.unique(np.concatenate([piece.x for piece in pieces]))
  lines = [
    np.interp(points, piece.x, line, left=np.nan, right=np.nan)
    for piece in pieces
    for line in piece.values
  ]
  return Curve(points, np.stack(lines), pieces[0].episodes)


def _curve_of(run: Run, stage: str, metric: str, x: str) -> Curve | None:
  points: dict[float, np.ndarray] = {}
  episodes = math.nan
  for row in run.rows:
    if row["stage"] != stage or row.get(metric) is None:
      continue
    try:
      at = float(row.get(x, math.nan))
      value = np.atleast_1d(np.array(row[metric], np.float64))  # JSON's null becomes NaN
      counted = np.ravel(np.array(row.get("eval/episodes", math.nan), np.float64))
    except (TypeError, ValueError):
      continue
    if math.isfinite(at) and value.ndim == 1 and value.size:
      points[at] = value  # a point logged again after a resume replaces the first
      episodes = float(counted[0]) if counted.size else math.nan
  if not points:
    return None
  seeds = max(value.size for value in points.values())
  order = sorted(points)
  values = np.full((seeds, len(order)), np.nan)
  for index, at in enumerate(order):
    values[: points[at].size, index] = points[at]
  return Curve(np.array(order), values, episodes)


def _without_seed(config: dict[str, Any]) -> str:
  inner = config.get("config")
  if isinstance(inner, dict):
    config = config | {"config": {key: inner[key] for key in inner if key != "seed"}}
  return json.dumps({key: config[key] for key in config if key != "seed"}, sort_keys=True)


def _run_folders(root: Path) -> Iterator[Path]:
  for folder, below, files in os.walk(root):
    below[:] = sorted(name for name in below if name not in _NOT_RUNS and name[0] != ".")
    if "metrics.jsonl" in files or "summary.json" in files:
      yield Path(folder)


def _read_object(path: Path) -> dict[str, Any]:
  try:
    content = json.loads(path.read_text(encoding="utf-8"))
  except (OSError, ValueError):
    return {}
  return content if isinstance(content, dict) else {}
