"""Layouts: the paper's task by its published facts, the generator by its description.

Grid distances are checked against a breadth-first search in plain Python.
"""

import collections
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxskills.envs.maze import layouts

SHARED = pathlib.Path(__file__).parents[4] / "shared" / "data" / "maze_seed0_40x40.txt"


def breadth_first(walls, goal):
  """Steps to the goal by a queue; cells without a way are left out."""
  if walls[goal]:
    return {}
  steps, queue = {goal: 0}, collections.deque([goal])
  while queue:
    row, column = queue.popleft()
    for cell in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
      if not walls[cell] and cell not in steps:
        steps[cell] = steps[row, column] + 1
        queue.append(cell)
  return steps


@functools.cache
def generate(size, number):
  keys = jax.random.split(jax.random.key(number), number)
  return np.asarray(jax.jit(jax.vmap(lambda key: layouts.generate_layout(key, size)))(keys))


def test_the_papers_task_has_its_published_facts():
  walls = layouts.task_layout()
  assert walls.shape == (42, 42)
  assert walls[1:-1, 1:-1].mean() == pytest.approx(0.261, abs=5e-4)
  assert (~walls).sum() == 1182
  steps = breadth_first(walls, layouts.TASK_START)
  assert len(steps) == 1181
  assert steps[layouts.TASK_GOAL] == 34
  assert max(steps.values()) == 67


def test_the_papers_task_is_the_reference_layout():
  if not SHARED.exists():
    pytest.skip("the reference data is not part of the package")
  np.testing.assert_array_equal(layouts.task_layout(), layouts.parse_layout(SHARED.read_text()))


def test_a_layout_is_read_row_by_row():
  np.testing.assert_array_equal(
    layouts.parse_layout("####\n#OG#\n####"),
    [[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1]],
  )


@pytest.mark.parametrize(
  ("text", "message"),
  [("###\n#O#\n##", "one length"), ("###\n#OO\n###", "solid border, 1 of")],
)
def test_a_layout_that_leaks_is_refused(text, message):
  with pytest.raises(ValueError, match=message):
    layouts.parse_layout(text)


def test_a_layout_must_be_a_grid():
  with pytest.raises(ValueError, match=r"shape \(3,\)"):
    layouts.check_border(np.ones(3, bool))


@pytest.mark.parametrize("size", [20, 40])
def test_generated_layouts_stop_at_a_quarter_of_wall(size):
  walls = generate(size, 32)
  assert walls.shape == (32, size + 2, size + 2)
  fraction = walls[:, 1:-1, 1:-1].mean((1, 2))
  assert fraction.min() >= layouts.WALL_FRACTION
  # The last wall adds at most half a side and four door posts.
  assert fraction.max() < layouts.WALL_FRACTION + (0.5 * size + 4) / size**2


@pytest.mark.parametrize("size", [20, 40])
def test_generated_layouts_have_a_solid_border(size):
  for walls in generate(size, 32):
    layouts.check_border(walls)


def test_a_key_gives_one_layout_and_another_key_another():
  keys = jax.random.split(jax.random.key(32), 32)
  batch = generate(20, 32)
  np.testing.assert_array_equal(layouts.generate_layout(keys[5], 20), batch[5])
  assert len({walls.tobytes() for walls in batch}) == 32


def test_most_of_a_generated_layout_is_connected():
  shares = []
  for walls in generate(20, 32):
    free = [tuple(cell) for cell in np.argwhere(~walls)]
    shares.append(
      max(len(breadth_first(walls, cell)) for cell in free[:: len(free) // 7]) / len(free)
    )
  assert np.median(shares) > 0.97


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31 - 1))
def test_a_wall_in_an_empty_grid_has_one_door_between_four_posts(seed):
  size = 20
  keys = jax.random.split(jax.random.key(seed), 3)
  grid = np.asarray(_one_wall(size)(*keys))
  row = int(np.argmax(grid.sum(1)))
  columns = np.flatnonzero(grid[row])
  length = columns[-1] - columns[0] + 1
  assert 0.3 * size - 1 < length <= 0.5 * size
  door = sorted(set(range(columns[0], columns[-1] + 1)) - set(columns))
  assert len(door) == 1
  posts = {(row + i, door[0] + j) for i in (-1, 1) for j in (-1, 1)}
  solid = {(int(i), int(j)) for i, j in np.argwhere(grid)}
  assert solid == posts | {(row, int(column)) for column in columns}


@functools.cache
def _one_wall(size):
  empty = jnp.zeros((size, size), bool)
  return jax.jit(lambda *keys: layouts._with_wall(empty, *keys))


def test_walls_are_placed_where_there_are_none_yet():
  size = 20
  half = jnp.zeros((size, size), bool).at[: size // 2].set(True)
  keys = jax.random.split(jax.random.key(0), (200, 3))
  grids = jax.jit(jax.vmap(lambda k: layouts._with_wall(half, k[0], k[1], k[2])))(keys)
  added = np.asarray(grids)[:, size // 2 + 2 :].any((1, 2))
  # By chance it would be half; bands with no wall in them weigh exp(20 * occupancy) times more.
  assert added.mean() > 0.95


@functools.cache
def field_of():
  return jax.jit(layouts.distance_field)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 31), st.integers(0, 10_000))
def test_distances_are_those_of_a_breadth_first_search(index, pick):
  walls = generate(20, 32)[index]
  free = np.argwhere(~walls)
  goal = tuple(int(side) for side in free[pick % len(free)])
  field = np.asarray(field_of()(walls, jnp.array(goal)))
  expected = np.full(walls.shape, layouts.UNREACHABLE)
  for cell, steps in breadth_first(walls, goal).items():
    expected[cell] = steps
  np.testing.assert_array_equal(field, expected)


def test_no_cell_is_any_distance_from_a_goal_in_a_wall():
  walls = layouts.task_layout()
  np.testing.assert_array_equal(field_of()(walls, jnp.array([0, 3])), layouts.UNREACHABLE)
