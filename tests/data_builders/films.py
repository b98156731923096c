"""Tiny films of a square that jumps about, made with ffmpeg."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np

ROWS, COLUMNS = 48, 64


def scene(frames: int, *, view: int = 0, seed: int = 0, delay: int = 0) -> np.ndarray:
  """uint8 `[frames, 48, 64, 3]`: a square moves at random instants, seen from two sides.

  The views differ in colour and in where the square is, not in when it moves.
  """
  noise = np.random.default_rng(seed)
  steps = noise.integers(0, 9, 400) * (noise.random(400) < 0.4)
  place = np.cumsum(steps)[100 - delay : 100 - delay + frames] % 48
  pictures = np.full((frames, ROWS, COLUMNS, 3), 60, np.uint8)
  for picture, x in zip(pictures, place, strict=True):
    across = x if view == 0 else 48 - x
    picture[12 + 8 * view : 28 + 8 * view, across : across + 16, view % 3] = 220
  return pictures


def write(path: Path, pictures: np.ndarray, *, fps: float = 10, codec: str = "libx264") -> Path:
  """Encodes pictures; `ffv1` and `rawvideo` lose nothing."""
  rows, columns = pictures.shape[1:3]
  command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", "-f", "rawvideo"]
  command += ["-pix_fmt", "rgb24", "-s", f"{columns}x{rows}", "-r", str(fps), "-i", "-"]
  command += ["-c:v", codec]
  if codec == "libx264":
    command += ["-pix_fmt", "yuv420p", "-crf", "10", "-g", "8", "-movflags", "+faststart"]
  else:
    command += ["-pix_fmt", "bgr24"]
  subprocess.run([*command, str(path)], input=pictures.tobytes(), check=True)
  return path


def pair(folder: Path, name: str, *, frames: int = 12, seed: int = 0, ending: str = "mp4") -> None:
  """A demonstration from two views in step."""
  for view in (0, 1):
    write(folder / f"{name}_view{view}.{ending}", scene(frames, view=view, seed=seed))
