"""Films a recorded walk with C MuJoCo off screen, in a process of its own.

OpenGL is chosen by an environment variable that MuJoCo reads on import, and a broken driver may
abort the process: `film_walk` therefore starts `python -m jaxskills.evaluation.robot_film` with
EGL, then with OSMesa, and says what to install where neither draws. The film is made from recorded
positions alone, so it shows what happened and nothing that was simulated anew.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from PIL import Image, ImageDraw

import jaxskills
from jaxskills.assets.h1 import h1_model
from jaxskills.evaluation import encoding, walk_gait, walk_record
from jaxskills.evaluation.walk_record import WalkRecord

FRAMES_PER_SECOND = 25
WIDTH, HEIGHT, CAPTION = 640, 480, 64  # pixels; the caption is below the picture
STILLS = 8
STILL_WIDTH, STILL_HEIGHT, STILL_CAPTION = 240, 400, 44  # pixels
_BACKENDS = ("egl", "osmesa")
_INSTALL = "to get a film, install libegl1 and libgl1-mesa-dri, or libosmesa6 (Debian's names)"
_FAILED = 3  # exit status of a process that can draw, and says what went wrong
_TIMEOUT = 900  # s; half a minute on two idle cores
_CAMERA_SECONDS = 0.8  # that the camera's path is smoothed over
_PUSH_SECONDS = 0.6  # that the caption tells of a push
_SHADOW_RADIUS, _SHADOW_REACH = 0.11, 0.2  # m; drawn under a foot up to this height
_INK, _MUTED, _PAPER = (17, 24, 39), (75, 85, 99), (246, 247, 249)
_RED, _SIDES = (193, 18, 31), (("L", (0, 114, 178)), ("R", (213, 94, 0)))


def film_walk(recording: Path, film: Path, strip: Path | None = None) -> None:
  """Writes an MP4 of a recording in real time and, if asked for, a PNG of one gait cycle.

  Args:
    recording: file of `walk_record.save`.
    film: the MP4 to write.
    strip: the PNG to write: `STILLS` pictures side by side.

  Raises:
    RuntimeError: if nothing draws off screen, saying what to install, or if drawing failed.
  """
  film = Path(film)
  command = [sys.executable, "-P", "-m", "jaxskills.evaluation.robot_film"]
  command += [str(recording), str(film)] + ([] if strip is None else ["--strip", str(strip)])
  package = str(Path(jaxskills.__file__).resolve().parents[1])
  path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
  chosen = os.environ.get("MUJOCO_GL")
  backends = [chosen] if chosen else _BACKENDS
  try:
    for backend in backends:
      environment = {**os.environ, "MUJOCO_GL": backend, "PYTHONPATH": path}
      done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT, check=False
      )
      if done.returncode == 0:
        return
      if done.returncode == _FAILED:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
  except subprocess.TimeoutExpired:
    raise RuntimeError(f"drawing took more than {_TIMEOUT} s") from None
  finally:
    encoding.partial(film).unlink(missing_ok=True)
  raise RuntimeError(f"no OpenGL draws off screen ({', '.join(backends)} tried); {_INSTALL}")


def frames(record: WalkRecord, renderer: mujoco.Renderer) -> Iterator[np.ndarray]:
  """Draws the film's frames, each uint8 `[HEIGHT + CAPTION, WIDTH, 3]`.

  The speeds in the caption are means over a turn of the gait clock, since a hip sways with
  every step; there are none after a fall.

  Args:
    record: what happened.
    renderer: of `h1_model`, `WIDTH` by `HEIGHT`.
  """
  data = mujoco.MjData(renderer.model)
  speed = np.column_stack([record.velocity[:, :2], record.yaw_rate])
  speed = walk_gait.gait_mean(record, speed)
  place = walk_gait.smoothed(record.qpos[:, :2], _CAMERA_SECONDS, record.step_seconds)
  azimuth = float(np.degrees(record.yaw[0])) + 125.0  # from the right and a little ahead
  for row in shown(record):
    camera = _camera(place[row], azimuth, -8.0, 3.1)
    page = Image.new("RGB", (WIDTH, HEIGHT + CAPTION), _PAPER)
    page.paste(Image.fromarray(_draw(renderer, data, record, row, camera)))
    _write_caption(page, record, row, speed[row])
    yield np.asarray(page)


def shown(record: WalkRecord) -> np.ndarray:
  """Rows that the film shows, one a frame."""
  every = 1.0 / (FRAMES_PER_SECOND * record.step_seconds)
  number = max(1, round(len(record.qpos) / every))
  return np.minimum(np.round(np.arange(number) * every).astype(int), len(record.qpos) - 1)


def filmstrip(record: WalkRecord, renderer: mujoco.Renderer) -> Image.Image:
  """One gait cycle from the right, `STILLS` pictures side by side.

  Args:
    record: what happened.
    renderer: of `h1_model`, `STILL_WIDTH` by `STILL_HEIGHT`.

  Raises:
    ValueError: if there is no whole cycle.
  """
  data, rows = mujoco.MjData(renderer.model), cycle(record)
  page = Image.new("RGB", (STILLS * STILL_WIDTH, STILL_HEIGHT + STILL_CAPTION), _PAPER)
  draw, font = ImageDraw.Draw(page), encoding.font(17)
  for index, row in enumerate(rows):
    azimuth = float(np.degrees(record.yaw[row])) + 90.0
    camera = _camera(record.qpos[row, :2], azimuth, -5.0, 2.7)
    left = index * STILL_WIDTH
    page.paste(Image.fromarray(_draw(renderer, data, record, row, camera)), (left, 0))
    seconds = (row - rows[0]) * record.step_seconds
    draw.text((left + 10, STILL_HEIGHT + 11), f"{seconds:.2f} s", font=font, fill=_INK)
    _draw_contacts(draw, record.contact[row], left + STILL_WIDTH - 74, STILL_HEIGHT + 11, 17)
  return page


def cycle(record: WalkRecord) -> np.ndarray:
  """`STILLS` rows, evenly spaced, of the last whole turn of the clock at the fastest command.

  Raises:
    ValueError: if no command was walked for a whole turn of the clock.
  """
  walking, best = walk_gait.walking(record), (-np.inf, 0, 0)
  for segment in walk_gait.segments(record):
    rows = np.arange(segment.start, segment.stop)
    rows = rows[walking[rows]]
    starts = rows[1:][record.phase[rows[1:]] < record.phase[rows[:-1]]] if rows.size else rows
    forward, _, turn = record.command[segment.start]
    if len(starts) >= 2 and forward - abs(turn) > best[0]:
      best = (forward - abs(turn), starts[-2], starts[-1])
  if best[2] == 0:
    raise ValueError("no whole cycle of the gait was walked")
  return np.round(np.linspace(best[1], best[2], STILLS, endpoint=False)).astype(int)


def make_renderer(width: int, height: int) -> mujoco.Renderer:
  """A renderer of the robot as it looks: no reflections, a disc for the shadow of each foot."""
  model = h1_model(looks=True)
  renderer = mujoco.Renderer(model, height, width)
  for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
    renderer.scene.flags[flag] = False  # they take three quarters of the time, drawn without a GPU
  return renderer


def _camera(
  place: np.ndarray, azimuth: float, elevation: float, distance: float
) -> mujoco.MjvCamera:
  camera = mujoco.MjvCamera()
  camera.type = mujoco.mjtCamera.mjCAMERA_FREE
  camera.lookat[:] = (*place, 0.88)
  camera.azimuth, camera.elevation, camera.distance = azimuth, elevation, distance
  return camera


def _draw(
  renderer: mujoco.Renderer, data: Any, record: WalkRecord, row: int, camera: mujoco.MjvCamera
) -> np.ndarray:
  """The robot in a recorded position."""
  data.qpos[:] = record.qpos[row]
  mujoco.mj_fwdPosition(renderer.model, data)
  renderer.update_scene(data, camera)
  scene, flat = renderer.scene, np.array([_SHADOW_RADIUS, 0.7 * _SHADOW_RADIUS, 0.001])
  for side in ("left", "right"):
    foot = data.site(f"{side}_foot")
    height = float(foot.xpos[2])
    if height < _SHADOW_REACH and scene.ngeom < scene.maxgeom:
      color = np.array([0, 0, 0, 0.4 * (1 - max(height, 0.0) / _SHADOW_REACH)], np.float32)
      ground = np.array([foot.xpos[0], foot.xpos[1], 0.002])
      forward = np.arctan2(foot.xmat[3], foot.xmat[0])
      cos, sin = np.cos(forward), np.sin(forward)
      turn = np.array([cos, -sin, 0, sin, cos, 0, 0, 0, 1])
      kind = mujoco.mjtGeom.mjGEOM_ELLIPSOID
      mujoco.mjv_initGeom(scene.geoms[scene.ngeom], kind, flat, ground, turn, color)
      scene.ngeom += 1
  return renderer.render()


def _write_caption(page: Image.Image, record: WalkRecord, row: int, speed: np.ndarray) -> None:
  """Time, what is asked, what is done, feet on the ground, and what befell the robot."""
  draw, font, bold = ImageDraw.Draw(page), encoding.font(14), encoding.font(14, bold=True)
  first, second = HEIGHT + 11, HEIGHT + 35
  draw.text((14, first), f"{record.time[row]:5.1f} s", font=bold, fill=_INK)
  for top, word, values, ink in (
    (first, "asked", record.command[row], _MUTED),
    (second, "does", speed, _INK),
  ):
    draw.text((90, top), word, font=font, fill=ink)
    for left, name, value, unit in zip(
      (148, 306, 440), ("forward", "left", "turn"), values, ("m/s", "m/s", "rad/s"), strict=True
    ):
      if np.isfinite(value):
        said = f"{name} {round(float(value), 2) + 0.0:.2f} {unit}"
        draw.text((left, top), said, font=font, fill=ink)
  _draw_contacts(draw, record.contact[row], WIDTH - 66, second, 14)
  if words := event(record, row):
    draw.text((14, 12), words, font=encoding.font(20, bold=True), fill=_RED)


def _draw_contacts(
  draw: ImageDraw.ImageDraw, contact: np.ndarray, left: int, top: int, size: int
) -> None:
  """A filled disc with the side's letter for a foot on the ground, a ring for one in the air."""
  font, radius = encoding.font(size - 3, bold=True), 0.6 * size
  for index, (letter, color) in enumerate(_SIDES):
    centre = (left + radius + index * 2.0 * size, top + 0.55 * size)
    is_down = bool(contact[index])
    draw.circle(centre, radius, fill=color if is_down else None, outline=color, width=2)
    ink = (255, 255, 255) if is_down else color
    draw.text(centre, letter, font=font, fill=ink, anchor="mm")


def event(record: WalkRecord, row: int) -> str:
  """A push not long ago, or a fall, in words; nothing else."""
  if record.fell[: row + 1].any():
    return "fell"
  since = max(0, row + 1 - round(_PUSH_SECONDS / record.step_seconds))
  pushed = np.flatnonzero(record.push[since : row + 1].any(axis=1))
  if not pushed.size:
    return ""
  forward, left = record.push[since + pushed[-1]]
  if abs(left) >= abs(forward):
    origin = "right" if left > 0 else "left"
  else:
    origin = "back" if forward > 0 else "front"
  return f"pushed from the {origin}, {np.hypot(forward, left):.1f} m/s"


def main(arguments: list[str] | None = None) -> int:
  """Draws in this process, with the OpenGL that MUJOCO_GL names.

  Whatever goes wrong before there is a picture is OpenGL's and raises; after that it is told in
  one line, and the status is `_FAILED`.
  """
  parser = argparse.ArgumentParser()
  parser.add_argument("recording", type=Path)
  parser.add_argument("film", type=Path)
  parser.add_argument("--strip", type=Path)
  told = parser.parse_args(arguments)
  with make_renderer(WIDTH, HEIGHT) as renderer:
    renderer.update_scene(mujoco.MjData(renderer.model))
    renderer.render()
    try:
      record = walk_record.load(told.recording)
      drawn = frames(record, renderer)
      encoding.encode(told.film, drawn, WIDTH, HEIGHT + CAPTION, FRAMES_PER_SECOND)
    except Exception as error:
      return _complain(error)
  if told.strip is not None:
    with make_renderer(STILL_WIDTH, STILL_HEIGHT) as renderer:
      try:
        filmstrip(record, renderer).save(told.strip)
      except Exception as error:
        return _complain(error)
  return 0


def _complain(error: Exception) -> int:
  print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
  return _FAILED


if __name__ == "__main__":
  sys.exit(main())
