"""Maze layouts: the task of the SPiRL paper, a seeded generator of more, and grid distances.

SPiRL (Pertsch et al. 2020), appendix C: walls with doorways at random places. A layout is a boolean
array, true where a cell is solid, with a border of one solid cell all round.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxskills.types import Key

WALL_FRACTION = 0.25  # of the interior, at which the generator stops
UNREACHABLE = 1.0e6  # grid distance of a cell from which the goal cannot be reached
_BAND = 5  # cells across a wall that its placement looks at
_AVERSION = 20.0  # softmax sharpness against placing walls over walls
_MAX_WALLS = 64

# The downstream task of the paper: `#` solid, `O` free; made with its public generator, seed 0.
TASK_40X40 = """
##########################################
#GOOOOOOOOOOOOO#OOOOOOOOOOOOOOOO#OOOOOOOO#
#OO#OOOOOOOOOOO#OOO##O#OOOOOOOOO#OOO#OOOO#
#OO#OOO#OOOOOOO#O####O#########O#OOO#OOOO#
#OO#OOO#OOOOOOO#OOO##O#OOOOOOOOO#OO###OOO#
#OO#OO###OOOOOO#OOO#OOOOOOOOOOOO#OOOOOOOO#
#OO#OOOOOOOOOOO#OOO#OOOOOOO#OOOO#OO###OOO#
#O###O###OOOOOO#OOO##O#OOOO#OOOO#OOO#OOOO#
#OOOOOO#OOOO#########O####O#OOOO#OOO#OOOO#
#O###OO#OOOOOOO#OOO##O#OOOO#OOOO#OOO#OOOO#
#OO#OOO#OO#OOOO#OOO#OOOOOOO#OOOO#OOO#OOOO#
#OO#OOO#OO#OOOO#OOO#OOOOOOO#OOOO#O#O#OOOO#
#OO#OOO#OO#OOO###OO#OO###########O###OOOO#
#OO#OOO#OO#OOOOOOO###OOOOOO#OOOO#O#O#OOOO#
#OO#OOO#OO#OOO###OOOOOOOOOO#OOOO#OOO#O#OO#
#OO#OOO#OO#OOOO#OO###OOOOOO#OOO###OOOO#OO#
#OO#OOO#OO#OOOOOOOO#O#O#OOO#OOOOOOOOOO#OO#
#OO#OOOOO#############O###O#OOO###OOOO#OO#
#OOOOOOOOO#OOOOOOOO#O#O#OO###OOO#OOOOO#OO#
#OOOOOOOOO#OOOOOOOO#OOOOOOOOOOOOOOOOOO#OO#
#OOOOOOOO###O#OOOOOOOOOOOO###OOOOOOOOO#OO#
#OOOOOOOOOO#O###########OOO#OOOOOOOOO###O#
#OOO#OOOO###O#OOOOOOOOOOOOOOOOO#OOOOOOOOO#
#OOO#OOOOO#OOOOOOOOOOOOOOOOOOOO#OOOOO###O#
#OOO#OOOOO#OOOOOOOOOOOOOOOOOOOO#OOOOOO#OO#
##O##OOOOO#OOO#OOOOOOOOOOOOOOOO#OOOOOO#OO#
##O#################OOOOOOOOOOO#OOOOOO#OO#
##O###OOO#O#################OOO#OOOOOO#OO#
#OOOOOOOO#O#OO#OOOOOOOOOOOOOOOO#OOOOOO#OO#
#OO###OOOOOOOO#OO#O#OOOOOOOOOOO#OOOOOO#OO#
#OOO#OOOOOOO######O###########O#OOOOOO#OO#
#OOO#OOOOOOOOO#OO#O#OOOOOOOOOOO#OOOOOOOOO#
#OOO#OOOOOOOOO#OOOO#O#OOOOOOOOO#OOOOOOOOO#
#OOO#OOOOOOO########O#######OO###OOOOOOOO#
#OOO#OOOOOOOO###OOO#O#OOOOOOOOOOOOOOOOOOO#
#OOO#OOOOOOOOOOOOOOOOOOOOOOOOO###OOOOOOOO#
#OOO#OOOOOOOO###OOOOOOOOOO#O#OO#OOOOOOOOO#
#OOOOOOO#O#OOO#OO##########O####OOOOOOOOO#
#O#######O###########OOOOO#O#OO#OOOOOOOOO#
#OOOOOOO#O#OOO#OOOOOOOOOOOOOOOO#OOOOOOOOO#
#OOOOOOOOOOOOOOOOOOOOOOOOOOOOOO#OOOOOOOOO#
##########################################
"""
TASK_START = (10, 24)
TASK_GOAL = (18, 8)


def parse_layout(text: str) -> np.ndarray:
  """Reads rows of `#` and free characters into a boolean array `[rows, columns]`.

  Raises:
    ValueError: if rows differ in length or the border has a gap.
  """
  rows = text.split()
  if len({len(row) for row in rows}) != 1:
    raise ValueError(f"a layout needs rows of one length, got {sorted({len(row) for row in rows})}")
  walls = np.array([[cell == "#" for cell in row] for row in rows])
  check_border(walls)
  return walls


def check_border(walls: np.ndarray) -> None:
  """Refuses a layout from which the ball could leave.

  Raises:
    ValueError: if a cell of the border is free, or `walls` is no grid.
  """
  if walls.ndim != 2:
    raise ValueError(f"a layout is a grid [rows, columns], got shape {walls.shape}")
  border = np.concatenate([walls[0], walls[-1], walls[:, 0], walls[:, -1]])
  if not border.all():
    raise ValueError(f"a layout needs a solid border, {int((~border).sum())} of its cells are free")


def task_layout() -> np.ndarray:
  """The paper's 40x40 task, border included: `[42, 42]`."""
  return parse_layout(TASK_40X40)


def generate_layout(key: Key, size: int) -> Bool[Array, "rows columns"]:
  """Draws a layout of `size` x `size` cells and a border.

  Walls are added until a quarter of the interior is solid. Each has a random orientation, a length
  of 30 to 50 % of the side, a place that avoids walls already there (softmax over the mean
  occupancy of the five-wide band around it), one door of a single cell, and door posts.

  Args:
    key: typed PRNG key; the same key gives the same layout.
    size: interior cells per side.

  Returns:
    `[size + 2, size + 2]`, true where solid.
  """

  def unfinished(carry: tuple[Array, Array]) -> Array:
    walls, count = carry
    return (jnp.mean(walls) < WALL_FRACTION) & (count < _MAX_WALLS)

  def add_wall(carry: tuple[Array, Array]) -> tuple[Array, Array]:
    walls, count = carry
    keys = jax.random.split(jax.random.fold_in(key, count), 4)
    upright = jax.random.bernoulli(keys[0])
    grid = jnp.where(upright, walls.T, walls)
    grid = _with_wall(grid, *keys[1:])
    return jnp.where(upright, grid.T, grid), count + 1

  empty = jnp.zeros((size, size), bool)
  walls, _ = jax.lax.while_loop(unfinished, add_wall, (empty, jnp.zeros((), jnp.int32)))
  return jnp.pad(walls, 1, constant_values=True)


def _with_wall(
  grid: Bool[Array, "size size"], length_key: Key, place_key: Key, door_key: Key
) -> Bool[Array, "size size"]:
  """Adds one wall along the second axis."""
  size = grid.shape[0]
  share = jax.random.uniform(length_key, minval=0.3, maxval=0.5)
  length = jnp.maximum(3, (share * size).astype(jnp.int32))

  # Mean occupancy of every band of `_BAND` x `length` cells, through an integral image.
  integral = jnp.pad(jnp.cumsum(jnp.cumsum(grid.astype(jnp.int32), 0), 1), ((1, 0), (1, 0)))
  first = jnp.arange(size)
  last = jnp.minimum(first + length, size)
  band = jnp.take(integral, last, axis=1) - jnp.take(integral, first, axis=1)
  occupancy = (band[_BAND:] - band[:-_BAND]) / (_BAND * length)
  fits = first + length <= size
  logits = jnp.where(fits, -_AVERSION * occupancy, -jnp.inf)
  choice = jax.random.categorical(place_key, logits.reshape(-1))
  row, start = choice // size + _BAND // 2, choice % size

  door = start + jax.random.randint(door_key, (), 1, length - 1)
  rows, columns = first[:, None], first[None, :]
  on_line = (rows == row) & (columns >= start) & (columns < start + length)
  posts = (jnp.abs(rows - row) == 1) & (jnp.abs(columns - door) == 1)
  opening = (rows == row) & (columns == door)
  return (grid | on_line | posts) & ~opening


def distance_field(
  walls: Bool[Array, "rows columns"], goal: Int[Array, "2"]
) -> Float[Array, "rows columns"]:
  """Steps to the goal over free cells, moving to one of four neighbours at a time.

  This is the converged value iteration of the paper's planner: with one goal and a discount
  `gamma`, the value of a cell is `gamma ** distance`.

  Returns:
    Cells to the goal, `UNREACHABLE` where there is no way, walls included.
  """
  is_goal = jnp.zeros(walls.shape, bool).at[goal[0], goal[1]].set(True)
  far = jnp.where(is_goal & ~walls, 0.0, UNREACHABLE)

  def relax(carry: tuple[Array, Array]) -> tuple[Array, Array]:
    field, _ = carry
    padded = jnp.pad(field, 1, constant_values=UNREACHABLE)
    near = jnp.minimum(
      jnp.minimum(padded[:-2, 1:-1], padded[2:, 1:-1]),
      jnp.minimum(padded[1:-1, :-2], padded[1:-1, 2:]),
    )
    relaxed = jnp.where(walls, UNREACHABLE, jnp.minimum(field, near + 1.0))
    return jnp.minimum(relaxed, UNREACHABLE), jnp.any(relaxed < field)

  field, _ = jax.lax.while_loop(lambda carry: carry[1], relax, (far, jnp.array(True)))
  return field
