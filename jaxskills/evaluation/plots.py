"""Curves of a run as figures for a page and a paper: success, prior training, RL diagnostics.

Curves over training are drawn as their mean over seeds with a 95 % band; displacements as their
distribution. `style.py` says how methods look, `maze_maps.py` draws what happened in the maze.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxskills.evaluation import intervals
from jaxskills.evaluation.run_records import Curve
from jaxskills.evaluation.style import BLUE, GREY, PAGE_WIDTH, STYLE, looks


def learning_curves(curves: Mapping[str, Curve], policy: str = "deterministic") -> Figure:
  """Success rate against environment steps, all methods, with 95 % bands.

  Bands are those of `intervals.rate_interval` where the run logged `eval/episodes`, else Student's
  t over seeds; one seed without that count has no band.

  Args:
    curves: by method name, success rates of evaluations in [0, 1].
    policy: how the evaluated policy acts, for the axis.

  Raises:
    ValueError: if there is no curve.
  """
  if not curves:
    raise ValueError("no method has an evaluation to draw")
  with mpl.rc_context(STYLE):
    figure = Figure(figsize=(PAGE_WIDTH, 4.6), layout="constrained")
    axes = figure.subplots()
    scale, label = _step_scale([curve.x[-1] for curve in curves.values()])
    order = sorted(curves, key=lambda name: -np.nanmean(curves[name].values[:, -1]))
    look = looks(list(curves))
    # Curves that lie on one another (all baselines at 0) stay visible: widest and lowest first.
    for index, name in enumerate(reversed(order)):
      curve = curves[name]
      middle, band = mean_and_band(curve, is_rate=True)
      style = look[name]
      text = f"{style.label}: {middle[-1]:.2f}"
      known = np.isfinite(band.low)
      if known.any():
        text += f"  [{band.low[known][-1]:.2f}, {band.high[known][-1]:.2f}]"
        axes.fill_between(
          curve.x / scale,
          band.low,
          band.high,
          where=known,
          color=style.color,
          alpha=0.14,
          linewidth=0,
          zorder=2,
        )
      every = max(1, len(curve.x) // 8)
      axes.plot(
        curve.x / scale,
        middle,
        color=style.color,
        linestyle=style.dashes,
        label=text,
        linewidth=2.4,
        marker=style.marker,
        markersize=7,
        markeredgecolor="white",
        markeredgewidth=0.8,
        markevery=(index * every // max(len(order), 1), every),
        zorder=3,
        clip_on=False,
      )
    _rate_axis(axes)
    axes.set_xlabel(f"environment steps ({label})" if label else "environment steps")
    axes.set_ylabel(f"success rate ({policy} policy)")
    axes.set_xlim(left=0)
    handles, labels = axes.get_legend_handles_labels()
    legend = axes.legend(
      handles[::-1],
      labels[::-1],
      title="last evaluation  [95 % interval]",
      loc="center left",
      bbox_to_anchor=(1.01, 0.5),
      handlelength=3.2,
      labelspacing=0.9,
      alignment="left",
    )
    legend.get_title().set_color(GREY)
  return figure


def mean_and_band(curve: Curve, is_rate: bool) -> tuple[np.ndarray, intervals.Interval]:
  """Mean over seeds and its 95 % band; the band is NaN where nothing is known of it."""
  known = np.isfinite(curve.values)
  count = known.sum(axis=0)
  mean = np.where(known, curve.values, 0.0).sum(axis=0) / np.maximum(count, 1)
  mean = np.where(count > 0, mean, np.nan)
  if is_rate and np.isfinite(curve.episodes) and curve.episodes >= 1:
    return mean, intervals.rate_interval(curve.values, curve.episodes)
  band = intervals.mean_interval(curve.values)
  if is_rate:
    band = intervals.Interval(np.clip(band.low, 0, 1), np.clip(band.high, 0, 1))
  return mean, band


class Line(NamedTuple):
  """One curve of a panel; lines of one label look alike in all panels of a figure."""

  label: str
  curve: Curve
  color: str = BLUE
  dashes: Any = "-"
  width: float = 2.0


class Panel(NamedTuple):
  """One small plot."""

  title: str
  unit: str
  lines: Sequence[Line]
  is_rate: bool = False
  is_log: bool = False


def panels(content: Sequence[Panel], x_label: str) -> Figure:
  """A grid of small line plots, two a row, over one kind of horizontal axis, with one legend.

  Args:
    content: the plots.
    x_label: what the curves' `x` is, without its multiplier.

  Raises:
    ValueError: if there is nothing to draw.
  """
  content = [panel for panel in content if panel.lines]
  if not content:
    raise ValueError("none of its metrics was logged")
  with mpl.rc_context(STYLE):
    columns = min(2, len(content))
    rows = -(-len(content) // columns)
    width = PAGE_WIDTH * (0.62 if columns == 1 else 1.0)
    figure = Figure(figsize=(width, 0.55 + 2.9 * rows), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)  # pyright: ignore
    grid = figure.subplots(rows, columns, squeeze=False)
    scale, multiple = _step_scale([line.curve.x[-1] for panel in content for line in panel.lines])
    drawn: list[dict[str, Any]] = []
    for axes, panel in zip(grid.flat, content, strict=False):
      drawn.append(_draw_panel(axes, panel, scale))
      axes.set_xlabel(f"{x_label} ({multiple})" if multiple else x_label)
    for axes in grid.flat[len(content) :]:
      axes.set_axis_off()
    # One line is explained by its title. The fullest panel names most, so it comes first.
    handles: dict[str, Any] = {}
    for more in sorted((few for few in drawn if len(few) > 1), key=len, reverse=True):
      handles = handles | {label: line for label, line in more.items() if label not in handles}
    if handles:
      figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=min(len(handles), 7),
        handlelength=2.8,
      )
  return figure


def displacement_distribution(
  displacements: Mapping[str, tuple[np.ndarray, str, Any]], horizon: int
) -> Figure:
  """Cumulative distribution of the displacement per skill, one line per way of acting.

  Args:
    displacements: by label: distances in m `[skills]`, colour, dashes.
    horizon: steps per skill, for the axis.
  """
  with mpl.rc_context(STYLE):
    figure = Figure(figsize=(PAGE_WIDTH, 3.9), layout="constrained")
    axes = figure.subplots()
    for label, (values, color, dashes) in displacements.items():
      levels = np.linspace(0, 1, 401)
      axes.plot(
        np.quantile(values, levels),
        levels,
        color=color,
        linestyle=dashes,
        linewidth=2.4,
        label=f"{label}: mean {values.mean():.2f} m",
      )
    axes.set_xlabel(f"displacement over {horizon} control steps (m)")
    axes.set_ylabel("share of skills that move less")
    axes.set_ylim(0, 1.02)
    axes.set_xlim(left=0)
    axes.yaxis.set_major_formatter(ticker.PercentFormatter(1.0, decimals=0))
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), handlelength=3, labelspacing=0.9)
  return figure


def _draw_panel(axes: Axes, panel: Panel, scale: float) -> dict[str, Any]:
  """Draws the lines; returns their handles by label."""
  handles = {}
  for line in panel.lines:
    curve = line.curve
    middle, band = mean_and_band(curve, panel.is_rate)
    (handles[line.label],) = axes.plot(
      curve.x / scale,
      middle,
      color=line.color,
      linestyle=line.dashes,
      linewidth=line.width,
      marker="o" if len(curve.x) < 3 else None,
    )
    axes.fill_between(
      curve.x / scale,
      band.low,
      band.high,
      where=np.isfinite(band.low),
      color=line.color,
      alpha=0.16,
      linewidth=0,
    )
  axes.set_title(panel.title)
  axes.set_ylabel(panel.unit)
  axes.set_xlim(left=0)
  if panel.is_log:
    axes.set_yscale("log")
  elif panel.is_rate:
    _rate_axis(axes)
  elif min(np.nanmin(line.curve.values) for line in panel.lines) >= 0:
    axes.set_ylim(bottom=0)
  return handles


def _rate_axis(axes: Axes) -> None:
  axes.set_ylim(-0.03, 1.03)
  axes.set_yticks(np.linspace(0, 1, 6))
  axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%.1f"))


def _step_scale(furthest: Sequence[float]) -> tuple[float, str]:
  """Divisor and its word, so that tick labels stay short."""
  most = max(furthest, default=0.0)
  if most >= 1e6:
    return 1e6, "millions"
  if most >= 1e4:
    return 1e3, "thousands"
  return 1.0, ""
