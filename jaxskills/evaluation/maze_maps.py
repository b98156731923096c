"""Top-down maps of what was done in a maze: exploration, and one rollout.

SPiRL (Pertsch et al. 2020), Fig. 5: positions of exploration rollouts in blue, start green, goal
red. Rows of the layout run down, columns to the right; one cell is one metre.
"""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.transforms import ScaledTranslation

from jaxskills.evaluation import coverage, plots, style
from jaxskills.evaluation.recordings import Exploration, Rollout

WALL, VISITED = "#374151", "#DCEBF7"
START, GOAL = style.GREEN, "#C1121F"
PANEL_NAMES = {
  "skill_prior": "Skill prior (SPiRL)",
  "action_prior": "Action prior (Flat Prior)",
  "uniform_skills": "Uniform skills (SSP w/o Prior)",
  "random_actions": "Random actions (SAC)",
}
_MAX_SEGMENTS = 50_000  # per panel, about; more are thinned to at most 0.5 m a segment
_TIME = LinearSegmentedColormap.from_list("time", mpl.colormaps["plasma"](np.linspace(0, 0.86, 64)))


def panel_name(name: str) -> str:
  """The title of one way of acting."""
  return PANEL_NAMES.get(name, name.replace("_", " ").capitalize())


def exploration_map(exploration: Exploration) -> Figure:
  """Where each way of acting went on one layout, and how many cells it saw (Fig. 5).

  Args:
    exploration: up to six ways of acting, drawn in their order.

  Raises:
    ValueError: if there are no positions.
  """
  names = list(exploration.positions)
  if not names:
    raise ValueError("the recording holds no positions")
  figure, panels = _map_grid(len(names), exploration.walls.shape)
  with mpl.rc_context(style.STYLE):
    for axes, name in zip(panels, names, strict=False):
      positions = exploration.positions[name]
      draw_layout(axes, exploration.walls, coverage.visit_counts(positions, exploration.walls) > 0)
      _draw_paths(axes, positions)
      mark_start(axes, exploration.start)
      mark_goal(axes, exploration.goal, exploration.goal_radius)
      covered = coverage.coverage(positions, exploration.walls)
      reached = coverage.goal_reached(positions, exploration.goal, exploration.goal_radius)
      _entitle(
        axes,
        panel_name(name),
        f"{covered.cells:,} of {covered.free_cells:,} cells ({covered.fraction:.0%})",
        f"goal in {reached:.1%} of {len(positions):,} episodes",
      )
    _map_legend(figure)
  return figure


def rollout_map(rollout: Rollout, hold_seconds: float = 2.0) -> Figure:
  """One rollout of the trained policy, coloured by time; as long as the film of it."""
  with mpl.rc_context(style.STYLE):
    figure = Figure(figsize=(6.2, 5.6), layout="constrained")
    axes = figure.subplots()
    draw_layout(axes, rollout.walls)
    path = np.asarray(rollout.until_goal(hold_seconds).states, np.float64)[:, :2]
    seconds = np.arange(len(path)) * rollout.step_seconds
    norm = Normalize(0, max(seconds[-1], rollout.step_seconds))
    collection = LineCollection(
      list(_segments(path)), cmap=_TIME, norm=norm, linewidths=2.6, capstyle="round", zorder=3
    )
    collection.set_array(seconds[:-1])
    axes.add_collection(collection)
    mark_start(axes, rollout.start)
    mark_goal(axes, rollout.goal, rollout.goal_radius)
    bar = figure.colorbar(collection, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label("time (s)")
    bar.outline.set_visible(False)  # pyright: ignore
    axes.set_xlabel("column (m)")
    axes.set_ylabel("row (m)")
  return figure


def draw_layout(axes: Axes, walls: np.ndarray, visited: np.ndarray | None = None) -> None:
  """Draws walls and, if given, visited cells tinted; sets up equal axes in metres."""
  rows, columns = walls.shape
  picture = np.ones((rows, columns, 3))
  if visited is not None:
    picture[visited] = to_rgb(VISITED)
  picture[walls.astype(bool)] = to_rgb(WALL)
  axes.imshow(picture, extent=(0, columns, rows, 0), interpolation="nearest", zorder=1)
  axes.grid(False)
  ticks = np.arange(0, max(rows, columns) + 1, 10 if max(rows, columns) > 25 else 5)
  axes.set_xticks(ticks[ticks <= columns])
  axes.set_yticks(ticks[ticks <= rows])
  axes.tick_params(length=3, labelsize=9.5)
  for spine in axes.spines.values():
    spine.set_visible(False)
  axes.set_xlim(0, columns)
  axes.set_ylim(rows, 0)


def mark_start(axes: Axes, start: np.ndarray) -> None:
  """A green disc at the centre of the start cell."""
  row, column = np.asarray(start, np.float64) + 0.5
  axes.plot(
    column,
    row,
    "o",
    color=START,
    markersize=10,
    markeredgecolor="white",
    markeredgewidth=1.6,
    zorder=6,
  )


def mark_goal(axes: Axes, goal: np.ndarray, radius: float) -> None:
  """A red star at the centre of the goal cell, and the circle that is rewarded."""
  row, column = np.asarray(goal, np.float64) + 0.5
  axes.add_patch(
    Circle(
      (column, row),
      radius,
      fill=False,
      color=GOAL,
      linewidth=1.8,
      zorder=5,
      path_effects=[patheffects.withStroke(linewidth=3.4, foreground="white")],
    )
  )
  axes.plot(
    column,
    row,
    "*",
    color=GOAL,
    markersize=15,
    markeredgecolor="white",
    markeredgewidth=1.2,
    zorder=6,
  )


def _map_grid(count: int, shape: tuple[int, ...]) -> tuple[Figure, Sequence[Axes]]:
  """A grid of equal panels for maps of one shape, as wide as the page if there are several.

  Places are computed, in inches: matplotlib's layout engines misjudge axes of fixed aspect.
  """
  columns = min(2 if count in (2, 4) else 3, count)
  rows = -(-count // columns)
  width = style.PAGE_WIDTH if columns > 1 else 0.56 * style.PAGE_WIDTH
  left, right, between, below = 0.62, 0.12, 0.42, 0.34
  above = 0.68 if columns > 2 else 0.54  # narrow panels have their facts in two lines
  bottom = 0.62 if columns > 1 else 0.85  # axis label and legend
  across = (width - left - right - between * (columns - 1)) / columns
  down = across * shape[0] / shape[1]
  height = rows * (above + down + below) + bottom
  with mpl.rc_context(style.STYLE):
    figure = Figure(figsize=(width, height))
    panels = []
    for index in range(count):
      row, column = divmod(index, columns)
      x = left + column * (across + between)
      y = height - (row + 1) * (above + down) - row * below
      axes = figure.add_axes((x / width, y / height, across / width, down / height))
      if column == 0:
        axes.set_ylabel("row (m)")
      if index + columns >= count:
        axes.set_xlabel("column (m)")
      panels.append(axes)
  return figure, panels


def _entitle(axes: Axes, title: str, *facts: str) -> None:
  """A title above a line of facts, or above one line each where three panels share the width."""
  figure = axes.get_figure()
  assert figure is not None
  is_narrow = axes.get_position().width * figure.get_figwidth() < 4.0  # pyright: ignore
  lines = "\n".join(facts) if is_narrow else ", ".join(facts)
  axes.set_title(title, pad=22 if not is_narrow else 34)
  axes.text(
    0,
    1.0,
    lines,
    transform=axes.transAxes + ScaledTranslation(0, 5 / 72, figure.dpi_scale_trans),
    fontsize=10,
    color="#374151",
    va="bottom",
    linespacing=1.15,
  )


def _draw_paths(axes: Axes, positions: np.ndarray) -> None:
  paths = _thinned(np.asarray(positions, np.float64))
  segments = np.concatenate([_segments(path) for path in paths])
  # Few paths are drawn solid, many translucent, so that both read.
  alpha = float(np.clip(50.0 / np.sqrt(max(len(segments), 1)), 0.12, 0.9))
  axes.add_collection(
    LineCollection(list(segments), colors=style.BLUE, linewidths=1.0, alpha=alpha, zorder=3)
  )


def _thinned(positions: np.ndarray) -> np.ndarray:
  stride = -(-positions.shape[0] * positions.shape[1] // _MAX_SEGMENTS)
  return positions[:, :: min(max(stride, 1), 10)]


def _segments(path: np.ndarray) -> np.ndarray:
  """Line segments `[time - 1, 2, (x, y)]` between consecutive finite positions."""
  points = path[:, ::-1]
  segments = np.stack([points[:-1], points[1:]], axis=1)
  return segments[np.isfinite(segments).all(axis=(1, 2))]


def _map_legend(figure: Figure) -> None:
  handles = [
    Line2D([], [], marker="o", linestyle="", color=START, markersize=9, label="start"),
    Line2D(
      [], [], marker="*", linestyle="", color=GOAL, markersize=13, label="goal (circle: rewarded)"
    ),
    Line2D([], [], color=style.BLUE, linewidth=2, label="paths"),
    Line2D(
      [],
      [],
      marker="s",
      linestyle="",
      color=VISITED,
      markeredgecolor="#9CB8CF",
      markersize=10,
      label="visited cells",
    ),
    Line2D([], [], marker="s", linestyle="", color=WALL, markersize=10, label="wall"),
  ]
  columns = len(handles) if figure.get_figwidth() > 7 else 3
  figure.legend(handles=handles, loc="lower center", ncols=columns, fontsize=10.5)


def displacement_figure(exploration: Exploration) -> Figure:
  """Displacement per skill of every way of acting, and of the demonstrations if recorded."""
  horizon = exploration.skill_horizon
  colors = [style.BLUE, style.ORANGE, style.PURPLE, style.VERMILLION, style.SKY, style.GREY]
  dashes = ["-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)), (0, (3, 1.5)), (0, (8, 2))]
  content = {}
  if exploration.demonstrations is not None:
    moved = coverage.displacement_per_skill(exploration.demonstrations, horizon)
    content["Demonstrations"] = (moved, style.BLACK, "-")
  for index, (name, positions) in enumerate(exploration.positions.items()):
    moved = coverage.displacement_per_skill(positions, horizon)
    if moved.size:
      content[panel_name(name)] = (moved, colors[index % 6], dashes[index % 6])
  if not content:
    raise ValueError("no recorded path is as long as a skill")
  return plots.displacement_distribution(content, horizon)
