"""Writes `report/` of a run: figures, a film, and `index.html` that explains them.

Reads what is there and says what is not: a run that was stopped, that has no baselines or recorded
no exploration still gets a page. Nothing is trained or simulated here.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxskills.evaluation import comparison, intervals, page, report_page, style
from jaxskills.evaluation.report_record import Report, as_object
from jaxskills.evaluation.report_sections import SECTIONS


def write_report(workdir: str | Path) -> Path:
  """Writes the report of a run, or of a folder of runs, from what they left behind.

  Args:
    workdir: holds `metrics.jsonl`, `summary.json` and `report/data/*.npz`, all optional; runs in
      folders below it are drawn too (several seeds, or baselines of their own).

  Returns:
    Path of `report/index.html`.

  Raises:
    UserError: if there is no such folder or it cannot be written to. Whatever else is missing or
      damaged is left out and noted on the page.
  """
  return report_page.write_page(workdir, SECTIONS, _lead)


def _lead(report: Report) -> str:
  """Title, headline and the facts of the task."""
  html = f"<h1>{page.escape(report_page.title(report))}</h1>" + page.paragraph(
    "jaxskills run report", "soft"
  )
  html += _headline(report)
  summary, task = report.summary, as_object(report.figures.get("task"))
  pairs = [
    ("Layout", task.get("layout")),
    ("Start to goal (row, column)", _places(task)),
    ("Shortest path", _with_unit(task.get("shortest_path_cells"), "cells")),
    ("Episode", _with_unit(task.get("episode_steps"), "control steps")),
    ("Evaluation episodes", report.figures.get("episodes")),
    ("Seed", summary.get("seed", report.runs[0].config.get("seed"))),
    ("Device", _device(summary.get("device"))),
    ("Wall time", page.duration(summary.get("wall_seconds"))),
  ]
  html += page.facts([(name, value) for name, value in pairs if value not in (None, "")])
  return html + page.notes(report.notes)


def _headline(report: Report) -> str:
  rows = comparison.compare(report.runs, report.methods)
  if not rows or not math.isfinite(rows[0].success_rate):
    return ""
  first = rows[0]
  label = page.escape(style.looks([first.name])[first.name].label)
  text = f"<b>{label} reaches the goal in {100 * first.success_rate:.0f} %</b> of "
  text += (
    "evaluation episodes"
    if math.isnan(first.episodes)
    else (f"{page.count(first.episodes)} evaluation episodes")
  )
  bounds = intervals.format_interval(first.interval)
  if bounds != page.UNKNOWN:
    text += f" (95 % interval {bounds})"
  if not first.is_final:
    text += ", at the last evaluation during training"
  return f'<p class="headline">{text}.</p>'


def _device(value: Any) -> Any:
  if isinstance(value, Mapping):
    return ", ".join(str(part) for part in value.values())
  return value


def _with_unit(value: Any, unit: str) -> str:
  text = page.count(value)
  return "" if text == page.UNKNOWN else f"{text} {unit}"


def _places(task: Mapping[str, Any]) -> str:
  """`(10, 24) to (18, 8)`, or nothing if either is unknown."""
  places = [task.get(name) for name in ("start", "goal")]
  if not all(isinstance(place, list | tuple) for place in places):
    return ""
  return " to ".join(f"({', '.join(str(value) for value in place or ())})" for place in places)
