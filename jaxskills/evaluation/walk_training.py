"""Sections of a walking run's report about its training: learning curves and reward terms."""

from jaxskills.assets.h1 import H1
from jaxskills.evaluation import plots, run_records, style, walk_plots
from jaxskills.evaluation.plots import Line, Panel
from jaxskills.evaluation.report_record import Report, picture
from jaxskills.evaluation.run_records import Curve

STAGE = "rl/ppo"
_REWARD = "step/reward/"
# Title, unit, metric in training, metric in evaluation.
_CURVES = (
  ("Return of an episode", "reward", "episode/return", "eval/return"),
  ("Length of an episode", "control steps", "episode/length", "eval/length"),
  ("Velocity error", "m/s", "step/velocity_error", "eval/velocity_error"),
  ("Episodes with a fall", "share", "", "eval/fall_rate"),
)


def learning(report: Report) -> str:
  """Return, length of episodes, velocity error and falls, over steps and over minutes."""
  by_steps = picture(
    report,
    plots.panels(_panels(report, "env_steps", 1.0), "environment steps"),
    "learning_steps.png",
    "Return, episode length, velocity error and falls over environment steps",
    "In training actions are sampled; evaluation uses their mean, in fresh episodes with "
    "everything on that training has; their episodes may differ in length.",
  )
  return by_steps + picture(
    report,
    plots.panels(_panels(report, "wall_seconds", 60.0), "minutes"),
    "learning_minutes.png",
    "Return, episode length, velocity error and falls over minutes",
    "The same over minutes of wall time, compilation and evaluations included.",
  )


def reward_terms(report: Report) -> str:
  """Every term of the reward over training."""
  rows = (row for run in report.runs for row in run.rows)
  names = sorted({key for row in rows for key in row if key.startswith(_REWARD)})
  found = {name: run_records.curve(report.runs, STAGE, name) for name in names}
  curves = {
    name.removeprefix(_REWARD): curve._replace(values=curve.values * H1.control_hz)
    for name, curve in found.items()
    if curve is not None
  }
  return picture(
    report,
    walk_plots.reward_terms(curves),
    "reward_terms.png",
    "Every reward term over training",
    "What each term adds to the reward in training, weighted, a second; orange takes away.",
  )


def _panels(report: Report, x: str, unit: float) -> list[Panel]:
  return [
    Panel(
      title,
      what,
      _line(report, trained, "training", x, unit) + _line(report, judged, "evaluation", x, unit),
      is_rate=what == "share",
    )
    for title, what, trained, judged in _CURVES
  ]


def _line(report: Report, metric: str, label: str, x: str, unit: float) -> list[Line]:
  curve: Curve | None = run_records.curve(report.runs, STAGE, metric, x=x)
  if curve is None:
    return []
  curve = curve._replace(x=curve.x / unit)
  if label == "training":
    return [Line(label, curve, style.BLUE)]
  return [Line(label, curve, style.VERMILLION, (0, (5, 2)))]
