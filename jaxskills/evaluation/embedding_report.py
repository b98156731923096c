"""The report of a run that learns embeddings from video: tables first, then what they look like.

Reads `summary.json` (`embedding_table.py` says what of it) and the recordings of
`embedding_record.py` and `imitation_record.py`; what is missing is left out and noted. Nothing is
trained, embedded or simulated here.
"""

from pathlib import Path

from jaxskills.evaluation import (
  embedding_pictures,
  embedding_scores,
  embedding_table,
  embedding_training,
  page,
  report_page,
  report_sections,
)
from jaxskills.evaluation.report_record import Report, as_object

_UNSEEN = "alignment_unseen_view"
_RIVALS = ("middle", "pixels")


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
  name = page.escape(report_page.title(report))
  html = f"<h1>{name}</h1>" + page.paragraph("jaxskills run report", "soft")
  html += _headline(report)
  summary, figures = report.summary, report.figures
  seeds = [
    found.seeds
    for model in embedding_table.learned(figures, "alignment")
    for column in embedding_table.columns(figures, "alignment")
    if (found := embedding_table.cell(figures, "alignment", model, column))
  ]
  pairs = [
    ("Seeds of each model", max(seeds, default="")),
    ("Seed", summary.get("seed", report.runs[0].config.get("seed"))),
    ("Device", summary.get("device")),
    ("Wall time", page.duration(summary.get("wall_seconds"))),
  ]
  html += page.facts([(label, value) for label, value in pairs if value not in (None, "")])
  return html + page.notes(report.notes)


def alignment(report: Report) -> str:
  """The table of alignment errors, and what its intervals allow to say."""
  caption = (
    "Alignment error of two cameras' videos of one demonstration (ASN, equation 7): mean share of "
    "the video between a frame and its nearest neighbour in the other view, over both directions "
    "and all pairs of views, successes and fakes, with 95 % intervals over seeds and videos, "
    "both taken as samples. Less is better: 0.333 is chance, 0.25 always the middle frame. "
    + embedding_table.MEASURED
  )
  html = embedding_table.score_table(report.figures, "alignment", caption)
  html += "".join(page.paragraph(line) for line in _comparisons(report))
  if embedding_table.models(report.figures, _UNSEEN):
    caption = "The same, between a camera that training has seen and one that it has not."
    html += embedding_table.score_table(report.figures, _UNSEEN, caption)
  return html


def across(report: Report) -> str:
  """Alignment of different demonstrations: another definition, hence another table."""
  caption = (
    "Between successful demonstrations of one task. Alignment errors here are those of the TCN "
    "paper, by the order of phases; they are not comparable with the table above. Random features "
    "show what cycles are worth: points without meaning come home as well."
  )
  return _tables(report, "demonstrations", caption)


def frames(report: Report) -> str:
  """What single frames tell: phases, attributes, progress, retrieval."""
  caption = (
    "Errors are means over all classes that occur, those that are never found among them. "
    "Neighbours are frames of other videos; linear maps are fitted to one half of the successes "
    "and judged on the other."
  )
  return _tables(report, "frames", caption)


def rewards(report: Report) -> str:
  """Audits of the rewards before anybody trains on them."""
  caption = (
    "'Another view': a demonstration rewards its own execution as another camera saw it. "
    "Otherwise it rewards other executions, successes and fakes, with other objects and places. "
    "Growth is Spearman's correlation with time. Success above fake is the area under the ROC "
    "curve: the chance that a success scores above a fake, by its last frame's distance to the "
    "goal frame or by its mean distance to the demonstration's frames. Demonstrations of a task "
    "reward the same executions, and are one value together."
  )
  return _tables(report, "rewards", caption)


SECTIONS = {
  "Alignment": alignment,
  "Alignment of two views": embedding_pictures.matrices,
  "The embedding in two dimensions": embedding_pictures.projected,
  "Nearest neighbours": embedding_pictures.strips,
  "Across demonstrations": across,
  "Single frames": frames,
  "Audit of the rewards": rewards,
  "Rewards over time": embedding_pictures.rewards,
  "Imitation": embedding_pictures.imitations,
  "Training": embedding_training.training,
  "Run": report_sections.run_facts,
}


def _tables(report: Report, about: str, caption: str) -> str:
  """The scores of one kind: a table for each column of training and test tasks.

  Raises:
    ValueError: if no model has any of the scores.
  """
  figures, html = report.figures, ""
  scores = [
    name
    for name in [*embedding_scores.SCORES, *figures]
    if (told := embedding_scores.describe(name)) and told.about == about
  ]
  scores = [name for name in dict.fromkeys(scores) if name in figures]
  columns = [
    column
    for column in embedding_table.columns(figures, "alignment")
    if any(column in embedding_table.columns(figures, score) for score in scores)
  ]
  if not columns:
    raise ValueError("no such scores were recorded")
  for column in columns:
    told = caption if column == columns[-1] else ""
    html += page.paragraph(f"Trained \u2192 tested on {_head(column)}:")
    html += embedding_table.model_table(figures, column, scores, told)
  return html


def _headline(report: Report) -> str:
  """The best learned model of the last column, beside what it has to beat."""
  figures = report.figures
  columns = embedding_table.columns(figures, "alignment")
  if not columns:
    return ""
  column = columns[-1]
  cells = {
    model: found
    for model in embedding_table.models(figures, "alignment")
    if (found := embedding_table.cell(figures, "alignment", model, column))
  }
  mine = [model for model in embedding_table.learned(figures, "alignment") if model in cells]
  if not mine:
    return ""
  best = min(mine, key=lambda model: cells[model].mean)
  label = page.escape(embedding_table.label(figures, best))
  text = (
    f"<b>{label} aligns {page.escape(column)} with an error of {cells[best].mean:.3f}</b>"
  ).replace("-&gt;", " \u2192 ")
  rivals = [
    f"{embedding_table.label(figures, rival).lower()} {cells[rival].mean:.3f}"
    for rival in _RIVALS
    if rival in cells
  ]
  return f'<p class="headline">{text}; {page.escape(", ".join(rivals))}.</p>'


def _comparisons(report: Report) -> list[str]:
  """In words: which learned model beats the baselines, and whether ASN beats TCN."""
  figures, lines = report.figures, []
  for column in embedding_table.columns(figures, "alignment"):
    for model in embedding_table.learned(figures, "alignment"):
      for rival in _RIVALS:
        lines += _compared(report, model, rival, column)
    lines += _compared(report, "asn", "tcn_lifted", column)
  lines += _differences(report)
  return lines


def _compared(report: Report, model: str, rival: str, column: str) -> list[str]:
  figures = report.figures
  cells = [embedding_table.cell(figures, "alignment", name, column) for name in (model, rival)]
  if not all(cells):
    return []
  better = embedding_table.is_better(figures, "alignment", model, rival, column)
  verdict = {
    True: "is better than {}",
    False: "is worse than {}",
    None: "and {} are not told apart: their intervals overlap, or are unknown",
  }[better]
  names = [embedding_table.label(figures, name) for name in (model, rival)]
  other = names[1].lower() if rival in embedding_table.BASELINES else names[1]
  return [f"{_head(column)}: {names[0]} {verdict.format(other)}."]


def _differences(report: Report) -> list[str]:
  """In words, each of `metrics.differences.<model>-<other>.<column>`."""
  figures, lines = report.figures, []
  for pair, columns in as_object(figures.get("differences")).items():
    names = [embedding_table.label(figures, name) for name in pair.split("-")]
    for column, found in as_object(columns).items():
      low, high = found.get("low"), found.get("high")
      if len(names) == 2 and low is not None and high is not None:
        end = "zero is among these" if low <= 0 <= high else "zero is not among these"
        lines.append(
          f"{_head(column)}, video by video: the error of {names[0]} less that of {names[1]} is "
          f"{found['mean']:+.3f} (95 % interval {low:+.3f} to {high:+.3f}; {end})."
        )
  return lines


def _head(column: str) -> str:
  return column.replace("->", " \u2192 ")
