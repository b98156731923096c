"""The sections of a report: each reads some of what a run left and returns HTML.

A section raises when what it needs is missing; the report then leaves it out and says why.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxskills.evaluation import comparison, intervals, page, plots, report_maze, run_records, style
from jaxskills.evaluation.plots import Line, Panel
from jaxskills.evaluation.report_record import Report, picture
from jaxskills.evaluation.run_records import Curve

_OF_THE_MEAN = "eval/success_rate_deterministic"  # where it is logged, `eval/success_rate` samples
_SPREAD = 20.0  # largest over median, from which on divergences are drawn on a log axis


def methods_table(report: Report) -> str:
  """What every method sees, how much it trained, how often it succeeds."""
  rows = comparison.compare(report.runs, report.methods)
  if not rows:
    raise ValueError("no method was trained or reported")
  look = style.looks([row.name for row in rows])
  lines = [
    (
      look[row.name].label,
      row.actor or page.UNKNOWN,
      row.critic or page.UNKNOWN,
      page.count(row.env_steps),
      page.rate(row.success_rate) + ("" if row.is_final else "*"),
      intervals.format_interval(row.interval),
      page.count(row.episodes) + (f" ({row.seeds} seeds)" if row.seeds > 1 else ""),
      page.count(row.seconds),
    )
    for row in rows
  ]
  caption = f"Success: the goal was reached at least once in the episode, {_policy(report)} policy."
  if not all(row.is_final for row in rows):
    caption += " * Last evaluation during training; no final figure was recorded."
  header = (
    "Method",
    "Actor sees",
    "Critic sees",
    "Environment steps",
    "Success rate",
    "95 % interval",
    "Evaluation episodes",
    "Training (s)",
  )
  return page.table(header, lines, numbers=(3, 4, 5, 6, 7), caption=caption, is_first_marked=True)


def learning(report: Report) -> str:
  """Success rate of all methods over training."""
  curves = _curves(report, "eval/success_rate")
  if not curves:
    raise ValueError("no evaluation was logged")
  seeds = max(len(curve.values) for curve in curves.values())
  band = (
    f"mean of {seeds} seeds; bands are 95 % intervals over seeds"
    if seeds > 1
    else "one seed; bands are 95 % intervals of the evaluation episodes"
    if any(np.isfinite(curve.episodes) for curve in curves.values())
    else "one seed, hence no bands"
  )
  return picture(
    report,
    plots.learning_curves(curves, _policy(report)),
    "learning_curves.png",
    "Success rate against environment steps of every method",
    f"Success rate of the {_policy(report)} policy in evaluations during training ({band}).",
  )


def skill_prior(report: Report) -> str:
  """Training of the skill model, term by term."""

  def line(metric: str, label: str, color: str, dashes: Any = "-") -> list[Line]:
    curve = run_records.curve(report.runs, "pretrain/skill_prior", metric, x="updates")
    return [] if curve is None else [Line(label, curve, color, dashes)]

  content = [
    Panel(
      "Reconstruction of actions",
      "loss per skill",
      line("reconstruction", "reconstruction", style.BLACK),
    ),
    Panel(
      "Divergence of the posterior",
      "KL (nats)",
      line("prior", "from the learned prior", style.BLUE)
      + line("regularization", "from the unit Gaussian", style.VERMILLION, (0, (5, 2))),
    ),
  ]
  return picture(
    report,
    plots.panels(content, "updates"),
    "skill_prior.png",
    "Losses of the skill prior during training",
    "Training of the skill model: terms of its loss per batch. The prior tells something about "
    "skills where the divergence from it is clearly below that from the unit Gaussian.",
  )


def reinforcement(report: Report) -> str:
  """Divergence from the prior, its weight, and success rates during training."""
  look = style.looks([method.name for method in report.methods])

  def lines(metric: str) -> list[Line]:
    return [
      Line(look[name].label, curve, look[name].color, look[name].dashes)
      for name, curve in _curves(report, metric).items()
    ]

  divergences = lines("divergence")
  targets = [
    Line("target", curve, style.BLACK, (0, (1, 2)), 1.4)
    for curve in _curves(report, "target_divergence").values()
  ]
  # From a fixed start a deterministic policy plays one episode, however many are counted: no band.
  of_the_mean = [
    line._replace(curve=line.curve._replace(episodes=math.nan)) for line in lines(_OF_THE_MEAN)
  ]
  content = [
    Panel(
      "Divergence from the prior",
      "KL (nats)",
      divergences + targets,
      is_log=_is_spread(divergences),
    ),
    Panel("Weight of the divergence", "alpha", _positive(lines("alpha")), is_log=True),
    Panel("Episodes during training", "success rate", lines("episode/success_rate"), is_rate=True),
    Panel("Evaluation, deterministic policy", "success rate", of_the_mean, is_rate=True),
  ]
  return picture(
    report,
    plots.panels(content, "environment steps"),
    "reinforcement.png",
    "Divergence, alpha and success rates during reinforcement learning",
    "Inside reinforcement learning. The dual update of alpha drives the divergence to its target; "
    "a divergence that stays above it means that the policy pulls away from the prior.",
  )


def run_facts(report: Report) -> str:
  """Counters of all stages, versions, hashes."""
  header = ("Stage", "Updates", "Environment steps", "Seconds")
  rows = []
  for stage in run_records.stages(report.runs, ""):
    last = run_records.last_row(report.runs, stage)
    rows.append(
      (stage, *(page.count(last.get(name)) for name in ("updates", "env_steps", "wall_seconds")))
    )
  html = ""
  if rows:
    html = page.table(
      header, rows, numbers=(1, 2, 3), caption="Counters at the last row that each stage logged."
    )
  summary = report.summary
  versions = summary.get("versions")
  if isinstance(versions, Mapping):
    versions = ", ".join(f"{name} {version}" for name, version in versions.items())
  pairs = [
    ("Updates", page.count(summary.get("updates"))),
    ("Environment steps", page.count(summary.get("env_steps"))),
    ("Steps per second", page.count(summary.get("steps_per_second"))),
    ("Compilation", page.duration(summary.get("compile_seconds"))),
    ("Git", summary.get("git")),
    ("Versions", versions),
    ("Parameters (sha256)", summary.get("parameters_sha256")),
  ]
  return html + page.facts([pair for pair in pairs if pair[1] not in (None, "", page.UNKNOWN)])


SECTIONS: dict[str, Callable[[Report], str]] = {
  "Methods": methods_table,
  "Learning curves": learning,
  "Rollout": report_maze.rollout,
  "Exploration": report_maze.exploration,
  "Skill prior": skill_prior,
  "Reinforcement learning": reinforcement,
  "Run": run_facts,
}


def _curves(report: Report, metric: str) -> dict[str, Curve]:
  found = {
    method.name: run_records.curve(method.runs, method.stage, metric) for method in report.methods
  }
  return {name: curve for name, curve in found.items() if curve is not None}


def _policy(report: Report) -> str:
  """How the policy of `eval/success_rate` acts: not as that of the evaluation beside it."""
  return "sampled" if _curves(report, _OF_THE_MEAN) else "evaluated"


def _positive(lines: list[Line]) -> list[Line]:
  """Only what a log axis can show."""
  return [line for line in lines if bool((line.curve.values > 0).any())]


def _is_spread(lines: list[Line]) -> bool:
  values = np.concatenate([line.curve.values.ravel() for line in lines]) if lines else np.ones(1)
  values = values[np.isfinite(values)]
  return bool(values.size and values.min() > 0 and values.max() > _SPREAD * np.median(values))
