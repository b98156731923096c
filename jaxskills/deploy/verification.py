"""`verification.json`: what `jaxskills verify` found of a bundle, which every controller demands.

It lies beside the bundle's files and names the manifest and every file by sha256, so it speaks of
this bundle and no other; it has a hash of itself too, so an edit by hand shows. That is protection
against mistakes, not against somebody who computes hashes anew. `require` is the only way in which
a controller gets a bundle. Like `bundle.py`, this file knows neither JAX nor ONNX.
"""

import json
import math
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import jaxskills
from jaxskills import disk
from jaxskills.deploy import bundle as bundles
from jaxskills.deploy.bundle import Bundle
from jaxskills.errors import UserError
from jaxskills.physics import processor
from jaxskills.training import storage

SCHEMA = "jaxskills-verification/1"
NAME = "verification.json"
_DIGEST = "verification_sha256"
_LIMIT_BYTES = 1 << 20  # it is a few kilobytes; what is larger is not read
_PACKAGES = ("numpy", "onnx", "onnxruntime", "mujoco", "torch")
_KINDS: Mapping[str, type] = {
  "schema": str,
  "passed": bool,
  "robot": str,
  "manifest_sha256": str,
  "parts_sha256": str,
  "files": dict,
  "checks": list,
  "machine": dict,
  "versions": dict,
  "time": str,
}


class Check(NamedTuple):
  """One thing that was verified.

  Attributes:
    name: e.g. `parity onnxruntime`.
    passed: None where it does not apply to this bundle.
    text: what was found and what is allowed, in one line.
    figures: the same as numbers; what is not finite is written as text.
  """

  name: str
  passed: bool | None
  text: str
  figures: Mapping[str, Any] = {}


FAULTS = (UserError, ValueError, FloatingPointError, RuntimeError, OSError)
"""What a bundle or a machine may raise in a check; anything else is a mistake of this package."""


def attempt(name: str, check: Callable[[], Check]) -> Check:
  """Makes a check; one that the bundle or this machine does not let be made has failed."""
  try:
    return check()
  except FAULTS as error:
    return failure(name, error)


def failure(name: str, error: Exception) -> Check:
  """The check that one of `FAULTS` ended, with its message in one line."""
  kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
  return Check(name, False, kind + " ".join(str(error).split()))


def write(bundle: Bundle, checks: Sequence[Check]) -> dict[str, Any]:
  """Writes what was found of a bundle beside it, in one step.

  Args:
    bundle: as it was read for the checks.
    checks: all of them; the bundle passed if there are any and none failed.

  Returns:
    What was written.

  Raises:
    UserError: if the disk refuses. An older verification is gone then all the same.
  """
  record = {
    "schema": SCHEMA,
    "passed": bool(checks) and all(check.passed is not False for check in checks),
    "robot": bundle.manifest["robot"],
    **_identity(bundle),
    "checks": [_plain(check._asdict()) for check in checks],
    "machine": _machine(),
    "versions": _versions(),
    "time": datetime.now(UTC).isoformat(timespec="seconds"),
  }
  signed = {**record, _DIGEST: bundles.digest(record)}
  remove(bundle.path)
  with storage.disk_faults(f"write {bundle.path / NAME}"):
    content = json.dumps(signed, indent=2, allow_nan=False) + "\n"
    disk.write_atomically(bundle.path / NAME, content.encode())
  return signed


def remove(path: Path) -> None:
  """Takes a bundle's verification away, durably; none is fine too.

  Raises:
    UserError: if the disk refuses.
  """
  with storage.disk_faults(f"remove {path / NAME}"):
    if os.path.lexists(path / NAME):
      (path / NAME).unlink()
      disk.sync_folder(path)


def read(path: Path) -> dict[str, Any]:
  """The verification of a bundle, whatever it says.

  Args:
    path: the bundle's folder.

  Raises:
    UserError: if there is none, it is of another schema, damaged, or was edited.
  """
  place, again = path / NAME, f"run 'jaxskills verify {path}'"
  try:
    with open(place, "rb") as file:
      record = json.loads(file.read(_LIMIT_BYTES))
  except FileNotFoundError as error:
    raise UserError(f"{path} is not verified yet; {again} first.") from error
  except OSError as error:
    raise UserError(f"{place} is not readable: {error.strerror}; {again} anew.") from error
  except ValueError as error:
    raise UserError(f"{place} is damaged; {again} anew.") from error
  schema = record.get("schema") if isinstance(record, dict) else None
  if schema != SCHEMA:
    raise UserError(
      f"{place} has schema {schema!r}, this version reads {SCHEMA!r}; {again} with this version."
    )
  if record.pop(_DIGEST, None) != bundles.digest(record):
    raise UserError(f"{place} was changed after the verification; {again} anew.")
  if wrong := [key for key, kind in _KINDS.items() if not isinstance(record.get(key), kind)]:
    raise UserError(f"{place}: key {wrong[0]} is missing or of another type; {again} anew.")
  return record


def require(path: str | Path) -> Bundle:
  """Reads a bundle for a robot: every byte as exported, and verified with success as it is.

  Raises:
    UserError: if the bundle is not whole, not verified, verified before it became what it is, or
      failed, naming the checks.
  """
  bundle = bundles.read(path)
  record, again = read(bundle.path), f"run 'jaxskills verify {bundle.path}'"
  if any(record[key] != value for key, value in _identity(bundle).items()):
    raise UserError(f"{bundle.path / NAME} is of another bundle than the files here; {again} anew.")
  if not record["passed"]:
    failed = ", ".join(check["name"] for check in record["checks"] if check["passed"] is False)
    raise UserError(
      f"{bundle.path} failed its verification ({failed or 'nothing was checked'}) and may not "
      f"command a robot; {again} to see the figures."
    )
  return bundle


def _identity(bundle: Bundle) -> dict[str, Any]:
  """What tells this bundle from any other: hashes of the manifest and of all files.

  That of the manifest's parts (robot, limits, task) stands by itself for programs that were
  compiled with it and read no manifest.
  """
  return {
    "manifest_sha256": bundles.digest(bundle.manifest),
    "parts_sha256": bundles.digest(bundle.manifest["parts"]),
    "files": {name: entry["sha256"] for name, entry in bundle.manifest["files"].items()},
  }


def _plain(value: Any) -> Any:
  """JSON values: NumPy's scalars become Python's, and what is not finite becomes text."""
  if isinstance(value, Mapping):
    return {str(key): _plain(entry) for key, entry in value.items()}
  if isinstance(value, list | tuple):
    return [_plain(entry) for entry in value]
  if hasattr(value, "tolist"):
    return _plain(value.tolist())
  return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _machine() -> dict[str, Any]:
  """Facts of the machine that verified, for the record; the load is that of the moment."""
  return {
    "system": f"{platform.system()} {platform.machine()}",
    "cpu": processor.name(),
    "cores": processor.cores(),
    "load_average": [round(load, 2) for load in os.getloadavg()],
  }


def _versions() -> dict[str, str]:
  found = {"python": platform.python_version(), "jaxskills": jaxskills.__version__}
  for name in _PACKAGES:
    try:
      found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
      continue
  return found
