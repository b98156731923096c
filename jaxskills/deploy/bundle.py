"""A bundle: a folder with a policy's graphs, and a manifest that says all that a robot must know.

`manifest.json` (schema "jaxskills-bundle/2") is the contract: what the policy observes, in which
order, unit and frame; what its actions mean and where they are clipped; how often it decides; which
run it came from; and the sha256 of every other file. The manifest has a hash of itself too, so an
edit by hand shows. Writing is all or nothing, and a reader hands out only bytes that it has
verified. `schema/bundle-2.json` is the whole form of a manifest, which exports are held to; a
reader checks keys and types, for which a robot needs no further package. This file knows neither
JAX nor ONNX: a robot needs it as well.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxskills import disk
from jaxskills.errors import UserError

SCHEMA = "jaxskills-bundle/2"
MANIFEST = "manifest.json"
GOLDEN = "golden.npz"
LIMIT_BYTES = 1 << 30  # of one file; what claims to be larger is not read
_AGAIN = "export the run again"

REQUIRED: Mapping[str, type | tuple[type, ...]] = {
  "schema": str,
  "robot": str,
  "parts": dict,
  "experiment": str,
  "preset": str,
  "method": str,
  "seed": int,
  "seed_index": int,
  "run": str,
  "config": dict,
  "code_sha256": str,
  "parameters_sha256": str,
  "stage_parameters_sha256": dict,
  "metrics": dict,
  "versions": dict,
  "git": (str, type(None)),
  "opset": int,
  "ir_version": int,
  "control": dict,
  "observation": list,
  "decision": dict,
  "action": dict,
  "graphs": dict,
  "parity": dict,
  "files": dict,
}
"""The manifest's keys and their types; `contract.py` and `export.py` fill them in."""


class Bundle(NamedTuple):
  """A bundle whose every byte was compared with its manifest.

  Attributes:
    path: where it was read.
    manifest: the contract.
    files: contents by name.
  """

  path: Path
  manifest: Mapping[str, Any]
  files: Mapping[str, bytes]


def describe_files(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
  """Sha256 and size of each file, as the manifest's `files` has them."""
  return {
    name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    for name, content in sorted(files.items())
  }


def encode_manifest(manifest: Mapping[str, Any]) -> bytes:
  """JSON of a manifest, with its own hash added.

  Raises:
    ValueError: if a key is missing or of another type, or a number is not finite.
  """
  if fault := _fault(manifest):
    raise ValueError(fault)
  signed = {**manifest, "manifest_sha256": digest(manifest)}
  return (json.dumps(signed, indent=2, allow_nan=False) + "\n").encode()


def check_target(out: Path) -> None:
  """Refuses a place where a bundle cannot be put without overwriting something.

  Raises:
    UserError: if there is something else than an empty folder.
  """
  if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
    raise UserError(f"{out} exists and is not an empty folder; choose another --out or delete it.")


def write(out: Path, files: Mapping[str, bytes]) -> None:
  """Writes all files of a bundle under a temporary name, reads them back, and renames the folder.

  Args:
    out: where it goes; absent or an empty folder.
    files: contents by name, `manifest.json` among them.

  Raises:
    UserError: if it cannot be written, or what is on the disk is not what was written. Nothing is
      left behind.
  """
  check_target(out)
  temporary = out.with_name(f".tmp-{out.name}")
  try:
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    for name, content in files.items():
      disk.write_atomically(temporary / name, content)
    read(temporary)
    os.rename(temporary, out)
    disk.sync_folder(out.parent)
  except OSError as error:
    reason = (error.strerror or str(error)).lower()
    raise UserError(f"cannot write {out}: {reason}; choose another --out or make room.") from error
  finally:
    shutil.rmtree(temporary, ignore_errors=True)


def read(path: str | Path) -> Bundle:
  """Reads a bundle and verifies all of it.

  Raises:
    UserError: if it is no bundle, of another schema, or a file is missing, changed or too large,
      naming the file.
  """
  path = Path(path).expanduser()
  manifest = _read_manifest(path)
  files = {name: _read_file(path, name, entry) for name, entry in manifest["files"].items()}
  return Bundle(path, manifest, files)


def _read_manifest(path: Path) -> dict[str, Any]:
  try:
    with open(path / MANIFEST, "rb") as file:
      manifest = json.loads(file.read(LIMIT_BYTES))
  except (OSError, ValueError) as error:
    raise UserError(
      f"{path} holds no bundle: {MANIFEST} is missing or not readable; name the --out of a "
      "'jaxskills export'."
    ) from error
  schema = manifest.get("schema") if isinstance(manifest, dict) else None
  if schema != SCHEMA:
    raise UserError(
      f"{path} has schema {schema!r}, this version reads {SCHEMA!r}; {_AGAIN} with this version."
    )
  if manifest.pop("manifest_sha256", None) != digest(manifest):
    raise UserError(f"{path / MANIFEST} was changed after the export; {_AGAIN}.")
  if fault := _fault(manifest):
    raise UserError(f"{path / MANIFEST}: {fault}; {_AGAIN}.")
  return manifest


def _read_file(path: Path, name: str, entry: Any) -> bytes:
  """The bytes of one file if they are those that the manifest describes."""
  place = path / name
  if name != Path(name).name or name in ("", ".", "..", MANIFEST) or "\\" in name:
    raise UserError(f"{path / MANIFEST} names {name!r}, which is not a file beside it; {_AGAIN}.")
  try:
    if place.is_symlink() or not place.is_file() or place.stat().st_size > LIMIT_BYTES:
      raise UserError(f"{place} is missing, a link or too large; {_AGAIN}.")
    content = place.read_bytes()
  except OSError as error:
    raise UserError(f"{place} is not readable: {error.strerror}; {_AGAIN}.") from error
  if describe_files({name: content})[name] != entry:
    raise UserError(f"{place} is damaged or was changed (sha256 differs); {_AGAIN}.")
  return content


def digest(content: Mapping[str, Any]) -> str:
  """Sha256 of JSON's content, whatever its layout as text: what names a manifest."""
  text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
  return hashlib.sha256(text.encode()).hexdigest()


def _fault(manifest: Mapping[str, Any]) -> str | None:
  """What is wrong with a manifest's form, in words."""
  for key, kind in REQUIRED.items():
    if key not in manifest:
      return f"key {key} is missing"
    if not isinstance(manifest[key], kind):
      return f"key {key} is a {type(manifest[key]).__name__}"
  if unknown := sorted(set(manifest) - set(REQUIRED)):
    return f"key {unknown[0]} is not in schema {SCHEMA}"
  named = {GOLDEN, *(graph["file"] for graph in manifest["graphs"].values())}
  if missing := sorted(named - set(manifest["files"])):
    return f"file {missing[0]} has no sha256"
  return None
