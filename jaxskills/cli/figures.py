"""Named figures as aligned lines of text."""

from collections.abc import Mapping
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
