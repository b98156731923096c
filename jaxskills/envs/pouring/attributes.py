"""What is true of an instant of pouring: the five attributes of TCN's Table II, and success.

Sermanet et al. 2018, section IV-A5: "is the hand in contact with the container? (yes or no); is the
container within pouring distance of the recipient? (yes or no); what is the tilt angle of the
pouring container? (values 90, 45, 0 and -45 degrees); is the liquid flowing? (yes or no); does the
recipient contain liquid? (yes or no)". There people have judged; here it is the state of the world,
by thresholds that are ours. All functions take NumPy arrays with any leading axes.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxskills.envs.pouring.scene import Scene, bead_places, bead_velocities, vessel_poses
from jaxskills.envs.pouring.vessels import Vessel, is_inside, rotation

ATTRIBUTES = {"contact": 2, "distance": 2, "angle": 4, "flowing": 2, "has_liquid": 2}
"""Names of the five and how many classes each has, in the order of Table II."""

ANGLES = (-45, 0, 45, 90)
"""Degrees that the classes of "angle" stand for; 90 is anything beyond 67.5 too."""

_CLOSED = 0.12  # rad; of fingers and thumb, where they touch what they close around
_HELD_APART = 0.012  # m; of the hand's frame from the place where it holds the container
_MARGIN = 0.015  # m; outside the recipient's opening, still within pouring distance
_FALLING = 0.3  # m/s, downwards: what no bead does that lies in a vessel or rolls
_RIM_POINTS = 24

LEAST_POURED, MOST_SPILLED = 0.4, 0.1
"""Shares of all beads, for a success."""
_UPRIGHT = 0.97  # cosine of the greatest tilt of a vessel that stands
_STANDS = 0.01  # m; underside over the table at most


class Situation(NamedTuple):
  """One instant, or many with leading axes.

  Attributes:
    hand: joints, in the order of `hand.JOINTS`.
    container: pose of its frame: position in m, quaternion w x y z.
    recipient: likewise.
    beads: centres, m.
    velocities: of the beads, m/s.
  """

  hand: Float[np.ndarray, "*batch 7"]
  container: Float[np.ndarray, "*batch 7"]
  recipient: Float[np.ndarray, "*batch 7"]
  beads: Float[np.ndarray, "*batch beads 3"]
  velocities: Float[np.ndarray, "*batch beads 3"]


def situation(
  qpos: Float[np.ndarray, "*batch nq"], qvel: Float[np.ndarray, "*batch nv"]
) -> Situation:
  """Takes apart the state of a scene's model."""
  return Situation(qpos[..., :7], *vessel_poses(qpos), bead_places(qpos), bead_velocities(qvel))


def in_contact(scene: Scene, now: Situation) -> Bool[np.ndarray, "*batch"]:
  """Whether the hand has closed around the container."""
  up = rotation(now.container)[..., 2]
  held = now.container[..., :3] + scene.grip * up
  near = ((now.hand[..., :3] - held) ** 2).sum(axis=-1) < _HELD_APART**2
  return np.asarray(near & (now.hand[..., 5:].max(axis=-1) < _CLOSED))


def within_distance(scene: Scene, now: Situation) -> Bool[np.ndarray, "*batch"]:
  """Whether tilting the container would pour into the recipient.

  That is where its opening is higher than the recipient's rim, and some part of its own rim is
  over the recipient's opening or hardly beside it.
  """
  container, recipient = scene.container, scene.recipient
  rim = _rim(container, now.container)
  opening = rim.mean(axis=-2)
  away = rim[..., :2] - now.recipient[..., None, :2]
  nearest = np.sqrt((away**2).sum(axis=-1).min(axis=-1))
  above = opening[..., 2] > now.recipient[..., 2] + recipient.height
  return np.asarray(above & (nearest < recipient.inner(recipient.height) + _MARGIN))


def tilt(now: Situation) -> Float[np.ndarray, "*batch"]:
  """Angle of the container's axis from the vertical in degrees, negative away from the recipient.

  The side is that on which the recipient is of the container's underside.
  """
  up = rotation(now.container)[..., 2]
  towards = now.recipient[..., :2] - now.container[..., :2]
  angle = np.degrees(np.arccos(np.clip(up[..., 2], -1.0, 1.0)))
  return np.where((up[..., :2] * towards).sum(axis=-1) < 0, -angle, angle)


def angle_class(degrees: Float[np.ndarray, "*batch"]) -> Int[np.ndarray, "*batch"]:
  """Which of `ANGLES` is nearest."""
  return np.asarray(np.abs(degrees[..., None] - np.array(ANGLES)).argmin(axis=-1))


def is_flowing(scene: Scene, now: Situation) -> Bool[np.ndarray, "*batch"]:
  """Whether a bead falls that has left the container."""
  return np.asarray(falling(scene, now) > 0)


def falling(scene: Scene, now: Situation) -> Int[np.ndarray, "*batch"]:
  """How many beads fall that have left the container."""
  out = ~is_inside(scene.container, now.container, now.beads)
  return np.asarray((out & (now.velocities[..., 2] < -_FALLING)).sum(axis=-1))


def poured(scene: Scene, now: Situation) -> Int[np.ndarray, "*batch"]:
  """How many beads are in the recipient."""
  return np.asarray(is_inside(scene.recipient, now.recipient, now.beads).sum(axis=-1))


def left_over(scene: Scene, now: Situation) -> Int[np.ndarray, "*batch"]:
  """How many beads are in the container."""
  return np.asarray(is_inside(scene.container, now.container, now.beads).sum(axis=-1))


def is_success(scene: Scene, now: Situation) -> Bool[np.ndarray, "*batch"]:
  """Whether enough is in the recipient and little beside it, both stand, and the hand let go."""
  count = scene.beads.number
  there, here = poured(scene, now), left_over(scene, now)
  enough = (there >= LEAST_POURED * count) & (count - there - here <= MOST_SPILLED * count)
  stand = stands(now.container) & stands(now.recipient)
  return np.asarray(enough & stand & ~in_contact(scene, now) & ~is_flowing(scene, now))


def stands(pose: Float[np.ndarray, "*batch 7"]) -> Bool[np.ndarray, "*batch"]:
  """Whether a vessel of that pose stands on the table."""
  upright = rotation(pose)[..., 2, 2] > _UPRIGHT
  return np.asarray(upright & (np.abs(pose[..., 2]) < _STANDS))


def _rim(vessel: Vessel, pose: Float[np.ndarray, "*batch 7"]) -> np.ndarray:
  """Points of a circle through the middle of the staves' tops, `[*batch, points, 3]`."""
  angles = np.arange(_RIM_POINTS) * 2 * np.pi / _RIM_POINTS
  reach = float(vessel.inner(vessel.height)) + vessel.wall / 2
  height = np.full(_RIM_POINTS, vessel.height)
  local = np.stack([reach * np.cos(angles), reach * np.sin(angles), height], axis=-1)
  return pose[..., None, :3] + np.einsum("...ij,pj->...pi", rotation(pose), local)
