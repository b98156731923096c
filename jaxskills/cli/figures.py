"""Named figures and tables of them as aligned lines of text."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxskills.config import flatten


def print_figures(figures: Mapping[str, Any]) -> None:
  """Prints one `name  value` a line; nested names are joined by dots."""
  lines = flatten(figures)
  width = max(map(len, lines), default=0)
  for name, value in lines.items():
    print(f"  {name:<{width}}  {format_figure(value)}")


def format_figure(value: Any) -> str:
  """Four significant digits for what is not whole, a dash for what there is not."""
  if value is None:
    return "-"
  return f"{value:.4g}" if isinstance(value, float) else str(value)


def table(
  rows: Sequence[Mapping[str, Any]],
  columns: Mapping[str, str],
  show: Callable[[Any], str] = format_figure,
) -> list[str]:
  """Aligned lines, one a row, under headings.

  Args:
    rows: what to show.
    columns: from heading to key; `-` stands where a row has no such key, or None.
    show: of a value.
  """
  cells = [list(columns)]
  for row in rows:
    values = [row.get(key) for key in columns.values()]
    cells.append(["-" if value is None else show(value) for value in values])
  widths = [max(len(line[column]) for line in cells) for column in range(len(columns))]
  return [
    "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    for line in cells
  ]
