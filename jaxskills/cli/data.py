"""Build, import, describe or verify a data set.

`import` takes a folder of your own films of one scene, `<name>_view<k>.mp4` (or .mov, .avi), or
TCN's folders `train`, `val` and `test` of such films, into the folder given by --directory; `info`
and `verify` without a name describe and check what is there.

Building or importing again goes on where it stopped, and redoes only what is missing or damaged.
"""

import argparse
import math
from pathlib import Path

from jaxskills.cli.arguments import positive
from jaxskills.cli.figures import print_figures
from jaxskills.errors import UserError

_OF_IMPORT = ("rows", "columns", "fps", "tolerance", "max_offset", "skip_bad")


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares the arguments of `jaxskills data`."""
  parser.add_argument("action", choices=("build", "import", "info", "verify"))
  parser.add_argument(
    "name",
    nargs="?",
    metavar="NAME[:PRESET]|FOLDER",
    help="e.g. maze_demos:quick; info lists them all. For import, the folder of the films",
  )
  parser.add_argument(
    "--directory", type=Path, help="the data set's own folder (one under the user's cache folder)"
  )
  films = parser.add_argument_group("import")
  films.add_argument("--rows", type=positive, help="height of the stored frames in pixels (128)")
  films.add_argument("--columns", type=positive, help="their width (128)")
  films.add_argument("--fps", type=_seconds, help="stored frames a second (those of each film)")
  films.add_argument(
    "--tolerance", type=_seconds, help="seconds that views may differ in length; cut to fit (0.5)"
  )
  films.add_argument(
    "--max-offset", type=_seconds, help="seconds that views may be out of step (0.2)"
  )
  films.add_argument(
    "--skip-bad", action="store_true", default=None, help="leave damaged or unequal films out"
  )


def run(args: argparse.Namespace) -> int:
  """Does one of the four."""
  from jaxskills.data_builders import registry

  given = [option for option in _OF_IMPORT if getattr(args, option) is not None]
  if args.action == "import":
    return _import(args)
  if given:
    raise UserError(f"'jaxskills data {args.action}' takes no --{given[0].replace('_', '-')}")
  if args.name is None and args.action != "build" and args.directory is not None:
    return _describe_videos(args.directory, verify=args.action == "verify")
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


def _import(args: argparse.Namespace) -> int:
  from jaxskills.data_builders.multiview_video.importer import ImportSettings, import_films
  from jaxskills.training.progress import ProgressReport

  if args.name is None or args.directory is None:
    raise UserError("say what to import and where to: jaxskills data import FOLDER --directory=DIR")
  fields = {
    "rows": args.rows,
    "columns": args.columns,
    "frames_per_second": args.fps,
    "tolerance_seconds": args.tolerance,
    "max_offset_seconds": args.max_offset,
    "skip_bad": args.skip_bad,
  }
  settings = ImportSettings(**{name: value for name, value in fields.items() if value is not None})
  with ProgressReport() as report:
    store = import_films(
      args.name,
      args.directory,
      settings,
      progress=report.counter("import", "passes over videos"),
      note=report.note,
    )
    report.finish(f"{len(store.names)} videos from {len(store.views)} views in {args.directory}")
  return 0


def _describe_videos(directory: Path, *, verify: bool) -> int:
  """Describes a store of videos, or reads all of it."""
  from jaxskills.data.video_store import SPLITS, open_store

  store = open_store(directory, verify=verify)
  if verify:
    print(f"{len(store.names)} videos in {directory} are complete and undamaged")
    return 0
  index = store.index
  print_figures(
    {
      "directory": str(directory),
      "videos": len(store.names),
      "successes": int(index.is_success.sum()),
      "frames": index.total,
      "minutes": round(float((index.length * index.seconds_per_frame).sum()) / 60, 2),
      "views": ", ".join(store.views),
      "rows": store.frames.shape[2],
      "columns": store.frames.shape[3],
      "tasks": {task: len(store.select(tasks=[task])) for task in store.tasks},
      "splits": {split: len(store.select(splits=[split])) for split in SPLITS},
      "labels": ", ".join(store.labels) or "none",
      "fingerprint": store.fingerprint,
    }
  )
  return 0


def _seconds(text: str) -> float:
  """A finite number from 0 on.

  Raises:
    argparse.ArgumentTypeError: for anything else.
  """
  try:
    value = float(text)
  except ValueError:
    value = math.nan
  if not 0 <= value < math.inf:
    raise argparse.ArgumentTypeError(f"must be a number from 0 on, got '{text}'")
  return value
