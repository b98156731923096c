"""Vessels of flat staves around a bottom: what beads are poured out of, and into.

Physics has no hollow round things, so a vessel is a prism or a truncated pyramid of six to twelve
sides. Its frame lies in the middle of the underside, z up through the opening.
"""

import math
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Bool, Float

from jaxskills.envs.tabletop.looks import Rgb


class Vessel(NamedTuple):
  """One of them.

  Attributes:
    radius: from the axis to the inside of a stave at the bottom, m.
    flare: how much farther the staves are from the axis at the top, m.
    height: from the underside to the rim, m.
    wall: thickness of the staves, m; the bottom is twice as thick.
    sides: how many staves.
    mass: kg.
    rgb: colour.
    alpha: 1 if it is opaque, less if one sees through it.
    position: x and y at the start, m.
    yaw: at the start, rad.
  """

  radius: float
  flare: float
  height: float
  wall: float
  sides: int
  mass: float
  rgb: Rgb
  alpha: float
  position: tuple[float, float]
  yaw: float

  def inner(self, height: float | np.ndarray) -> float | np.ndarray:
    """From the axis to the inside of a stave at a height over the underside, m."""
    return self.radius + self.flare * height / self.height

  def outer(self, height: float) -> float:
    """From the axis to the outside of a stave, m."""
    return float(self.inner(height)) + self.wall

  @property
  def floor(self) -> float:
    """Thickness of the bottom, m."""
    return 2 * self.wall

  @property
  def volume(self) -> float:
    """Inside, m^3."""
    middle = float(self.inner(self.height / 2))
    return self.sides * math.tan(math.pi / self.sides) * middle**2 * (self.height - self.floor)


FRICTION = 0.1  # of walls, on beads
STIFF = (0.005, 1.0)  # solref of beads and vessels: at MuJoCo's own .02 s beads pass through walls


def add_vessel(spec: mujoco.MjSpec, name: str, vessel: Vessel) -> None:
  """Adds a free body of that name, as is its joint, on a table at height 0.

  Frictionless where it touches what is frictionless too, as beads are.
  """
  half = vessel.yaw / 2
  pose = {"pos": (*vessel.position, 0.0), "quat": (math.cos(half), 0, 0, math.sin(half))}
  body = spec.worldbody.add_body(name=name, **pose)
  body.add_freejoint(name=name)
  shared = {
    "condim": 3,
    "friction": (FRICTION, 0.005, 0.0001),
    "solref": STIFF,
    "rgba": (*vessel.rgb, vessel.alpha),
    "group": 1,
  }
  reach = float(vessel.inner(0.0)) / math.cos(math.pi / vessel.sides)  # to the corners
  body.add_geom(
    type=mujoco.mjtGeom.mjGEOM_CYLINDER,
    pos=(0, 0, vessel.floor / 2),
    size=(reach, vessel.floor / 2, 0),
    mass=vessel.mass / 2,
    **shared,
  )
  lean = math.atan2(vessel.flare, vessel.height)
  length = math.hypot(vessel.flare, vessel.height)
  middle = float(vessel.inner(vessel.height / 2)) + vessel.wall / 2
  width = vessel.outer(vessel.height) * math.tan(math.pi / vessel.sides)
  for index in range(vessel.sides):
    angle = 2 * math.pi * index / vessel.sides
    quat = np.zeros(4)
    about_z, about_y = np.zeros(4), np.zeros(4)
    mujoco.mju_axisAngle2Quat(about_z, np.array([0.0, 0.0, 1.0]), angle)
    mujoco.mju_axisAngle2Quat(about_y, np.array([0.0, 1.0, 0.0]), lean)
    mujoco.mju_mulQuat(quat, about_z, about_y)
    body.add_geom(
      type=mujoco.mjtGeom.mjGEOM_BOX,
      pos=(middle * math.cos(angle), middle * math.sin(angle), vessel.height / 2),
      quat=quat,
      size=(vessel.wall / 2, width, length / 2),
      mass=vessel.mass / 2 / vessel.sides,
      **shared,
    )


def is_inside(
  vessel: Vessel,
  pose: Float[np.ndarray, "*batch 7"],
  points: Float[np.ndarray, "*batch points 3"],
) -> Bool[np.ndarray, "*batch points"]:
  """Whether points are in a vessel, below its rim.

  Args:
    vessel: which.
    pose: of its frame: position in m, quaternion w x y z.
    points: in the world's frame, m.
  """
  local = np.einsum("...ji,...pj->...pi", rotation(pose), points - pose[..., None, :3])
  height = local[..., 2]
  reach = np.asarray(vessel.inner(height)) / math.cos(math.pi / vessel.sides)
  level = (height > 0.0) & (height < vessel.height)
  return level & ((local[..., :2] ** 2).sum(axis=-1) < reach**2)


def rotation(pose: Float[np.ndarray, "*batch 7"]) -> Float[np.ndarray, "*batch 3 3"]:
  """Columns are the axes of the frame."""
  w, x, y, z = np.moveaxis(pose[..., 3:], -1, 0)
  rows = [
    [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
    [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
    [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
  ]
  return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
