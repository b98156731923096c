"""The data sets that jaxskills can build, by the names that the command line takes.

A name is `maze_demos:preset`, or `maze_demos` for its first preset.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxskills.config import nearest
from jaxskills.data_builders import manifest, shards
from jaxskills.data_builders.maze_demos import builder as maze
from jaxskills.data_builders.multiview_blocks import builder as blocks
from jaxskills.data_builders.multiview_pouring import builder as pouring
from jaxskills.errors import UserError

BUILDERS: Mapping[str, tuple[Callable[..., shards.Dataset], Mapping[str, Any]]] = {
  maze.NAME: (maze.maze_demos, maze.PRESETS),
  blocks.NAME: (blocks.multiview_blocks, blocks.PRESETS),
  pouring.NAME: (pouring.multiview_pouring, pouring.PRESETS),
}
"""For each data set, what describes it and the presets that it knows, the default first."""


def names() -> list[str]:
  """Every `name:preset` that can be built."""
  return [f"{name}:{preset}" for name, (_, presets) in BUILDERS.items() for preset in presets]


def default_directory(name: str) -> Path:
  """Where a data set lies if nobody says otherwise: under the user's cache folder."""
  name, preset = _parse(name)
  cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
  return Path(cache) / "jaxskills" / "data" / name / preset


def describe(name: str, **changes: Any) -> shards.Dataset:
  """The recipe of a data set, with some of its fields replaced.

  Raises:
    UserError: if there is no such data set or preset.
  """
  name, preset = _parse(name)
  return BUILDERS[name][0](preset, **changes)


def build(
  name: str,
  directory: str | Path,
  *,
  progress: shards.Progress | None = None,
  **changes: Any,
) -> manifest.Manifest:
  """Builds a data set, or what is missing of it.

  Args:
    name: `name` or `name:preset`.
    directory: its own folder.
    progress: called as `progress(records so far, records in all)`, first with what is there and
      then once a record.
    **changes: fields of the recipe to replace, e.g. `seed=1` or `trajectories=100`.

  Raises:
    UserError: if there is no such data set, or the folder cannot take it.
  """
  return shards.build(describe(name, **changes), Path(directory), progress)


def verify(name: str, directory: str | Path) -> manifest.Manifest:
  """Checks every file of a built data set.

  Raises:
    UserError: if the folder holds another data set, or naming the first file that is missing or
      damaged and how to replace it.
  """
  title = describe(name).title
  held = manifest.verify(Path(directory))
  if held.title != title:
    raise UserError(f"{directory} holds {held.title}, not {title}; name that one instead.")
  return held


def info(name: str, directory: str | Path) -> dict[str, Any]:
  """Describes a data set, built or not, as nested JSON types.

  Returns:
    `name`, `directory`, `description`, `recipe`, `features`, `complete`, and of a complete one
    `records`, `shards`, `bytes`, `versions` and `fingerprint` (one hash of all records).
  """
  folder = Path(directory)
  dataset = describe(name)
  complete = (folder / manifest.MANIFEST).exists()
  about: dict[str, Any] = {
    "name": dataset.title,
    "directory": str(folder),
    "description": dataset.description,
    "recipe": dataset.recipe,
    "features": {key: repr(feature) for key, feature in dataset.features().items()},
    "complete": complete,
  }
  if complete:
    held = manifest.read_manifest(folder)
    about |= {
      "name": held.title,
      "recipe": held.recipe,
      "records": held.records,
      "shards": len(held.shards),
      "bytes": sum(file.size for file in held.files.values()),
      "versions": held.versions,
      "fingerprint": held.fingerprint,
    }
  return about


def _parse(name: str) -> tuple[str, str]:
  """Splits `name:preset` and checks both halves."""
  base, _, preset = name.partition(":")
  if base not in BUILDERS:
    known = ", ".join(BUILDERS)
    raise UserError(f"no data set {base}{nearest(base, list(BUILDERS)) or f'; there is {known}'}")
  presets = list(BUILDERS[base][1])
  if preset and preset not in presets:
    hint = nearest(preset, presets) or f"; there are {', '.join(presets)}"
    raise UserError(f"no preset {preset} of data set {base}{hint}")
  return base, preset or presets[0]
