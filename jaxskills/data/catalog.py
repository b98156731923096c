"""What samplers draw from and what they give: videos and frames by number."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxskills.data.video_store import VideoStore
from jaxskills.errors import UserError

FRAME_TOLERANCE = 1e-3
"""Of a frame: 0.5 s at 12 frames a second are 6 frames, whatever the rounding, and not 7."""


Seconds = float | Float[Array, ""]
"""A Python number, or a traced one: no shape depends on it."""


class Picks(NamedTuple):
  """Frames of a store by number; the axes are those of the batch."""

  video: Int[Any, "..."]
  """In the store."""
  frame: Int[Any, "..."]
  """Row of `VideoStore.frames`."""
  view: Int[Any, "..."]
  """Position on the axis `view` of `VideoStore.frames`."""
  seconds: Float[Any, "..."]
  """Since the start of the video."""


class Catalog(NamedTuple):
  """The videos and views that a sampler may draw from."""

  video: Int[Any, "videos"]
  """Their numbers in the store."""
  start: Int[Any, "videos"]
  """Row of the first frame in `VideoStore.frames`."""
  length: Int[Any, "videos"]
  """In frames."""
  seconds_per_frame: Float[Any, "videos"]
  task: Int[Any, "videos"]
  """Which of `VideoStore.tasks`."""
  views: Int[Any, "views"]
  """Allowed positions on the axis `view`."""


def make_catalog(
  store: VideoStore, videos: np.ndarray | None = None, views: Sequence[str] | None = None
) -> Catalog:
  """Lists videos of a store, and cameras by name.

  Args:
    store: the videos.
    videos: numbers as `VideoStore.select` gives them; all if None.
    views: names of cameras; all if None.

  Raises:
    UserError: for no videos, or a camera that does not exist.
  """
  chosen = np.arange(len(store.names)) if videos is None else np.asarray(videos)
  if not len(chosen):
    raise UserError(f"no video of {store.directory} is of the tasks, splits and outcome asked for.")
  names = store.views if views is None else tuple(views)
  if unknown := [name for name in names if name not in store.views]:
    raise UserError(f"no view {unknown[0]} in {store.directory}; it has {', '.join(store.views)}")
  index = store.index
  return Catalog(
    video=chosen.astype(np.int32),
    start=index.start[chosen].astype(np.int32),
    length=index.length[chosen].astype(np.int32),
    seconds_per_frame=index.seconds_per_frame[chosen],
    task=index.task[chosen],
    views=np.array([store.views.index(name) for name in names], np.int32),
  )


def check_lengths(catalog: Catalog, needed: Any, store: VideoStore, purpose: str) -> None:
  """Refuses videos that are too short for a sampler, on the host.

  Args:
    catalog: what it draws from.
    needed: frames, one number or `[videos]`, from `frames_of_instants` or its siblings.
    store: for the names.
    purpose: what needs them, e.g. `"4 instants 0.5 s apart"`.

  Raises:
    UserError: naming the first video that is too short.
  """
  needed = np.broadcast_to(needed, np.shape(catalog.length))
  short = np.flatnonzero(catalog.length < needed)
  if len(short):
    first = short[0]
    name = store.names[int(catalog.video[first])]
    raise UserError(
      f"video {name} has {catalog.length[first]} frames, and {purpose} need"
      f" {needed[first]}; ask for less or leave it out"
      f" ({len(short)} of {len(catalog.length)} videos are too short)."
    )


def frames_of_instants(
  catalog: Catalog,
  *,
  times: int,
  margin_seconds: Seconds,
  frames: int = 1,
  stride_seconds: Seconds = 0.0,
) -> Int[Array, "videos"]:
  """The shortest video that has so many instants so far apart, with frames before each."""
  gap, stride = gap_frames(catalog, margin_seconds), stride_frames(catalog, stride_seconds)
  return (times - 1) * gap + (frames - 1) * stride + 1


def frames_of_triples(catalog: Catalog, *, min_gap_seconds: Seconds) -> Int[Array, "videos"]:
  """The shortest video that holds three frames and one outside of them."""
  return gap_frames(catalog, min_gap_seconds) + 3


def gap_frames(catalog: Catalog, seconds: Seconds) -> Int[Array, "videos"]:
  """Frames that are at least so long, and at least one."""
  frames = seconds / jnp.asarray(catalog.seconds_per_frame)
  return jnp.maximum(jnp.ceil(frames - FRAME_TOLERANCE), 1).astype(jnp.int32)


def stride_frames(catalog: Catalog, seconds: Seconds) -> Int[Array, "videos"]:
  """The nearest number of frames, at least one."""
  frames = seconds / jnp.asarray(catalog.seconds_per_frame)
  return jnp.maximum(jnp.round(frames), 1).astype(jnp.int32)
