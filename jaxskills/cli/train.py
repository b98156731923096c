"""Train an experiment, or go on with it where an earlier run of the same command stopped."""

import argparse
from pathlib import Path

from jaxskills.cli import catalog
from jaxskills.cli.figures import print_figures, table
from jaxskills.config import apply_overrides


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares the arguments of `jaxskills train`."""
  parser.set_defaults(takes_overrides=True)
  parser.add_argument(
    "experiment",
    metavar="EXPERIMENT[:PRESET]",
    help="e.g. spirl/maze:quick; 'jaxskills list' names them all",
  )
  parser.add_argument(
    "--workdir", type=Path, help="where the run is kept (runs/<system>_<name>_<preset>)"
  )
  parser.add_argument(
    "--overwrite", action="store_true", help="discard what an earlier run left in the workdir"
  )
  parser.add_argument(
    "--no-cache", action="store_true", help="neither use nor fill the cache of compiled programs"
  )
  parser.epilog = (
    "--config.KEY=VALUE sets any key of the configuration; 'jaxskills list EXPERIMENT' shows them."
  )


def run(args: argparse.Namespace) -> int:
  """Loads the experiment, applies the overrides and trains."""
  from jaxskills.training.runtime import configure_jax

  entry, preset = catalog.find_experiment(args.experiment)
  workdir = args.workdir or default_workdir(entry.name, preset)
  print(f"{entry.name}:{preset}  {entry.presets[preset]}", flush=True)
  print(f"workdir {workdir}  (the same command again resumes)", flush=True)
  configure_jax(cache=not args.no_cache)
  experiment = catalog.load_experiment(entry)
  config = apply_overrides(experiment.get_config(preset), args.overrides)
  summary = experiment.train(config, workdir, preset=preset, overwrite=args.overwrite)
  metrics = summary.get("metrics", {})
  tabulate = getattr(experiment, "table", None)
  if rows := tabulate(metrics) if tabulate else []:
    print(*table(rows, {head: head for head in rows[0]}), sep="\n")
    print(f"figures  {workdir / 'summary.json'}")
  else:
    print_figures(metrics)
  if (report := workdir / "report" / "index.html").exists():
    print(f"report  {report}")
  return 0


def default_workdir(name: str, preset: str) -> Path:
  """`runs/spirl_maze_quick` for `spirl/maze:quick`, under the current folder."""
  return Path("runs", f"{name.replace('/', '_')}_{preset}")
