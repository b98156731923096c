"""Run a benchmark against its peers and print the median ratios.

A robot's environment is measured on every physics engine that is named, stage by stage:

  jaxskills bench h1/velocity --engines=native,mjx --envs=64,512 --png=h1.png
"""

import argparse
import functools
import json
import math
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxskills.cli import catalog
from jaxskills.cli.arguments import positive
from jaxskills.cli.figures import table
from jaxskills.config import apply_overrides
from jaxskills.disk import write_atomically
from jaxskills.errors import UserError
from jaxskills.training.storage import disk_faults

_COLUMNS = {name: name for name in ("name", "value", "unit", "peer", "ratio")}
_OF_PEERS = ("peer_python", "peer_envs", "peer_download")
_OF_ROBOTS = ("engines", "envs", "stages", "peer", *_OF_PEERS, "seconds", "rounds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares the arguments of `jaxskills bench`."""
  parser.set_defaults(takes_overrides=True)
  parser.add_argument("target", metavar="TARGET", help="'jaxskills list' names them all")
  parser.add_argument(
    "--json",
    type=Path,
    metavar="FILE",
    help="also write machine and rows here; a robot's after every number of worlds",
  )
  robots = parser.add_argument_group(
    "robots", "for experiments that are benchmarks, such as h1/velocity; --config.KEY=VALUE too"
  )
  robots.add_argument("--engines", type=_names, metavar="A,B", help="native, mjx, warp (auto)")
  robots.add_argument("--envs", type=_numbers, metavar="N,M", help="worlds (64,512,4096)")
  robots.add_argument(
    "--stages", type=_names, metavar="A,B", help="engine, environment, policy, training (all)"
  )
  robots.add_argument("--peer", metavar="NAME", help="also compare with playground or brax")
  robots.add_argument(
    "--peer-python", type=Path, metavar="PATH", help="Python of Brax's own virtual environment"
  )
  robots.add_argument(
    "--peer-envs", type=positive, metavar="N", help="worlds of that comparison (the experiment's)"
  )
  robots.add_argument(
    "--peer-download", action="store_true", help="let playground clone its robots if it has none"
  )
  robots.add_argument("--seconds", type=_seconds, help="that a turn lasts at least (2)")
  robots.add_argument("--rounds", type=positive, help="turns of each contender (5)")
  robots.add_argument("--png", type=Path, metavar="FILE", help="also draw the result here")


def run(args: argparse.Namespace) -> int:
  """Measures, prints the tables, writes and draws them if asked to; 1 if the benchmark failed.

  Raises:
    UserError: for a target or options that do not go, or where no worlds fit into memory.
  """
  from jaxskills.training.runtime import configure_jax

  configure_jax()
  benchmark: Any = catalog.load_benchmark(args.target)
  is_robot = hasattr(benchmark, "TARGETS")
  if not is_robot:
    _refuse_robots_options(args)
  for path in filter(None, (args.json, args.png)):
    _check_place(path)
  try:
    result = _measure_robot(benchmark, args) if is_robot else benchmark.measure()
  except ModuleNotFoundError as error:
    raise catalog.missing_extra(error, "bench") from error
  refused = result.get("refused", ())
  if refused and not any(result[part] for part in benchmark.TABLES):
    raise UserError(f"nothing could be measured; {refused[0]['engine']}: {refused[0]['reason']}")
  print("  ".join(f"{name} {value}" for name, value in result["machine"].items()))
  if is_robot:
    for part, columns in benchmark.TABLES.items():
      if result[part]:
        print("", *table(result[part], columns, _format_wide), sep="\n")
  else:
    print(*table(result["rows"], getattr(benchmark, "COLUMNS", _COLUMNS)), sep="\n")
  for refusal in refused:
    print(f"not measured: {refusal['engine']}: {refusal['reason']}")
  _write_json(args.json, result)
  if args.png:
    _write(args.png, lambda: benchmark.draw(result, args.png))
  if faults := result.get("faults"):
    print(f"jaxskills: the benchmark failed: {'; '.join(faults)}", file=sys.stderr)
    return 1
  return 0


def _measure_robot(benchmark: Any, args: argparse.Namespace) -> dict[str, Any]:
  """The result of an experiment that is a benchmark."""
  entry, preset = catalog.find_experiment(args.target)
  experiment: Any = catalog.load_experiment(entry)
  config = apply_overrides(experiment.get_config(preset), args.overrides)
  target = benchmark.Target(f"{entry.name}:{preset}", config, experiment.make_env)
  chosen = {name: getattr(args, name) for name in ("engines", "envs") if getattr(args, name)}
  amount = {
    name: getattr(args, name)
    for name in ("stages", "seconds", "rounds")
    if getattr(args, name) is not None
  }
  of_peer = [getattr(args, name) for name in _OF_PEERS]
  if args.peer is None and any(of_peer):
    options = ", ".join(f"--{name.replace('_', '-')}" for name in _OF_PEERS)
    raise UserError(f"{options} are for a --peer, such as --peer=brax")
  peer = benchmark.Peer(args.peer, *of_peer) if args.peer else None
  return benchmark.measure(
    target,
    **chosen,
    peer=peer,
    settings=benchmark.Settings(**amount),
    keep=functools.partial(_write_json, args.json),
  )


def _refuse_robots_options(args: argparse.Namespace) -> None:
  given = [f"--{name.replace('_', '-')}" for name in (*_OF_ROBOTS, "png") if getattr(args, name)]
  if ":" in args.target:
    raise UserError(f"benchmark {args.target.partition(':')[0]} has no presets")
  if given := [*given, *args.overrides]:
    raise UserError(f"'jaxskills bench {args.target}' takes no {given[0]}")


def _check_place(path: Path) -> None:
  """Makes the folder of a file that is written after the measurement, and tries it."""
  with disk_faults(f"write {path}"):
    try:
      path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
      raise UserError(f"cannot write {path}: {path.parent} is no folder") from error
    tempfile.TemporaryFile(dir=path.parent).close()


def _write_json(path: Path | None, result: Mapping[str, Any]) -> None:
  if path:
    content = (json.dumps(result, indent=2) + "\n").encode()
    _write(path, lambda: write_atomically(path, content))


def _write(path: Path, write: Callable[[], Any]) -> None:
  with disk_faults(f"write {path}"):
    write()


def _format_wide(value: Any) -> str:
  """Rates in full, shares in two digits, a range as two figures."""
  if isinstance(value, list | tuple):
    return "-".join(_format_wide(end) for end in value)
  if isinstance(value, float):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
  return str(value)


def _names(text: str) -> list[str]:
  names = [name.strip() for name in text.split(",")]
  if not all(names):
    raise argparse.ArgumentTypeError(f"must be names with commas between them, got '{text}'")
  return names


def _numbers(text: str) -> list[int]:
  return [positive(part.strip()) for part in text.split(",")]


def _seconds(text: str) -> float:
  try:
    value = float(text)
  except ValueError:
    value = math.nan
  if not (math.isfinite(value) and value >= 0.0):
    raise argparse.ArgumentTypeError(f"must be a number of seconds, got '{text}'")
  return value
