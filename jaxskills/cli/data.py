"""Build, describe or verify a data set.

Building again goes on where it stopped, and rebuilds only what is missing or damaged.
"""

import argparse
from pathlib import Path

from jaxskills.cli.figures import print_figures
from jaxskills.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares the arguments of `jaxskills data`."""
  parser.add_argument("action", choices=("build", "info", "verify"))
  parser.add_argument(
    "name", nargs="?", metavar="NAME[:PRESET]", help="e.g. maze_demos:quick; info lists them all"
  )
  parser.add_argument(
    "--directory", type=Path, help="the data set's own folder (one under the user's cache folder)"
  )


def run(args: argparse.Namespace) -> int:
  """Does one of the three."""
  from jaxskills.data_builders import registry

  if args.name is None:
    if args.action != "info":
      raise UserError(f"name a data set to {args.action}: {', '.join(registry.names())}")
    print("\n".join(registry.names()))
    return 0
  directory = args.directory or registry.default_directory(args.name)
  if args.action == "build":
    _build(args.name, directory)
  elif args.action == "verify":
    registry.verify(args.name, directory)
    print(f"{args.name} in {directory} is complete and undamaged")
  else:
    print_figures(registry.info(args.name, directory))
  return 0


def _build(name: str, directory: Path) -> None:
  from jaxskills.data_builders import registry
  from jaxskills.training.progress import ProgressReport

  with ProgressReport() as report:
    registry.build(name, directory, progress=report.counter(name, "records"))
    report.finish(f"complete in {directory}")
