"""Run a benchmark against its peers and print the median ratios."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxskills.cli import catalog
from jaxskills.cli.figures import format_figure
from jaxskills.training.storage import disk_faults, write_atomically

_COLUMNS = ("name", "value", "unit", "peer", "ratio")


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares the arguments of `jaxskills bench`."""
  parser.add_argument("target", metavar="TARGET", help="'jaxskills list' names them all")
  parser.add_argument("--json", type=Path, metavar="FILE", help="also write machine and rows here")


def run(args: argparse.Namespace) -> int:
  """Measures, prints the rows and writes them if asked to."""
  from jaxskills.training.runtime import configure_jax

  configure_jax()
  benchmark = catalog.load_benchmark(args.target)
  try:
    result = benchmark.measure()
  except ModuleNotFoundError as error:
    raise catalog.missing_extra(error, "bench") from error
  print("  ".join(f"{name} {value}" for name, value in result["machine"].items()))
  for line in table(result["rows"]):
    print(line)
  if args.json:
    with disk_faults(f"write {args.json}"):
      args.json.parent.mkdir(parents=True, exist_ok=True)
      write_atomically(args.json, (json.dumps(result, indent=2) + "\n").encode())
  return 0


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
  """Aligned lines, one a row, under the names of the columns."""
  cells = [list(_COLUMNS)]
  cells += [[format_figure(row.get(column, "-")) for column in _COLUMNS] for row in rows]
  widths = [max(len(row[column]) for row in cells) for column in range(len(_COLUMNS))]
  return [
    "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for row in cells
  ]
