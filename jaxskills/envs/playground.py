"""Any environment of MuJoCo Playground as one of ours; needs the extra `playground`.

Playground's release 0.2 is the last that runs on JAX. Its locomotion and manipulation environments
need the robots of MuJoCo Menagerie, which it clones from GitHub into its own installation when one
of them is first loaded. Nothing is downloaded here unless that is asked for.
"""

import importlib
import importlib.util
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxskills.config import nearest
from jaxskills.envs.brax import FromBrax
from jaxskills.errors import UserError

_PACKAGE = "mujoco_playground"
_ROBOTS = ("external_deps", "mujoco_menagerie")  # where Playground keeps them, in its package
_ROBOTS_URL = "https://github.com/deepmind/mujoco_menagerie"


def make_playground(
  name: str, *, allow_download: bool = False, overrides: Mapping[str, Any] | None = None
) -> FromBrax:
  """An environment of MuJoCo Playground as one of ours, on MJX's JAX implementation.

  Playground's own default is MuJoCo Warp. Some of its buffers are shared by all worlds, so that one
  world alone cannot begin anew, as `AutoReset` has it do.

  Args:
    name: see `load`.
    allow_download: likewise.
    overrides: likewise; `impl` is "jax" if it is not among them.

  Returns:
    The environment. Leave its episode limit to `EpisodeLimit`.

  Raises:
    UserError: as `load` does, and for another `impl` than "jax".
  """
  overrides = {"impl": "jax", **(overrides or {})}
  if overrides["impl"] != "jax":
    raise UserError(
      f"Playground's worlds on impl '{overrides['impl']}' share buffers and cannot begin anew one "
      "by one; leave impl at 'jax'"
    )
  return FromBrax(load(name, allow_download=allow_download, overrides=overrides))


def load(
  name: str, *, allow_download: bool = False, overrides: Mapping[str, Any] | None = None
) -> Any:
  """Loads an environment of MuJoCo Playground, as it is.

  Args:
    name: as in Playground's registry, e.g. "H1JoystickGaitTracking" or "CartpoleBalance".
    allow_download: whether Playground may clone MuJoCo Menagerie if the environment needs it and it
      is not there.
    overrides: of the environment's own configuration, by dotted key, e.g. `{"impl": "jax"}`: its
      default, MuJoCo Warp, wants an NVIDIA GPU.

  Raises:
    UserError: if Playground is not installed, there is no such environment, or it would have to
      download what it may not, or cannot.
  """
  playground = package()
  robots = Path(playground.__file__).parent.joinpath(*_ROBOTS)
  names = list(playground.registry.ALL_ENVS)
  if name not in names:
    raise UserError(f"Playground has no environment '{name}'{nearest(name, names)}")
  needs_robots = name not in playground.dm_control_suite.ALL_ENVS
  if needs_robots and not robots.exists() and not allow_download:
    raise UserError(
      f"Playground would clone {_ROBOTS_URL} into {robots} for {name}; "
      "pass allow_download=True to let it"
    )
  try:
    return playground.registry.load(name, config_overrides=dict(overrides or {}))
  except (subprocess.CalledProcessError, FileNotFoundError) as error:
    if robots.exists() or not needs_robots:
      raise
    raise UserError(f"Playground could not clone {_ROBOTS_URL} into {robots}: {error}") from error


def package() -> Any:
  """MuJoCo Playground's package, imported.

  Raises:
    UserError: if it is not installed.
  """
  if importlib.util.find_spec(_PACKAGE) is None:
    raise UserError("MuJoCo Playground is not installed; run: pip install 'jaxskills[playground]'")
  return importlib.import_module(_PACKAGE)
