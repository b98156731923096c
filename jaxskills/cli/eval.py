"""Evaluate a finished run and print its figures."""

import argparse
from pathlib import Path

from jaxskills.cli import catalog
from jaxskills.cli.arguments import positive
from jaxskills.cli.figures import print_figures


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares the arguments of `jaxskills eval`."""
  parser.add_argument("run_folder", type=Path, metavar="RUN", help="the workdir of a finished run")
  parser.add_argument("--episodes", type=positive, default=100, help="episodes to run (100)")
  parser.add_argument("--video", action="store_true", help="also film it (h1 and spirl)")


def run(args: argparse.Namespace) -> int:
  """Evaluates with the experiment that made the run."""
  from jaxskills.training.runtime import configure_jax

  entry = catalog.experiment_of_run(args.run_folder)
  configure_jax()
  experiment = catalog.load_experiment(entry)
  figures = experiment.evaluate(args.run_folder, episodes=args.episodes, video=args.video)
  print(f"{entry.name} in {args.run_folder}, {args.episodes} episodes, not those it was judged by")
  print_figures(figures)
  return 0
