"""Imports films into a `VideoStore`: two passes, the first to judge them and the second to decode.

The first pass decodes tiny grey frames: it counts them, finds damage, and compares the motion of
the views. Only if all films are fit does the second write anything.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxskills.data.video_plan import StorePlan
from jaxskills.data.video_store import VideoStore, make_index
from jaxskills.data.video_writer import StoreWriter
from jaxskills.data_builders.multiview_video.decoding import Limits, decode, probe
from jaxskills.data_builders.multiview_video.names import Films, find_films
from jaxskills.data_builders.multiview_video.synchrony import motion, offset
from jaxskills.errors import UserError

TINY = 32
"""Rows and columns of the frames of the first pass."""
PIECE = 32
"""Frames that lie in memory at once."""


class ImportSettings(NamedTuple):
  """How films are read and how much is forgiven.

  Attributes:
    rows: height of a stored frame in pixels.
    columns: width of a stored frame in pixels.
    frames_per_second: of all videos; None keeps that of each film.
    tolerance_seconds: views of one name may differ so much in length; they are cut to the shortest.
      TCN's released code forgives 100 frames of about 29 a second.
    max_offset_seconds: views may be so much out of step, as far as their motion tells.
    skip_bad: leaves out what is damaged, unequal or out of step, and says so, instead of refusing.
    limits: what a film may take.
  """

  rows: int = 128
  columns: int = 128
  frames_per_second: float | None = None
  tolerance_seconds: float = 0.5
  max_offset_seconds: float = 0.2
  skip_bad: bool = False
  limits: Limits = Limits()


class _Judged(NamedTuple):
  """Films that are fit to be imported."""

  films: Films
  length: int
  frames_per_second: float
  sha256: tuple[str, ...]


def import_films(
  folder: str | Path,
  directory: str | Path,
  settings: ImportSettings | None = None,
  *,
  progress: Callable[[int, int], None] | None = None,
  note: Callable[[str], None] | None = None,
) -> VideoStore:
  """Imports all films of a folder, or what an earlier import has left to do.

  Args:
    folder: the films; see `names.find_films`.
    directory: the store's own folder.
    settings: how.
    progress: called as `progress(done, total)` at first, after each video is judged, and after each
      is decoded; so the total is twice the videos.
    note: told, one line each, what was cut, left out, or is a little out of step.

  Returns:
    The store.

  Raises:
    UserError: for what is wrong with the films, or the disk.
  """
  settings, note = settings or ImportSettings(), note or (lambda line: None)
  progress = progress or (lambda done, total: None)
  _check(settings)
  films, views = find_films(Path(folder))
  judged: list[_Judged] = []
  progress(0, 2 * len(films))
  for number, one in enumerate(films):
    try:
      judged.append(_judge(one, views, settings, note))
    except UserError as error:
      if not settings.skip_bad:
        raise
      note(f"left out {one.name}: {error}")
    progress(number + 1, 2 * len(films))
  if not judged:
    raise UserError(f"none of the {len(films)} videos in {folder} is fit to be imported")
  with StoreWriter(directory, _plan(judged, views, settings)) as writer:
    missing = writer.missing(verify=True)
    done = 2 * len(films) - len(missing)
    for count, video in enumerate(missing):
      writer.write(video, _pieces(judged[video], settings))
      progress(done + count + 1, 2 * len(films))
    return writer.finish()


def _check(settings: ImportSettings) -> None:
  if not 2 <= min(settings.rows, settings.columns) <= max(settings.rows, settings.columns) <= 4096:
    raise UserError(f"frames of {settings.rows} x {settings.columns} pixels cannot be stored")
  rate = settings.frames_per_second
  if rate is not None and not 0.01 <= rate <= 1000:
    raise UserError(f"{rate} frames a second is no rate of a film")


def _judge(
  films: Films, views: tuple[str, ...], settings: ImportSettings, note: Callable[[str], None]
) -> _Judged:
  """The first pass over the films of one name."""
  headers = [probe(path, settings.limits) for path in films.paths]
  rates = [header.frames_per_second for header in headers]
  rate = settings.frames_per_second or rates[0]
  if settings.frames_per_second is None and (not rate or max(rates) - min(rates) > 0.01 * rate):
    told = ", ".join(f"{view} {one:g}" for view, one in zip(views, rates, strict=True))
    raise UserError(f"views of {films.name} differ in frames a second ({told}); choose one (--fps)")
  tiny = {"rows": TINY, "columns": TINY, "grey": True, "limits": settings.limits}
  moving = []
  for path in films.paths:
    frames = decode(path, frames_per_second=rate, **tiny)
    moving.append(motion(np.stack(list(frames))))
  lengths = [len(one) + 1 for one in moving]
  length = min(lengths)
  if max(lengths) - length > settings.tolerance_seconds * rate:
    told = ", ".join(f"{view} {one}" for view, one in zip(views, lengths, strict=True))
    raise UserError(
      f"views of {films.name} differ in length ({told} frames at {rate:g} a second), by more than"
      f" {settings.tolerance_seconds:g} s; cut them, or forgive more (--tolerance)"
    )
  if max(lengths) > length:
    note(
      f"{films.name}: the longest view is {max(lengths) - length} frames longer; cut to {length}"
    )
  _check_step(films, views, moving, rate, settings, note)
  return _Judged(films, length, rate, tuple(_sha256(path) for path in films.paths))


def _check_step(
  films: Films,
  views: tuple[str, ...],
  moving: list[np.ndarray],
  rate: float,
  settings: ImportSettings,
  note: Callable[[str], None],
) -> None:
  """Refuses views that are clearly out of step by more than the limit."""
  allowed = settings.max_offset_seconds * rate
  for view, other in zip(views[1:], moving[1:], strict=True):
    found = offset(moving[0], other, most=max(round(2.0 * rate), 1 + int(allowed)))
    if not found.is_clear or not found.frames:
      continue
    told = (
      f"{view} of {films.name} is {abs(found.frames)} frames"
      f" {'behind' if found.frames > 0 else 'ahead of'} {views[0]}, as their motion tells"
    )
    if abs(found.frames) > allowed:
      raise UserError(
        f"{told} (correlation {found.correlation:.2f}, {found.correlation_at_zero:.2f} unshifted);"
        " cut its start, or forgive more (--max-offset)"
      )
    note(told)


def _plan(judged: list[_Judged], views: tuple[str, ...], settings: ImportSettings) -> StorePlan:
  tasks = tuple(sorted({one.films.task for one in judged}))
  return StorePlan(
    index=make_index(
      [one.length for one in judged],
      seconds_per_frame=[1.0 / one.frames_per_second for one in judged],
      task=[tasks.index(one.films.task) for one in judged],
      is_success=[one.films.is_success for one in judged],
      split=[one.films.split for one in judged],
    ),
    names=tuple(one.films.name for one in judged),
    tasks=tasks,
    views=views,
    rows=settings.rows,
    columns=settings.columns,
    recipe={
      "importer": "multiview_video",
      "films_sha256": {one.films.name: list(one.sha256) for one in judged},
    },
  )


def _pieces(judged: _Judged, settings: ImportSettings) -> Iterator[np.ndarray]:
  """The frames of all views together, a few at a time."""
  with ExitStack() as opened:
    streams = []
    for path in judged.films.paths:
      stream = decode(
        path,
        rows=settings.rows,
        columns=settings.columns,
        frames_per_second=judged.frames_per_second,
        limits=settings.limits,
      )
      streams.append(opened.enter_context(closing(stream)))
    for start in range(0, judged.length, PIECE):
      count = min(PIECE, judged.length - start)
      piece = [frame for _ in range(count) for stream in streams for frame in islice(stream, 1)]
      if len(piece) < count * len(streams):
        raise UserError(f"films of {judged.films.name} became shorter while they were imported")
      yield np.stack(piece).reshape(count, len(streams), *piece[0].shape)


def _sha256(path: Path) -> str:
  with path.open("rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()
