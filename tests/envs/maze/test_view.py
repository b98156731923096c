"""The egocentric view against areas worked out pixel by pixel."""

import functools
import math

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxskills.envs.maze import layouts, view

PIXEL = view.VIEW_SPAN / view.VIEW_PIXELS


@functools.cache
def draw(floor_shade=0.0):
  return jax.jit(functools.partial(view.egocentric_view, floor_shade=floor_shade))


def picture(walls, position, floor_shade=0.0):
  return np.asarray(draw(floor_shade)(walls, np.asarray(position, np.float32))).astype(float)


def supersampled(walls, position, samples, floor_shade=0.0):
  """Mean of `samples` x `samples` points in every pixel; outside the layout all is solid."""
  side = view.VIEW_PIXELS * samples
  offsets = ((np.arange(side) + 0.5) / side - 0.5) * view.VIEW_SPAN
  rows, columns = (np.floor(centre + offsets).astype(int) for centre in position)
  tiles = floor_shade * (np.indices(walls.shape).sum(axis=0) % 2)
  padded = np.pad(np.where(walls, 1.0, tiles), 5, constant_values=1.0)
  points = padded[np.ix_(rows + 5, columns + 5)]
  blocks = points.reshape(view.VIEW_PIXELS, samples, view.VIEW_PIXELS, samples)
  return 255.0 * blocks.mean((1, 3))


def free_place(walls, pick, row, column):
  free = np.argwhere(~walls)
  return free[pick % len(free)] + np.array([row, column])


inside_cell = st.floats(0.1, 0.9)
cell_number = st.integers(0, 10_000)


def test_the_view_spans_what_the_papers_camera_sees():
  assert pytest.approx(2 * 5 * math.tan(math.pi / 8)) == view.VIEW_SPAN


@settings(deadline=None, max_examples=40)
@given(cell_number, inside_cell, inside_cell, st.sampled_from([0.0, view.FLOOR_SHADE]))
def test_each_pixel_is_the_area_that_walls_and_tiles_cover(pick, row, column, floor_shade):
  walls = layouts.task_layout()
  position = free_place(walls, pick, row, column)
  samples = 40
  ours = picture(walls, position, floor_shade)
  brute = supersampled(walls, position, samples, floor_shade)
  # One row and one column of samples may lie across an edge; half a level is rounding.
  assert np.abs(ours - brute).max() <= 255.0 * 2.0 / samples + 0.5
  assert np.abs(ours - brute).mean() < 0.7


@settings(deadline=None, max_examples=40)
@given(cell_number, inside_cell, inside_cell)
def test_the_picture_adds_up_to_the_wall_area_in_sight(pick, row, column):
  walls = layouts.task_layout()
  position = free_place(walls, pick, row, column)
  low, high = position - view.VIEW_SPAN / 2, position + view.VIEW_SPAN / 2
  area = 0.0
  for i in range(math.floor(low[0]), math.ceil(high[0])):
    for j in range(math.floor(low[1]), math.ceil(high[1])):
      outside = not (0 <= i < walls.shape[0] and 0 <= j < walls.shape[1])
      if outside or walls[i, j]:
        tall = min(i + 1, high[0]) - max(i, low[0])
        wide = min(j + 1, high[1]) - max(j, low[1])
        area += tall * wide
  seen = picture(walls, position).mean() / 255.0 * view.VIEW_SPAN**2
  assert seen == pytest.approx(area, abs=0.02)


@settings(deadline=None, max_examples=25)
@given(cell_number, inside_cell, inside_cell)
def test_a_mirrored_world_looks_mirrored(pick, row, column):
  walls = layouts.task_layout()
  position = free_place(walls, pick, row, column)
  seen = picture(walls, position)
  side = len(walls)
  flipped = picture(walls[::-1], [side - position[0], position[1]])
  turned = picture(walls.T, position[::-1])
  assert np.abs(flipped - seen[::-1]).max() <= 1.0
  assert np.abs(turned - seen.T).max() <= 1.0


@pytest.mark.parametrize("axis", [0, 1])
def test_a_hundredth_of_a_cell_shows_as_its_share_of_a_pixel(axis):
  walls = np.ones((12, 12), bool)
  walls[1:-1, 1:-1] = False
  here = np.array([3.0, 3.0])
  there = here.copy()
  there[axis] += 0.01
  change = np.abs(picture(walls, there) - picture(walls, here))
  # Both walls in sight move by 0.01 m across pixels of 0.13 m: 20 of 255 levels at their edge.
  edge = np.moveaxis(change, axis, 0)[:, -1]
  assert edge.max() == pytest.approx(255.0 * 0.01 / PIXEL, abs=1.0)
  assert edge.sum() == pytest.approx(255.0 * 0.01 / PIXEL, abs=1.5)


def test_a_step_shows_in_a_hall_without_walls_in_sight():
  walls = np.ones((20, 20), bool)
  walls[1:-1, 1:-1] = False
  here, there = [10.0, 10.0], [10.0, 10.05]
  assert (picture(walls, here) == picture(walls, there)).all()
  tiled = [picture(walls, place, view.FLOOR_SHADE) for place in (here, there)]
  assert np.abs(tiled[1] - tiled[0]).max() == pytest.approx(
    255.0 * view.FLOOR_SHADE * 0.05 / PIXEL, abs=1.0
  )


def test_open_space_is_black_and_the_outside_is_white():
  walls = np.ones((20, 20), bool)
  walls[1:-1, 1:-1] = False
  assert picture(walls, [10.0, 10.0]).max() == 0.0
  beside = picture(walls, [1.1, 10.0])
  rows_outside = math.floor((view.VIEW_SPAN / 2 - 1.1) / PIXEL)
  assert rows_outside > 0
  np.testing.assert_array_equal(beside[:rows_outside], 255.0)


def test_rows_go_down_and_columns_go_right():
  walls = np.ones((12, 12), bool)
  walls[1:-1, 1:-1] = False
  walls[4, 6] = True
  seen = picture(walls, [5.5, 5.5])  # the pillar lies one row up and one column right
  up_right = seen[:16, 16:]
  assert up_right.sum() == pytest.approx(seen.sum())
  assert seen.sum() == pytest.approx(255.0 / PIXEL**2, rel=2e-3)


def test_a_batch_of_views_equals_one_by_one():
  walls = layouts.task_layout()
  places = (np.argwhere(~walls)[::100] + 0.37).astype(np.float32)
  batch = jax.vmap(draw(), (None, 0))(walls, places)
  for seen, place in zip(batch, places, strict=True):
    np.testing.assert_array_equal(seen, draw()(walls, place))
