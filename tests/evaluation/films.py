"""Reads films back."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np


def frames(path: Path, width: int, height: int) -> np.ndarray:
  """All frames, uint8 `[frames, height, width, 3]`."""
  command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(path)]
  command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
  content = subprocess.run(command, capture_output=True, check=True).stdout
  return np.frombuffer(content, np.uint8).reshape(-1, height, width, 3)
