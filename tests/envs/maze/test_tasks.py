"""The named mazes: as far as they say, and solvable in the time that they give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.envs.maze import layouts, tasks
from jaxskills.envs.maze.maze import make_maze


@pytest.mark.parametrize(
  ("name", "cells"), [("task", 34), ("task_east", 35), ("task_south", 35), ("quick", 22)]
)
def test_goals_are_as_far_as_said(name, cells):
  assert tasks.path_cells(tasks.TASKS[name]) == cells


def test_a_world_can_be_made_inside_a_traced_function():
  def start(row):
    return make_maze("quick").reset(jax.random.key(0)).data.position[0] + row

  assert float(jax.jit(start)(1.0)) == tasks.TASKS["quick"].start[0] + 1.5


def test_the_reused_prior_faces_three_goals_of_one_maze():
  mazes = [tasks.TASKS[name] for name in tasks.REUSE_TASKS]
  assert len({maze.goal for maze in mazes}) == 3
  assert {maze.start for maze in mazes} == {layouts.TASK_START}
  for maze in mazes:
    np.testing.assert_array_equal(maze.walls, layouts.task_layout())
  directions = np.array([np.subtract(maze.goal, maze.start) for maze in mazes], float)
  directions /= np.linalg.norm(directions, axis=1, keepdims=True)
  cosines = (directions @ directions.T)[np.triu_indices(3, 1)]
  assert cosines.max() < 0.6


def test_the_quick_maze_is_one_of_the_generators():
  generated = layouts.generate_layout(jax.random.key(tasks.QUICK_SEED), 20)
  np.testing.assert_array_equal(tasks.TASKS["quick"].walls, generated)


def test_an_unknown_maze_names_the_nearest():
  with pytest.raises(ValueError, match="'quikc'; did you mean 'quick'"):
    tasks.find_task("quikc")


def test_a_goal_behind_walls_has_no_path():
  walls = np.ones((7, 7), bool)
  walls[1, 1] = walls[5, 5] = False
  assert tasks.path_cells(tasks.MazeTask(walls, (1, 1), (5, 5), 100)) is None


@pytest.mark.parametrize("name", tasks.TASKS)
def test_a_planner_solves_the_task_within_an_episode(name):
  maze = make_maze(name)
  task = maze.task
  field = np.array(layouts.distance_field(jnp.array(task.walls), jnp.array(task.goal)))
  moves = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])
  ahead = np.zeros((*field.shape, 2), np.int32)
  for cell in np.argwhere(~task.walls):
    ahead[tuple(cell)] = min(cell + moves, key=lambda beside: field[tuple(beside)])
  ahead = jnp.array(ahead)

  def step(state, _):
    cell = jnp.floor(state.data.position).astype(jnp.int32)
    target = ahead[cell[0], cell[1]] + 0.5
    action = 4.0 * (target - state.data.position) - 1.0 * state.data.velocity
    state = maze.advance(state, action)
    return state, state.reward

  run = jax.jit(lambda key: jax.lax.scan(step, maze.reset(key), None, length=task.episode_steps))
  _, rewards = run(jax.random.key(0))
  assert rewards[-1] == 1.0
  # Neither next to the start nor beyond what an unhurried walker has time for.
  assert 0.3 < np.argmax(rewards) / task.episode_steps < 0.7
