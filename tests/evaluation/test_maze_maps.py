"""Maps of the maze: places where they belong, and what was counted in the titles."""

import matplotlib.colors
import numpy as np
import pytest

from jaxskills.evaluation import maze_maps, recordings
from tests.evaluation import fake_run


def exploration(count):
  paths = {f"way_{i}": fake_run.walks(3, 40, seed=i) for i in range(count)}
  return recordings.Exploration(
    fake_run.walls(), np.array([2, 2]), np.array([8, 9]), paths, 10, 2.0
  )


@pytest.mark.parametrize("count", [1, 4, 5])
def test_exploration_has_one_map_per_way_with_its_cells_in_the_title(count):
  recorded = exploration(count)
  figure = maze_maps.exploration_map(recorded)
  shown = [axes for axes in figure.axes if axes.get_title(loc="left")]
  assert [axes.get_title(loc="left") for axes in shown] == [f"Way {i}" for i in range(count)]
  for axes, positions in zip(shown, recorded.positions.values(), strict=True):
    cells = len(np.unique(np.floor(positions).reshape(-1, 2), axis=0))
    assert any(text.get_text().startswith(f"{cells} of 73 cells") for text in axes.texts)


def test_the_map_has_rows_down_and_columns_to_the_right():
  figure = maze_maps.exploration_map(exploration(1))
  axes = figure.axes[0]
  picture = np.asarray(axes.images[0].get_array())
  wall = matplotlib.colors.to_rgb(maze_maps.WALL)
  solid = np.isclose(picture, wall).all(axis=-1)
  np.testing.assert_array_equal(solid, fake_run.walls())
  assert axes.get_ylim() == (11, 0) and axes.get_xlim() == (0, 11)
  start = next(line for line in axes.lines if line.get_marker() == "o")
  assert (start.get_xdata()[0], start.get_ydata()[0]) == (2.5, 2.5)
  goal = next(line for line in axes.lines if line.get_marker() == "*")
  assert (goal.get_xdata()[0], goal.get_ydata()[0]) == (9.5, 8.5)  # column, row


def test_displacements_are_drawn_beside_the_demonstrations():
  recorded = exploration(2)._replace(demonstrations=fake_run.walks(2, 30, seed=5))
  legend = maze_maps.displacement_figure(recorded).axes[0].get_legend()
  assert legend is not None
  texts = [text.get_text() for text in legend.get_texts()]
  assert texts[0].startswith("Demonstrations: mean 0.") and len(texts) == 3
