"""How far a way of acting gets in the maze: cells visited, displacement per skill, direction kept.

The check of whether a skill prior is worth training with, before any reinforcement learning (the
paper's Fig. 5 in numbers). Of these figures, displacement per skill against the demonstrations' is
the sharpest: a prior that is stuck at walls loses it first.
"""

from typing import NamedTuple

import numpy as np

STILL = 1e-3  # m; a shorter displacement has no direction worth comparing
MOVING_RATIO = 0.6  # of the demonstrations' displacement, below which rollouts are called stuck


class Coverage(NamedTuple):
  """Free cells that were visited, of how many."""

  cells: int
  free_cells: int

  @property
  def fraction(self) -> float:
    """Share of the free cells that were visited."""
    return self.cells / max(self.free_cells, 1)


def visit_counts(positions: np.ndarray, walls: np.ndarray) -> np.ndarray:
  """Counts recorded positions per cell.

  Args:
    positions: (row, column) in m, `[..., 2]`; positions that are not finite or lie outside the
      layout are left out.
    walls: `[rows, columns]`, true where solid.

  Returns:
    Integer counts `[rows, columns]`; zero at walls.
  """
  walls = np.asarray(walls, bool)
  flat = np.asarray(positions, np.float64).reshape(-1, 2)
  flat = flat[np.isfinite(flat).all(axis=1)]
  cells = np.floor(flat).astype(np.int64)
  cells = cells[((cells >= 0) & (cells < walls.shape)).all(axis=1)]
  counts = np.bincount(cells[:, 0] * walls.shape[1] + cells[:, 1], minlength=walls.size)
  return np.where(walls, 0, counts.reshape(walls.shape))


def coverage(positions: np.ndarray, walls: np.ndarray) -> Coverage:
  """Counts the free cells that at least one of `positions` (`[..., 2]`, m) lies in."""
  visited = visit_counts(positions, walls) > 0
  return Coverage(int(visited.sum()), int((~np.asarray(walls, bool)).sum()))


def displacement_per_skill(
  positions: np.ndarray, horizon: int, lengths: np.ndarray | None = None
) -> np.ndarray:
  """Distance between the ends of consecutive stretches of `horizon` steps, in m.

  Args:
    positions: `[episodes, time, 2]`, m, one per control step.
    horizon: steps per skill.
    lengths: valid positions of each episode, `[episodes]`; all when None.

  Returns:
    One distance per whole skill, of all episodes in a row: `[skills]`.

  Raises:
    ValueError: if the horizon is not positive.
  """
  moves = _moves(positions, horizon, lengths)
  distance = np.linalg.norm(moves, axis=-1).reshape(-1)
  return distance[np.isfinite(distance)]


def direction_kept(
  positions: np.ndarray, horizon: int, lengths: np.ndarray | None = None
) -> np.ndarray:
  """Cosine between the displacements of consecutive skills: 1 goes on, -1 turns back.

  Takes what `displacement_per_skill` takes, and refuses what it refuses.

  Returns:
    One cosine per pair of skills that both moved at least a millimetre: `[pairs]`.
  """
  moves = _moves(positions, horizon, lengths)
  before, after = moves[:, :-1], moves[:, 1:]
  scale = np.linalg.norm(before, axis=-1) * np.linalg.norm(after, axis=-1)
  moved = np.minimum(np.linalg.norm(before, axis=-1), np.linalg.norm(after, axis=-1)) > STILL
  return (np.sum(before * after, axis=-1)[moved] / scale[moved]).reshape(-1)


def goal_reached(positions: np.ndarray, goal: np.ndarray, radius: float = 2.0) -> float:
  """Share of episodes that come within `radius` m of the centre of the goal cell.

  Args:
    positions: `[episodes, time, 2]`, m.
    goal: (row, column) of the goal cell.
    radius: of the rewarded disc, m.
  """
  centre = np.asarray(goal, np.float64) + 0.5
  gap = np.linalg.norm(np.asarray(positions, np.float64) - centre, axis=-1)
  return float(np.mean(np.any(gap <= radius, axis=1)))


def prior_check(
  positions: np.ndarray,
  walls: np.ndarray,
  horizon: int,
  demonstrated: np.ndarray,
  demonstrated_lengths: np.ndarray | None = None,
) -> dict[str, float]:
  """The figures that tell whether a prior is worth using, before RL starts.

  Args:
    positions: prior rollouts, `[episodes, time, 2]`, m, one per control step.
    walls: layout that they were made on, `[rows, columns]`.
    horizon: steps per skill.
    demonstrated: demonstrations, `[episodes, time, 2]`, m.
    demonstrated_lengths: valid positions of each demonstration, `[episodes]`.

  Returns:
    Flat metrics: `cells`, `free_cells`, `fraction`, `displacement_per_skill` (m), `direction_kept`
    (cosine), the last two of the demonstrations as `demonstrated_...`, and `displacement_ratio`.
  """
  covered = coverage(positions, walls)
  moved = displacement_per_skill(positions, horizon)
  wanted = displacement_per_skill(demonstrated, horizon, demonstrated_lengths)
  return {
    "cells": float(covered.cells),
    "free_cells": float(covered.free_cells),
    "fraction": covered.fraction,
    "displacement_per_skill": _mean(moved),
    "direction_kept": _mean(direction_kept(positions, horizon)),
    "demonstrated_displacement_per_skill": _mean(wanted),
    "demonstrated_direction_kept": _mean(
      direction_kept(demonstrated, horizon, demonstrated_lengths)
    ),
    "displacement_ratio": _mean(moved) / max(_mean(wanted), 1e-9),
  }


def describe_check(check: dict[str, float]) -> str:
  """One line for the console: what prior rollouts cover, and what to make of it."""
  ratio = check["displacement_ratio"]
  verdict = (
    "the prior moves like the demonstrations"
    if ratio >= MOVING_RATIO
    else "the prior is stuck: train it longer, or on demonstrations that touch walls"
  )
  return (
    f"prior rollouts visit {check['cells']:,.0f} of {check['free_cells']:,.0f} cells "
    f"({check['fraction']:.0%}), move {check['displacement_per_skill']:.2f} m per skill "
    f"(demonstrations {check['demonstrated_displacement_per_skill']:.2f} m), direction kept "
    f"{check['direction_kept']:.2f} (demonstrations {check['demonstrated_direction_kept']:.2f}): "
    f"{verdict}"
  )


def _moves(positions: np.ndarray, horizon: int, lengths: np.ndarray | None) -> np.ndarray:
  """Displacement vectors of whole skills, `[episodes, skills, 2]`; NaN past an episode's end."""
  if horizon < 1:
    raise ValueError(f"a skill needs at least one step, got a horizon of {horizon}")
  positions = np.asarray(positions, np.float64)
  if lengths is not None:
    valid = np.arange(positions.shape[1]) < np.asarray(lengths)[:, None]
    positions = np.where(valid[..., None], positions, np.nan)
  return np.diff(positions[:, ::horizon], axis=1)


def _mean(values: np.ndarray) -> float:
  return float(np.mean(values)) if values.size else float("nan")
