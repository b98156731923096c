"""The report of an imitation run: how often each reward's policies truly succeed, and a film."""

from pathlib import Path
from typing import Any

from jaxskills.evaluation import (
  embedding_pictures,
  intervals,
  page,
  plots,
  report_page,
  report_sections,
  run_records,
  style,
)
from jaxskills.evaluation.plots import Line, Panel
from jaxskills.evaluation.report_record import Report, as_object, picture
from jaxskills.experiments.asn.imitation_world import REWARDS

_COLORS = dict(zip(REWARDS, (style.BLUE, style.VERMILLION, style.GREEN, style.PURPLE), strict=True))
_DASHES = dict(zip(REWARDS, ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2))), strict=True))


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
  rates = as_object(figures.get("success_rate"))
  if rates:
    said = ", ".join(
      f"{100 * rate['mean']:.0f} % from {REWARDS.get(reward, reward)}"
      for reward, rate in rates.items()
    )
    html += f'<p class="headline"><b>It truly succeeds in {page.escape(said)}</b>.</p>'
  seconds = figures.get("demonstration_seconds")
  pairs = [
    ("Task", figures.get("task")),
    ("Demonstration", f"{seconds:.1f} s, one" if isinstance(seconds, float) else None),
    ("Seeds", figures.get("seeds")),
    ("Episodes of each", figures.get("episodes")),
    ("Device", summary.get("device")),
    ("Wall time", page.duration(summary.get("wall_seconds"))),
  ]
  html += page.facts([(label, value) for label, value in pairs if value not in (None, "")])
  return html + page.notes(report.notes)


def success(report: Report) -> str:
  """True success, and the return that was learned from, by reward."""
  rates = as_object(report.figures.get("success_rate"))
  if not rates:
    raise ValueError("no final evaluation was recorded")
  ever = as_object(report.figures.get("success_ever"))
  returns = as_object(report.figures.get("learned_return"))
  rows = [
    (
      REWARDS.get(reward, reward),
      page.rate(rate["mean"]),
      _interval(rate),
      ", ".join(f"{value:.2f}" for value in rate["by_seed"]),
      page.rate(as_object(ever.get(reward)).get("mean", float("nan"))),
      f"{as_object(returns.get(reward)).get('mean', float('nan')):.1f}",
    )
    for reward, rate in rates.items()
  ]
  caption = (
    "Success: the task is truly done in an episode's last step; at any step: in one of them. The "
    "policy acts by its mean; 95 % intervals over seeds. Each reward's return has its own unit."
  )
  header = ("Rewarded for", "Success", "95 % interval", "By seed", "At any step", "Learned return")
  return page.table(header, rows, numbers=(1, 2, 4, 5), caption=caption)


def learning(report: Report) -> str:
  """Success and return over training."""
  content = [
    Panel("True success", "share of episodes", _lines(report, "eval/success_rate"), is_rate=True),
    Panel("Return that is learned from", "reward", _lines(report, "eval/return")),
    Panel("Distance to the demonstration", "units", _lines(report, "step/video_distance")),
    Panel("Episodes that go astray", "share of steps", _lines(report, "step/astray")),
  ]
  return picture(
    report,
    plots.panels(content, "environment steps of each seed"),
    "learning.png",
    "True success, return and distance over training",
    "Mean over seeds with 95 % bands. Distances are to the demonstration's frame of that time, in "
    "units of what two cameras' views of one instant are apart, each in what is rewarded.",
  )


SECTIONS = {
  "Success": success,
  "Learning curves": learning,
  "Rollout beside its demonstration": embedding_pictures.imitations,
  "Run": report_sections.run_facts,
}


def _lines(report: Report, metric: str) -> list[Line]:
  found = []
  for method in report.methods:
    curve = run_records.curve(method.runs, method.stage, metric)
    if curve is not None:
      reward = method.stage.removeprefix("rl/")
      color, dashes = _COLORS.get(reward, style.GREY), _DASHES.get(reward, "-")
      found.append(Line(REWARDS.get(reward, method.name), curve, color, dashes))
  return found


def _interval(figure: Any) -> str:
  low, high = figure.get("low"), figure.get("high")
  if low is None or high is None:
    return page.UNKNOWN
  return intervals.format_interval((low, high))
