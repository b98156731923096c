"""The C, C++ and Python of a Franka bundle: what a robot's own machine compiles or runs.

Generated are constants only (`franka_constants.h`); everything else is the package's own file, the
same in every bundle.
"""

from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np

from jaxskills.deploy import bundle as bundles
from jaxskills.deploy.franka import motion
from jaxskills.deploy.franka.motion import Constants

CONSTANTS = "franka_constants.h"
_C = ("franka_motion.h", "franka_motion.c")
_TEMPLATES = ("franka_policy.hpp", "franka_example.cpp", "franky_example.py")
FILES = (CONSTANTS, *_C, *_TEMPLATES)
"""Names of all files that `write` makes."""

_HEADER = """\
/* Constants of one policy and its robot, generated with the bundle; see franka_motion.h. */
#ifndef JAXSKILLS_FRANKA_CONSTANTS_H
#define JAXSKILLS_FRANKA_CONSTANTS_H

{defines}

#endif
"""


def write(manifest: Mapping[str, Any]) -> dict[str, bytes]:
  """The files of a bundle, by name.

  Args:
    manifest: of the bundle; its `files` may still be unknown.

  Raises:
    UserError: for a policy that this controller cannot run (`motion.constants_of`).
  """
  constants = motion.constants_of(manifest)
  parts = bundles.digest(manifest["parts"])
  files = {CONSTANTS: header(constants, manifest["parameters_sha256"], parts).encode()}
  return files | {name: read(name) for name in (*_C, *_TEMPLATES)}


def read(name: str) -> bytes:
  """One of the files that are the same in every bundle."""
  folder = "c" if name in _C else "franka/templates"
  return resources.files("jaxskills.deploy").joinpath(folder, name).read_bytes()


def header(constants: Constants, parameters_sha256: str, parts_sha256: str) -> str:
  """The C header of a bundle's constants, and hashes of the policy and of the parts it is for."""
  kinds = {name: f"FRANKA_{name.upper()}" for name in motion.QUANTITIES}
  numbers = {
    "FRANKA_JOINTS": motion.JOINTS,
    "FRANKA_PERIOD_TICKS": constants.period_ticks,
    "FRANKA_PERIOD": constants.period,
    "FRANKA_LATENCY_TICKS": constants.latency_ticks,
    "FRANKA_SMOOTHING": motion.SMOOTHING_TICKS,
    "FRANKA_OBSERVATION": len(constants.scale),
    "FRANKA_TERMS": len(constants.terms),
    "FRANKA_LEASH": constants.leash,
    "FRANKA_LOWER": constants.lower,
    "FRANKA_UPPER": constants.upper,
    "FRANKA_SPEED": constants.speed,
    "FRANKA_ACCELERATION": constants.acceleration,
    "FRANKA_DEFAULT_POSE": constants.default_pose,
    "FRANKA_OFFSETS": constants.offsets,
    "FRANKA_ROTATIONS": constants.rotations,
    "FRANKA_SCALE": constants.scale,
  }
  defines = [
    f'#define FRANKA_PARAMETERS_SHA256 "{parameters_sha256}"',
    f'#define FRANKA_PARTS_SHA256 "{parts_sha256}"',
  ]
  defines += [f"#define {kind} {index}" for index, kind in enumerate(kinds.values())]
  defines += [f"#define {name} {_literal(value)}" for name, value in numbers.items()]
  terms = ", ".join(kinds[name] for name in constants.terms)
  defines.append(f"#define FRANKA_TERM_KINDS {{{terms}}}")
  return _HEADER.format(defines="\n".join(defines))


def _literal(value: Any) -> str:
  """A C literal that reads back to the bit."""
  if isinstance(value, np.ndarray):
    return _literal(value.tolist())
  if isinstance(value, list):
    return "{" + ", ".join(map(_literal, value)) + "}"
  return repr(value)
