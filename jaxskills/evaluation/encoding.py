"""What all films have in common: frames go to ffmpeg through a pipe, and words are in one font."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import imageio_ffmpeg
import matplotlib as mpl
import numpy as np
from PIL import ImageFont


def encode(path: Path, frames: Iterable[np.ndarray], width: int, height: int, fps: int) -> Path:
  """Writes an MP4 (H.264) with the ffmpeg that imageio-ffmpeg ships.

  Args:
    path: where to write; replaced only once the film is complete.
    frames: each uint8 `[height, width, 3]`; drawn as ffmpeg takes them.
    width: in pixels, even as H.264 wants it.
    height: likewise.
    fps: frames shown a second.

  Raises:
    ValueError: for odd sides, or a frame of another size.
    RuntimeError: if ffmpeg is missing or fails.
  """
  path = Path(path)
  if width % 2 or height % 2:
    raise ValueError(f"H.264 needs even sides, got {width} x {height}")
  unfinished = partial(path)
  # imageio-ffmpeg's own writer forks with a hook, against which JAX's threads warn.
  command = [
    imageio_ffmpeg.get_ffmpeg_exe(),
    "-y",
    "-loglevel",
    "error",
    "-f",
    "rawvideo",
    "-pix_fmt",
    "rgb24",
    "-s",
    f"{width}x{height}",
    "-r",
    str(fps),
    "-i",
    "-",
    "-an",
    "-c:v",
    "libx264",
    "-crf",
    "19",
    "-preset",
    "veryfast",
    "-pix_fmt",
    "yuv420p",
    "-movflags",
    "+faststart",
    str(unfinished),
  ]
  encoder = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
  try:
    assert encoder.stdin is not None
    try:
      for frame in frames:
        if frame.shape != (height, width, 3):
          raise ValueError(f"a frame has shape {frame.shape}, not {(height, width, 3)}")
        encoder.stdin.write(np.ascontiguousarray(frame))
    except BrokenPipeError:
      pass  # ffmpeg gave up; its own words below say why
    _, said = encoder.communicate()
    if encoder.returncode != 0:
      raise RuntimeError(f"ffmpeg failed: {said.decode(errors='replace').strip()}")
    os.replace(unfinished, path)
  finally:
    encoder.kill()
    encoder.wait()
    unfinished.unlink(missing_ok=True)
  return path


def partial(path: Path) -> Path:
  """Where a film is written until it is complete."""
  return Path(path).with_suffix(".partial.mp4")


def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
  """DejaVu Sans, which matplotlib ships."""
  name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
  return ImageFont.truetype(os.path.join(mpl.get_data_path(), "fonts", "ttf", name), size)
