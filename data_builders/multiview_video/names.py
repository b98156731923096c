"""Which files belong together: `<name>_view<k>` in a folder, or in folders by split.

TCN's released code names its films so (`videos/train/<name>_view<k>.mov`, and `val`, `test`), and
ASN's takes `_cam<k>` too. `labels.csv` beside them may say more than the names do.
"""

import csv
import re
from pathlib import Path
from typing import NamedTuple

from jaxskills.data.video_store import SPLITS
from jaxskills.errors import UserError

SUFFIXES = (".mp4", ".mov", ".avi")
LABELS = "labels.csv"
TASK = "unnamed"
"""The task of films of which nothing else is said."""

_NAME = re.compile(r"(?P<name>.+)_(?:view|cam)(?P<view>\d{1,3})", re.IGNORECASE)
_TRUE, _FALSE = ("1", "true", "yes"), ("0", "false", "no")


class Films(NamedTuple):
  """The films of one demonstration."""

  name: str
  """With the split before it where the folder has splits: `train/pour_3`."""
  paths: tuple[Path, ...]
  """One file a view, in the order of the views."""
  task: str
  is_success: bool
  split: int
  """Which of `video_store.SPLITS`."""


def find_films(folder: Path) -> tuple[list[Films], tuple[str, ...]]:
  """Finds all films below a folder.

  Args:
    folder: holds the files, or `train`, `val` and `test` that do, or `videos` that holds these.

  Returns:
    The films by name, and the names of the views, `view<k>`.

  Raises:
    UserError: for no films, a name that says no view, or a view that one of them lacks.
  """
  if not folder.is_dir():
    raise UserError(f"there is no folder {folder}")
  root = folder / "videos" if (folder / "videos").is_dir() else folder
  splits = {split: root / split for split in SPLITS if (root / split).is_dir()}
  grouped: dict[str, dict[int, Path]] = {}
  for split, place in (splits or {"": root}).items():
    for name, views in _group(place).items():
      grouped[f"{split}/{name}" if split else name] = views
  if not grouped:
    looked = ", ".join(str(place) for place in splits.values()) or str(root)
    raise UserError(
      f"no films in {looked}; they are named <name>_view<k> and end in {', '.join(SUFFIXES)}"
    )
  numbers = sorted(set().union(*grouped.values()))
  if gaps := sorted(set(range(numbers[0], numbers[-1])) - set(numbers)):
    raise UserError(f"no film in {root} is of view {gaps[0]}, though there is view {numbers[-1]}")
  for name, views in grouped.items():
    if lacking := [number for number in numbers if number not in views]:
      raise UserError(
        f"{name} in {root} lacks view {lacking[0]}, which others have; add it or take the other"
        f" {len(views)} of {name} away"
      )
  said = _read_labels(folder / LABELS, grouped)
  films = [
    Films(
      name=name,
      paths=tuple(grouped[name][number] for number in numbers),
      task=said.get(name, {}).get("task") or TASK,
      is_success=_is_success(name, said.get(name, {}).get("success", "")),
      split=_split(name, said.get(name, {}).get("split", "")),
    )
    for name in sorted(grouped)
  ]
  return films, tuple(f"view{number}" for number in numbers)


def _group(folder: Path) -> dict[str, dict[int, Path]]:
  """Files by name and number of the view."""
  grouped: dict[str, dict[int, Path]] = {}
  for path in sorted(folder.iterdir()):
    if path.name.startswith(".") or path.suffix.lower() not in SUFFIXES or not path.is_file():
      continue
    match = _NAME.fullmatch(path.stem)
    if match is None:
      raise UserError(
        f"{path} does not say which view it is of; name it <name>_view<k>{path.suffix}, <k> a"
        " number, or move it away"
      )
    views, number = grouped.setdefault(match["name"], {}), int(match["view"])
    if number in views:
      raise UserError(f"{path} and {views[number].name} are both view {number} of {match['name']}")
    views[number] = path
  return grouped


def _read_labels(path: Path, known: dict[str, dict[int, Path]]) -> dict[str, dict[str, str]]:
  """Rows of `labels.csv` by name; nothing without the file."""
  if not path.exists():
    return {}
  columns = ("name", "task", "success", "split")
  rows: dict[str, dict[str, str]] = {}
  try:
    with path.open(newline="", encoding="utf-8-sig") as file:
      reader = csv.DictReader(file, strict=True)
      given = [name.strip() for name in reader.fieldnames or ()]
      if "name" not in given or set(given) - set(columns):
        raise UserError(f"{path} has columns {', '.join(given)}; known are {', '.join(columns)}")
      for row in reader:
        fields = {str(key).strip(): str(value or "").strip() for key, value in row.items()}
        if None in row or fields["name"] not in known:
          raise UserError(f"line {reader.line_num} of {path} is of no film: '{fields['name']}'")
        rows[fields["name"]] = fields
  except (csv.Error, UnicodeDecodeError) as error:
    raise UserError(f"{path} cannot be read as CSV: {error}") from error
  return rows


def _is_success(name: str, said: str) -> bool:
  """What the labels say; else a name with "fake" in it is no success, as in ASN's released code."""
  if said.lower() in (*_TRUE, *_FALSE):
    return said.lower() in _TRUE
  if said:
    raise UserError(f"success of {name} in {LABELS} is 1 or 0, not '{said}'")
  return "fake" not in name.lower()


def _split(name: str, said: str) -> int:
  """What the folder says, else the labels, else training."""
  split = name.split("/")[0] if "/" in name else said or SPLITS[0]
  if split not in SPLITS or said not in ("", split):
    raise UserError(f"split of {name} in {LABELS} is '{said}'; known are {', '.join(SPLITS)}")
  return SPLITS.index(split)
