"""Films as frames: ffmpeg in a process of its own, under limits, and its words as one line.

A film is data from anywhere, so ffmpeg may open this file and no other (no playlists, no network),
may not take longer or make larger pictures than allowed, and any error that it reports, a cut-off
end among them, makes the film a damaged one.
"""

import contextlib
import re
import subprocess
import tempfile
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import imageio_ffmpeg
import numpy as np

from jaxskills.errors import UserError

_STREAM = re.compile(r"^\s*Stream #.*: Video: .*\b(\d{2,5})x(\d{2,5})\b(.*)$", re.MULTILINE)
_RATE = re.compile(r"(\d+(?:\.\d+)?)(k?) (?:fps|tbr)\b")


class Limits(NamedTuple):
  """What a single film may take."""

  max_pixels: int = 4096 * 2304
  """Of a picture as it is filmed."""
  max_seconds: float = 600.0
  """Of film."""
  timeout_seconds: float = 900.0
  """To decode it."""


class Film(NamedTuple):
  """What a file says of itself."""

  rows: int
  columns: int
  frames_per_second: float
  """0 where it does not say."""


def probe(path: Path, limits: Limits) -> Film:
  """Reads the header of a film.

  Raises:
    UserError: if it is no film, or its pictures are too large.
  """
  command = [*_input(path, limits), "-hide_banner"]
  try:
    said = subprocess.run(
      command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limits.timeout_seconds
    ).stderr.decode(errors="replace")
  except subprocess.TimeoutExpired:
    raise UserError(f"{path} takes longer than {limits.timeout_seconds:g} s to open") from None
  stream = _STREAM.search(said)
  if stream is None:
    raise UserError(f"{path} is damaged or no film: {_reason(said)}")
  columns, rows = int(stream[1]), int(stream[2])
  if rows * columns > limits.max_pixels:
    raise UserError(
      f"{path} has pictures of {columns} x {rows} pixels; at most {limits.max_pixels:,} are allowed"
    )
  rate = _RATE.search(stream[3])
  frames_per_second = float(rate[1]) * (1000 if rate[2] else 1) if rate else 0.0
  return Film(rows, columns, frames_per_second)


def decode(
  path: Path,
  *,
  rows: int,
  columns: int,
  frames_per_second: float,
  limits: Limits,
  grey: bool = False,
) -> Generator[np.ndarray, None, None]:
  """Decodes a film frame by frame, at a constant rate.

  A picture is scaled until it covers the asked size, averaging over its pixels, and what sticks out
  is cut off on both sides alike. Where the film has fewer or more frames a second, or an uneven
  rate, the nearest in time is taken.

  Args:
    path: the film.
    rows: height of a frame.
    columns: width of a frame.
    frames_per_second: from the start of the film on.
    limits: what it may take.
    grey: one channel instead of three.

  Yields:
    uint8 `[rows, columns, 3]`, or `[rows, columns]` if grey.

  Raises:
    UserError: if the film is damaged, too long, or takes too long.
  """
  pixels = "gray" if grey else "rgb24"
  picture = (
    f"fps=fps={frames_per_second}:start_time=0,"
    f"scale={columns}:{rows}:force_original_aspect_ratio=increase:flags=area,"
    f"format={pixels},crop={columns}:{rows}"
  )
  command = [*_input(path, limits), "-v", "error", "-xerror", "-map", "0:v:0", "-vf", picture]
  command += ["-f", "rawvideo", "-pix_fmt", pixels, "-"]
  shape = (rows, columns) if grey else (rows, columns, 3)
  size, count = int(np.prod(shape)), 0
  with tempfile.TemporaryFile() as words, _running(command, words, limits) as running:
    process, is_late = running
    assert process.stdout is not None
    while len(content := process.stdout.read(size)) == size:
      count += 1
      if count > limits.max_seconds * frames_per_second:
        raise UserError(f"{path} is longer than {limits.max_seconds:g} s; cut it")
      yield np.frombuffer(content, np.uint8).reshape(shape)
    code = process.wait()
    words.seek(0)
    said = words.read(10_000).decode(errors="replace")
    if is_late.is_set():
      raise UserError(f"{path} takes longer than {limits.timeout_seconds:g} s to decode")
    if code or said or content or not count:
      raise UserError(f"{path} is damaged after {count} frames: {_reason(said)}")


@contextlib.contextmanager
def _running(
  command: list[str], words: IO[bytes], limits: Limits
) -> Iterator[tuple[subprocess.Popen[bytes], threading.Event]]:
  """A process that does not outlive this context, nor its time."""
  is_late = threading.Event()
  process = subprocess.Popen(
    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words, bufsize=1 << 20
  )

  def end() -> None:
    is_late.set()
    process.kill()

  clock = threading.Timer(limits.timeout_seconds, end)
  clock.daemon = True
  clock.start()
  try:
    yield process, is_late
  finally:
    clock.cancel()
    process.kill()
    process.wait()
    if process.stdout is not None:
      process.stdout.close()


def _input(path: Path, limits: Limits) -> list[str]:
  """ffmpeg, reading one film file and nothing else."""
  return [
    imageio_ffmpeg.get_ffmpeg_exe(),
    "-nostdin",
    "-protocol_whitelist",
    "file,pipe",
    "-format_whitelist",
    "mov,mp4,m4a,3gp,3g2,mj2,avi",
    "-max_pixels",
    str(limits.max_pixels),
    "-i",
    f"file:{path.absolute()}",
  ]


def _reason(said: str) -> str:
  """The first thing that ffmpeg complains of, without its addresses."""
  lines = [re.sub(r"\[[^\]]* @ 0x[0-9a-f]+\] ?", "", line).strip() for line in said.splitlines()]
  lines = [line for line in lines if line and not line.startswith(("ffmpeg version", "Input #"))]
  return lines[0] if lines else "it ends early"
