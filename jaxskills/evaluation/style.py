"""How figures look: their colours, a look of its own for each method, and the PNG they become.

Colours are Okabe and Ito's colour-blind safe set, one fixed per method, and every line also differs
in dashes and marker, so that the figures survive grey print. Figures are drawn with matplotlib's
Agg canvas only: no display, no global state.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jaxskills import disk

PIXELS_PER_INCH = 200
PAGE_WIDTH = 10.4  # inches; shown at half its pixels, 1040, on the report page

BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, SKY, BLACK, GREY = "#AA4499", "#56B4E9", "#1A1A1A", "#6B7280"

STYLE: dict[Any, Any] = {
  "font.family": "DejaVu Sans",
  "font.size": 11,
  "axes.titlesize": 12,
  "axes.titleweight": "bold",
  "axes.titlelocation": "left",
  "axes.labelsize": 11,
  "axes.spines.top": False,
  "axes.spines.right": False,
  "axes.edgecolor": "#4B5563",
  "axes.labelcolor": "#1F2937",
  "axes.grid": True,
  "axes.axisbelow": True,
  "grid.color": "#E5E7EB",
  "grid.linewidth": 0.8,
  "xtick.color": "#4B5563",
  "ytick.color": "#4B5563",
  "xtick.labelcolor": "#1F2937",
  "ytick.labelcolor": "#1F2937",
  "xtick.labelsize": 10.5,
  "ytick.labelsize": 10.5,
  "legend.fontsize": 10.5,
  "legend.frameon": False,
  "lines.linewidth": 2.0,
  "figure.facecolor": "white",
  "savefig.facecolor": "white",
}


class Look(NamedTuple):
  """How one method is named and drawn, in every figure alike."""

  label: str
  color: str
  dashes: Any
  marker: str


_KNOWN = {
  "spirl": Look("SPiRL", BLUE, "-", "o"),
  "sac": Look("SAC", VERMILLION, (0, (5, 2)), "s"),
  "bc_sac": Look("BC + SAC", GREEN, (0, (1, 1.5)), "^"),
  "flat_prior": Look("Flat Prior", ORANGE, (0, (6, 2, 1, 2)), "D"),
  "asn": Look("ASN", BLUE, "-", "o"),
  "tcn_lifted": Look("TCN, lifted", VERMILLION, (0, (5, 2)), "s"),
  "ssp": Look("SSP w/o Prior", PURPLE, (0, (3, 1.5)), "v"),
}
_LABELS = {
  "spirl_no_init": "SPiRL w/o prior init",
  "spirl_no_regularisation": "SPiRL w/o regularisation",
}
_SPARE = [
  (SKY, "-", "p"),
  (BLACK, (0, (4, 2)), "d"),
  (GREY, (0, (2, 1)), "8"),
  ("#8C510A", "-", "<"),
  ("#01665E", (0, (6, 2)), ">"),
  ("#762A83", (0, (1, 1)), "h"),
]


def looks(names: Sequence[str]) -> dict[str, Look]:
  """A look for each method; known methods keep theirs whatever else is drawn."""
  chosen, spare = {}, 0
  for name in names:
    if name in _KNOWN:
      chosen[name] = _KNOWN[name]
    else:
      label = _LABELS.get(name, name.replace("_", " "))
      chosen[name] = Look(label, *_SPARE[spare % len(_SPARE)])
      spare += 1
  return chosen


def save(figure: Figure, path: Path) -> Path:
  """Writes a PNG of 200 dots per inch, atomically and without a time stamp."""
  path, content = Path(path), BytesIO()
  FigureCanvasAgg(figure)
  with mpl.rc_context(STYLE):
    figure.savefig(content, format="png", dpi=PIXELS_PER_INCH, metadata={"Software": None})
  disk.write_atomically(path, content.getvalue())
  return path
