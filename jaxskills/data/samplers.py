"""Samplers of a given store: settings checked on the host, then a pure function of a key.

A `Sampler` gives a batch that has `Picks` where the frames will be; `video_feed` puts them there.
Its settings are plain JSON types, for the record of a run: which pairs a network saw is the first
thing that readers of TCN's code had to ask.
"""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxskills.data import clips
from jaxskills.data.catalog import (
  Catalog,
  check_lengths,
  frames_of_instants,
  frames_of_triples,
)
from jaxskills.data.clips import AsnBatch, SkillClips, Triples, ViewPairs, Windows
from jaxskills.data.video_store import VideoStore
from jaxskills.types import Key


class Sampler(NamedTuple):
  """What a feed draws."""

  draw: Callable[[Key], Any]
  """`key -> batch`, with `Picks` for frames; pure."""
  settings: dict[str, Any]
  """All that decides what it draws, as JSON types."""


def view_pairs(
  store: VideoStore,
  catalog: Catalog,
  *,
  videos: int = 4,
  times: int = 4,
  margin_seconds: float,
  frames: int = 1,
  stride_seconds: float = 0.0,
  views_per: str = "video",
  across_videos: bool = False,
) -> Sampler:
  """`ViewPairs` as `clips.sample_view_pairs` draws them; see there.

  Raises:
    UserError: if a video is too short, naming it.
    ValueError: for sizes below one, fewer than two views, or too few videos across videos.
  """
  _check_counts(videos=videos, times=times, frames=frames)
  needed = frames_of_instants(
    catalog,
    times=times,
    margin_seconds=margin_seconds,
    frames=frames,
    stride_seconds=stride_seconds,
  )
  purpose = f"{times} instants {margin_seconds:g} s apart"
  if frames > 1:
    purpose += f" of {frames} frames {stride_seconds:g} s apart"
  check_lengths(catalog, needed, store, purpose)
  settings = {
    "videos": videos,
    "times": times,
    "margin_seconds": margin_seconds,
    "frames": frames,
    "stride_seconds": stride_seconds,
    "views_per": views_per,
    "across_videos": across_videos,
  }

  def draw(key: Key) -> ViewPairs:
    return ViewPairs(clips.sample_view_pairs(key, catalog, **settings))

  return _sampler("view_pairs", draw, settings, catalog)


def windows(store: VideoStore, catalog: Catalog, *, videos: int, times: int) -> Sampler:
  """`Windows` as `clips.sample_windows` draws them; see there.

  Raises:
    UserError: if a video is too short, naming it.
    ValueError: for sizes below one.
  """
  _check_counts(videos=videos, times=times)
  check_lengths(catalog, times, store, f"windows of {times} frames")
  settings = {"videos": videos, "times": times}

  def draw(key: Key) -> Windows:
    picks = clips.sample_windows(key, catalog, **settings)
    return Windows(picks, picks.seconds)

  return _sampler("windows", draw, settings, catalog)


def skills(
  store: VideoStore,
  catalog: Catalog,
  *,
  clips_drawn: int = 8,
  frames: int = 2,
  stride_seconds: float = 0.6,
) -> Sampler:
  """`SkillClips` as `clips.sample_skills` draws them; see there.

  Raises:
    UserError: if a video is too short, naming it.
    ValueError: for sizes below one, or fewer than two views.
  """
  _check_counts(clips_drawn=clips_drawn, frames=frames)
  needed = frames_of_instants(
    catalog, times=1, margin_seconds=0.0, frames=frames, stride_seconds=stride_seconds
  )
  check_lengths(catalog, needed, store, f"clips of {frames} frames {stride_seconds:g} s apart")
  settings = {"clips": clips_drawn, "frames": frames, "stride_seconds": stride_seconds}

  def draw(key: Key) -> SkillClips:
    return SkillClips(*clips.sample_skills(key, catalog, **settings))

  return _sampler("skills", draw, settings, catalog)


def triples(
  store: VideoStore,
  catalog: Catalog,
  *,
  clips_drawn: int,
  max_span_seconds: float = 2.0,
  min_gap_seconds: float = 0.5,
  shuffled_share: float = 0.75,
) -> Sampler:
  """`Triples` as `clips.sample_triples` draws them; see there.

  Raises:
    UserError: if a video is too short, naming it.
    ValueError: for sizes below one, or a share that is none.
  """
  _check_counts(clips_drawn=clips_drawn)
  if not 0 <= shuffled_share <= 1:
    raise ValueError(f"shuffled_share lies between 0 and 1, got {shuffled_share}")
  needed = frames_of_triples(catalog, min_gap_seconds=min_gap_seconds)
  check_lengths(catalog, needed, store, f"triples and a frame {min_gap_seconds:g} s outside")
  settings = {
    "clips": clips_drawn,
    "max_span_seconds": max_span_seconds,
    "min_gap_seconds": min_gap_seconds,
    "shuffled_share": shuffled_share,
  }

  def draw(key: Key) -> Triples:
    return Triples(*clips.sample_triples(key, catalog, **settings))

  return _sampler("triples", draw, settings, catalog)


def asn(pairs: Sampler, skills: Sampler) -> Sampler:
  """`AsnBatch`: pairs for the metric loss and skills for the adversary, drawn independently.

  Args:
    pairs: of all videos, fakes among them.
    skills: of successful ones only.
  """

  def draw(key: Key) -> AsnBatch:
    pairs_key, skills_key = jax.random.split(key)
    return AsnBatch(pairs.draw(pairs_key), skills.draw(skills_key))

  settings = {"kind": "asn", "pairs": pairs.settings, "skills": skills.settings}
  return Sampler(draw, settings)


def _sampler(
  kind: str, draw: Callable[[Key], Any], settings: dict[str, Any], catalog: Catalog
) -> Sampler:
  """Checks what the shapes alone decide, and notes what may be drawn."""
  jax.eval_shape(draw, jax.eval_shape(lambda: jax.random.key(0)))
  drawn_from = hashlib.sha256(b"".join(np.asarray(column).tobytes() for column in catalog))
  about = {
    "videos_drawn_from": len(catalog.video),
    "views_drawn_from": len(catalog.views),
    "catalog_sha256": drawn_from.hexdigest(),
  }
  return Sampler(draw, {"kind": kind, **settings, **about})


def _check_counts(**counts: int) -> None:
  if wrong := [f"{name}={count}" for name, count in counts.items() if count < 1]:
    raise ValueError(f"a sampler needs one or more of everything, got {', '.join(wrong)}")
