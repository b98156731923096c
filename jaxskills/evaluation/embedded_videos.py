"""Videos as a model sees them: every frame of every view embedded, with the labels that judge it.

A model is any function of frames; a state measured by sensors comes in the same form, so that one
scoring serves both.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxskills.data.video_store import VideoStore
from jaxskills.evaluation import video_baselines

Embed = Callable[[np.ndarray], Any]
"""uint8 `[n, rows, columns, 3]`, or `[n, frame, rows, columns, 3]` for a model of several frames,
to `[n, dim]`."""


class EmbeddedVideo(NamedTuple):
  """One demonstration.

  Attributes:
    name: of the video.
    task: its name.
    is_success: false for a fake demonstration.
    seconds_per_frame: s.
    embeddings: float32 `[time, view, dim]`.
    labels: `[time, ...]` each; may be empty.
  """

  name: str
  task: str
  is_success: bool
  seconds_per_frame: float
  embeddings: np.ndarray
  labels: Mapping[str, np.ndarray]


def embed_videos(
  embed: Embed,
  store: VideoStore,
  videos: Sequence[int] | np.ndarray,
  views: Sequence[int],
  *,
  batch: int = 256,
  offsets: Sequence[int] = (0,),
) -> list[EmbeddedVideo]:
  """Embeds all frames of some videos and views.

  Args:
    embed: the model; always called with `batch` frames (or stacks), so that it is compiled once.
    store: where the videos lie.
    videos: their numbers.
    views: numbers of the cameras, in the order of the axis `view`.
    batch: frames embedded at once.
    offsets: of a model of several frames, where they lie, in frames from the present one, in the
      order that it takes them, e.g. `(-8, 0)`; before a video's start its first frame stands in.

  Raises:
    ValueError: if an embedding is not finite, naming the video.
  """
  plan = [_stacks(store, int(video), len(views), offsets) for video in videos]
  rows = np.concatenate(plan)
  view = np.tile(np.asarray(views), len(rows) // len(views))
  found: list[np.ndarray] = []
  for first in range(0, len(rows), batch):
    few, cameras = rows[first : first + batch], view[first : first + batch, None]
    frames = store.frames[few, cameras]
    frames = np.concatenate([frames, np.repeat(frames[-1:], batch - len(few), axis=0)])
    out = np.asarray(embed(frames[:, 0] if len(offsets) == 1 else frames), np.float32)
    found.append(out[: len(few)])
  flat = np.concatenate(found)
  parts = np.split(flat, np.cumsum([len(stacks) for stacks in plan])[:-1])
  return [
    _described(store, int(video), part.reshape(-1, len(views), flat.shape[1]))
    for video, part in zip(videos, parts, strict=True)
  ]


def measure_videos(
  kind: video_baselines.State,
  store: VideoStore,
  videos: Sequence[int] | np.ndarray,
  views: Sequence[int],
  *,
  seed: int = 0,
) -> list[EmbeddedVideo]:
  """States in the place of embeddings, measured once per view; see `video_baselines`."""
  made = []
  for video in videos:
    labels = _labels(store, int(video))
    state = video_baselines.measured_state(labels, kind, len(views), [seed, int(video)])
    made.append(_described(store, int(video), state.astype(np.float32)))
  return made


def _stacks(store: VideoStore, video: int, views: int, offsets: Sequence[int]) -> np.ndarray:
  """Rows in `store.frames` of each time and view, `[time * view, frame]`, views fastest."""
  rows = store.rows_of(video)
  at = np.arange(rows.start, rows.stop)[:, None] + np.asarray(offsets)
  return np.repeat(np.clip(at, rows.start, rows.stop - 1), views, axis=0)


def _labels(store: VideoStore, video: int) -> dict[str, np.ndarray]:
  rows = store.rows_of(video)
  return {name: np.asarray(values[rows]) for name, values in store.labels.items()}


def _described(store: VideoStore, video: int, embeddings: np.ndarray) -> EmbeddedVideo:
  name = store.names[video]
  if not np.isfinite(embeddings).all():
    raise ValueError(f"the embedding of video {name} is not finite")
  return EmbeddedVideo(
    name,
    store.tasks[int(store.index.task[video])],
    bool(store.index.is_success[video]),
    float(store.index.seconds_per_frame[video]),
    embeddings,
    _labels(store, video),
  )
