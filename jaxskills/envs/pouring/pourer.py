"""The hand at work in its scene: does what a script says, frame by frame, and records it."""

from collections.abc import Iterable
from typing import NamedTuple

import mujoco
import numpy as np

from jaxskills.envs.pouring import attributes
from jaxskills.envs.pouring.scene import HAND_JOINTS, SUBSTEPS, Scene, make_model, start_qpos
from jaxskills.physics.quiet import BAD, quiet

_SETTLING = 8  # frames before the first one, unrecorded


class UnstablePhysics(RuntimeError):
  """Numbers grew out of bounds, as where something was squeezed."""


class Command(NamedTuple):
  """How the hand shall be at the next frame.

  Attributes:
    place: of its frame, m.
    yaw: rad.
    roll: rad.
    opening: of fingers and thumb, rad.
    holds: whether the container is held.
  """

  place: np.ndarray
  yaw: float
  roll: float
  opening: float
  holds: bool = False


class Recording(NamedTuple):
  """What happened, a row a frame, float32.

  Attributes:
    qpos: `[time, nq]`.
    qvel: `[time, nv]`.
    ctrl: `[time, 7]`: what the servos had been led to at that frame.
    holds: `[time]`, bool: whether the weld was on.
  """

  qpos: np.ndarray
  qvel: np.ndarray
  ctrl: np.ndarray
  holds: np.ndarray


class Pourer:
  """The hand in its scene, as scripts see it.

  Attributes:
    scene: that it is in.
    command: what it was last told.
  """

  def __init__(self, scene: Scene):
    """Fills the container and waits until the beads have settled."""
    self.scene = scene
    self._model = make_model(scene, looks=False)
    self._data = mujoco.MjData(self._model)
    self._grasp = self._model.equality("grasp").id
    self._hand, self._container = (self._model.body(name).id for name in ("hand", "container"))
    self._data.qpos[:] = start_qpos(scene)
    home = scene.hand.home
    self.command = Command(np.array(home), scene.hand.yaw, 0.0, float(self._data.qpos[5]))
    for _ in range(_SETTLING):
      self._advance(self.command)

  def now(self) -> attributes.Situation:
    """How things are."""
    return attributes.situation(self._data.qpos, self._data.qvel)

  def follow(self, script: Iterable[Command], *, at_most: int) -> Recording:
    """Does what a script says, for no more than so many frames."""
    rows, commands = [self._row()], iter(script)
    while len(rows) < at_most and (command := next(commands, None)) is not None:
      self._advance(command)
      rows.append(self._row())
    qpos, qvel, ctrl, holds = (np.stack(part) for part in zip(*rows, strict=True))
    return Recording(qpos, qvel, ctrl, holds)

  def _advance(self, command: Command) -> None:
    """One frame of physics; servos are led in a straight line."""
    if command.holds != self.command.holds:
      self._hold(command.holds)
    before, after = _controls(self.command), _controls(command)
    with quiet():
      for step in range(1, SUBSTEPS + 1):
        share = step / SUBSTEPS
        self._data.ctrl[:] = (1.0 - share) * before + share * after
        mujoco.mj_step(self._model, self._data)
    if any(self._data.warning[number].number for number in BAD):
      raise UnstablePhysics(f"of the scene of seed {self.scene.seed}")
    self.command = command

  def _hold(self, holds: bool) -> None:
    """Fixes the container in the hand as it is, or lets go."""
    if holds:
      rotation = self._data.xmat[self._hand].reshape(3, 3)
      away = self._data.xpos[self._container] - self._data.xpos[self._hand]
      inverse, turn = np.zeros(4), np.zeros(4)
      mujoco.mju_negQuat(inverse, self._data.xquat[self._hand])
      mujoco.mju_mulQuat(turn, inverse, self._data.xquat[self._container])
      self._model.eq_data[self._grasp, 3:6] = rotation.T @ away
      self._model.eq_data[self._grasp, 6:10] = turn
    self._data.eq_active[self._grasp] = holds

  def _row(self) -> tuple[np.ndarray | np.bool_, ...]:
    data = self._data
    values = (data.qpos, data.qvel, data.ctrl)
    return (*(part.astype(np.float32) for part in values), np.bool_(self.command.holds))


def _controls(command: Command) -> np.ndarray:
  place, opening = np.asarray(command.place, float), command.opening
  controls = np.array([*place, command.yaw, command.roll, opening, opening])
  assert controls.shape == (HAND_JOINTS,)
  return controls
