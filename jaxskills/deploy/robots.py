"""The robots that a bundle can be written for: what each adds to the policy itself.

A robot's parts are whatever stands between a policy's action and its motors: order of joints,
gains, limits, a safety filter, code for its controller. They enter the manifest under `parts` and
the bundle as files, hashed like the others. "none" adds nothing: the action goes to the simulated
world that the policy was trained in.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxskills.config import nearest
from jaxskills.deploy.deployable import Deployable
from jaxskills.errors import UserError


class Parts(NamedTuple):
  """What a robot adds to a bundle.

  Attributes:
    manifest: JSON values by part, e.g. `{"joints": {...}, "safety": {...}}`.
    files: contents by file name.
  """

  manifest: Mapping[str, Any] = {}
  files: Mapping[str, bytes] = {}


class Robot(NamedTuple):
  """A target of `jaxskills export`.

  Attributes:
    name: as in `--robot=NAME`.
    parts: `Deployable -> Parts`; raises `UserError` for a policy that this robot cannot run.
  """

  name: str
  parts: Callable[[Deployable], Parts]


ROBOTS = {"none": Robot("none", parts=lambda policy: Parts())}
LATER = ("h1", "franka")


def find_robot(name: str) -> Robot:
  """The robot of that name.

  Raises:
    UserError: if it is unknown or not supported yet.
  """
  if name in ROBOTS:
    return ROBOTS[name]
  supported = ", ".join(f"--robot={robot}" for robot in ROBOTS)
  if name in LATER:
    raise UserError(f"robot {name} comes in a later version; this one exports {supported}.")
  hint = nearest(name, [*ROBOTS, *LATER])
  later = " and ".join(LATER)
  raise UserError(f"unknown robot '{name}'{hint}; this version exports {supported} ({later} later)")
