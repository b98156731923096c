"""What is seen around the task in a MuJoCo model: room, distractors, lights and cameras."""

import math

import mujoco
import numpy as np

from jaxskills.envs.tabletop.looks import Look, Texture, paint

_TABLE, _TABLE_THICKNESS = ((0.02, 1.05), (-0.62, 0.62)), 0.04  # m
_FLOOR = -0.75  # m


def furnish(spec: mujoco.MjSpec, look: Look) -> None:
  """Adds all of a look that is not on the objects; nothing can touch it."""
  visual = spec.visual
  visual.headlight.ambient = [look.ambient] * 3
  visual.headlight.diffuse = [0.15] * 3
  visual.headlight.specular = [0.0] * 3
  visual.quality.shadowsize = 0
  visual.quality.offsamples = 4
  visual.quality.numslices, visual.quality.numstacks = 14, 7
  for name in ("table", "wall", "floor"):
    add_material(spec, name, getattr(look, name), cube=False)
  (near, far), (right, left) = _TABLE
  box = mujoco.mjtGeom.mjGEOM_BOX
  center = ((near + far) / 2, (right + left) / 2)
  half = ((far - near) / 2, (left - right) / 2)
  # A texture lies in the plane of a box's first two axes, so walls are turned into it.
  quarter = math.sqrt(0.5)
  rooms = (
    ("table", (*center, -_TABLE_THICKNESS / 2), (*half, _TABLE_THICKNESS / 2), (1, 0, 0, 0)),
    ("floor", (0.5, 0.0, _FLOOR), (2.0, 2.2, 0.01), (1, 0, 0, 0)),
    ("wall", (-0.8, 0.0, 0.6), (1.4, 2.2, 0.01), (quarter, 0, quarter, 0)),
    ("wall", (0.5, 1.6, 0.6), (2.0, 1.4, 0.01), (quarter, quarter, 0, 0)),
    ("wall", (0.5, -1.6, 0.6), (2.0, 1.4, 0.01), (quarter, -quarter, 0, 0)),
  )
  for material, position, size, turn in rooms:
    add_seen(spec, box, pos=position, size=size, quat=turn, material=material)
  for thing in look.distractors:
    kind = getattr(mujoco.mjtGeom, f"mjGEOM_{thing.kind.upper()}")
    turn = (math.cos(thing.yaw / 2), 0.0, 0.0, math.sin(thing.yaw / 2))
    add_seen(spec, kind, pos=thing.position, size=thing.size, quat=turn, rgba=[*thing.color, 1.0])
  for index, light in enumerate(look.lights):
    spec.worldbody.add_light(
      name=f"light{index}",
      pos=light.position,
      dir=light.direction,
      diffuse=[light.brightness] * 3,
      specular=[0.1] * 3,
      cutoff=90.0,
      exponent=0.0,
      attenuation=[1.0, 0.0, 0.0],
      castshadow=False,
    )
  for view in look.views:
    rotation = np.column_stack([view.right, view.up, np.cross(view.right, view.up)])
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, rotation.ravel())
    spec.worldbody.add_camera(name=view.name, pos=view.position, quat=quaternion, fovy=view.fovy)


def add_seen(spec: mujoco.MjSpec, kind: mujoco.mjtGeom, **fields) -> None:
  """A geom that nothing touches."""
  spec.worldbody.add_geom(type=kind, group=2, contype=0, conaffinity=0, **fields)


def add_material(spec: mujoco.MjSpec, name: str, texture: Texture, *, cube: bool) -> None:
  """A material with a texture of the same name, once around or, on flat things, by the metre."""
  picture = paint(texture)
  kind = mujoco.mjtTexture.mjTEXTURE_CUBE if cube else mujoco.mjtTexture.mjTEXTURE_2D
  if cube:
    picture = np.concatenate([picture] * 6)
  rows, columns, channels = picture.shape
  spec.add_texture(
    name=name, type=kind, width=columns, height=rows, nchannel=channels, data=picture.ravel()
  )
  material = spec.add_material(
    name=name, texuniform=not cube, specular=0.05, shininess=0.2, reflectance=0.0
  )
  material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
  if not cube:
    material.texrepeat = [texture.repeat] * 2
