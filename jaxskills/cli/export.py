"""Export a finished run's policy as a bundle that runs without JAX."""

import argparse
from pathlib import Path

from jaxskills.cli import catalog


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares the arguments of `jaxskills export`."""
  parser.add_argument("run_folder", type=Path, metavar="RUN", help="the workdir of a finished run")
  parser.add_argument("--robot", default="none", help="none, h1 or franka (none)")
  parser.add_argument("--method", help="which of the run's methods (its main one)")
  parser.add_argument(
    "--seed-index", type=int, default=0, help="which of the seeds that were trained together (0)"
  )
  parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the bundle's folder")


def run(args: argparse.Namespace) -> int:
  """Writes the bundle."""
  from jaxskills.training.runtime import configure_jax

  configure_jax()
  catalog.experiment_of_run(args.run_folder)
  try:
    from jaxskills.deploy.export import describe, export_run

    manifest = export_run(
      args.run_folder,
      robot=args.robot,
      out=args.out,
      method=args.method,
      seed_index=args.seed_index,
    )
  except ModuleNotFoundError as error:
    raise catalog.missing_extra(error, "export") from error
  print("\n".join([f"bundle   {args.out}", *describe(manifest)]))
  return 0
