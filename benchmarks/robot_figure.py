"""The picture of a robot benchmark: rates of every stage under their ceilings, then ratios."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from jaxskills.evaluation import style

_COLORS = {"native": style.BLUE, "mjx": style.ORANGE, "warp": style.GREEN}
_TITLES = {"environment": "environment", "policy": "with policy", "training": "with training"}
_BAR = 0.8  # share of a group's width that bars fill
_RATIO_INCHES = 0.42  # height of a line among the ratios


def draw(result: Mapping[str, Any], path: Path) -> Path:
  """Writes a PNG.

  Args:
    result: of `robots.measure`.
    path: of the file.
  """
  rows, comparisons = result["rows"], result["comparisons"]
  stages = [name for name in _TITLES if any(row["stage"] == name for row in rows)]
  if not stages and rows:
    stages = ["engine"]
  heights = [3.6] * bool(stages) + [0.9 + _RATIO_INCHES * len(comparisons)] * bool(comparisons)
  with mpl.rc_context(style.STYLE):
    figure = Figure(figsize=(style.PAGE_WIDTH, sum(heights) + 1.0), layout="constrained")
    figure.suptitle(_headline(result), x=0.01, ha="left", fontsize=12)
    parts = figure.subfigures(max(len(heights), 1), 1, height_ratios=heights or [1], squeeze=False)
    if stages:
      _draw_stages(parts[0, 0], rows, stages)
    if comparisons:
      _draw_ratios(parts[-1, 0], comparisons)
  return style.save(figure, path)


def _draw_stages(figure: Any, rows: Sequence[Mapping[str, Any]], stages: Sequence[str]) -> None:
  """A panel for each stage: groups of bars by number of worlds, the ceiling above each bar."""
  engines = list(dict.fromkeys(row["engine"] for row in rows))
  envs = list(dict.fromkeys(row["envs"] for row in rows))
  found = {(row["engine"], row["envs"], row["stage"]): row for row in rows}
  panels = figure.subplots(1, len(stages), sharey=True, squeeze=False)[0]
  width, bars = _BAR / len(engines), len(engines) * len(envs)
  for axes, stage in zip(panels, stages, strict=True):
    for group, worlds in enumerate(envs):
      for number, engine in enumerate(engines):
        row = found.get((engine, worlds, stage))
        if row is not None:
          place = group + (number - (len(engines) - 1) / 2) * width
          ceiling = found.get((engine, worlds, "engine"))
          _draw_bar(axes, row, ceiling, place, 0.9 * width, 8.0 if bars < 8 else 6.5)
    axes.set_title(_TITLES.get(stage, "engine alone"))
    axes.set_xticks(range(len(envs)), [f"{worlds:,}" for worlds in envs])
    axes.set_xlabel("worlds")
    axes.grid(axis="x", visible=False)
    axes.margins(x=0.08, y=0.16)
  panels[0].set_ylabel("thousand control steps a second")
  handles: list[Any] = [Patch(color=_color(name), label=name) for name in engines]
  handles.append(Line2D([], [], color=style.BLACK, lw=2, label="the engine alone: its ceiling"))
  figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))


def _draw_bar(
  axes: Axes,
  row: Mapping[str, Any],
  ceiling: Mapping[str, Any] | None,
  place: float,
  width: float,
  points: float,
) -> None:
  """A rate with its range and its ceiling; `points` is the size of the letters."""
  rate = row["control_steps_per_second"] / 1e3
  low, high = (value / 1e3 for value in row["range"])
  axes.bar(place, rate, width, color=_color(row["engine"]))
  axes.vlines(place, low, high, color=style.GREY, lw=1.2)
  label, top = f"{rate:,.1f}", max(rate, high)
  if ceiling is not None and ceiling is not row:
    level = ceiling["control_steps_per_second"] / 1e3
    axes.hlines(level, place - width / 2, place + width / 2, color=style.BLACK, lw=2)
    label += f"\n{100 * row['fraction_of_ceiling']:.0f}%"
    top = max(top, level)
  axes.annotate(
    label,
    (place, top),
    (0, 3),
    textcoords="offset points",
    ha="center",
    va="bottom",
    fontsize=points,
    color=_color(row["engine"]),
  )


def _draw_ratios(figure: Any, rows: Sequence[Mapping[str, Any]]) -> None:
  """The median of each ratio with its range, and the floor that it is held to."""
  axes: Axes = figure.subplots()
  for place, row in enumerate(reversed(rows)):
    low, high = row["ratio_range"]
    axes.hlines(place, low, high, color=_color(row["engine"]), lw=2, alpha=0.6)
    axes.plot(row["ratio"], place, "o", color=_color(row["engine"]), ms=7)
    axes.annotate(
      f"{row['ratio']:.2f}", (row["ratio"], place), (0, 7), textcoords="offset points",
      ha="center", fontsize=9,
    )  # fmt: skip
    if "floor" in row:
      axes.vlines(row["floor"], place - 0.3, place + 0.3, color=style.BLACK, lw=2)
  axes.axvline(1.0, color=style.GREY, lw=1, ls=":")
  axes.set_yticks(range(len(rows)), [f"{row['name']}, {row['envs']:,}" for row in reversed(rows)])
  axes.set_ylim(-0.6, len(rows) - 0.2)
  axes.set_xlim(left=0.0)
  axes.margins(x=0.06)
  axes.grid(axis="y", visible=False)
  axes.set_title("times as fast: median and range of the pairs; upright line: the floor")


def _headline(result: Mapping[str, Any]) -> str:
  machine = result["machine"]
  return f"{result['target']} on {machine.get('device', 'an unknown device')}"


def _color(engine: str) -> str:
  return _COLORS.get(engine, style.GREY)
