"""What the sections of a report are made from, and how they add a picture to it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from PIL import Image

from jaxskills.evaluation import page, style
from jaxskills.evaluation.run_records import Method, Run


class Report(NamedTuple):
  """What sections are made from, and the remarks that they leave."""

  folder: Path
  """`<workdir>/report`, where pictures go."""
  runs: list[Run]
  """The run itself, then those in folders below it."""
  methods: list[Method]
  notes: list[str]
  """Remarks for the head of the page; sections add to it."""

  @property
  def data(self) -> Path:
    """Recordings of the run."""
    return self.folder / "data"

  @property
  def summary(self) -> Mapping[str, Any]:
    """`summary.json` of the run; empty if it has not finished."""
    return self.runs[0].summary

  @property
  def figures(self) -> Mapping[str, Any]:
    """Final figures of the run."""
    return as_object(self.summary.get("metrics"))


def as_object(value: Any) -> Mapping[str, Any]:
  """A JSON object, or an empty one for anything else."""
  return value if isinstance(value, Mapping) else {}


def reason(error: Exception) -> str:
  """Why something is missing, in one line."""
  if isinstance(error, FileNotFoundError) and error.filename:
    return f"there is no {Path(error.filename).name}"
  text = str(error).strip() or type(error).__name__
  return text.splitlines()[0]


def picture(report: Report, figure: Figure, file: str, alt: str, caption: str) -> str:
  """Saves a figure in the report's folder and returns the HTML that shows it."""
  path = style.save(figure, report.folder / file)
  with Image.open(path) as image:
    return page.picture(file, alt, caption, image.size)
