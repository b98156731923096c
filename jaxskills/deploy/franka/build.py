"""Compiles a Franka bundle's program against the libfranka of this machine."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from jaxskills.deploy import native
from jaxskills.deploy.bundle import Bundle
from jaxskills.errors import UserError

C_SOURCES = ("policy.c", "safety.c", "franka_motion.c")
HEADERS = ("policy.h", "safety.h", "safety_limits.h", "franka_motion.h", "franka_constants.h")
PROGRAM = ("franka_policy.hpp", "franka_example.cpp")
C_FLAGS = ("-std=c99", "-O3", "-Wall", "-Wextra", "-Werror", "-pedantic", "-ffp-contract=off")
CXX_FLAGS = ("-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off")
_PREFIXES = ("/usr/local", "/usr", "/opt/libfranka")
_LIBRARIES = ("lib", "lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", "build")
_LIMIT_SECONDS = 300.0


def find_libfranka(prefix: Path | None) -> tuple[Path, Path]:
  """The folders of libfranka's headers and of its library.

  Args:
    prefix: where it was installed; the usual places if None.

  Raises:
    UserError: if it is not there.
  """
  tried = [prefix] if prefix is not None else [Path(place) for place in _PREFIXES]
  for place in tried:
    if (place / "include/franka/robot.h").is_file():
      for folder in _LIBRARIES:
        if any((place / folder).glob("libfranka.*")):
          return place / "include", place / folder
      raise UserError(
        f"{place} has libfranka's headers and no libfranka.so or .a; build and install libfranka."
      )
  raise UserError(
    f"no include/franka/robot.h in {', '.join(map(str, tried))}; install libfranka and name its "
    "folder with --libfranka=PREFIX."
  )


def compile_program(bundle: Bundle, folder: Path, *, libfranka: Path | None = None) -> Path:
  """Writes the bundle's sources to a folder and compiles its program there.

  Args:
    bundle: verified.
    folder: must exist.
    libfranka: prefix of its installation, or None for the usual places.

  Returns:
    The program.

  Raises:
    UserError: if a compiler, libfranka or a source is missing, or does not compile.
  """
  headers, library = find_libfranka(libfranka)
  for name in (*C_SOURCES, *HEADERS, *PROGRAM):
    if name not in bundle.files:
      raise UserError(f"{bundle.path} has no {name}; export the run again with --robot=franka.")
    (folder / name).write_bytes(bundle.files[name])
  objects = [name.replace(".c", ".o") for name in C_SOURCES]
  for source, target in zip(C_SOURCES, objects, strict=True):
    _run([*native.compiler(), *C_FLAGS, "-c", source, "-o", target], folder)
  program = folder / "franka_example"
  _run(
    [
      *_cxx(),
      *CXX_FLAGS,
      *_include(headers),
      "franka_example.cpp",
      *objects,
      f"-L{library.resolve()}",
      f"-Wl,-rpath,{library.resolve()}",
      "-lfranka",
      "-pthread",
      "-o",
      str(program),
    ],
    folder,
  )
  return program


def _include(headers: Path) -> list[str]:
  """The option for a folder of headers; none for the compiler's own, whose order it would break."""
  return [] if headers == Path("/usr/include") else [f"-isystem{headers.resolve()}"]


def _cxx() -> list[str]:
  """The command of a C++ compiler: `CXX` of the environment, else c++, g++ or clang++."""
  chosen = shlex.split(os.environ.get("CXX", ""))
  for command in [chosen] if chosen else [["c++"], ["g++"], ["clang++"]]:
    if shutil.which(command[0]):
      return command
  missing = f"the compiler {chosen[0]!r} of CXX" if chosen else "a C++ compiler (c++, g++, clang++)"
  raise UserError(f"{missing} is not on the PATH; install one, or name it in CXX.")


def _run(command: Sequence[str], folder: Path) -> None:
  done = subprocess.run(
    command, cwd=folder, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False
  )
  if done.returncode:
    lines = done.stderr.splitlines()
    faults = [line for line in lines if "error" in line or "undefined reference" in line]
    raise UserError(f"{command[0]} refuses {folder.name}: {(faults or lines or ['no message'])[0]}")
