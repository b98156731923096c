"""Writes the page of a report from its sections, whatever a run has left of what they need."""

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from jaxskills.errors import UserError
from jaxskills.evaluation import page, run_records
from jaxskills.evaluation.report_record import Report, reason

Sections = Mapping[str, Callable[[Report], str]]


def write_page(workdir: str | Path, sections: Sections, lead: Callable[[Report], str]) -> Path:
  """Writes `report/index.html` of a run, or of a folder of runs.

  Args:
    workdir: holds `metrics.jsonl`, `summary.json` and `report/data/*.npz`, all optional; runs in
      folders below it are read too.
    sections: by heading, in order: HTML from what is there. One that raises is left out, and the
      page says why.
    lead: HTML that the page begins with; called last, so that it can show the notes.

  Returns:
    Path of `report/index.html`.

  Raises:
    UserError: if there is no such folder or it cannot be written to.
  """
  workdir = Path(workdir)
  if not workdir.is_dir():
    raise UserError(f"{workdir} is no run folder; give the --workdir of a run")
  runs = run_records.find_runs(workdir)
  if not runs or runs[0].folder != workdir:
    runs.insert(0, run_records.read_run(workdir))
  report = Report(workdir / "report", runs, run_records.methods(runs), [])
  if not report.summary:
    report.notes.append(
      "There is no summary.json: the run has not finished. Figures are of evaluations so far."
    )
  for run in runs:
    if run.skipped:
      name = (run.folder / "metrics.jsonl").relative_to(workdir)
      lines = "line" if run.skipped == 1 else "lines"
      report.notes.append(f"{run.skipped} unreadable {lines} of {name} left out.")
  partial = report.folder / "index.html.partial"
  try:
    report.folder.mkdir(exist_ok=True)
    partial.touch()  # whether it can be written to is better known before drawing
    made = [
      page.Section(name, body)
      for name, section in sections.items()
      if (body := _section(report, name, section))
    ]
    partial.write_text(page.document(title(report), lead(report), made), encoding="utf-8")
    os.replace(partial, report.folder / "index.html")
  except OSError as error:
    raise UserError(f"cannot write the report to {report.folder}: {error.strerror}") from None
  finally:
    with contextlib.suppress(OSError):
      partial.unlink()
  return report.folder / "index.html"


def title(report: Report) -> str:
  """Experiment and preset, or else the folder's name."""
  known = {**report.runs[0].config, **report.summary}
  experiment, preset = known.get("experiment"), known.get("preset")
  if not experiment:
    return report.folder.parent.resolve().name
  return f"{experiment}:{preset}" if preset else str(experiment)


def _section(report: Report, name: str, section: Callable[[Report], str]) -> str:
  """A section's HTML, or nothing and a note why."""
  try:
    return section(report)
  except Exception as error:  # a page must come out of whatever a run left
    report.notes.append(f"{name}: left out, {reason(error)}")
    return ""
