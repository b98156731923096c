"""The arm that demonstrates: follows a hand's way by inverse kinematics and records each frame.

A script (`scripts.py`) says where the hand shall be a frame from now. `mink` finds the joint
angles, the servos are led to them in a straight line, and physics does the rest, so the recorded
controls alone bring about the same demonstration again, bit for bit (`controls_between`).
"""

import functools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import mink
import mujoco
import numpy as np
from jaxtyping import Float

from jaxskills.assets.panda import PANDA, panda_model
from jaxskills.envs.tabletop.scene import ROBOT_JOINTS, SUBSTEPS, Scene, make_model

JOINTS = len(PANDA.joints)
_SITE = "gripper"
_ITERATIONS = 3  # of Gauss-Newton per frame; a frame's way is short, so two would do
_POSTURE = 1e-3  # weight of the joints' own wishes: elbow where it was
_SETTLING = 8  # frames before the first one, unrecorded


class Command(NamedTuple):
  """Where the hand shall be at the next frame, pointing down.

  Attributes:
    position: of the place between the fingertips, m.
    yaw: about the vertical, rad; at 0 the fingers open along the world's y axis.
    opening: of each finger, m.
    phase: what is being done.
    progress: of what is being done, in [0, 1].
  """

  position: np.ndarray
  yaw: float
  opening: float
  phase: str
  progress: float


class Touch(NamedTuple):
  """What touches what at one frame, by object.

  Attributes:
    hand: whether the hand or a fingertip touches it.
    tips: whether both fingertips do.
    other: whether the table or another object does.
  """

  hand: np.ndarray
  tips: np.ndarray
  other: np.ndarray


class Recording(NamedTuple):
  """What happened, a row a frame.

  Attributes:
    qpos: `[time, nq]`, float32.
    qvel: `[time, nv]`, float32.
    ctrl: `[time, nu]`, float32; what the servos had been led to at that frame.
    gripper: `[time, 3]`, place between the fingertips, m.
    touches: one a frame.
    phases: names.
    progress: `[time]`, the most there had been.
  """

  qpos: np.ndarray
  qvel: np.ndarray
  ctrl: np.ndarray
  gripper: np.ndarray
  touches: tuple[Touch, ...]
  phases: tuple[str, ...]
  progress: np.ndarray


class HandSolver:
  """Joint angles for a hand that points down; goes on from where it was."""

  def __init__(self, joints: Float[np.ndarray, "joints"]):
    """Starts at `joints`, rad."""
    model = _robot()
    self._configuration = mink.Configuration(model, q=np.append(joints, [0.0, 0.0]))
    self._hand = mink.FrameTask(_SITE, "site", position_cost=1.0, orientation_cost=0.5)
    self._posture = mink.PostureTask(model, cost=_POSTURE)
    self._posture.set_target_from_configuration(self._configuration)
    self._limits = [mink.ConfigurationLimit(model)]

  def pose(self) -> tuple[np.ndarray, float]:
    """Place and yaw of the hand as the angles are."""
    transform = self._configuration.get_transform_frame_to_world(_SITE, "site")
    finger_axis = transform.rotation().as_matrix()[:, 0]
    return transform.translation(), float(np.arctan2(finger_axis[1], finger_axis[0]))

  def solve(self, position: Float[np.ndarray, "3"], yaw: float) -> Float[np.ndarray, "joints"]:
    """The angles, rad, within the joints' range; the nearest there are where none would do."""
    down = mink.SO3.from_z_radians(yaw) @ mink.SO3.from_x_radians(np.pi)
    self._hand.set_target(mink.SE3.from_rotation_and_translation(down, position))
    tasks = [self._hand, self._posture]
    for _ in range(_ITERATIONS):
      change = mink.solve_ik(
        self._configuration, tasks, 1.0, "daqp", damping=1e-9, limits=self._limits
      )
      self._configuration.integrate_inplace(change, 1.0)
    return np.array(self._configuration.q[:JOINTS])


class Demonstrator:
  """The arm in its scene, as scripts see it.

  Attributes:
    scene: that it is in.
    model: of the scene.
    position: where the hand was last told to be, m.
    yaw: likewise, rad.
    opening: likewise, m.
  """

  def __init__(self, scene: Scene):
    """Puts the arm at its start and waits until nothing moves."""
    self.scene = scene
    self.model = make_model(scene, looks=False)
    self._data = mujoco.MjData(self.model)
    mujoco.mj_resetDataKeyframe(self.model, self._data, 0)
    self._ctrl = self.model.key_ctrl[0].astype(np.float32)
    for _ in range(_SETTLING):
      self._advance(self._ctrl)
    start(self._data, self._data.qpos, self._data.qvel)
    mujoco.mj_forward(self.model, self._data)
    self._solver = HandSolver(np.array(scene.arm.joints))
    self.position, self.yaw = self._solver.pose()
    self.opening = scene.arm.opening
    self._site = self.model.site(_SITE).id
    self._sides = _sides(self.model, len(scene.items))

  def hand(self) -> np.ndarray:
    """Where the place between the fingertips truly is, m; `position` runs ahead of it."""
    return self._data.site_xpos[self._site].copy()

  def place(self, index: int) -> np.ndarray:
    """Centre of an object, m."""
    first = ROBOT_JOINTS + 7 * index
    return self._data.qpos[first : first + 3].copy()

  def heading(self, index: int) -> float:
    """Yaw of an object, rad."""
    first = ROBOT_JOINTS + 7 * index
    w, x, y, z = self._data.qpos[first + 3 : first + 7]
    return float(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y**2 + z**2)))

  def top(self, index: int) -> float:
    """Height of an object that stands, m."""
    return float(self.place(index)[2] + self.scene.items[index].half_extents[2])

  def follow(self, commands: Iterable[Command], *, at_most: int) -> Recording:
    """Does what a script says, for no more than so many frames."""
    rows, progress = [self._row("rest", 0.0)], 0.0
    script: Iterator[Command] = iter(commands)
    while len(rows) < at_most and (command := next(script, None)) is not None:
      self.position, self.yaw = np.asarray(command.position, float), float(command.yaw)
      self.opening = float(command.opening)
      joints = self._solver.solve(self.position, self.yaw)
      self._advance(np.append(joints, self.opening).astype(np.float32))
      progress = max(progress, command.progress)
      rows.append(self._row(command.phase, progress))
    qpos, qvel, ctrl, gripper, touches, phases, reached = zip(*rows, strict=True)
    return Recording(
      np.stack(qpos),
      np.stack(qvel),
      np.stack(ctrl),
      np.stack(gripper),
      touches,
      phases,
      np.array(reached, np.float32),
    )

  def _advance(self, ctrl: np.ndarray) -> None:
    """One frame of physics."""
    for controls in controls_between(self._ctrl, ctrl):
      self._data.ctrl[:] = controls
      mujoco.mj_step(self.model, self._data)
    self._ctrl = ctrl

  def _row(self, phase: str, progress: float) -> tuple:
    data = self._data
    state = (data.qpos.astype(np.float32), data.qvel.astype(np.float32), self._ctrl)
    return (*state, self.hand(), self._touch(), phase, progress)

  def _touch(self) -> Touch:
    count = len(self.scene.items)
    hand, left, right, other = (np.zeros(count, bool) for _ in range(4))
    for pair in self._data.contact.geom:
      for first, second in (pair, pair[::-1]):
        kind, index = self._sides[first]
        if kind != "object":
          continue
        by = self._sides[second][0]
        hand[index] |= by in ("hand", "left", "right")
        left[index] |= by == "left"
        right[index] |= by == "right"
        other[index] |= by in ("object", "table")
    return Touch(hand, left & right, other)


def start(data: mujoco.MjData, qpos: np.ndarray, qvel: np.ndarray) -> None:
  """Puts the world into a state as a recording has it (float32), and forgets all else."""
  qpos, qvel = qpos.astype(np.float32), qvel.astype(np.float32)
  mujoco.mj_resetData(data.model, data)
  data.qpos[:], data.qvel[:] = qpos, qvel


def controls_between(
  before: Float[np.ndarray, "nu"], after: Float[np.ndarray, "nu"]
) -> Float[np.ndarray, "substeps nu"]:
  """What the servos are told at each physics step from one frame to the next."""
  share = np.arange(1, SUBSTEPS + 1)[:, None] / SUBSTEPS
  before, after = before.astype(np.float64), after.astype(np.float64)
  return (1.0 - share) * before + share * after


@functools.cache
def _robot() -> mujoco.MjModel:
  """The arm alone; nothing changes it."""
  return panda_model(looks=False)


def _sides(model: mujoco.MjModel, objects: int) -> dict[int, tuple[str, int]]:
  """What each geom belongs to."""
  sides = {index: ("hand", -1) for index in range(model.ngeom)}
  sides[model.geom("floor").id] = ("table", -1)
  sides[model.geom("left_tip").id] = ("left", -1)
  sides[model.geom("right_tip").id] = ("right", -1)
  for index in range(objects):
    sides[model.geom(f"object{index}").id] = ("object", index)
  return sides
