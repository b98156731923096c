"""A hand on a forearm, of capsules and boxes, that floats: who pours.

TCN's videos show people. This is no model of one, but it comes from behind the table as they do,
takes a vessel from the side, and pours by turning the forearm about its own axis. It has a joint
for each of what it is told: three places, yaw, roll, and how far fingers and thumb are open. Its
frame is where the axis of a held vessel is, x along the forearm and out of the palm, y to the left,
z up. Only beads touch it: a vessel is held by a weld (`pourer.py`), not by friction.
"""

import math
from typing import NamedTuple

import mujoco
import numpy as np

from jaxskills.envs.tabletop.looks import Rgb

JOINTS = ("x", "y", "z", "yaw", "roll", "fingers", "thumb")
"""In the order of `qpos` and of the actuators; m and rad, all in the frame of the world at 0."""

OPEN = 0.75  # rad; of fingers and of thumb
HALF_WIDTH = 0.036  # m, from the middle to the outside of the outer fingers
THICKNESS = 0.022  # m, beyond the wall of what is held
BEADS_BIT = 2  # of contype: what touches beads alone

_FINGERS = (-0.027, -0.009, 0.009, 0.027)  # m, heights
_THICK, _THUMB = 0.0085, 0.0105  # m, radii
_FOREARM = (0.12, 0.7)  # m behind the palm, from and to
# kp, kv, and the greatest force in N or N m, so that nothing is squeezed to bits.
_SERVOS = {"slide": (8000.0, 250.0, 60.0), "turn": (80.0, 2.5, 6.0), "finger": (2.0, 0.08, 2.0)}


class Hand(NamedTuple):
  """How it looks and where it waits.

  Attributes:
    skin: colour of the hand.
    sleeve: colour of the forearm.
    home: x, y, z at the start, m.
    yaw: at the start, rad.
  """

  skin: Rgb
  sleeve: Rgb
  home: tuple[float, float, float]
  yaw: float


def add_hand(spec: mujoco.MjSpec, hand: Hand, grip: float) -> None:
  """Adds the body "hand", its joints and actuators, each named as in `JOINTS`.

  Args:
    spec: to add it to.
    hand: how it looks.
    grip: radius of what it will hold, m; fingers and thumb close to it at 0.
  """
  body = spec.worldbody.add_body(name="hand", gravcomp=1.0)
  body.mass, body.inertia, body.explicitinertial = 0.8, (0.004,) * 3, True
  for name, axis in zip("xyz", np.eye(3), strict=True):
    body.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis)
  for name, axis in (("yaw", (0, 0, 1)), ("roll", (1, 0, 0))):
    body.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=axis)
  back = -grip - 0.004
  _box(body, (back - 0.018, 0.0, 0.0), (0.016, 0.032, 0.038), hand.skin)
  _capsule(body, (back - 0.03, 0, 0), (back - _FOREARM[0], 0, 0), 0.027, hand.skin)
  near, far = (back - length for length in _FOREARM)
  _capsule(body, (near - 0.02, 0, 0), (far, 0, 0), 0.037, hand.sleeve)
  reach = grip + _THICK + 0.0025
  for name, side, heights, thick, angles in (
    ("fingers", 1, _FINGERS, _THICK, (135, 100, 65, 35)),
    ("thumb", -1, (0.012,), _THUMB, (135, 95, 60)),
  ):
    knuckle = (back - 0.014, side * 0.03)
    part = body.add_body(name=name, pos=(*knuckle, 0.0), gravcomp=1.0)
    part.mass, part.inertia, part.explicitinertial = 0.05, (5e-5,) * 3, True
    part.add_joint(
      name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=(0, 0, side), range=(0, 1), limited=True
    )
    bends = [(0.0, 0.0)]
    for angle in np.deg2rad(angles):
      around = (reach * math.cos(angle), side * reach * math.sin(angle))
      bends.append((around[0] - knuckle[0], around[1] - knuckle[1]))
    for height in heights:
      for begin, end in zip(bends, bends[1:], strict=False):
        _capsule(part, (*begin, height), (*end, height), thick, hand.skin)
  kinds = dict(zip(JOINTS, ("slide",) * 3 + ("turn",) * 2 + ("finger",) * 2, strict=True))
  for name, kind in kinds.items():
    kp, kv, most = _SERVOS[kind]
    servo = spec.add_actuator(
      name=name,
      target=name,
      trntype=mujoco.mjtTrn.mjTRN_JOINT,
      forcelimited=True,
      forcerange=(-most, most),
    )
    servo.set_to_position(kp=kp, kv=kv)


def _capsule(body, begin, end, radius: float, color: Rgb) -> None:
  _skin(body, color, type=mujoco.mjtGeom.mjGEOM_CAPSULE, fromto=(*begin, *end), size=(radius, 0, 0))


def _box(body, place, half, color: Rgb) -> None:
  _skin(body, color, type=mujoco.mjtGeom.mjGEOM_BOX, pos=place, size=half)


def _skin(body, color: Rgb, **fields) -> None:
  body.add_geom(rgba=(*color, 1.0), group=1, contype=BEADS_BIT, conaffinity=0, condim=1, **fields)
