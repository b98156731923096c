"""The robots that a bundle can be written for: what each adds to the policy itself.

A robot's parts are whatever stands between a policy's action and its motors: order of joints,
gains, limits, a safety filter, code for its controller (`robot_parts.py`). They enter the manifest
under `parts` and the bundle as files, hashed like the others. "none" adds nothing: the action goes
to the simulated world that the policy was trained in.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxskills.config import nearest
from jaxskills.deploy import robot_parts
from jaxskills.deploy.deployable import Deployable
from jaxskills.deploy.franka import sources
from jaxskills.deploy.robot_parts import Parts
from jaxskills.errors import UserError


class Target(NamedTuple):
  """A robot of `jaxskills export`.

  Attributes:
    name: as in `--robot=NAME`.
    parts: `Deployable -> Parts`; raises `UserError` for a policy that this robot cannot run.
    sources: `manifest -> files` of the robot's own controller, as far as they follow from the
      manifest; its `files` and `parity` are not known yet. Raises `UserError` likewise.
  """

  name: str
  parts: Callable[[Deployable], Parts]
  sources: Callable[[Mapping[str, Any]], Mapping[str, bytes]] = lambda manifest: {}


ROBOTS = {
  "none": Target("none", lambda policy: Parts()),
  "h1": Target("h1", robot_parts.h1),
  "franka": Target("franka", robot_parts.franka, sources.write),
}


def find_robot(name: str) -> Target:
  """The robot of that name.

  Raises:
    UserError: if it is unknown.
  """
  if name in ROBOTS:
    return ROBOTS[name]
  known = ", ".join(f"--robot={robot}" for robot in ROBOTS)
  raise UserError(f"unknown robot '{name}'{nearest(name, list(ROBOTS))}; there are {known}")
