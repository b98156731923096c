"""The maze tasks that experiments name: a layout, a start, a goal, and how long an episode lasts.

`task` is the downstream task of SPiRL (Pertsch et al. 2020, section 4.2). The paper's appendix H
reuses one prior for three goals without saying where they were; `REUSE_TASKS` are ours: the paper's
own goal and two at a similar distance in other directions. `quick` is a smaller maze of ours, one
of the generator's, kept as text so that no change of a random generator can move its walls.
"""

import difflib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from jaxskills.envs.maze import layouts

TASK_EPISODE_STEPS = 2000  # of the released code; 20 s
QUICK_EPISODE_STEPS = 1000  # ours: at full speed the quick goal is some 400 steps away
QUICK_SEED = 26  # ours; of `generate_layout`

QUICK_20X20 = """
######################
#OOOOOOOOOOOOOOOOOOOO#
#OOOOOO#O#OOOOOOOOOOO#
#O######O##OOOOOO#O#O#
#OO###O#O###O#####O###
#OOOOOOOOOOOOOOOO#O#O#
#OO###OOO###OOOOOOOOO#
#OOO#OOOOO#OO#O#OOOOO#
#OOO#OOOOO####O#OOOOO#
#OOO#OOOOO#OO#O#OOOOO#
#OO#O#OOOO#OOOO#O#OOO#
#O##O###OOO#####O###O#
#OO#O#OOOO#O#OO#O#OOO#
#OOOOO#####O#OOOOOOOO#
#OOOOO#OOO#O#OOO#O#OO#
#OOOOO#OOOOO#####O#OO#
#OOOO###OOOOOOOO#O#OO#
#OOOOOOOOOOOOOOOOOOOO#
#OOOO###OOOOOOOOOOOOO#
#OOOOO#OOOOOOOOOOOOOO#
#OOOOO#OOOOOOOOOOOOOO#
######################
"""


class MazeTask(NamedTuple):
  """What has to be done where; cells are (row, column), border included."""

  walls: Bool[np.ndarray, "rows columns"]
  start: tuple[int, int]
  goal: tuple[int, int]
  episode_steps: int
  """Control steps that the task's episodes last."""


_TASK = MazeTask(layouts.task_layout(), layouts.TASK_START, layouts.TASK_GOAL, TASK_EPISODE_STEPS)
TASKS = {
  "task": _TASK,
  "task_east": _TASK._replace(goal=(10, 33)),
  "task_south": _TASK._replace(goal=(29, 34)),
  "quick": MazeTask(layouts.parse_layout(QUICK_20X20), (2, 15), (18, 17), QUICK_EPISODE_STEPS),
}
REUSE_TASKS = ("task", "task_east", "task_south")


def find_task(name: str) -> MazeTask:
  """The task of that name.

  Raises:
    ValueError: if there is none, naming the nearest one.
  """
  if name in TASKS:
    return TASKS[name]
  nearest = difflib.get_close_matches(name, TASKS, n=1, cutoff=0.0)[0]
  raise ValueError(f"unknown maze layout {name!r}; did you mean {nearest!r}?")


def path_cells(task: MazeTask) -> int | None:
  """Cells of the shortest way from start to goal, four-connected; nothing where there is no way."""
  with (
    jax.ensure_compile_time_eval()
  ):  # a fact of the layout, also where a world is made in a trace
    field = layouts.distance_field(jnp.asarray(task.walls), jnp.asarray(task.goal))
    cells = float(field[task.start])
  return None if cells >= layouts.UNREACHABLE else int(cells)
