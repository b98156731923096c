"""A rollout beside its demonstration, as an MP4, with the reward that it earns below."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from jaxskills.evaluation import encoding

_TILE = 384  # pixels of a picture's longer side, about
_MARGIN, _HEAD, _FOOT, _PLOT = 16, 34, 34, 110
_PAPER, _INK, _MUTED = (246, 247, 249), (17, 24, 39), (107, 114, 128)
_COLORS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (170, 68, 153))
_WHITE = (255, 255, 255)


def film_beside(
  path: Path,
  demonstration: np.ndarray,
  rollout: np.ndarray,
  *,
  seconds_per_frame: float,
  captions: Sequence[str] = ("Demonstration", "Policy"),
  rewards: Mapping[str, np.ndarray] | None = None,
  hold_seconds: float = 1.0,
) -> Path:
  """Writes two videos side by side in real time; the shorter one waits on its last frame.

  Args:
    path: where to write; replaced only once the film is complete.
    demonstration: uint8 `[time, rows, columns, 3]`.
    rollout: uint8 `[step, rows, columns, 3]`, of as many rows and columns.
    seconds_per_frame: of both, s.
    captions: above each.
    rewards: by name, of each frame of the rollout, `[step]`; drawn below on one scale, whose ends
      are written beside it.
    hold_seconds: what the end is shown for, s.

  Raises:
    ValueError: if there are no frames, or they differ in size, or a reward in length.
    RuntimeError: if ffmpeg is missing or fails.
  """
  rewards = dict(rewards or {})
  if not len(demonstration) or not len(rollout):
    raise ValueError("a film needs frames of both")
  if demonstration.shape[1:] != rollout.shape[1:]:
    raise ValueError(f"frames of {demonstration.shape[1:]} beside {rollout.shape[1:]}")
  for name, values in rewards.items():
    if np.shape(values) != (len(rollout),):
      raise ValueError(f"{name} has {np.shape(values)} values for {len(rollout)} frames")
  width, height = frame_size(rollout.shape[1], rollout.shape[2], bool(rewards))
  drawn = frames(demonstration, rollout, seconds_per_frame, captions, rewards, hold_seconds)
  fps = max(1, round(1.0 / seconds_per_frame))
  return encoding.encode(Path(path), drawn, width, height, fps)


def frame_size(rows: int, columns: int, has_plot: bool) -> tuple[int, int]:
  """Width and height of the film in pixels, both even."""
  tall, wide = _tile(rows, columns)
  width = 2 * wide + 3 * _MARGIN
  height = _HEAD + tall + _FOOT + (_PLOT + _MARGIN if has_plot else 0)
  return width + width % 2, height + height % 2


def frames(
  demonstration: np.ndarray,
  rollout: np.ndarray,
  seconds_per_frame: float,
  captions: Sequence[str],
  rewards: Mapping[str, np.ndarray],
  hold_seconds: float,
) -> Iterator[np.ndarray]:
  """Draws the film's frames, each uint8 `[height, width, 3]`; see `film_beside`."""
  rows, columns = rollout.shape[1:3]
  tall, wide = _tile(rows, columns)
  page = Image.new("RGB", frame_size(rows, columns, bool(rewards)), _PAPER)
  draw, bold = ImageDraw.Draw(page), encoding.font(15, bold=True)
  for at, caption in enumerate(captions):
    draw.text((_MARGIN + at * (wide + _MARGIN), 9), caption, font=bold, fill=_INK)
  top = _HEAD + tall + _FOOT
  if rewards:
    _draw_plot(draw, page.width, top, rewards, len(rollout))
  count = max(len(demonstration), len(rollout))
  for index in range(count + round(hold_seconds / seconds_per_frame)):
    shown = page.copy()
    draw = ImageDraw.Draw(shown)
    for at, video in enumerate((demonstration, rollout)):
      step = min(index, len(video) - 1)
      picture = Image.fromarray(np.ascontiguousarray(video[step]))
      left = _MARGIN + at * (wide + _MARGIN)
      shown.paste(picture.resize((wide, tall), Image.Resampling.NEAREST), (left, _HEAD))
      text = f"{step * seconds_per_frame:.1f} s"
      if index > step:
        text += "  (over)"
      draw.text((left, _HEAD + tall + 8), text, font=encoding.font(13), fill=_MUTED)
    if rewards:
      _draw_cursor(draw, shown.width, top, min(index, len(rollout) - 1), rewards, len(rollout))
    yield np.asarray(shown)


def _tile(rows: int, columns: int) -> tuple[int, int]:
  """Rows and columns of a picture in the film: a whole multiple, so that pixels stay square."""
  scale = max(1, _TILE // max(rows, columns))
  return rows * scale, columns * scale


def _scale(rewards: Mapping[str, np.ndarray]) -> tuple[float, float]:
  """Ends of the axis."""
  values = np.concatenate([np.asarray(curve, np.float64) for curve in rewards.values()])
  low, high = float(values.min()), float(values.max())
  return (low, high) if high > low else (low - 0.5, high + 0.5)


def _place(
  width: int, top: int, step: int, value: float, ends: tuple[float, float], count: int
) -> tuple[float, float]:
  """Where a reward is drawn."""
  left, right = _MARGIN + 62, width - _MARGIN - 6
  across = left + (right - left) * step / max(count - 1, 1)
  down = top + (_PLOT - 12) - (_PLOT - 24) * (value - ends[0]) / (ends[1] - ends[0])
  return across, down


def _draw_plot(
  draw: ImageDraw.ImageDraw, width: int, top: int, rewards: Mapping[str, np.ndarray], count: int
) -> None:
  """Axis and pale curves of the whole rollout, and what each is called."""
  ends, font = _scale(rewards), encoding.font(12)
  draw.rectangle((_MARGIN + 56, top, width - _MARGIN, top + _PLOT), fill=_WHITE)
  for value in ends:
    place = _place(width, top, 0, value, ends, count)
    draw.text((_MARGIN + 50, place[1]), f"{value:.3g}", font=font, fill=_MUTED, anchor="rm")
  left = width - _MARGIN
  for index, (name, values) in enumerate(rewards.items()):
    color = _COLORS[index % len(_COLORS)]
    pale = tuple((value + 2 * 255) // 3 for value in color)
    line = [_place(width, top, at, float(v), ends, count) for at, v in enumerate(values)]
    if len(line) > 1:
      draw.line(line, fill=pale, width=2, joint="curve")
    left -= draw.textlength(name, font=font) + 18
    draw.text((left, top - _FOOT + 10), name, font=font, fill=color)


def _draw_cursor(
  draw: ImageDraw.ImageDraw,
  width: int,
  top: int,
  step: int,
  rewards: Mapping[str, np.ndarray],
  count: int,
) -> None:
  """The curves up to now."""
  ends = _scale(rewards)
  for index, values in enumerate(rewards.values()):
    color = _COLORS[index % len(_COLORS)]
    line = [
      _place(width, top, at, float(value), ends, count)
      for at, value in enumerate(values[: step + 1])
    ]
    if len(line) > 1:
      draw.line(line, fill=color, width=3, joint="curve")
    draw.circle(line[-1], 5, fill=color, outline=_WHITE, width=2)
