"""What a built folder holds, and whether it still does: sha256 of every file, checked on loading.

`manifest.json` is written last, so a folder that has one is complete; while a build goes on, the
shards that are finished stand in `manifest.unfinished.json` instead.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from jaxskills.errors import UserError

MANIFEST = "manifest.json"
UNFINISHED = "manifest.unfinished.json"
TEMPORARY = ".jaxskills-tmp-"  # how the names of files begin that are not whole yet


class File(NamedTuple):
  """One file of a data set, as the manifest remembers it."""

  sha256: str
  size: int
  """In bytes."""
  records: int
  """0 for metadata."""


class Manifest(NamedTuple):
  """What a folder holds."""

  title: str
  """`name:preset`."""
  recipe: dict[str, Any]
  """All that decided the bytes, as JSON gives it back."""
  versions: dict[str, str]
  """Of the packages that took part."""
  files: dict[str, File]

  @property
  def shards(self) -> dict[str, File]:
    """The files with records, in order."""
    return {name: file for name, file in sorted(self.files.items()) if file.records}

  @property
  def records(self) -> int:
    """Records over all shards."""
    return sum(file.records for file in self.files.values())

  @property
  def fingerprint(self) -> str:
    """One hash for all the records."""
    hashes = [file.sha256 for file in self.shards.values()]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def verify(directory: Path) -> Manifest:
  """Checks every file of a data set against the manifest.

  Raises:
    UserError: naming the first file that is missing or damaged and how to replace it.
  """
  manifest = read_manifest(directory)
  command = build_command(manifest.title, directory)
  for number, (name, file) in enumerate(manifest.shards.items()):
    if damage := find_damage(directory / name, file):
      raise UserError(
        f"shard {number} of {manifest.title} {damage}; delete {directory / name} and run"
        f" {command} again to rebuild only that shard."
      )
  for name, file in manifest.files.items():
    if damage := find_damage(directory / name, file):
      raise UserError(
        f"{name} of {manifest.title} in {directory} {damage}; run {command} again to write it anew."
      )
  return manifest


def read_manifest(directory: Path, name: str = MANIFEST) -> Manifest:
  """Reads what a folder says that it holds, without looking at the shards.

  Raises:
    UserError: if there is no complete data set.
  """
  path = directory / name
  if not path.exists():
    if name == MANIFEST and (directory / UNFINISHED).exists():
      title = read_manifest(directory, UNFINISHED).title
      command = build_command(title, directory)
      raise UserError(f"{title} in {directory} is not complete; run {command} to finish it.")
    command = build_command("NAME", directory)
    raise UserError(f"there is no data set in {directory}; build one with {command}.")
  try:
    fields = json.loads(path.read_text())
    files = {file: File(**entry) for file, entry in fields.pop("files").items()}
    return Manifest(**fields, files=files)
  except (ValueError, TypeError, KeyError, AttributeError) as error:
    command = build_command("NAME", directory)
    raise UserError(f"{path} is damaged; delete it and run {command} again.") from error


def write_manifest(manifest: Manifest, path: Path) -> None:
  """Writes a manifest as readable JSON, whole or not at all."""
  fields = manifest._asdict()
  fields["files"] = {name: file._asdict() for name, file in sorted(manifest.files.items())}
  temporary = path.with_name(f"{TEMPORARY}{path.name}")
  temporary.write_text(json.dumps(fields, indent=2) + "\n")
  os.replace(temporary, path)


def describe_file(path: Path, records: int = 0) -> File:
  """Size and sha256 of a file as it is."""
  with path.open("rb") as file:
    digest = hashlib.file_digest(file, "sha256").hexdigest()
  return File(digest, path.stat().st_size, records)


def find_damage(path: Path, expected: File) -> str:
  """Says what is wrong with a file, nothing if it is as expected."""
  if not path.exists():
    return "is missing"
  found = describe_file(path)
  if found.size != expected.size:
    return f"is damaged ({found.size} bytes instead of {expected.size})"
  return "is damaged (sha256 differs)" if found.sha256 != expected.sha256 else ""


def build_command(title: str, directory: Path) -> str:
  """What to type to build a data set in a folder."""
  return f"'jaxskills data build {title} --directory={directory}'"
