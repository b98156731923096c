"""Train an experiment once per seed and grid point, each in a workdir of its own.

Trials are processes of their own, so that one that fails takes nothing with it. The same command
again goes on with the unfinished trials and tries the failed ones again. Where an experiment has
`config.num_seeds`, several seeds as one vectorised run are faster than a sweep over seeds.
"""

import argparse
import itertools
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from jaxskills.cli import catalog, train
from jaxskills.cli.arguments import positive
from jaxskills.cli.figures import format_figure
from jaxskills.config import apply_overrides, flatten
from jaxskills.errors import Interrupted, UserError

TRAIN = (sys.executable, "-m", "jaxskills", "train")
_COMMA = re.compile(r",(?![^(\[]*[)\]])")  # one that is not inside brackets


class Trial(NamedTuple):
  """One run of a sweep.

  Attributes:
    point: the grid point's overrides, `learner.lr=1e-4` each.
    seed: of the run.
    workdir: its own.
  """

  point: tuple[str, ...]
  seed: int
  workdir: Path

  @property
  def title(self) -> str:
    """What sets the trial apart, for people."""
    return " ".join([*self.point, f"seed={self.seed}"])


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares the arguments of `jaxskills sweep`."""
  parser.set_defaults(takes_overrides=True)
  parser.add_argument("experiment", metavar="EXPERIMENT[:PRESET]")
  parser.add_argument("--seeds", type=positive, default=1, help="runs per grid point (1)")
  parser.add_argument(
    "--grid",
    action="append",
    default=[],
    metavar="KEY=V1,V2",
    help="values of a key to try; several --grid make all combinations",
  )
  parser.add_argument("--jobs", type=positive, default=1, help="runs at a time (1)")
  parser.add_argument("--metric", default="success_rate", help="figure to compare (success_rate)")
  parser.add_argument("--workdir", type=Path, help="folder of all the runs (runs/..._sweep)")


def run(args: argparse.Namespace) -> int:
  """Checks every trial's configuration, runs them and prints a table; 1 if any trial failed."""
  entry, preset = catalog.find_experiment(args.experiment)
  root = args.workdir or Path(f"{train.default_workdir(entry.name, preset)}_sweep")
  trials = plan(args.grid, args.seeds, root)
  config = catalog.load_experiment(entry).get_config(preset)
  for trial in trials:
    apply_overrides(config, [*args.overrides, *_overrides(trial)])
  print(f"{entry.name}:{preset}: {len(trials)} runs in {root}, {args.jobs} at a time", flush=True)
  failed = []
  with _Children() as children, ThreadPoolExecutor(args.jobs) as pool:
    pending = {
      pool.submit(children.run, f"{entry.name}:{preset}", trial, args.overrides): trial
      for trial in trials
    }
    for done, future in enumerate(as_completed(pending), start=1):
      trial, (succeeded, seconds) = pending[future], future.result()
      if not succeeded:
        failed.append(trial)
      if not children.stopped:
        figure = format_figure(read_metric(trial, args.metric)) if succeeded else "failed"
        print(f"{done}/{len(trials)}  {trial.title}  {figure}  {seconds / 60:.1f} min", flush=True)
  if children.stopped:
    raise Interrupted("the sweep stopped; the same command again goes on with it")
  for line in table(trials, args.metric):
    print(line)
  for trial in failed:
    print(f"failed: {trial.title}; see {trial.workdir / 'log.txt'}", file=sys.stderr)
  return 1 if failed else 0


def plan(grid: Sequence[str], seeds: int, root: Path) -> list[Trial]:
  """All combinations of the grid's values, `seeds` times each.

  Raises:
    UserError: for a grid entry that is not `KEY=V1,V2`.
  """
  axes = [_axis(entry) for entry in grid]
  return [
    Trial(point, seed, root / "_".join([*point, f"seed={seed}"]).replace("/", "-"))
    for point in itertools.product(*axes)
    for seed in range(seeds)
  ]


def read_metric(trial: Trial, metric: str) -> Any:
  """A trial's final figure from its `summary.json`; `-` where it has none."""
  try:
    summary = json.loads((trial.workdir / "summary.json").read_text(encoding="utf-8"))
  except (OSError, ValueError):
    return "-"
  return flatten(summary.get("metrics", {})).get(metric, "-")


def table(trials: Sequence[Trial], metric: str) -> list[str]:
  """Mean and 95 % interval over seeds, one line a grid point."""
  from jaxskills.evaluation.intervals import format_interval, mean_interval

  lines = [f"{metric}: mean over seeds, 95 % interval"]
  points: dict[tuple[str, ...], list[float]] = {}
  for trial in trials:
    values = points.setdefault(trial.point, [])
    value = read_metric(trial, metric)
    if isinstance(value, int | float):
      values.append(float(value))
  width = max(len(" ".join(point)) for point in points)
  for point, values in points.items():
    mean = format_figure(sum(values) / len(values)) if values else "-"
    interval = format_interval(mean_interval(values)) if len(values) > 1 else "-"
    lines.append(f"  {' '.join(point):<{width}}  {mean}  {interval}  ({len(values)} runs)")
  return lines


class _Children:
  """The processes of the trials now running; SIGINT and SIGTERM are passed on to them."""

  def __init__(self) -> None:
    self.stopped = False
    self._lock = threading.RLock()  # a second signal may come while the first is handled
    self._running: set[subprocess.Popen] = set()

  def __enter__(self) -> "_Children":
    self._previous = {
      number: signal.signal(number, self._stop)
      for number in (signal.SIGINT, signal.SIGTERM)
      if signal.getsignal(number) is not signal.SIG_IGN  # as a background job's SIGINT
    }
    return self

  def __exit__(self, *_: object) -> None:
    for number, handler in self._previous.items():
      signal.signal(number, handler)

  def run(self, target: str, trial: Trial, overrides: Sequence[str]) -> tuple[bool, float]:
    """Trains one trial to its end; whether it got there, and its seconds."""
    arguments = [target, f"--workdir={trial.workdir}", *overrides, *_overrides(trial)]
    trial.workdir.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with open(trial.workdir / "log.txt", "a", encoding="utf-8") as log:
      with self._lock:
        if self.stopped:
          return False, 0.0
        process = subprocess.Popen(
          [*TRAIN, *arguments],
          stdin=subprocess.DEVNULL,
          stdout=log,
          stderr=subprocess.STDOUT,
          start_new_session=True,  # so that Ctrl-C reaches it once, from here
        )
        self._running.add(process)
      code = process.wait()
    with self._lock:
      self._running.discard(process)
    return code == 0 and (trial.workdir / "summary.json").exists(), time.monotonic() - began

  def _stop(self, number: int, frame: Any) -> None:
    del frame
    with self._lock:
      self.stopped = True
      for process in self._running:
        process.send_signal(number)


def _axis(entry: str) -> list[str]:
  """`a=1,2` to `["a=1", "a=2"]`; commas inside brackets belong to the value."""
  key, _, values = entry.partition("=")
  if not key or not values:
    raise UserError(f"--grid {entry} needs values, as in --grid learner.lr=1e-4,3e-4")
  return [f"{key.removeprefix('config.')}={value}" for value in _COMMA.split(values)]


def _overrides(trial: Trial) -> list[str]:
  return [f"--config.{setting}" for setting in (*trial.point, f"seed={trial.seed}")]
