"""Figures of a recorded walk: tracking, gait, torques and ranges, and of training its rewards."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from jaxskills.evaluation import walk_gait
from jaxskills.evaluation.run_records import Curve
from jaxskills.evaluation.style import (
  BLACK,
  BLUE,
  GREY,
  ORANGE,
  PAGE_WIDTH,
  STYLE,
  VERMILLION,
)
from jaxskills.evaluation.walk_record import WalkRecord

GAIT_SECONDS = 4.0
_FEET = (("left", BLUE), ("right", VERMILLION))
_PALE = "#E5E7EB"


def tracking(record: WalkRecord) -> Figure:
  """Commanded and true forward, sideways and turning speed over time, and when it was pushed."""
  rows = (
    ("Forward", "m/s", record.command[:, 0], record.velocity[:, 0]),
    ("Sideways (left)", "m/s", record.command[:, 1], record.velocity[:, 1]),
    ("Turning (left)", "rad/s", record.command[:, 2], record.yaw_rate),
  )
  time, stands = record.time, walk_gait.upright(record)
  pushes = time[record.push.any(axis=1)]
  with mpl.rc_context(STYLE):
    figure = Figure(figsize=(PAGE_WIDTH, 6.6), layout="constrained")
    grid = figure.subplots(3, 1, sharex=True)
    for axes, (title, unit, asked, done) in zip(grid, rows, strict=True):
      axes.plot(time, done, color=BLUE, linewidth=0.7, alpha=0.35, label="true")
      smooth = walk_gait.gait_mean(record, done)
      axes.plot(time, smooth, color=BLUE, linewidth=2.2, label="true, mean over a gait cycle")
      axes.step(time, asked, color=BLACK, linestyle=(0, (4, 2)), linewidth=1.6, label="command")
      for index, at in enumerate(pushes):
        label = "push" if index == 0 else None
        axes.axvline(at, color=ORANGE, linewidth=1.6, linestyle=(0, (1, 1.5)), label=label)
      _mark_fall(axes, record)
      low, high = np.quantile(done[stands], [0.005, 0.995]) if stands.any() else (0.0, 0.0)
      low, high = min(low, *asked, -0.25), max(high, *asked, 0.25)
      axes.set_ylim(low - 0.08 * (high - low), high + 0.08 * (high - low))
      axes.set_title(title)
      axes.set_ylabel(unit)
    grid[0].set_xlim(0, time[-1])
    grid[-1].set_xlabel("time (s)")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, handlelength=2.8)
  return figure


def gait(record: WalkRecord, window: slice) -> Figure:
  """Contacts of both feet against the clock, their height, and how fast they slip.

  Args:
    record: the walk.
    window: rows to show.
  """
  time = record.time[window] - record.step_seconds
  edges = np.append(time, time[-1] + record.step_seconds)
  with mpl.rc_context(STYLE):
    figure = Figure(figsize=(PAGE_WIDTH, 6.4), layout="constrained")
    bars, heights, slips = figure.subplots(3, 1, sharex=True, height_ratios=(0.9, 1, 0.8))
    for index, (side, color) in enumerate(_FEET):
      level, contact = -index, record.contact[window, index]
      _spans(bars, edges, record.stance[window, index], (level - 0.42, 0.84), _PALE)
      _spans(bars, edges, contact, (level - 0.26, 0.52), color)
      heights.plot(time, 100 * record.foot_height[window, index], color=color, label=side)
      slip = np.where(contact, record.foot_speed[window, index], np.nan)
      slips.plot(time, slip, color=color)
    bars.set_yticks([0, -1], ["left", "right"])
    bars.grid(axis="y", visible=False)
    bars.tick_params(axis="y", length=0)
    bars.set_title("Feet on the ground (grey: where the clock wants them there)")
    heights.set_title("Height of the soles")
    heights.set_ylabel("cm")
    slips.set_title("Speed of the soles while on the ground")
    slips.set_ylabel("m/s")
    slips.set_ylim(bottom=0)
    slips.set_xlabel("time (s)")
    slips.set_xlim(edges[0], edges[-1])
    handles = [Patch(color=color, label=f"{side} foot") for side, color in _FEET]
    handles.append(Patch(color=_PALE, label="stance of the clock"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
  return figure


def gait_window(record: WalkRecord, seconds: float = GAIT_SECONDS) -> slice:
  """Rows of a few seconds of walking: the last of the fastest straight command that was walked.

  Raises:
    ValueError: if nothing was walked.
  """
  walking, best = walk_gait.walking(record), (-np.inf, slice(0, 0))
  for segment in walk_gait.segments(record):
    rows = np.arange(segment.start, segment.stop)[walking[segment]]
    forward, _, turn = record.command[segment.start]
    if rows.size > 1 and forward - abs(turn) > best[0]:
      best = (forward - abs(turn), slice(int(rows[0]), int(rows[-1]) + 1))
  if best[1].stop == 0:
    raise ValueError("nothing was walked")
  stop = best[1].stop
  return slice(max(0, stop - round(seconds / record.step_seconds)), stop)


def joints(record: WalkRecord) -> Figure:
  """How much of every motor's torque and of every joint's range the walk used."""
  stands = walk_gait.upright(record)
  if not stands.any():
    raise ValueError("the robot fell at once")
  share = np.abs(record.torque[stands]) / record.torque_limit
  middle, high, most = np.median(share, 0), np.quantile(share, 0.95, axis=0), share.max(axis=0)
  width = record.upper - record.lower
  place = (record.joint_position[stands] - record.lower) / width
  names = [str(name).replace("_", " ") for name in record.joints]
  at = np.arange(len(names))
  with mpl.rc_context(STYLE):
    figure = Figure(figsize=(PAGE_WIDTH, 0.9 + 0.29 * len(names)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    left.barh(at, high, height=0.62, color="#9CC7E4", label="95th percentile")
    left.barh(at, middle, height=0.62, color=BLUE, label="median")
    left.plot(most, at, "|", color=BLACK, markersize=11, markeredgewidth=2, label="greatest")
    left.axvline(1.0, color=VERMILLION, linewidth=1.4, linestyle=(0, (4, 2)), label="limit")
    left.set_title("Torque, as a share of the limit")
    right.barh(at, np.ones(len(at)), height=0.62, color=_PALE, label="range of the joint")
    low, high = place.min(axis=0), place.max(axis=0)
    right.barh(at, high - low, left=low, height=0.62, color="#9CC7E4", label="visited")
    low, high = np.quantile(place, [0.05, 0.95], axis=0)
    right.barh(at, high - low, left=low, height=0.62, color=BLUE, label="90 % of the time")
    rest = (record.default_pose - record.lower) / width
    right.plot(rest, at, "|", color=BLACK, markersize=11, markeredgewidth=2, label="default pose")
    right.set_title("Position, between the limits")
    left.set_yticks(at, names)
    left.set_ylim(len(at) - 0.4, -0.6)
    for axes in (left, right):
      axes.grid(axis="y", visible=False)
      axes.tick_params(axis="y", length=0)
      axes.xaxis.set_major_formatter(ticker.PercentFormatter(1.0, decimals=0))
      axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.05), ncols=2, handlelength=1.4)
    left.set_xlim(0, 1.05)
    right.set_xlim(-0.03, 1.03)
  return figure


def reward_terms(curves: Mapping[str, Curve]) -> Figure:
  """Every reward term over training, small and side by side; largest parts first.

  Args:
    curves: by the term's name, its weighted part of the reward, a second; `x` in environment steps.

  Raises:
    ValueError: if there is none.
  """
  if not curves:
    raise ValueError("no reward term was logged")
  order = sorted(curves, key=lambda name: -abs(float(np.nanmean(curves[name].values[:, -1]))))
  columns = 4
  rows = -(-len(order) // columns)
  small: dict[Any, Any] = {"axes.titlesize": 10.5, "xtick.labelsize": 9, "ytick.labelsize": 9}
  with mpl.rc_context(STYLE | small):
    figure = Figure(figsize=(PAGE_WIDTH, 0.4 + 1.65 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for axes, name in zip(grid.flat, order, strict=False):
      curve = curves[name]
      for values in curve.values:
        color = BLUE if np.nanmean(values) >= 0 else VERMILLION
        marker = "o" if len(curve.x) < 3 else ""
        axes.plot(curve.x / 1e6, values, color=color, linewidth=1.8, marker=marker)
      axes.axhline(0, color=GREY, linewidth=0.8)
      axes.set_title(name.replace("_", " "))
      axes.margins(y=0.12)
      axes.xaxis.set_tick_params(labelbottom=True)
    for axes in grid.flat[len(order) :]:
      axes.set_axis_off()
    figure.supxlabel("environment steps (millions)", fontsize=10.5)
    figure.supylabel("reward a second", fontsize=10.5)
  return figure


def _spans(
  axes: Axes, edges: np.ndarray, claims: np.ndarray, place: tuple[float, float], color: str
) -> None:
  """Bars over the stretches in which a claim holds; `place` is their lower edge and height."""
  change = np.diff(np.concatenate([[0], claims.astype(int), [0]]))
  begins, ends = edges[np.flatnonzero(change > 0)], edges[np.flatnonzero(change < 0)]
  axes.broken_barh(list(zip(begins, ends - begins, strict=True)), place, color=color, linewidth=0)


def _mark_fall(axes: Axes, record: WalkRecord) -> None:
  if record.fell.any():
    at = record.time[int(np.argmax(record.fell))]
    axes.axvspan(at, record.time[-1], color=VERMILLION, alpha=0.12, linewidth=0, label="fell")
