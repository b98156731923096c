"""Figures of embeddings: alignment matrices, projections coloured by progress, rewards."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from jaxskills.evaluation import alignment, nearest, projections
from jaxskills.evaluation.style import BLACK, BLUE, GREY, PAGE_WIDTH, STYLE, VERMILLION

_MARKERS = "o^sDvP"
_PROGRESS = "viridis"


def alignment_matrices(
  embeddings: Mapping[str, np.ndarray], views: Sequence[str], seconds_per_frame: float
) -> Figure:
  """Distances between all frames of two views of one demonstration, and the nearest neighbours.

  Args:
    embeddings: by what it is called, of one demonstration, `[time, view, dim]`; the first two views
      are drawn.
    views: names of the cameras.
    seconds_per_frame: s.

  Raises:
    ValueError: if there is none.
  """
  if not embeddings:
    raise ValueError("no embedding to draw")
  with mpl.rc_context(STYLE):
    figure, grid = _grid(len(embeddings), columns=4, height=2.2)
    image = None
    for axes, (name, values) in zip(grid.flat, embeddings.items(), strict=False):
      first, second = values[:, 0], values[:, 1]
      distance = np.sqrt(nearest.squared_distances(first, second))
      end = len(values) * seconds_per_frame
      image = axes.imshow(
        distance / max(float(distance.max()), 1e-12),
        cmap="cividis",
        vmin=0,
        vmax=1,
        extent=(0, end, end, 0),
        interpolation="nearest",
      )
      time = (np.arange(len(values)) + 0.5) * seconds_per_frame
      axes.plot([0, end], [0, end], color="white", linewidth=1.0, alpha=0.7, label="truth")
      axes.plot(
        time[nearest.nearest(first, second)],
        time,
        ".",
        color=VERMILLION,
        markersize=4.5,
        label="nearest",
      )
      axes.set_title(name, fontsize=11)
      axes.text(
        0.04,
        0.05,
        f"error {alignment.same_demonstration_error(values):.3f}",
        transform=axes.transAxes,
        color="white",
        fontsize=10,
        bbox={"boxstyle": "round,pad=0.3", "color": BLACK, "alpha": 0.75, "linewidth": 0},
      )
      axes.set_xlabel(f"{views[1]} (s)")
      axes.grid(visible=False)
      axes.set_xlim(0, end)
      axes.set_ylim(end, 0)
    assert image is not None
    for axes in grid[:, 0]:
      axes.set_ylabel(f"{views[0]} (s)")
    bar = figure.colorbar(image, ax=grid, shrink=0.9, pad=0.015)
    bar.set_label("distance / greatest")
    bar.outline.set_visible(False)  # pyright: ignore
    handles, labels = grid.flat[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=2)
    legend.legend_handles[0].set_color(GREY)  # pyright: ignore
  return figure


class Points(NamedTuple):
  """Frames of a few videos in one embedding.

  Attributes:
    embeddings: `[point, dim]`.
    progress: of the task, 0 to 1, `[point]`.
    group: which marker each point has, `[point]`, e.g. the number of the view.
  """

  embeddings: np.ndarray
  progress: np.ndarray
  group: np.ndarray


def projected(points: Mapping[str, Points], groups: Sequence[str]) -> Figure:
  """Principal components above t-SNE, a column for each model, coloured by progress.

  Args:
    points: by what the embedding is called.
    groups: what the markers stand for.

  Raises:
    ValueError: if there is none.
  """
  if not points:
    raise ValueError("no embedding to draw")
  with mpl.rc_context(STYLE):
    width = PAGE_WIDTH * max(1.0, len(points) / 4)
    figure = Figure(figsize=(width, 0.8 + 2 * width / max(len(points), 2.6)), layout="constrained")
    grid = figure.subplots(2, len(points), squeeze=False)
    for column, (name, found) in enumerate(points.items()):
      plane, share = projections.principal_components(found.embeddings)
      map_ = projections.neighbour_embedding(found.embeddings)
      for axes, places in zip(grid[:, column], (plane, map_), strict=True):
        for group in range(len(groups)):
          own = found.group == group
          axes.scatter(
            *places[own].T,
            c=found.progress[own],
            cmap=_PROGRESS,
            vmin=0,
            vmax=1,
            s=15,
            marker=_MARKERS[group % len(_MARKERS)],
            linewidths=0.3,
            edgecolors="white",
          )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(visible=False)
        axes.set_box_aspect(1)
        axes.margins(0.06)
      grid[0, column].set_title(name)
      grid[0, column].set_xlabel(f"{share:.0%} of the variance", color=GREY)
    grid[0, 0].set_ylabel("principal components")
    grid[1, 0].set_ylabel("t-SNE")
    shade = ScalarMappable(Normalize(0, 1), _PROGRESS)
    bar = figure.colorbar(shade, ax=grid, shrink=0.6, pad=0.015)
    bar.set_label("progress of the task")
    bar.outline.set_visible(False)  # pyright: ignore
    handles = [
      grid[0, 0].scatter([], [], marker=_MARKERS[at % len(_MARKERS)], color=GREY, label=group)
      for at, group in enumerate(groups)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(groups))
  return figure


class Rewards(NamedTuple):
  """Rewards that one embedding gives to a few attempts.

  Attributes:
    good: of successes, each `[time]`.
    fake: of fakes, likewise.
    unit: the distance in the embedding that counts as 1.
  """

  good: Sequence[np.ndarray]
  fake: Sequence[np.ndarray]
  unit: float


def rewards(models: Mapping[str, Rewards]) -> Figure:
  """Rewards over the time of an attempt, a panel for each model, successes beside fakes.

  All curves of a panel share one scale, which its axis names: stretching every curve to [0, 1]
  would hide what a failure earns.

  Args:
    models: by what the embedding is called.

  Raises:
    ValueError: if there is none.
  """
  if not models:
    raise ValueError("no reward to draw")
  with mpl.rc_context(STYLE):
    figure, grid = _grid(len(models), columns=2, height=2.7, sharey=True)
    handles = {}
    for axes, (name, found) in zip(grid.flat, models.items(), strict=False):
      for kind, curves, color, dashes in (
        ("success", found.good, BLUE, "-"),
        ("fake", found.fake, VERMILLION, (0, (4, 2))),
      ):
        for curve in curves:
          time = np.linspace(0, 1, len(curve))
          axes.plot(
            time, curve / found.unit, color=color, linestyle=dashes, linewidth=0.9, alpha=0.35
          )
        if curves:
          share = np.linspace(0, 1, 101)
          mean = np.mean(
            [np.interp(share, np.linspace(0, 1, len(curve)), curve) for curve in curves], axis=0
          )
          (handles[kind],) = axes.plot(
            share, mean / found.unit, color=color, linestyle=dashes, linewidth=2.6
          )
      axes.axhline(0, color=GREY, linewidth=0.8)
      axes.set_title(name)
      axes.set_xlabel("share of the video")
      axes.set_xlim(0, 1)
      said = f"1 = {found.unit:.3g}"
      axes.set_title(said, loc="right", fontsize=10.5, fontweight="normal", color=GREY)
    for axes in grid[:, 0]:
      axes.set_ylabel("\u2212distance to the goal frame")
    if handles:
      figure.legend(
        handles.values(),
        [f"{kind} (thick: mean)" for kind in handles],
        loc="outside lower center",
        ncols=2,
        handlelength=3,
      )
  return figure


def _grid(
  count: int, *, columns: int, height: float, sharey: bool = False
) -> tuple[Figure, np.ndarray]:
  """Axes for a few panels, at most `columns` a row; those left over are blank."""
  columns = min(count, columns)
  rows = -(-count // columns)
  figure = Figure(figsize=(PAGE_WIDTH, 0.6 + (height + 0.3) * rows), layout="constrained")
  grid = figure.subplots(rows, columns, squeeze=False, sharey=sharey)
  for axes in grid.flat[count:]:
    axes.set_axis_off()
  return figure, grid
