"""Loads an MJCF that a user gives, who may have it from anywhere.

Three gates, each narrower: the text is checked and written out anew (`mjcf.py`), the files that it
names are read by us from the model's own folder, and a child process with limits compiles it
(`compile_model.py`). Only what passed all of them is compiled here, from bytes in memory, so that
MuJoCo itself opens no file. Every refusal is one line.
"""

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import mujoco

from jaxskills.errors import UserError
from jaxskills.physics import compile_model, mjcf, mjcf_rules
from jaxskills.physics.quiet import quiet

MAX_FILE = 64 << 20
MAX_FILES = 256 << 20  # all of a model's together
MAX_MODEL = 1 << 30
MAX_ARENA = 2 << 30
MAX_DATA = 256 << 20  # of one world, without the arena; the H1's is 0.05 MiB
COMPILE_BYTES = 6 << 30  # address space of the child; it maps more than it uses
COMPILE_CPU_SECONDS = 60
COMPILE_SECONDS = 120
_COMPILER = Path(compile_model.__file__)


def load_model(path: str | Path) -> mujoco.MjModel:
  """Loads a model from an MJCF file.

  Args:
    path: of the file. Meshes, textures and height fields that it names lie in its folder or below.

  Raises:
    UserError: if it cannot be read, is no MJCF in one file, does not compile, or is made to do
      harm; one line that says what is wrong, where, and what to do.
  """
  name = mjcf_rules.one_line(str(path))
  try:
    path = Path(path).expanduser()
    folder, real = path.parent.resolve(), path.resolve()
  except (OSError, RuntimeError, ValueError) as error:
    raise UserError(f"{name} is not readable: {mjcf_rules.one_line(str(error))}.") from None
  if real.parent != folder and not os.path.isdir(real):  # "." is no link
    raise UserError(f"{name} is a link to another folder; name the file that it leads to.")
  document = mjcf.parse(_read(real, name, mjcf_rules.MAX_BYTES), name)
  files = _read_files(document, folder, name)
  _try(document, files, name)
  try:
    with quiet():
      return mujoco.MjModel.from_xml_string(document.xml, dict(files))
  except Exception as error:  # it did compile a moment ago
    raise _refusal(name, str(error), document) from None


def _read(path: Path, name: str, limit: int) -> bytes:
  """The bytes of a regular file, of no more than `limit`.

  Raises:
    UserError: if it is anything else, naming it as `name`.
  """
  try:
    # Without waiting: opening a pipe would hang.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
      mode = os.fstat(descriptor).st_mode
      if not stat.S_ISREG(mode):
        raise UserError(f"{name} is {'a folder' if stat.S_ISDIR(mode) else 'not a plain file'}.")
      with open(descriptor, "rb", closefd=False) as file:
        content = file.read(limit + 1)
    finally:
      os.close(descriptor)
  except (FileNotFoundError, NotADirectoryError):
    raise UserError(f"{name} does not exist.") from None
  except (OSError, ValueError) as error:
    reason = getattr(error, "strerror", None) or str(error)
    raise UserError(f"{name} is not readable: {mjcf_rules.one_line(reason).lower()}.") from None
  if len(content) > limit:
    raise UserError(f"{name} is larger than {limit >> 20} MiB, the most that is read.")
  return content


def _read_files(document: mjcf.Document, folder: Path, name: str) -> Mapping[str, bytes]:
  """What a model names, by key."""
  files, total = {}, 0
  for reference in document.files:
    where = f"{name}, line {reference.line}: file '{mjcf_rules.one_line(reference.path)}'"
    try:
      real = (folder / reference.path).resolve()
    except (OSError, RuntimeError, ValueError):
      raise UserError(f"{where} is not readable.") from None
    if not real.is_relative_to(folder):
      raise UserError(f"{where} is a link out of the model's folder; put the file itself there.")
    files[reference.key] = _read(real, where, MAX_FILE)
    total += len(files[reference.key])
    if total > MAX_FILES:
      raise UserError(f"{where} and those before it are more than {MAX_FILES >> 20} MiB together.")
  return files


def _try(document: mjcf.Document, files: Mapping[str, bytes], name: str) -> None:
  """Compiles in a child process, and refuses what does not come back whole."""
  xml = document.xml.encode()
  request = {
    "xml": len(xml),
    "files": [(key, len(content)) for key, content in files.items()],
    "bytes": COMPILE_BYTES,
    "cpu_seconds": COMPILE_CPU_SECONDS,
    "arena": MAX_ARENA,
    "data": MAX_DATA,
  }
  message = b"".join([json.dumps(request).encode(), b"\n", xml, *files.values()])
  with tempfile.TemporaryDirectory() as folder:  # MuJoCo leaves its log where it runs
    try:
      child = subprocess.run(
        [sys.executable, "-P", str(_COMPILER)],
        input=message, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder,
        timeout=COMPILE_SECONDS, check=False,
      )  # fmt: skip
    except subprocess.TimeoutExpired:
      raise UserError(f"{name} takes more than {COMPILE_SECONDS} s to compile.") from None
  if child.returncode == -signal.SIGXCPU:
    raise UserError(f"{name} takes more than {COMPILE_CPU_SECONDS} s to compile.")
  try:
    report = json.loads(child.stdout)
  except ValueError:
    raise UserError(f"{name} crashes MuJoCo's compiler ({_ending(child.returncode)}).") from None
  if "error" in report:
    raise _refusal(name, report["error"], document)
  if (size := report["bytes"]) > MAX_MODEL:
    most = MAX_MODEL / 2**30
    raise UserError(f"{name} has {size / 2**30:.2f} GiB when compiled; {most:g} GiB is the most.")


def _ending(code: int) -> str:
  """How a process ended, in words."""
  if code >= 0:
    return f"exit code {code}"
  try:
    return signal.Signals(-code).name
  except ValueError:
    return f"signal {-code}"


def _refusal(name: str, error: str, document: mjcf.Document) -> UserError:
  """MuJoCo's own words on one line, with the user's names of files."""
  for reference in document.files:
    error = error.replace(reference.key, reference.path)
  reason = mjcf_rules.one_line(error).removeprefix("Error: ").removeprefix("XML Error: ")
  return UserError(f"{name} does not compile: {reason}")
