"""What a run keeps for its report: exploration paths and one rollout, as npz files without pickles.

Two files in `<workdir>/report/data`, each written by the experiment and read by the report:
`exploration.npz` (SPiRL's Fig. 5) and `rollout.npz` (the film). Positions are (row, column) in
metres, as in the environment.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxskills.evaluation import array_file

EXPLORATION, ROLLOUT = "exploration.npz", "rollout.npz"


class Exploration(NamedTuple):
  """Rollouts of several ways of acting on one layout."""

  walls: np.ndarray
  """`[rows, columns]`, true where solid."""
  start: np.ndarray
  """(row, column) of the start cell."""
  goal: np.ndarray
  """(row, column) of the goal cell."""
  positions: dict[str, np.ndarray]
  """By name: `[episodes, time, 2]`, m, one per control step."""
  skill_horizon: int = 10
  """Steps per skill, for the displacement of a skill."""
  goal_radius: float = 2.0
  """m around the centre of the goal cell."""
  demonstrations: np.ndarray | None = None
  """Demonstrations to compare displacements with, `[episodes, time, 2]`, NaN past their ends."""


class Rollout(NamedTuple):
  """One episode of the trained policy."""

  states: np.ndarray
  """`[time, 4]`: row, column (m), their velocities (m/s)."""
  walls: np.ndarray
  start: np.ndarray
  goal: np.ndarray
  goal_radius: float = 2.0
  step_seconds: float = 0.01

  @property
  def goal_distance(self) -> np.ndarray:
    """From each state to the centre of the goal cell, `[time]`, m."""
    centre = np.asarray(self.goal, np.float64) + 0.5
    return np.linalg.norm(np.asarray(self.states, np.float64)[:, :2] - centre, axis=1)

  def until_goal(self, hold_seconds: float) -> "Rollout":
    """The rollout up to `hold_seconds` after the goal is first reached; whole if it never is."""
    reached = np.flatnonzero(self.goal_distance <= self.goal_radius)
    if not reached.size:
      return self
    last = reached[0] + round(hold_seconds / self.step_seconds)
    return self._replace(states=self.states[: last + 1])


def save_exploration(folder: Path, exploration: Exploration) -> Path:
  """Writes `exploration.npz` into `folder` (usually `<workdir>/report/data`)."""
  fields = exploration._asdict()
  positions = fields.pop("positions")
  if fields["demonstrations"] is None:
    del fields["demonstrations"]
  fields["names"] = np.array(list(positions))
  fields |= {f"positions_{name}": value for name, value in positions.items()}
  return array_file.save(Path(folder) / EXPLORATION, fields)


def save_rollout(folder: Path, rollout: Rollout) -> Path:
  """Writes `rollout.npz` into `folder`."""
  return array_file.save(Path(folder) / ROLLOUT, rollout._asdict())


def load_exploration(folder: Path) -> Exploration:
  """Reads `exploration.npz`; see `array_file.load` for errors."""
  fields = array_file.load(Path(folder) / EXPLORATION, ("walls", "start", "goal", "names"))
  names = [str(name) for name in fields.pop("names")]
  return Exploration(
    fields["walls"].astype(bool),
    fields["start"],
    fields["goal"],
    {name: fields[f"positions_{name}"] for name in names if f"positions_{name}" in fields},
    int(fields.get("skill_horizon", 10)),
    float(fields.get("goal_radius", 2.0)),
    fields.get("demonstrations"),
  )


def load_rollout(folder: Path) -> Rollout:
  """Reads `rollout.npz`; a layout that it lacks is taken from `exploration.npz` beside it."""
  fields = array_file.load(Path(folder) / ROLLOUT, ("states",))
  if "walls" not in fields:
    fields = load_exploration(folder)._asdict() | fields
  return Rollout(
    fields["states"],
    fields["walls"].astype(bool),
    fields["start"],
    fields["goal"],
    float(fields.get("goal_radius", 2.0)),
    float(fields.get("step_seconds", 0.01)),
  )
