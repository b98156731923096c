"""Where a gripper shall be: places from the command line or from a file."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxskills.errors import UserError

DWELL_SECONDS = 4.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares `--target`, `--targets` and `--dwell`."""
  where = parser.add_mutually_exclusive_group()
  where.add_argument(
    "--target", action="append", metavar="X,Y,Z", help="a place in the robot's frame, m; may repeat"
  )
  where.add_argument("--targets", type=Path, metavar="FILE", help="a file with a place a line")
  parser.add_argument(
    "--dwell", type=float, default=DWELL_SECONDS, metavar="S", help="time for each place (4 s)"
  )


def read(args: argparse.Namespace) -> np.ndarray:
  """The places `[places, 3]`, m; none if none were named.

  Raises:
    UserError: for what is no place, or a time that is none.
  """
  if not 0.1 <= args.dwell < float("inf"):
    raise UserError(f"--dwell must be at least .1 s, got {args.dwell}.")
  lines: Sequence[str] = args.target or ()
  if args.targets is not None:
    try:
      lines = [line for line in args.targets.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
      raise UserError(f"{args.targets} is not readable; name a text file, x,y,z a line.") from error
  return np.array([_place(line) for line in lines], np.float64).reshape(-1, 3)


def check(places: np.ndarray, low: Sequence[float], high: Sequence[float]) -> None:
  """Refuses places that the policy was not trained for.

  Raises:
    UserError: if there is none, or naming the first that is outside.
  """
  if not len(places):
    raise UserError("name at least one place: --target=x,y,z or --targets=FILE.")
  for place in places:
    if (place < np.asarray(low)).any() or (place > np.asarray(high)).any():
      raise UserError(
        f"target {','.join(map(str, place.tolist()))} is outside of where the policy was trained: "
        f"{list(low)} to {list(high)} m."
      )


def _place(text: str) -> list[float]:
  try:
    numbers = [float(word) for word in text.replace(",", " ").split()]
  except ValueError:
    numbers = []
  if len(numbers) != 3 or not np.isfinite(numbers).all():
    raise UserError(f"a target is x,y,z in m, not {text!r}.")
  return numbers
