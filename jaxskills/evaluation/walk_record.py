"""What a walking run keeps for its report: one scripted walk, an npz file without pickles.

The experiment writes it into `<workdir>/report/data`, the report draws and films it. It holds the
joints' names and limits, so that a report needs no simulator; only the film asks for the model.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxskills.evaluation import array_file

WALK, PUSHED = "walk.npz", "pushed.npz"


class WalkRecord(NamedTuple):
  """One walk, a row a control step; feet are (left, right), joints in `joints`' order.

  Row `i` is the state after step `i`, with the command and the clock that step was told.
  """

  step_seconds: float
  joints: np.ndarray
  """Names."""
  lower: np.ndarray
  """Least joint positions, rad."""
  upper: np.ndarray
  """Greatest joint positions, rad."""
  torque_limit: np.ndarray
  """N m."""
  default_pose: np.ndarray
  """Joint positions that actions are relative to, rad."""
  qpos: np.ndarray
  """`[time, 7 + joints]`: place (m), attitude (w, x, y, z), joint positions (rad)."""
  qvel: np.ndarray
  """`[time, 6 + joints]`: of the base in the world's frame (m/s) and its own (rad/s), joints."""
  command: np.ndarray
  """`[time, 3]`: forward, to the left (m/s), yaw rate (rad/s)."""
  velocity: np.ndarray
  """`[time, 3]`: of the base in its heading frame, m/s."""
  yaw_rate: np.ndarray
  """`[time]`, rad/s."""
  torque: np.ndarray
  """`[time, joints]`, N m."""
  action: np.ndarray
  """`[time, action]`."""
  contact: np.ndarray
  """`[time, 2]`, true where a foot is on the ground."""
  stance: np.ndarray
  """`[time, 2]`, true where the clock wants it there."""
  foot_height: np.ndarray
  """`[time, 2]`, of the soles' middle, m."""
  foot_speed: np.ndarray
  """`[time, 2]`, horizontal, m/s."""
  phase: np.ndarray
  """`[time]`, of the gait clock, 0 to 1; it runs on while no steps are asked for."""
  is_moving: np.ndarray
  """`[time]`, true where the command asks for steps."""
  push: np.ndarray
  """`[time, 2]`: sudden change of the base's velocity before the step, heading frame, m/s."""
  fell: np.ndarray
  """`[time]`, true where the robot has fallen."""
  reward_names: np.ndarray
  rewards: np.ndarray
  """`[time, terms]`, each weighted, as they add up to the step's reward."""

  @property
  def time(self) -> np.ndarray:
    """At the end of each step, `[time]`, s."""
    return self.step_seconds * np.arange(1, len(self.qpos) + 1)

  @property
  def joint_position(self) -> np.ndarray:
    """`[time, joints]`, rad."""
    return self.qpos[:, 7:]

  @property
  def yaw(self) -> np.ndarray:
    """Heading, `[time]`, rad, without jumps."""
    w, x, y, z = self.qpos[:, 3:7].T
    return np.unwrap(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))


_ROWS = (
  "qpos", "qvel", "command", "velocity", "yaw_rate", "torque", "action", "contact", "stance",
  "foot_height", "foot_speed", "phase", "is_moving", "push", "fell", "rewards",
)  # fmt: skip
_JOINTS = ("lower", "upper", "torque_limit", "default_pose")
_WIDTHS = {"command": 3, "velocity": 3, "push": 2, "contact": 2, "stance": 2}
_WIDTHS |= {"foot_height": 2, "foot_speed": 2}
_FLAT = {"yaw_rate", "phase", "is_moving", "fell"}
_FLAGS = ("contact", "stance", "is_moving", "fell")


def save(path: Path, record: WalkRecord) -> Path:
  """Writes a recording, atomically.

  Raises:
    UserError: if the disk is full or cannot be written.
  """
  return array_file.save(path, record._asdict())


def load(path: Path) -> WalkRecord:
  """Reads a recording.

  Raises:
    OSError: if there is no such file, or it cannot be read.
    UserError: if it is damaged, holds pickles, lacks an array, or its arrays do not fit together.
  """
  fields = array_file.load(path, WalkRecord._fields)
  if wrong := _misfit(fields):
    raise array_file.damaged(path, wrong)
  fields = {name: fields[name] for name in WalkRecord._fields}
  fields["step_seconds"] = float(fields["step_seconds"])
  return WalkRecord(**{k: v.astype(bool) if k in _FLAGS else v for k, v in fields.items()})


def _misfit(fields: dict[str, np.ndarray]) -> str:
  """What does not fit together, or nothing."""
  joints, names = fields["joints"], fields["reward_names"]
  for name, value in (("joints", joints), ("reward_names", names)):
    if value.ndim != 1 or value.dtype.kind != "U":
      return f"{name} is no list of names"
  steps = fields["step_seconds"]
  if steps.shape or steps.dtype.kind != "f" or not 0 < float(steps) < np.inf:
    return "step_seconds is no positive number"
  time = len(fields["qpos"]) if fields["qpos"].ndim else 0
  if time < 2:
    return f"a walk of {time} steps"
  widths = _WIDTHS | {"qpos": 7 + len(joints), "qvel": 6 + len(joints), "torque": len(joints)}
  widths |= {"rewards": len(names)}
  expected: dict[str, tuple[int, ...]] = {name: (len(joints),) for name in _JOINTS}
  for name in _ROWS:
    width = fields[name].shape[-1] if name == "action" and fields[name].ndim else widths.get(name)
    expected[name] = (time,) if name in _FLAT else (time, int(width or 0))
  for name, shape in expected.items():
    if fields[name].shape != shape:
      return f"{name} has shape {list(fields[name].shape)}, not {list(shape)}"
    if fields[name].dtype.kind not in "fb" or not np.isfinite(fields[name]).all():
      return f"{name} is not all finite numbers"
  return ""
