"""Scores of embeddings as `summary.json` keeps them and as tables show them, with their intervals.

`metrics.<score>.<model>.<train>-><test>` is `{"mean", "low", "high", "by_seed", "videos"}`, e.g.
`metrics.alignment.asn.AB->C`. Models are learned ones and baselines; a column says what the
embedding was trained on and what it is judged on. Baselines are trained on nothing and stand in
every column all the same: what is to be beaten depends on the videos.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxskills.evaluation import embedding_scores, intervals, page
from jaxskills.evaluation.score_sampling import Scores

Figures = Mapping[str, Any]
"""`metrics` of a summary, from JSON."""

BASELINES = (
  "chance", "middle", "first", "majority", "pixels", "random_features", "imagenet",
  "joint_angles", "object_positions", "state",
)  # fmt: skip
"""Rows that learned nothing from the videos, in the order in which tables show them."""
LABELS = {
  "chance": "Chance",
  "middle": "Always the middle",
  "first": "Always the first (collapsed)",
  "majority": "Always the commonest class",
  "pixels": "Raw pixels",
  "random_features": "Random features",
  "imagenet": "ImageNet features",
  "joint_angles": "Joint angles, measured",
  "object_positions": "Object positions, measured",
  "state": "Joints and objects, measured",
}
MEASURED = (
  "Rows that are measured know the simulator's state with a sensor's noise, once for each view: "
  "between views of one demonstration a ceiling, not a competitor. Between demonstrations they "
  "compare absolute places, which differ from scene to scene, and are no ceiling at all."
)


def label(figures: Figures, model: str) -> str:
  """How a model is called on the page: by `metrics.titles`, where the run says so."""
  titles = figures.get("titles")
  told = titles.get(model) if isinstance(titles, Mapping) else None
  return str(told or LABELS.get(model, model.replace("_", " ")))


def summarize(by_seed: Sequence[Scores]) -> dict[str, dict[str, Any]]:
  """Scores of one model and column over seeds of training, as JSON values.

  Args:
    by_seed: scores on the same videos, one for each seed; baselines without seeds give one.

  Returns:
    By score: `mean`, `low` and `high` (95 %, `intervals.score_interval`; None if unknown),
    `by_seed` and how many `videos` (or other independent values) are behind each seed's mean.
    Scores that some seed lacks are left out.
  """
  found = {}
  for name in by_seed[0]:
    if all(name in scores for scores in by_seed):
      values = np.stack([scores[name] for scores in by_seed])
      low, high = intervals.score_interval(values)
      found[name] = {
        "mean": float(values.mean()),
        "low": low if math.isfinite(low) else None,
        "high": high if math.isfinite(high) else None,
        "by_seed": values.mean(axis=1).tolist(),
        "videos": values.shape[1],
      }
  return found


def add(figures: dict[str, Any], model: str, column: str, by_seed: Sequence[Scores]) -> None:
  """Puts a model's scores in their places among the final figures of a run."""
  for name, figure in summarize(by_seed).items():
    figures.setdefault(name, {}).setdefault(model, {})[column] = figure


def difference(by_seed: Sequence[Scores], other: Sequence[Scores], score: str) -> dict[str, Any]:
  """How much better or worse one model is than another on the same videos.

  Two intervals that overlap may hide a difference that all videos agree on. Here the difference is
  taken video by video; its interval (`intervals.difference_interval`) is over the videos and over
  the seeds of both.

  Args:
    by_seed: scores of one model, one for each seed.
    other: scores of another on the same videos, each seed on its own.
    score: which one.

  Returns:
    `mean` of the first less the second, `low` and `high` (None if unknown), as JSON values.
  """
  a, b = (np.stack([scores[score] for scores in some]) for some in (by_seed, other))
  bounds = intervals.difference_interval(a, b)
  known = [bound if math.isfinite(bound) else None for bound in bounds]
  return {"mean": float(a.mean() - b.mean()), "low": known[0], "high": known[1]}


class Cell(NamedTuple):
  """One figure of a table."""

  mean: float
  low: float
  high: float
  seeds: int


def cell(figures: Figures, score: str, model: str, column: str) -> Cell | None:
  """A figure, if it is there and whole."""
  try:
    found = figures[score][model][column]
    bounds = [math.nan if found[key] is None else float(found[key]) for key in ("low", "high")]
    return Cell(float(found["mean"]), bounds[0], bounds[1], len(found["by_seed"]))
  except (KeyError, TypeError, ValueError):
    return None


def ordered(names: Iterable[str]) -> list[str]:
  """Models once each: learned ones as they come, then baselines as tables show them."""
  known = dict.fromkeys(names)
  return [m for m in known if m not in BASELINES] + [m for m in BASELINES if m in known]


def models(figures: Figures, score: str) -> list[str]:
  """Models that have a score: learned ones in the order of the file, then baselines."""
  there = figures.get(score)
  return ordered(there) if isinstance(there, Mapping) else []


def learned(figures: Figures, score: str) -> list[str]:
  """Models that have a score and are no baselines."""
  return [name for name in models(figures, score) if name not in BASELINES]


def columns(figures: Figures, score: str) -> list[str]:
  """Columns that any model has of a score."""
  found: dict[str, None] = {}
  for model in models(figures, score):
    if isinstance(there := figures[score][model], Mapping):
      found |= dict.fromkeys(there)
  return list(found)


def is_better(figures: Figures, score: str, model: str, other: str, column: str) -> bool | None:
  """Whether one model is better than another beyond both intervals.

  Returns:
    True if better, False if worse, None if the intervals overlap or one is unknown.
  """
  a, b = (cell(figures, score, name, column) for name in (model, other))
  if a is None or b is None:
    return None
  if math.isnan(b.low):
    b = b._replace(low=b.mean, high=b.mean) if other in ("chance", "middle", "first") else b
  told = embedding_scores.describe(score)
  if told is None or not told.is_error:
    a, b = b, a
  if a.high < b.low:
    return True
  return False if a.low > b.high else None


def score_table(figures: Figures, score: str, caption: str = "") -> str:
  """One score: a row for each model, a column for each pair of training and test tasks.

  Raises:
    ValueError: if no model has it.
  """
  rows = score_rows(figures, score)
  if not rows:
    raise ValueError(f"no model has {score}")
  header = [head.replace("->", " \u2192 ") for head in rows[0]]
  cells = [tuple(row.values()) for row in rows]
  return page.table(header, cells, numbers=range(1, len(header)), caption=caption)


def score_rows(figures: Figures, score: str) -> list[dict[str, str]]:
  """One score as text: by heading, a row for each model; empty if no model has it."""
  heads = columns(figures, score)
  return [
    {
      "Model": label(figures, name),
      **{head: written(cell(figures, score, name, head)) for head in heads},
    }
    for name in models(figures, score)
  ]


def model_table(figures: Figures, column: str, scores: Sequence[str], caption: str = "") -> str:
  """One column of training and test tasks: a row for each score, a column for each model.

  Raises:
    ValueError: if there is nothing to show.
  """
  having = {
    score: [name for name in models(figures, score) if cell(figures, score, name, column)]
    for score in scores
  }
  there = [score for score in scores if having[score]]
  if not there:
    raise ValueError(f"no scores of {column}")
  order = ordered(name for score in there for name in having[score])
  rows = []
  for score in there:
    told = embedding_scores.describe(score) or embedding_scores.Score(score, False)
    arrow = "\u2193" if told.is_error else "\u2191"
    cells = [cell(figures, score, name, column) for name in order]
    rows.append((f"{told.title} {arrow}", *(f"{c.mean:.2f}" if c else page.UNKNOWN for c in cells)))
  header = ("Score (\u2191 more is better, \u2193 less)", *(label(figures, name) for name in order))
  return page.table(header, rows, numbers=range(1, len(header)), caption=caption)


def written(found: Cell | None) -> str:
  """`0.112 [0.098, 0.126]`, without bounds where they are unknown."""
  if found is None:
    return page.UNKNOWN
  bounds = "" if math.isnan(found.low) else f" [{found.low:.3f}, {found.high:.3f}]"
  return f"{found.mean:.3f}{bounds}"
