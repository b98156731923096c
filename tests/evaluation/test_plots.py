"""Curves as figures: bands that are known, legends that say what was reached."""

import numpy as np
import pytest

from jaxskills.evaluation import intervals, plots, style
from jaxskills.evaluation.run_records import Curve


def curve(values, episodes=float("nan")):
  values = np.atleast_2d(values)
  return Curve(np.linspace(0, 2e6, values.shape[1]), values, episodes)


def legend_texts(figure):
  return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


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
  lines = [plots.Line("a", curve([1.0, 2.0])), plots.Line("b", curve([2.0, 3.0]), style.GREEN)]
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
