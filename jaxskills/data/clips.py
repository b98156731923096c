"""Which frames a batch takes: samplers as pure functions of a key, and the batches they are for.

A sampler gives indices (`Picks`), and `video_feed` copies the frames that they name. All sizes are
static, all times are in seconds. Every sampler draws videos first (all as often as each other, none
twice before each was drawn once) and then instants in them, uniformly over all sets of instants
that keep to the rules: nothing is clipped to the ends of a video, so its first and last frames are
drawn like any others. A video that is too short for the rules must be refused beforehand, on the
host: see `catalog.check_lengths`.

TCN's released code (research/tcn, data_providers.py) permutes the instants of a window instead, and
ASN's has no margin between instants: neighbouring frames can be each other's negatives there.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxskills.data.catalog import (
  FRAME_TOLERANCE,
  Catalog,
  Picks,
  Seconds,
  gap_frames,
  stride_frames,
)
from jaxskills.data.draws import below, distinct, random_bits
from jaxskills.types import Key


class ViewPairs(NamedTuple):
  """Instants of some videos, each from two cameras; what TCN's multi-view losses take."""

  frames: Any
  """uint8 `[video, time, view=2, rows, columns, 3]`, with an axis `frame` (oldest first) before the
  rows where the network takes several frames. Instants are in order of time."""


class SkillClips(NamedTuple):
  """Short clips, each from two cameras; what ASN's discriminator tells apart."""

  frames: Any
  """uint8 `[clip, view=2, frame, rows, columns, 3]`, oldest frame first."""
  task: Int[Any, "*batch clip"]
  """Which task each clip is of; for diagnostics only, no loss may look at it."""


class AsnBatch(NamedTuple):
  """What one update of ASN takes."""

  pairs: ViewPairs
  skills: SkillClips


class Windows(NamedTuple):
  """Consecutive frames of one camera a video; what single-view TCN takes."""

  frames: Any
  """uint8 `[video, time, rows, columns, 3]`."""
  seconds: Float[Any, "*batch video time"]
  """Since the start of the video."""


class Triples(NamedTuple):
  """Three frames of one camera a clip, in order or not; what shuffle and learn takes."""

  frames: Any
  """uint8 `[clip, 3, rows, columns, 3]`."""
  is_ordered: Bool[Any, "*batch clip"]
  """Whether the middle frame lies between the two others in time."""


def sample_view_pairs(
  key: Key,
  catalog: Catalog,
  *,
  videos: int = 4,
  times: int = 4,
  margin_seconds: Seconds,
  frames: int = 1,
  stride_seconds: Seconds = 0.0,
  views_per: str = "video",
  across_videos: bool = False,
) -> Picks:
  """Draws instants of a video, each from two different cameras.

  Two instants of a video are never less than the margin apart, so what a loss takes for a negative
  is one. The defaults are the batch of ASN's released code: 4 videos, 4 instants, 2 views.

  Args:
    key: typed PRNG key.
    catalog: at least two views.
    videos: how many.
    times: instants a video.
    margin_seconds: least distance of two instants; 0 for any two different frames.
    frames: frames an instant, for networks that see motion (mfTCN); the last is the instant itself
      and the others lie before it, none before the start of the video.
    stride_seconds: between those frames, rounded to whole frames, at least one.
    views_per: `"video"` draws two cameras for all instants of a video, `"instant"` two anew for
      each, as TCN's released code does.
    across_videos: puts all instants on the axis `time` of a single group, such that a loss within
      the group has negatives from other videos too.

  Returns:
    `[video, time, view=2]`, with `frame` behind it if `frames > 1`; `[1, video * time, view=2]` if
    across videos. Instants of a video are in order of time.

  Raises:
    ValueError: for fewer than two views, or more videos than there are, across videos.
  """
  check_views(catalog)
  if views_per not in ("video", "instant"):
    raise ValueError(f"views_per is 'video' or 'instant', not '{views_per}'")
  if across_videos and videos > len(catalog.video):
    raise ValueError(
      f"across videos none may be drawn twice: {videos} asked for, there are {len(catalog.video)}"
    )
  drawn = (videos, times if views_per == "instant" else 1)
  order, time_bits, view_bits = random_bits(
    key, _order_shape(catalog, videos), (videos, times), (2, *drawn)
  )
  rows = _draw_videos(order, videos)
  gap = gap_frames(catalog, margin_seconds)[rows]
  stride = stride_frames(catalog, stride_seconds)[rows]
  reach = (frames - 1) * stride  # frames before an instant
  # Without the margins, sets that keep them become sets of any different numbers.
  room = jnp.asarray(catalog.length)[rows] - reach - (times - 1) * (gap - 1)
  instants = jax.vmap(distinct)(time_bits, room)  # [video, time]
  instants += reach[:, None] + jnp.arange(times) * (gap - 1)[:, None]
  pairs = _two_views(view_bits, catalog)  # [video, time or 1, view]
  shape = (videos, times, 2)
  views = jnp.broadcast_to(pairs, shape)
  instants = jnp.broadcast_to(instants[:, :, None], shape)
  if frames > 1:
    back = jnp.arange(frames - 1, -1, -1) * stride[:, None]  # [video, frame]
    shape = (*shape, frames)
    instants = instants[..., None] - back[:, None, None, :]
    views = jnp.broadcast_to(views[..., None], shape)
  picks = _pick(catalog, rows.reshape(-1, *(1,) * (len(shape) - 1)), instants, views)
  if across_videos:
    picks = jax.tree.map(lambda x: x.reshape(1, videos * times, *x.shape[2:]), picks)
  return picks


def sample_windows(key: Key, catalog: Catalog, *, videos: int, times: int) -> Picks:
  """Draws consecutive frames of one camera, the same number from each video.

  Single-view TCN's batch (research/tcn, svtcn): positives and negatives are told by time, in the
  loss.

  Returns:
    `[video, time]`.
  """
  order, time_bits, view_bits = random_bits(
    key, _order_shape(catalog, videos), (videos,), (videos, 1)
  )
  rows = _draw_videos(order, videos)
  first = below(time_bits, jnp.asarray(catalog.length)[rows] - times + 1)
  view = below(view_bits, len(catalog.views))
  return _pick(
    catalog,
    rows[:, None],
    first[:, None] + jnp.arange(times),
    jnp.asarray(catalog.views)[jnp.broadcast_to(view, (videos, times))],
  )


def sample_skills(
  key: Key, catalog: Catalog, *, clips: int = 8, frames: int = 2, stride_seconds: Seconds = 0.6
) -> tuple[Picks, Int[Array, "clip"]]:
  """Draws short clips, each from two different cameras.

  The defaults are ASN's: 8 clips of 2 frames from 2 views, 15 frames of 24 a second apart. Which
  videos are successes is for the catalog to say: the discriminator must not see fakes.

  Args:
    key: typed PRNG key.
    catalog: at least two views.
    clips: how many.
    frames: a clip.
    stride_seconds: between frames, rounded to whole frames, at least one.

  Returns:
    `[clip, view=2, frame]`, and the task of each clip.

  Raises:
    ValueError: for fewer than two views.
  """
  check_views(catalog)
  order, time_bits, view_bits = random_bits(key, _order_shape(catalog, clips), (clips,), (2, clips))
  rows = _draw_videos(order, clips)
  stride = stride_frames(catalog, stride_seconds)[rows]
  first = below(time_bits, jnp.asarray(catalog.length)[rows] - (frames - 1) * stride)
  times = first[:, None] + jnp.arange(frames) * stride[:, None]  # [clip, frame]
  shape = (clips, 2, frames)
  times = jnp.broadcast_to(times[:, None, :], shape)
  views = jnp.broadcast_to(_two_views(view_bits, catalog)[..., None], shape)
  return _pick(catalog, rows[:, None, None], times, views), jnp.asarray(catalog.task)[rows]


def sample_triples(
  key: Key,
  catalog: Catalog,
  *,
  clips: int,
  max_span_seconds: Seconds = 2.0,
  min_gap_seconds: Seconds = 0.5,
  shuffled_share: float = 0.75,
) -> tuple[Picks, Bool[Array, "clip"]]:
  """Draws three frames of one camera a clip, the middle one between the others or outside.

  Shuffle and learn (Misra et al. 2016, section 3): of instants a < b < c < d < e, (b, c, d) is
  ordered and (b, a, d) and (b, e, d) are not; either is turned around half the time. TCN takes at
  most 60 frames from b to d, at least 15 from b to a or d to e, and .75 shuffled (section IV-A), of
  about 29 a second. The outer two are drawn alike for both kinds, so they tell nothing.

  Args:
    key: typed PRNG key.
    catalog: any number of views.
    clips: how many.
    max_span_seconds: most time between the outer two.
    min_gap_seconds: least time from them to a middle frame that lies outside.
    shuffled_share: how many of the clips are shuffled, rounded; these come first.

  Returns:
    `[clip, 3]`, and whether each is ordered.
  """
  order, bits, coins, view_bits = random_bits(
    key, _order_shape(catalog, clips), (4, clips), (2, clips, 1), (clips, 1)
  )
  rows = _draw_videos(order, clips)
  length = jnp.asarray(catalog.length)[rows]
  seconds = jnp.asarray(catalog.seconds_per_frame)[rows]
  gap = gap_frames(catalog, min_gap_seconds)[rows]
  longest = jnp.floor(max_span_seconds / seconds + FRAME_TOLERANCE).astype(jnp.int32)
  longest = jnp.minimum(jnp.maximum(longest, 2), length - 1 - gap)
  span = 2 + below(bits[0], longest - 1)
  first = below(bits[1], length - span - gap)
  last = first + span
  between = first + 1 + below(bits[2], span - 1)
  outside = last + gap + below(bits[3], length - last - gap)
  is_ordered = jnp.arange(clips) >= round(shuffled_share * clips)
  middle = jnp.where(is_ordered, between, outside)
  times = jnp.stack([first, middle, last], axis=1)
  is_mirrored, is_turned = below(coins, 2) == 1
  times = jnp.where(is_mirrored, length[:, None] - 1 - times, times)  # e becomes a
  times = jnp.where(is_turned, times[:, ::-1], times)
  view = below(view_bits, len(catalog.views))
  views = jnp.asarray(catalog.views)[jnp.broadcast_to(view, (clips, 3))]
  return _pick(catalog, rows[:, None], times, views), is_ordered


def check_views(catalog: Catalog) -> None:
  """Raises a `ValueError` unless there are two views to choose from."""
  if len(catalog.views) < 2:
    raise ValueError(f"pairs need two or more views, got {len(catalog.views)}")


def _order_shape(catalog: Catalog, count: int) -> tuple[int, int]:
  """Of the bits by which `count` videos are drawn."""
  there = len(catalog.video)
  return math.ceil(count / there), there


def _draw_videos(bits: Array, count: int) -> Int[Array, "count"]:
  """Rows of the catalog: one random order of all after the other."""
  return jnp.argsort(bits, axis=1).reshape(-1)[:count]


def _two_views(bits: Array, catalog: Catalog) -> Int[Array, "... 2"]:
  """Two different allowed views, uniformly over all ordered pairs, from bits `[2, ...]`."""
  views = jnp.asarray(catalog.views)
  one = below(bits[0], len(views))
  other = (one + 1 + below(bits[1], len(views) - 1)) % len(views)
  return views[jnp.stack([one, other], axis=-1)]


def _pick(catalog: Catalog, rows: Array, time: Array, view: Array) -> Picks:
  """Names frames by the row of their video in the catalog and their number in the video."""
  rows = jnp.broadcast_to(rows, time.shape)
  seconds = time * jnp.asarray(catalog.seconds_per_frame)[rows]
  frame = jnp.asarray(catalog.start)[rows] + time
  return Picks(
    jnp.asarray(catalog.video)[rows], frame, jnp.broadcast_to(view, frame.shape), seconds
  )
