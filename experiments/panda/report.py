"""The report of a Panda's run: how often it succeeds, its training, what it asks of the robot."""

from pathlib import Path
from typing import Any

from jaxskills.assets.panda import PANDA
from jaxskills.evaluation import (
  intervals,
  page,
  plots,
  report_page,
  report_sections,
  run_records,
  style,
  walk_plots,
)
from jaxskills.evaluation.plots import Line, Panel
from jaxskills.evaluation.report_record import Report, as_object, picture
from jaxskills.evaluation.run_records import Curve
from jaxskills.experiments.on_policy import STAGE

_LIMITS = {
  "velocity": "Joint velocity",
  "acceleration": "Joint acceleration",
  "jerk": "Joint jerk",
  "torque": "Torque",
  "torque_rate": "Rate of the torque",
}
_REWARD = "step/reward/"
_LINES = {
  "success at any step": ("eval/success_rate", style.BLUE),
  "success at the last step": ("eval/success_at_end", style.GREEN),
  "cube grasped": ("eval/grasp_rate", style.ORANGE),
  "cube half way up": ("eval/lift_rate", style.PURPLE),
}


def write_report(workdir: str | Path) -> Path:
  """Writes `report/` of a run.

  Args:
    workdir: of the run; whatever is missing there is left out and noted on the page.

  Returns:
    Path of `report/index.html`.

  Raises:
    UserError: if there is no such folder or it cannot be written to.
  """
  return report_page.write_page(workdir, SECTIONS, lead)


def lead(report: Report) -> str:
  """Title, headline and the facts of the run."""
  figures, summary = report.figures, report.summary
  name = page.escape(report_page.title(report))
  html = f"<h1>{name}</h1>" + page.paragraph("jaxskills run report", "soft")
  if isinstance(rate := figures.get("success_rate"), float):
    bounds = intervals.format_interval(figures.get("success_rate_ci", (rate, rate)))
    html += (
      f'<p class="headline"><b>It succeeds in {100 * rate:.0f} %</b> of '
      f"{page.count(figures.get('episodes'))} episodes (95 % interval {bounds}).</p>"
    )
  calm = as_object(figures.get("undisturbed"))
  pairs = [
    ("Success at the last step", _share(figures.get("success_at_end"))),
    ("Cube grasped", _share(figures.get("grasp_rate"))),
    ("Cube half way up", _share(figures.get("lift_rate"))),
    ("Success, undisturbed", _share(calm.get("success_rate"))),
    ("Median distance at the end", _number(figures.get("distance_at_end"), "{:.3f} m")),
    ("Episode", _number(figures.get("episode_seconds"), "{:g} s")),
    ("Seed", summary.get("seed", report.runs[0].config.get("seed"))),
    ("Device", summary.get("device")),
    ("Wall time", page.duration(summary.get("wall_seconds"))),
  ]
  html += page.facts([(label, value) for label, value in pairs if value not in (None, "")])
  return html + page.notes(report.notes)


def learning(report: Report) -> str:
  """Rates of success and what leads to it, return and distance, over training."""
  rates = [
    Line(label, curve, color)
    for label, (metric, color) in _LINES.items()
    if (curve := _curve(report, metric)) is not None
  ]
  content = [
    Panel("Evaluation episodes", "share", rates, is_rate=True),
    Panel("Return of an episode", "reward", _both(report, "episode/return", "eval/return")),
    Panel("Distance", "m", _both(report, "step/distance", "eval/distance_at_end")),
  ]
  return picture(
    report,
    plots.panels(content, "environment steps"),
    "learning.png",
    "Success rate, return and distance over training",
    "Training samples its actions and counts every step; evaluation acts by their mean, in fresh "
    "episodes as hard as in training. Its distance is the median of what is left at the end.",
  )


def reward_terms(report: Report) -> str:
  """Every term of the reward over training."""
  names = {key for run in report.runs for row in run.rows for key in row if key.startswith(_REWARD)}
  curves: dict[str, Curve] = {}
  for name in sorted(names):
    if (curve := _curve(report, name)) is not None:
      values = curve.values * PANDA.control_hz
      curves[name.removeprefix(_REWARD)] = curve._replace(values=values)
  return picture(
    report,
    walk_plots.reward_terms(curves),
    "reward_terms.png",
    "Every reward term over training",
    "What each term adds to the reward in training, weighted, a second; orange takes away.",
  )


def limits(report: Report) -> str:
  """What the policy asks of the robot, as shares of its limits."""
  calm = as_object(report.figures.get("undisturbed"))
  rows = [
    (title, *(_share(found.get(f"limits/{name}")) for found in (report.figures, calm)))
    for name, title in _LIMITS.items()
    if report.figures.get(f"limits/{name}") is not None
  ]
  if not rows:
    raise ValueError("no final evaluation was recorded")
  caption = (
    "Greatest use of each limit in an episode, of the joint that uses most, mean over episodes, by "
    "differences over control steps. Targets never exceed the limits of position, velocity and "
    "acceleration; what is above 100 % are the joints themselves: servos that overshoot, blows."
  )
  header = ("Limit", "As in training", "Undisturbed")
  return page.table(header, rows, numbers=(1, 2), caption=caption)


SECTIONS = {
  "Learning curves": learning,
  "Use of the robot's limits": limits,
  "Reward": reward_terms,
  "Run": report_sections.run_facts,
}


def _both(report: Report, training: str, evaluation: str) -> list[Line]:
  """A metric in training and in evaluation, as far as they are there."""
  found = (("training", training, style.BLUE), ("evaluation", evaluation, style.VERMILLION))
  return [
    Line(label, curve, color)
    for label, metric, color in found
    if (curve := _curve(report, metric)) is not None
  ]


def _curve(report: Report, metric: str) -> Curve | None:
  return run_records.curve(report.runs, STAGE, metric)


def _share(value: Any) -> str:
  return _number(value, "{:.0%}")


def _number(value: Any, form: str) -> str:
  return form.format(value) if isinstance(value, int | float) else ""
