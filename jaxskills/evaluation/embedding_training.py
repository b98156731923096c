"""The section of an embedding's report about its training: distances, and ASN's game."""

import re
from typing import NamedTuple

import numpy as np

from jaxskills.evaluation import embedding_table, plots, run_records, style
from jaxskills.evaluation.plots import Line, Panel
from jaxskills.evaluation.report_record import Report, picture
from jaxskills.evaluation.run_records import Curve

STAGE = re.compile(r"embed/(?P<model>.+)_(?P<train>[^_]+)_seed(?P<seed>\d+)")
"""Names of stages: one embedding for each model, set of training tasks, and seed."""
_PANELS = (
  ("Distance of two views of one instant", "embedding", "positive_distance"),
  ("Distance of two instants", "embedding", "negative_distance"),
  ("Entropy of a skill's task", "nats", "conditional_entropy"),
  ("Entropy of all skills' tasks", "nats", "marginal_entropy"),
  ("Divergence of the bottleneck", "KL per skill (nats)", "kl_per_skill"),
  ("Task told by a probe of the skill", "accuracy", "task_probe_accuracy"),
)


class Group(NamedTuple):
  """Stages that differ in their seed."""

  model: str
  train: str


def training(report: Report) -> str:
  """Curves of training, mean over seeds, one picture for each set of training tasks.

  Raises:
    ValueError: if no stage of that name was logged.
  """
  groups: dict[Group, list[str]] = {}
  for stage in run_records.stages(report.runs, "embed/"):
    if match := STAGE.fullmatch(stage):
      groups.setdefault(Group(match["model"], match["train"]), []).append(stage)
  html = ""
  for train in dict.fromkeys(group.train for group in groups):
    models = [group.model for group in groups if group.train == train]
    look = style.looks(models)
    content = [
      Panel(
        title,
        unit,
        [
          Line(
            embedding_table.label(report.figures, model), curve, look[model].color,
            look[model].dashes,
          )
          for model in models
          if (curve := _over_seeds(report, groups[Group(model, train)], metric)) is not None
        ],
      )
      for title, unit, metric in _PANELS
    ]  # fmt: skip
    html += picture(
      report,
      plots.panels(content, "updates"),
      f"training_{train}.png",
      "Curves of training",
      f"Training on {train}, mean over seeds with 95 % bands. Embeddings of different losses have "
      "different scales. A discriminator that knows nothing leaves a skill's task with the entropy "
      "of a coin among the tasks; the probe is a classifier of our own, whose accuracy then falls "
      "to chance.",
    )
  if not html:
    raise ValueError("no training of an embedding was logged")
  return html


def _over_seeds(report: Report, stages: list[str], metric: str) -> Curve | None:
  """A metric over training, a row for each seed, on the points that all have."""
  curves = [run_records.curve(report.runs, stage, metric, x="updates") for stage in stages]
  there = [curve for curve in curves if curve is not None]
  if not there:
    return None
  points = np.unique(np.concatenate([curve.x for curve in there]))
  rows = [
    np.interp(points, curve.x, line, left=np.nan, right=np.nan)
    for curve in there
    for line in curve.values
  ]
  return Curve(points, np.stack(rows))
