"""One scene: all that stays the same within a demonstration, and the MuJoCo model of it.

A scene is plain numbers and words, goes through JSON without loss, and gives the same model each
time. Geom groups: 0 to 2 are drawn; 3 is what touches of the robot; 4 is the plane on which the
objects stand. The plane is never drawn (software renderers cut an infinite plane into thousands of
pieces): what is seen in its place are the boxes of the table.
"""

import math
from typing import NamedTuple

import mujoco
import numpy as np

from jaxskills.assets.panda import PANDA, panda_spec
from jaxskills.envs.named_json import from_json, to_json
from jaxskills.envs.tabletop.furnishing import add_material, add_seen, furnish
from jaxskills.envs.tabletop.looks import Look, Texture
from jaxskills.envs.tabletop.tasks import TASKS, Layout, Task

CONDITIONS = ("train", "shapes", "looks")
"""Boxes; cylinders; boxes of unseen sizes amid unseen textures and colours."""

FRAMES_PER_SECOND = 12
SUBSTEPS = 42  # physics steps in a frame
TIMESTEP = 1.0 / (FRAMES_PER_SECOND * SUBSTEPS)  # s
"""Of the physics: 1.98 ms, so that a frame is a whole number of steps."""

ROBOT_JOINTS = len(PANDA.joints) + 2
"""How many positions, and velocities, come before those of the objects."""

_ZONE_THICKNESS = 5e-4  # m; half
# The Panda's own 10 keeps what is grasped from creeping, and throws aside what is pushed: with
# pyramidal cones and short impacts a box left its way by 31 degrees where 20 is no friction at all.
_PUSHING_IMPRATIO = 1.0
_TINT = 0.62  # brightness of the second colour of an object's pattern
_KINDS = {"box": mujoco.mjtGeom.mjGEOM_BOX, "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER}


class Item(NamedTuple):
  """An object of the task.

  Attributes:
    kind: "box" or "cylinder".
    color: its class.
    rgb: its own shade.
    half_extents: m; of a cylinder radius, radius, half height.
    mass: kg.
    friction: sliding, on everything but the fingertips, whose own decides.
    position: at the start, m.
    yaw: at the start, rad.
  """

  kind: str
  color: str
  rgb: tuple[float, float, float]
  half_extents: tuple[float, float, float]
  mass: float
  friction: float
  position: tuple[float, float, float]
  yaw: float


class Zone(NamedTuple):
  """Where objects of a colour belong; it can be seen and not felt.

  Attributes:
    color: class of the objects.
    rgb: its own shade.
    center: x and y, m.
    half: in x and y, m.
  """

  color: str
  rgb: tuple[float, float, float]
  center: tuple[float, float]
  half: tuple[float, float]


class Arm(NamedTuple):
  """How the robot starts and how its servos are tuned.

  Attributes:
    joints: the arm's positions at the start, rad.
    opening: of each finger at the start, m.
    stiffness: factor on the servos' kp.
    damping: factor on the servos' kd.
  """

  joints: tuple[float, ...]
  opening: float
  stiffness: float
  damping: float


class Scene(NamedTuple):
  """All that is static.

  Attributes:
    task: name, of `TASKS`.
    condition: one of `CONDITIONS`.
    seed: that it was drawn from.
    attempt: how many scenes of the seed were given up before this one.
    items: in the order of `Task.colors`, which is that of `qpos`.
    zones: one per colour where the task sorts.
    arm: the robot.
    look: what can only be seen.
  """

  task: str
  condition: str
  seed: int
  attempt: int
  items: tuple[Item, ...]
  zones: tuple[Zone, ...]
  arm: Arm
  look: Look

  @property
  def layout(self) -> Layout:
    """What judging success needs."""
    zones = {zone.color: (*zone.center, *zone.half) for zone in self.zones}
    own = [zones.get(item.color, (0.0,) * 4) for item in self.items]
    return Layout(np.array([item.half_extents for item in self.items]), np.array(own))

  @property
  def goal(self) -> Task:
    """The task."""
    return TASKS[self.task]

  def to_json(self) -> str:
    """One line; `from_json` gives back an equal scene."""
    return to_json(self)

  @staticmethod
  def from_json(text: str) -> "Scene":
    """Reads what `to_json` wrote."""
    return from_json(Scene, text)


def make_model(scene: Scene, *, looks: bool = True) -> mujoco.MjModel:
  """The model: 7 joints, 2 fingers, then a free joint per object; 8 actuators as the Panda's.

  The objects' bodies, joints and geoms are called `object0` and so on. `qpos0` has the objects
  where they are at the start and is the keyframe "start" with the arm as it is at the start.

  Args:
    scene: what it is of.
    looks: with all that is only seen, and with the cameras. Leaving it out changes no dynamics.
  """
  spec = panda_spec(looks=looks)
  spec.modelname = f"tabletop_{scene.task}"
  spec.option.timestep = TIMESTEP
  if scene.goal.sorts:
    spec.option.impratio = _PUSHING_IMPRATIO
  for name in PANDA.joints:
    servo = spec.actuator(name)
    gain, bias = np.array(servo.gainprm), np.array(servo.biasprm)
    gain[0] *= scene.arm.stiffness
    bias[1] *= scene.arm.stiffness
    bias[2] *= scene.arm.damping
    servo.gainprm, servo.biasprm = gain, bias
  plane = spec.geom("floor")
  plane.group = 4
  plane.friction = [1e-3, 0.005, 0.0001]  # what stands on it decides
  _strip(spec)
  for index, item in enumerate(scene.items):
    _add_item(spec, index, item, scene.look.item_pattern if looks else "flat")
  if looks:
    furnish(spec, scene.look)
    for zone in scene.zones:
      place, size = (*zone.center, _ZONE_THICKNESS), (*zone.half, _ZONE_THICKNESS)
      add_seen(spec, _KINDS["box"], pos=place, size=size, rgba=[*zone.rgb, 1.0])
  spec.add_key(name="start", qpos=start_qpos(scene), ctrl=[*scene.arm.joints, scene.arm.opening])
  return spec.compile()


def start_qpos(scene: Scene) -> np.ndarray:
  """Positions at the start, float64 `[9 + 7 objects]`."""
  arm = [*scene.arm.joints, scene.arm.opening, scene.arm.opening]
  objects = [(*item.position, *_yawed(item.yaw)) for item in scene.items]
  return np.concatenate([arm, *objects])


def _strip(spec: mujoco.MjSpec) -> None:
  """Takes out the Panda's own light, camera, sky and keyframe."""
  for part in (*spec.keys, *spec.lights, *spec.cameras):
    spec.delete(part)
  spec.geom("floor").material = ""
  spec.delete(spec.material("checker"))
  for texture in list(spec.textures):
    spec.delete(texture)


def _add_item(spec: mujoco.MjSpec, index: int, item: Item, pattern: str) -> None:
  name = f"object{index}"
  body = spec.worldbody.add_body(name=name, pos=item.position, quat=_yawed(item.yaw))
  body.simple = False  # so that it may have another mass (`elements.check_inertial`)
  body.add_freejoint(name=name)
  radius, _, half_height = item.half_extents
  geom = body.add_geom(
    name=name,
    type=_KINDS[item.kind],
    size=item.half_extents if item.kind == "box" else (radius, half_height, 0.0),
    mass=item.mass,
    contype=1,
    conaffinity=1,
    friction=[item.friction, 0.005, 0.0001],
    rgba=[*item.rgb, 1.0],
  )
  if pattern != "flat":
    red, green, blue = (_TINT * part for part in item.rgb)
    texture = Texture(pattern, (item.rgb, (red, green, blue)), 1.0, index)
    add_material(spec, name, texture, cube=True)
    geom.material, geom.rgba = name, [1.0, 1.0, 1.0, 1.0]


def _yawed(yaw: float) -> tuple[float, float, float, float]:
  return (math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2))
