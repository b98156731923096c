"""A rollout as an MP4: the maze from above beside what the ball sees, drawn without a display.

The film is made from recorded states alone, so it shows what happened and nothing that was
simulated anew. Frames are drawn with Pillow.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxskills.envs.maze.view import VIEW_PIXELS, VIEW_SPAN, egocentric_view
from jaxskills.evaluation import encoding
from jaxskills.evaluation.recordings import Rollout

FRAMES_PER_SECOND = 25
_WALL, _FREE, _PAPER = (55, 65, 81), (255, 255, 255), (246, 247, 249)
_INK, _MUTED = (17, 24, 39), (75, 85, 99)
_BLUE, _PALE_BLUE, _GREEN, _RED = (0, 114, 178), (96, 168, 212), (0, 158, 115), (193, 18, 31)
_ORANGE = (213, 94, 0)
_SMOOTH = 3  # supersampling of the map
_MAP_PIXELS = 640  # of its longer side, at most
_TILE = 8 * VIEW_PIXELS  # of a drawn view's side
_MARGIN, _TITLE, _CAPTION, _FOOT = 20, 24, 34, 48


class _Scene(NamedTuple):
  """What all frames share; the trail is drawn into both pictures as the film goes on."""

  page: Image.Image
  """The frame without ball, views and facts."""
  fine: Image.Image
  """The map at `_SMOOTH` times its size."""
  scale: int
  """Pixels per metre of the map in the frame."""
  right: int
  """Left edge of the right column."""
  font: ImageFont.FreeTypeFont
  banner: ImageFont.FreeTypeFont


def film_rollout(
  path: Path, rollout: Rollout, *, speed: float = 1.0, hold_seconds: float = 2.0
) -> Path:
  """Writes an MP4 (H.264) of a rollout.

  Args:
    path: where to write; replaced only once the film is complete.
    rollout: recorded states and their layout.
    speed: 1 is real time, 2 twice as fast.
    hold_seconds: what is shown after the goal is first reached, s; an episode that goes on is cut.

  Raises:
    ValueError: if there are fewer than two states.
    RuntimeError: if ffmpeg is missing or fails.
  """
  width, height = frame_size(rollout.walls)
  drawn = frames(rollout, speed=speed, hold_seconds=hold_seconds)
  return encoding.encode(Path(path), drawn, width, height, FRAMES_PER_SECOND)


def frame_size(walls: np.ndarray) -> tuple[int, int]:
  """Width and height of a frame in pixels, both even as H.264 wants them."""
  rows, columns = walls.shape
  scale = _scale(walls)
  width = columns * scale + 3 * _MARGIN + _TILE
  height = max(rows * scale, 2 * (_TILE + _CAPTION) + _TITLE) + _MARGIN + _TITLE + _FOOT
  return width + width % 2, height + height % 2


def frames(
  rollout: Rollout, *, speed: float = 1.0, hold_seconds: float = 2.0
) -> Iterator[np.ndarray]:
  """Draws the frames, each uint8 `[height, width, 3]`; see `film_rollout`."""
  if len(rollout.states) < 2:
    raise ValueError(f"a film needs at least two states, got {len(rollout.states)}")
  rollout = rollout.until_goal(hold_seconds)
  states = np.asarray(rollout.states, np.float64)
  to_goal = rollout.goal_distance
  reached = np.maximum.accumulate(to_goal <= rollout.goal_radius)
  stride = speed / (FRAMES_PER_SECOND * rollout.step_seconds)
  count = max(2, round((len(states) - 1) / stride) + 1)
  shown = np.minimum(np.round(np.arange(count) * stride).astype(int), len(states) - 1)

  now, before = _views(rollout.walls, states, shown, rollout.step_seconds)
  scene = _make_scene(rollout)
  drawn = 0
  for index, at in enumerate(shown):
    _extend_trail(scene, rollout, states[drawn : at + 1, :2])
    drawn = at
    page = scene.page.copy()
    _draw_ball(page, scene, states[at, :2])
    _draw_views(page, scene, now[index], before[index])
    speed_now = float(np.hypot(*states[at, 2:4]))
    text = (
      f"t = {at * rollout.step_seconds:.2f} s      speed {speed_now:.1f} m/s      "
      f"{to_goal[at]:.1f} m to the goal"
    )
    draw = ImageDraw.Draw(page)
    draw.text((_MARGIN, page.height - 36), text, font=scene.font, fill=_INK)
    if reached[at]:
      draw.text((scene.right, page.height - 44), "Goal reached", font=scene.banner, fill=_RED)
    yield np.asarray(page)


def _views(
  walls: np.ndarray, states: np.ndarray, shown: np.ndarray, step_seconds: float
) -> tuple[np.ndarray, np.ndarray]:
  """The egocentric views at `shown` steps and one step before each, `[frames, 32, 32]`."""
  first = states[:1, :2] - step_seconds * states[:1, 2:4]
  previous = np.concatenate([first, states[:-1, :2]])
  positions = np.stack([states[shown, :2], previous[shown]])
  draw = jax.jit(jax.vmap(jax.vmap(egocentric_view, (None, 0)), (None, 0)))
  now, before = np.asarray(draw(jnp.asarray(walls, bool), jnp.asarray(positions, jnp.float32)))
  return now, before


def _make_scene(rollout: Rollout) -> _Scene:
  walls = np.asarray(rollout.walls, bool)
  rows, columns = walls.shape
  scale = _scale(walls)
  unit = scale * _SMOOTH
  picture = np.where(walls[..., None], _WALL, _FREE).astype(np.uint8)
  fine = Image.fromarray(picture).resize((columns * unit, rows * unit), Image.Resampling.NEAREST)
  draw = ImageDraw.Draw(fine)
  row, column = (np.asarray(rollout.goal) + 0.5) * unit
  draw.circle((column, row), rollout.goal_radius * unit, outline=_RED, width=2 * _SMOOTH)
  draw.polygon(_star(column, row, 0.55 * unit + 2 * _SMOOTH), fill=_RED)
  _mark_start(fine, rollout, unit)

  page = Image.new("RGB", frame_size(walls), _PAPER)
  page.paste(fine.reduce(_SMOOTH), (_MARGIN, _MARGIN + _TITLE))
  draw = ImageDraw.Draw(page)
  right = columns * scale + 2 * _MARGIN
  title, caption = encoding.font(15, bold=True), encoding.font(12)
  draw.text((_MARGIN, _MARGIN), "Maze from above", font=title, fill=_INK)
  draw.text((right, _MARGIN), "What the policy sees", font=title, fill=_INK)
  top = _MARGIN + _TITLE + _TILE + 4
  text = f"{VIEW_PIXELS}\u00d7{VIEW_PIXELS} pixels, {VIEW_SPAN:.1f} m across"
  draw.text((right, top), text, font=caption, fill=_MUTED)
  draw.text((right, top - 4 + _CAPTION), "Change since the step before", font=title, fill=_INK)
  top += _CAPTION + _TITLE + _TILE
  draw.text((right, top), "darker now", font=caption, fill=_BLUE)
  draw.text((right + 88, top), "lighter now", font=caption, fill=_ORANGE)
  return _Scene(page, fine, scale, right, encoding.font(15), encoding.font(24, bold=True))


def _mark_start(fine: Image.Image, rollout: Rollout, unit: int) -> None:
  row, column = (np.asarray(rollout.start) + 0.5) * unit
  radius = max(0.3 * unit, 6 * _SMOOTH)
  ImageDraw.Draw(fine).circle((column, row), radius, fill=_GREEN)


def _extend_trail(scene: _Scene, rollout: Rollout, path: np.ndarray) -> None:
  """Draws a stretch of the path, and renews what it touches of the map in the frame."""
  if len(path) < 2:
    return
  points = path[:, ::-1] * (scene.scale * _SMOOTH)
  width = 4 * _SMOOTH
  draw = ImageDraw.Draw(scene.fine)
  draw.line([tuple(point) for point in points], fill=_PALE_BLUE, width=width, joint="curve")
  for point in points:  # round ends, so that stretches join
    draw.circle(tuple(point), width / 2, fill=_PALE_BLUE)
  _mark_start(scene.fine, rollout, scene.scale * _SMOOTH)
  box = _box(scene.fine, points, float(width))
  scene.page.paste(scene.fine.crop(box).reduce(_SMOOTH), _place(box))


def _draw_ball(page: Image.Image, scene: _Scene, position: np.ndarray) -> None:
  unit = scene.scale * _SMOOTH
  centre = position[::-1] * unit
  radius = max(0.28 * unit, 6 * _SMOOTH)  # larger than the ball (0.1 m), which would be lost
  reach = radius + 2 * _SMOOTH
  box = _box(scene.fine, centre[None], reach)
  patch = scene.fine.crop(box)
  draw = ImageDraw.Draw(patch)
  at = (centre[0] - box[0], centre[1] - box[1])
  draw.circle(at, radius + 1.5 * _SMOOTH, fill=_FREE)
  draw.circle(at, radius, fill=_BLUE)
  page.paste(patch.reduce(_SMOOTH), _place(box))


def _box(fine: Image.Image, points: np.ndarray, reach: float) -> tuple[int, int, int, int]:
  """The box around points in the fine map, on whole pixels of the frame."""
  low = np.maximum(np.floor((points.min(axis=0) - reach) / _SMOOTH), 0).astype(int) * _SMOOTH
  high = np.ceil((points.max(axis=0) + reach) / _SMOOTH).astype(int) * _SMOOTH
  high = np.minimum(high, fine.size)
  return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _place(box: tuple[int, int, int, int]) -> tuple[int, int]:
  return _MARGIN + box[0] // _SMOOTH, _MARGIN + _TITLE + box[1] // _SMOOTH


def _draw_views(page: Image.Image, scene: _Scene, now: np.ndarray, before: np.ndarray) -> None:
  solid = now[..., None] / 255.0
  view = _tile(np.array(_FREE) * (1 - solid) + np.array(_WALL) * solid)
  ImageDraw.Draw(view).circle((_TILE / 2, _TILE / 2), 0.1 / VIEW_SPAN * _TILE, fill=_BLUE)
  change = (now.astype(np.float64) - before)[..., None] / 255.0
  strength = np.clip(3.0 * np.abs(change), 0, 1)  # a full step moves edges by 0.4 pixels
  color = np.where(change > 0, np.array(_BLUE), np.array(_ORANGE))
  moved = _tile(np.array(_FREE) * (1 - strength) + color * strength)
  top = _MARGIN + _TITLE
  for picture, edge in ((view, top), (moved, top + _TILE + _CAPTION + _TITLE)):
    page.paste(picture, (scene.right, edge))
    box = (scene.right, edge, scene.right + _TILE - 1, edge + _TILE - 1)
    ImageDraw.Draw(page).rectangle(box, outline=_MUTED)


def _tile(pixels: np.ndarray) -> Image.Image:
  picture = Image.fromarray(pixels.astype(np.uint8))
  return picture.resize((_TILE, _TILE), Image.Resampling.NEAREST)


def _scale(walls: np.ndarray) -> int:
  return max(4, _MAP_PIXELS // max(walls.shape))


def _star(column: float, row: float, radius: float) -> list[tuple[float, float]]:
  angles = np.arange(10) * np.pi / 5 - np.pi / 2
  radii = np.where(np.arange(10) % 2 == 0, radius, 0.45 * radius)
  across, down = column + radii * np.cos(angles), row + radii * np.sin(angles)
  return list(zip(across.tolist(), down.tolist(), strict=True))
