"""The maze as an environment: a ball, walls, and a reward that is only given near the goal.

SPiRL (Pertsch et al. 2020), section 4.2 and appendix C: reward 1 for every step within 2 m of the
goal and 0 elsewhere, never terminal; the agent sees the walls around it in two frames. The goal is
not drawn. Episodes have no end here: put `EpisodeLimit` around the world, with the task's
`episode_steps`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from jaxskills.envs import base
from jaxskills.envs.maze import dynamics, layouts, tasks
from jaxskills.envs.maze.view import egocentric_view
from jaxskills.types import Key

GOAL_RADIUS = 2.0  # m, of the released code's D4RL fork


class MazeData(NamedTuple):
  """The ball, and where it was one control step ago (the second frame shows that)."""

  position: Float[Array, "2"]
  """(row, column) in m."""
  velocity: Float[Array, "2"]
  """In m/s."""
  previous_position: Float[Array, "2"]


class Maze(base.Env):
  """One layout with one start and one goal; made by `make_maze`.

  The observation is `{"view": uint8 [32, 32, 2], "state": float32 [4]}`: wall coverage around the
  ball now (channel 0) and one control step before (channel 1), and (row, column, row velocity,
  column velocity) in m and m/s. The action is the force as a fraction of the motors' 100 N.
  `metrics["success"]` is 1 for a step that ends in reach of the goal.
  """

  def __init__(self, task: tasks.MazeTask, goal_radius: float, start_spread: float):
    self.task = task
    self.goal_radius = goal_radius
    self.start_spread = start_spread
    self._walls = np.asarray(task.walls, bool)
    self._start = np.asarray(task.start, np.float32) + 0.5
    self._goal = np.asarray(task.goal, np.float32) + 0.5

  def reset(self, key: Key) -> base.State:
    spread = self.start_spread
    offset = jax.random.uniform(base.typed_key(key), (2,), minval=-spread, maxval=spread)
    position = jnp.asarray(self._start) + offset
    data = MazeData(position, jnp.zeros(2), position)
    zero = jnp.zeros(())
    return base.State(data, self.observe(data), zero, zero, {"success": zero})

  def advance(self, state: base.State, action: Float[Array, "2"]) -> base.State:
    before: MazeData = state.data
    position, velocity = dynamics.advance(
      jnp.asarray(self._walls), before.position, before.velocity, action
    )
    reward = self.success(position)
    return state.replace(
      data=MazeData(position, velocity, before.position),
      reward=reward,
      done=jnp.zeros(()),
      metrics={**state.metrics, "success": reward},
    )

  def observe(self, data: MazeData) -> dict[str, Array]:
    return observe(jnp.asarray(self._walls), data)

  def success(self, position: Float[Array, "2"]) -> Float[Array, ""]:
    """1 where a position is within reach of the goal."""
    squared = jnp.sum((position - self._goal) ** 2)
    return (squared <= self.goal_radius**2).astype(jnp.float32)

  @property
  def action_size(self) -> int:
    return 2

  @property
  def step_seconds(self) -> float:
    return dynamics.STEP_SECONDS


def observe(
  walls: Bool[Array, "rows columns"], data: MazeData
) -> dict[str, UInt8[Array, "32 32 2"] | Float[Array, "4"]]:
  """What the ball sees in a layout: two frames, and its own state."""
  frames = [egocentric_view(walls, data.position), egocentric_view(walls, data.previous_position)]
  return {
    "view": jnp.stack(frames, axis=-1),
    "state": jnp.concatenate([data.position, data.velocity]),
  }


def make_maze(
  layout: str | np.ndarray = "task",
  start: tuple[int, int] | None = None,
  goal: tuple[int, int] | None = None,
  *,
  goal_radius: float = GOAL_RADIUS,
  start_spread: float = 0.0,
) -> Maze:
  """Builds the maze environment.

  Args:
    layout: a name of `tasks.TASKS`, or walls `[rows, columns]`, true where solid, with a solid
      border.
    start: (row, column) of the start cell, border included; the named task's own if not given.
    goal: likewise.
    goal_radius: distance from the centre of the goal cell within which the reward is given, m.
    start_spread: half width of the square around the centre of the start cell in which episodes
      begin, m. The paper's task starts at one point: 0.

  Raises:
    ValueError: for an unknown name, a missing start or goal, a border with gaps, a start or goal
      in a wall or out of the layout, a goal that cannot be reached, or a spread that touches walls.
  """
  if isinstance(layout, str):
    task = tasks.find_task(layout)
    task = task._replace(start=start or task.start, goal=goal or task.goal)
  elif start is None or goal is None:
    raise ValueError("a maze made of walls needs a start and a goal cell")
  else:
    task = tasks.MazeTask(np.asarray(layout, bool), start, goal, tasks.TASK_EPISODE_STEPS)
  _check(task, goal_radius, start_spread)
  return Maze(task, goal_radius, start_spread)


def _check(task: tasks.MazeTask, goal_radius: float, start_spread: float) -> None:
  """Refuses what cannot be a task."""
  layouts.check_border(task.walls)
  for name, cell in (("start", task.start), ("goal", task.goal)):
    inside = all(0 <= index < side for index, side in zip(cell, task.walls.shape, strict=True))
    if not inside or task.walls[cell]:
      raise ValueError(f"the {name} {tuple(cell)} is not a free cell of the layout")
  distance = tasks.path_cells(task)
  if distance is None:
    raise ValueError(f"the goal {tuple(task.goal)} cannot be reached from {tuple(task.start)}")
  if goal_radius <= 0:
    raise ValueError(f"the goal radius must be positive, got {goal_radius}")
  widest = 0.5 - dynamics.RADIUS
  if not 0.0 <= start_spread <= widest:
    raise ValueError(f"the start spread must be within 0 and {widest} m, got {start_spread}")
