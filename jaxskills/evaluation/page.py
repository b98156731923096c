"""The one HTML page of a report: plain HTML with its style inside, no script, no network.

Pictures and films are relative links, so that a copied `report/` folder still works. Everything
that comes from a run is escaped.
"""

import html
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

UNKNOWN = "\u2014"

_STYLE = """
:root { color-scheme: light; --ink: #111827; --soft: #4b5563; --line: #e5e7eb; --blue: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1088px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -.01em; }
h2 { font-size: 21px; margin: 48px 0 8px; padding-top: 20px; border-top: 1px solid var(--line); }
p { margin: 8px 0; max-width: 78ch; }
.soft, figcaption, caption { color: var(--soft); }
.headline { font-size: 20px; margin: 20px 0 4px; }
.headline b { color: var(--blue); }
dl.facts { display: flex; flex-wrap: wrap; gap: 12px 40px; margin: 20px 0 0; }
dl.facts dt { color: var(--soft); font-size: 13px; }
dl.facts dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 12px 0; font-size: 15px; }
caption { caption-side: bottom; text-align: left; font-size: 14px; padding-top: 8px; }
th, td { text-align: left; padding: 8px 14px 8px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
thead th { font-size: 13px; color: var(--soft); font-weight: 600;
  border-bottom: 2px solid #9ca3af; }
th.number, td.number { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
tbody tr.first { font-weight: 600; background: #f3f8fc; }
tbody tr.first td:first-child { padding-left: 8px; border-left: 3px solid var(--blue); }
tbody td:first-child { padding-left: 11px; } thead th:first-child { padding-left: 11px; }
figure { margin: 20px 0 8px; }
figure img, figure video { display: block; max-width: 100%; height: auto; }
figure video { border: 1px solid var(--line); border-radius: 4px; background: #f6f7f9; }
figcaption { font-size: 14.5px; margin-top: 8px; max-width: 92ch; }
.note { background: #fff8e6; border-left: 4px solid #e69f00; padding: 10px 16px; margin: 12px 0; }
.note ul { margin: 4px 0; padding-left: 20px; }
code { font: 13.5px ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
@media print { h2, figure, table { break-inside: avoid; } main { padding: 0; } }
"""


class Section(NamedTuple):
  """A heading and the HTML below it."""

  title: str
  body: str


def escape(value: object) -> str:
  """Text made safe for HTML."""
  return html.escape(str(value), quote=True)


def paragraph(text: str, kind: str = "") -> str:
  """One paragraph of plain text."""
  return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def picture(file: str, alt: str, caption: str, size: tuple[int, int]) -> str:
  """A figure of a PNG beside the page, shown at half of its pixels (`size`: width, height)."""
  width, height = size[0] // 2, size[1] // 2
  return (
    f'<figure><a href="{escape(file)}"><img src="{escape(file)}" alt="{escape(alt)}" '
    f'width="{width}" height="{height}"></a><figcaption>{escape(caption)}</figcaption></figure>'
  )


def film(file: str, caption: str) -> str:
  """A figure of an MP4 beside the page; plays on request."""
  return (
    f'<figure><video src="{escape(file)}" controls loop muted playsinline preload="metadata">'
    f'<a href="{escape(file)}">{escape(file)}</a></video>'
    f"<figcaption>{escape(caption)}</figcaption></figure>"
  )


def facts(pairs: Sequence[tuple[str, object]]) -> str:
  """A grid of names and values."""
  cells = "".join(
    f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs
  )
  return f'<dl class="facts">{cells}</dl>'


def table(
  header: Sequence[str],
  rows: Sequence[Sequence[object]],
  *,
  numbers: Sequence[int] = (),
  caption: str = "",
  is_first_marked: bool = False,
) -> str:
  """A table; columns listed in `numbers` are set right-aligned."""

  def cell(tag: str, index: int, value: object) -> str:
    kind = ' class="number"' if index in numbers else ""
    return f"<{tag}{kind}>{escape(value)}</{tag}>"

  head = "".join(cell("th", index, name) for index, name in enumerate(header))
  body = "".join(
    ('<tr class="first">' if is_first_marked and number == 0 else "<tr>")
    + "".join(cell("td", index, value) for index, value in enumerate(row))
    + "</tr>"
    for number, row in enumerate(rows)
  )
  title = f"<caption>{escape(caption)}</caption>" if caption else ""
  return (
    f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead>'
    f"<tbody>{body}</tbody></table></div>"
  )


def notes(lines: Sequence[str]) -> str:
  """A box of remarks; empty without any."""
  if not lines:
    return ""
  items = "".join(f"<li>{escape(line)}</li>" for line in lines)
  return f'<div class="note"><ul>{items}</ul></div>'


def document(title: str, lead: str, sections: Sequence[Section]) -> str:
  """The whole page; `lead` and the bodies of `sections` are HTML already."""
  body = "\n".join(
    f"<section><h2>{escape(section.title)}</h2>\n{section.body}</section>" for section in sections
  )
  return (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
    f"{lead}\n{body}\n</main>\n</body>\n</html>\n"
  )


def count(value: Any) -> str:
  """A whole number with separators; an em dash for what is none."""
  try:
    number = float(value)
  except (TypeError, ValueError):
    return UNKNOWN
  return f"{number:,.0f}" if math.isfinite(number) else UNKNOWN


def rate(value: float) -> str:
  """A proportion with two digits; an em dash for what is none."""
  return f"{value:.2f}" if math.isfinite(value) else UNKNOWN


def duration(seconds: Any) -> str:
  """Seconds, minutes or hours, as fits; empty for what is none."""
  if count(seconds) == UNKNOWN:
    return ""
  whole = round(float(seconds))
  if whole < 90:
    return f"{whole} s"
  return f"{whole // 60} min {whole % 60} s" if whole < 5400 else f"{whole / 3600:.1f} h"
