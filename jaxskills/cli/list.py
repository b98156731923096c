"""List the experiments and benchmarks, or show one experiment with all of its configuration."""

import argparse
import inspect

from jaxskills.cli import catalog
from jaxskills.config import apply_overrides, flatten


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares the arguments of `jaxskills list`."""
  parser.set_defaults(takes_overrides=True)
  parser.add_argument(
    "experiment",
    nargs="?",
    metavar="EXPERIMENT[:PRESET]",
    help="show this one's description and every key that --config.KEY=VALUE can set",
  )


def run(args: argparse.Namespace) -> int:
  """Prints the catalogue, or one entry of it."""
  if args.experiment:
    return _show(args)
  print("experiments (jaxskills train EXPERIMENT:PRESET)")
  for entry in catalog.experiments().values():
    print(f"  {entry.name}  {entry.title}")
    width = max(map(len, entry.presets))
    for preset, description in entry.presets.items():
      print(f"    :{preset:<{width}}  {description}")
  if benchmarks := catalog.benchmarks():
    print("benchmarks (jaxskills bench TARGET)")
    width = max(map(len, benchmarks))
    for entry in benchmarks.values():
      print(f"  {entry.name:<{width}}  {entry.title}")
  return 0


def _show(args: argparse.Namespace) -> int:
  entry, preset = catalog.find_experiment(args.experiment)
  experiment = catalog.load_experiment(entry)
  config = apply_overrides(experiment.get_config(preset), args.overrides)
  print(f"{entry.name}:{preset}  {entry.presets[preset]}\n")
  print(inspect.cleandoc(experiment.__doc__ or ""))
  print()
  for key, value in flatten(config).items():
    print(f"--config.{key}={value}")
  return 0
