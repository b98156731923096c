"""One pouring scene: all that stays the same within a demonstration, and the MuJoCo model of it.

As in `envs.tabletop`, a scene is plain numbers and words, goes through JSON without loss, and gives
the same model each time; table, walls, lights, cameras and distractors are that world's own. Beads
have no friction among themselves and in vessels, so they flow like a liquid, and no attitude: three
slides each. On the table, which has friction, they stay.
"""

from typing import NamedTuple

import mujoco
import numpy as np

from jaxskills.envs.named_json import from_json, to_json
from jaxskills.envs.pouring import hand as hands
from jaxskills.envs.pouring.vessels import STIFF, Vessel, add_vessel
from jaxskills.envs.tabletop.furnishing import furnish
from jaxskills.envs.tabletop.looks import Look, Rgb

FRAMES_PER_SECOND = 12
SUBSTEPS = 40  # physics steps in a frame
TIMESTEP = 1.0 / (FRAMES_PER_SECOND * SUBSTEPS)  # s

HAND_JOINTS = len(hands.JOINTS)
VESSELS = ("container", "recipient")
"""What is poured out of, and into; their free joints come after the hand's in `qpos`."""

CONDITIONS = ("train", "test", "looks")
"""Clear and opaque vessels, as in TCN's training videos; clear ones only, as in its test videos,
where one has to see how full they are; clear ones amid textures and colours that are not trained
on."""

_FIRST_BEAD = HAND_JOINTS + 7 * len(VESSELS)
_BEAD_DENSITY = 1100.0  # kg/m^3
_APART = 2.08  # bead radii between neighbours before they settle


class Beads(NamedTuple):
  """What is poured.

  Attributes:
    number: how many.
    radius: m.
    colors: that they have in turn.
  """

  number: int
  radius: float
  colors: tuple[Rgb, ...]


class Scene(NamedTuple):
  """All that is static.

  Attributes:
    condition: one of `CONDITIONS`.
    seed: that it was drawn from.
    attempt: how many scenes of the seed were given up before this one.
    container: what is poured out of.
    recipient: what is poured into.
    beads: in the container at the start.
    hand: who pours.
    grip: how high the container is held, over its underside, m.
    look: what can only be seen.
  """

  condition: str
  seed: int
  attempt: int
  container: Vessel
  recipient: Vessel
  beads: Beads
  hand: hands.Hand
  grip: float
  look: Look

  def to_json(self) -> str:
    """One line; `from_json` gives back an equal scene."""
    return to_json(self)

  @staticmethod
  def from_json(text: str) -> "Scene":
    """Reads what `to_json` wrote."""
    return from_json(Scene, text)


def make_model(scene: Scene, *, looks: bool = True) -> mujoco.MjModel:
  """The model: the hand's seven joints and actuators, two free vessels, three slides per bead.

  The weld "grasp" holds the container in the hand while it is active; at the start it is not.

  Args:
    scene: what it is of.
    looks: with the room, distractors, lights and cameras. Leaving them out changes no dynamics.
  """
  spec = mujoco.MjSpec()
  spec.modelname = "pouring"
  spec.compiler.degree = False
  option = spec.option
  option.timestep = TIMESTEP
  option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
  option.solver, option.iterations, option.ls_iterations = mujoco.mjtSolver.mjSOL_NEWTON, 10, 10
  # Seen is the room's table: this one is larger, so that nothing falls off.
  spec.worldbody.add_geom(
    name="ground",
    type=mujoco.mjtGeom.mjGEOM_BOX,
    pos=(0.5, 0.0, -0.1),
    size=(1.5, 1.5, 0.1),
    friction=(0.6, 0.005, 0.0001),
    condim=3,
    group=4,
  )
  hands.add_hand(spec, scene.hand, scene.container.outer(scene.grip))
  for name in VESSELS:
    add_vessel(spec, name, getattr(scene, name))
  grasp = spec.add_equality(
    name="grasp", type=mujoco.mjtEq.mjEQ_WELD, objtype=mujoco.mjtObj.mjOBJ_BODY, active=False
  )
  grasp.name1, grasp.name2 = "hand", "container"
  grasp.data[:] = 0.0  # the pose is set when something is grasped
  grasp.data[10] = 1.0
  grasp.solref, grasp.solimp = [0.005, 1.0], [0.95, 0.99, 0.001, 0.5, 2.0]
  radius, colors = scene.beads.radius, scene.beads.colors
  for index in range(scene.beads.number):
    body = spec.worldbody.add_body(name=f"bead{index}")
    for axis in np.eye(3):
      body.add_joint(type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis)
    body.add_geom(
      type=mujoco.mjtGeom.mjGEOM_SPHERE,
      size=(radius, 0, 0),
      mass=_BEAD_DENSITY * 4 / 3 * np.pi * radius**3,
      condim=1,
      friction=(0.05, 0.005, 0.0001),
      solref=STIFF,
      conaffinity=1 | hands.BEADS_BIT,
      rgba=(*colors[index % len(colors)], 1.0),
      group=1,
    )
  if looks:
    furnish(spec, scene.look)
  return spec.compile()


def start_qpos(scene: Scene) -> np.ndarray:
  """Positions before beads have settled, float64 `[21 + 3 beads]`."""
  poses = []
  for vessel in (scene.container, scene.recipient):
    half = vessel.yaw / 2
    poses += [*vessel.position, 0.0, np.cos(half), 0.0, 0.0, np.sin(half)]
  joints = [*scene.hand.home, scene.hand.yaw, 0.0, hands.OPEN, hands.OPEN]
  return np.concatenate([joints, poses, _stacked(scene).ravel()])


def vessel_poses(qpos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Of container and recipient, `[*batch, 7]` each, from positions `[*batch, nq]`."""
  poses = qpos[..., HAND_JOINTS:_FIRST_BEAD]
  return poses[..., :7], poses[..., 7:]


def bead_places(qpos: np.ndarray) -> np.ndarray:
  """`[*batch, beads, 3]`, m, from positions `[*batch, nq]`."""
  return qpos[..., _FIRST_BEAD:].reshape((*qpos.shape[:-1], -1, 3))


def bead_velocities(qvel: np.ndarray) -> np.ndarray:
  """`[*batch, beads, 3]`, m/s, from velocities `[*batch, nv]`."""
  return qvel[..., _FIRST_BEAD - len(VESSELS) :].reshape((*qvel.shape[:-1], -1, 3))


def _stacked(scene: Scene) -> np.ndarray:
  """Beads in layers of triangles in the container, every other layer shifted, `[beads, 3]`, m."""
  beads, vessel = scene.beads, scene.container
  apart, room = _APART * beads.radius, vessel.radius - 1.02 * beads.radius
  rows, columns = np.mgrid[-9:10, -9:10]
  grid = (
    np.stack([columns + 0.5 * (rows % 2), rows * np.sqrt(0.75)], axis=-1).reshape(-1, 2) * apart
  )
  layers = []
  height = vessel.floor + 1.02 * beads.radius
  while sum(map(len, layers)) < beads.number:
    shifted = grid + (len(layers) % 2) * apart * np.array([0.5, 0.5 / np.sqrt(3)])
    held = shifted[(shifted**2).sum(axis=-1) < room**2]
    layers.append(np.column_stack([held, np.full(len(held), height)]))
    height += 0.86 * apart
  places = np.concatenate(layers)[: beads.number]
  turn = vessel.yaw
  spun = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
  places[:, :2] = places[:, :2] @ spun.T + np.array(vessel.position)
  return places
