"""Figures: looks that stay, bands that are known, pictures that repeat bit for bit."""

import matplotlib.colors
import numpy as np
import pytest
from PIL import Image

from jaxskills.evaluation import intervals, maze_maps, plots, recordings
from jaxskills.evaluation.run_records import Curve
from tests.evaluation import fake_run


def curve(values, episodes=float("nan")):
  values = np.atleast_2d(values)
  return Curve(np.linspace(0, 2e6, values.shape[1]), values, episodes)


def legend_texts(figure):
  return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_a_method_keeps_its_look_whatever_else_is_drawn():
  alone, among = plots.looks(["sac"]), plots.looks(["mine", "spirl", "other", "sac"])
  assert alone["sac"] == among["sac"]
  assert len({(look.color, str(look.dashes)) for look in among.values()}) == 4


def test_colours_of_methods_are_told_apart_in_grey_print_or_by_marker():
  look = plots.looks(["spirl", "sac", "bc_sac", "flat_prior", "ssp"]).values()
  assert len({one.marker for one in look}) == len({one.color for one in look}) == 5
  assert len({str(one.dashes) for one in look}) == 5


def test_band_of_one_seed_is_that_of_its_episodes():
  mean, band = plots.mean_and_band(curve([0.0, 0.5, 1.0], episodes=100.0), is_rate=True)
  np.testing.assert_allclose(mean, [0.0, 0.5, 1.0])
  expected = intervals.wilson(np.array([0.0, 50.0, 100.0]), 100)
  np.testing.assert_allclose(band, expected)


def test_band_of_one_seed_without_a_count_is_unknown():
  _, band = plots.mean_and_band(curve([0.0, 0.5]), is_rate=True)
  assert np.isnan(band.low).all() and np.isnan(band.high).all()


def test_band_of_seeds_is_students_and_stays_within_zero_and_one():
  values = np.array([[0.0, 0.2], [0.6, 0.2], [1.0, np.nan]])
  mean, band = plots.mean_and_band(curve(values), is_rate=True)
  np.testing.assert_allclose(mean, [values[:, 0].mean(), 0.2])
  assert band.low[0] == 0.0 and band.high[0] == 1.0
  _, free = plots.mean_and_band(curve(values), is_rate=False)
  np.testing.assert_allclose(free, intervals.mean_interval(values))
  assert free.low[0] < 0.0


def test_legend_gives_the_last_rate_best_method_first():
  figure = plots.learning_curves(
    {"sac": curve([0.0, 0.0], 100.0), "spirl": curve([0.0, 0.97], 100.0)}
  )
  assert legend_texts(figure) == ["SPiRL: 0.97  [0.92, 0.99]", "SAC: 0.00  [0.00, 0.04]"]
  assert "millions" in figure.axes[0].get_xlabel()


def test_a_figure_without_curves_is_refused():
  with pytest.raises(ValueError, match="no method"):
    plots.learning_curves({})
  with pytest.raises(ValueError, match="none of its metrics"):
    plots.panels([plots.Panel("empty", "m", [])], "updates")


def test_panels_share_one_legend_and_skip_what_was_not_logged():
  lines = [plots.Line("a", curve([1.0, 2.0])), plots.Line("b", curve([2.0, 3.0]), plots.GREEN)]
  content = [
    plots.Panel("one", "m", lines),
    plots.Panel("none", "m", []),
    plots.Panel("two", "m", lines[:1], is_log=True),
  ]
  figure = plots.panels(content, "updates")
  assert [axes.get_title(loc="left") for axes in figure.axes] == ["one", "two"]
  assert figure.axes[1].get_yscale() == "log"
  (legend,) = figure.legends
  assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]


def test_a_picture_repeats_bit_for_bit_and_is_twice_the_width_of_the_page(tmp_path):
  first, again = (
    plots.save(plots.learning_curves({"spirl": curve([0.0, 1.0])}), tmp_path / f"{i}.png")
    for i in range(2)
  )
  assert first.read_bytes() == again.read_bytes()
  with Image.open(first) as image:
    assert image.width == 2080
  assert sorted(path.name for path in tmp_path.iterdir()) == ["0.png", "1.png"]


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


def test_later_rollouts_are_darker_and_on_top():
  paths = np.stack([fake_run.walks(1, 20, seed=i)[0] for i in range(3)])
  reuse = recordings.Reuse(
    fake_run.walls(),
    np.array([2, 2]),
    {"a": np.array([8, 9])},
    {"a": paths},
    {"a": np.array([200.0, 0.0, 100.0])},
  )
  lines = maze_maps.reuse_map(reuse).axes[0].collections
  assert len(lines) == 3
  brightness = [float(np.sum(line.get_colors()[0][:3])) for line in lines]
  assert brightness == sorted(brightness, reverse=True)
  last = np.concatenate([segment[:1] for segment in lines[-1].get_segments()])
  np.testing.assert_allclose(last[:, ::-1], paths[0, :-1])


def test_displacements_are_drawn_beside_the_demonstrations():
  recorded = exploration(2)._replace(demonstrations=fake_run.walks(2, 30, seed=5))
  texts = legend_texts(maze_maps.displacement_figure(recorded))
  assert texts[0].startswith("Demonstrations: mean 0.") and len(texts) == 3
