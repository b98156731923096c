"""How well an embedding tells time: two published alignment errors that are not one, and a third.

`same_demonstration_error` is what TCN's released code and ASN (Mees et al. 2020, equation 7)
report: two cameras filmed one demonstration, so the truth is free, and the error is a share of the
video. `cross_demonstration_error` is what the TCN paper reports (Sermanet et al. 2018, section
IV-A): two demonstrations, truth from labelled key frames. They measure different things and never
stand in one column. `kendalls_tau` asks for order alone (Dwibedi et al. 2019).

What an error is worth shows beside three that look at no picture: a random frame (1/3), always the
middle (1/4), always the first (1/2), which is also what `argmin` makes of an embedding that has
collapsed to a point.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from jaxskills.evaluation import nearest

Ties = Literal["mean", "first"]
"""What several equally near neighbours are worth: the mean of their errors, which is what choosing
one of them at random costs, or the error of the first, as both released codes have it."""


def same_demonstration_error(
  embeddings: Float[np.ndarray, "time view dim"], *, ties: Ties = "mean"
) -> float:
  """Mean of `|t - t_nn| / T` over frames and over all ordered pairs of views of one demonstration.

  ASN's equation 7, divided by the length as its text says. Both released codes take each pair of
  views in one direction only; here both count. Videos of unequal length are for the caller to cut:
  ASN's code fills the shorter one up with the *other view's* last embedding, which adds matches
  without error.

  Args:
    embeddings: of synchronised frames, at least two views.
    ties: see `Ties`. A collapsed embedding has 1/3 by "mean", as chance has, and 1/2 by "first".

  Returns:
    0 (perfect) to just below 1.

  Raises:
    ValueError: if there are fewer than two views.
  """
  length, views = embeddings.shape[:2]
  if views < 2:
    raise ValueError(f"alignment needs two views of a demonstration, got {views}")
  time = np.arange(length)
  errors = [
    _expected_error(nearest.nearest_mask(embeddings[:, a], embeddings[:, b]), time, ties) / length
    for a in range(views)
    for b in range(views)
    if a != b
  ]
  return float(np.mean(errors))


def chance_error(length: int) -> float:
  """`same_demonstration_error` expected of a random frame, `(T^2 - 1) / 3T^2`: nearly 1/3."""
  return (length**2 - 1) / (3.0 * length**2)


def middle_error(length: int) -> float:
  """`same_demonstration_error` of always choosing the middle frame: 1/4 for an even length."""
  return (length**2 // 4) / length**2


def first_error(length: int) -> float:
  """`same_demonstration_error` of always choosing the first frame, `(T - 1) / 2T`: near 1/2."""
  return (length - 1) / (2.0 * length)


class Segments(NamedTuple):
  """Where the labelled parts of a demonstration lie.

  Attributes:
    phases: label of each part, in order, `[part]`.
    edges: first frame of each, and the number of all frames, `[part + 1]`.
  """

  phases: tuple[int, ...]
  edges: np.ndarray


def segments(phase: Int[np.ndarray, "time"]) -> Segments:
  """The runs of equal labels of a demonstration's frames; their first frames are its key frames."""
  starts = np.flatnonzero(np.diff(phase, prepend=phase[0] - 1))
  return Segments(tuple(int(phase[at]) for at in starts), np.append(starts, len(phase)))


Scale = Literal["segment", "video"]


def cross_demonstration_error(
  source: Float[np.ndarray, "source dim"],
  target: Float[np.ndarray, "target dim"],
  source_segments: Segments,
  target_segments: Segments,
  *,
  scale: Scale = "segment",
  ties: Ties = "mean",
) -> float:
  """Mean distance between each frame's neighbour in another demonstration and its true place there.

  The true place is piecewise linear between key frames (TCN, section IV-A). What the distance is
  divided by the paper calls "the target segment length". Taken as the length of the part that the
  true place is in (`scale="segment"`), random frames have an error of about a third of the number
  of parts, 1.67 for five; the paper's table has .281 for them, which only the length of the whole
  target (`scale="video"`) allows. Both are offered, and neither is comparable with
  `same_demonstration_error`.

  Args:
    source: embeddings of the frames that look for neighbours.
    target: embeddings of the frames that they find.
    source_segments: parts of the source.
    target_segments: parts of the target, the same ones in the same order.
    scale: what a distance is divided by.
    ties: see `Ties`.

  Raises:
    ValueError: if the demonstrations do not have the same parts in the same order.
  """
  mask = nearest.nearest_mask(source, target)
  return _placed_error(mask, source_segments, target_segments, scale, ties)


def cross_demonstration_blind_errors(
  source_segments: Segments, target_segments: Segments, *, scale: Scale = "segment"
) -> tuple[float, float]:
  """`cross_demonstration_error` expected of random frames, and of always the target's middle."""
  shape = (int(source_segments.edges[-1]), int(target_segments.edges[-1]))
  middle = np.zeros(shape, bool)
  middle[:, shape[1] // 2] = True
  chance = _placed_error(np.ones(shape, bool), source_segments, target_segments, scale, "mean")
  return chance, _placed_error(middle, source_segments, target_segments, scale, "mean")


def kendalls_tau(
  source: Float[np.ndarray, "source dim"],
  target: Float[np.ndarray, "target dim"],
  *,
  stride_seconds: float,
  seconds_per_frame: float,
) -> float:
  """Whether neighbours keep the order of the frames that found them, -1 (reversed) to 1.

  Kendall's tau-b between the time of strided source frames and the time of their neighbours
  (Dwibedi et al. 2019, "Temporal Cycle-Consistency Learning", section 4.1). Published strides are
  in frames of videos at different rates; here it is in seconds.

  Args:
    source: embeddings of the frames that look for neighbours.
    target: embeddings of the frames that they find, strided too.
    stride_seconds: time between the frames that are used.
    seconds_per_frame: of both videos.

  Returns:
    tau; 0 where all neighbours are one frame, which has no order. (TCC's code leaves such a pair
    out of its mean, so that a collapsed embedding has no score instead of a bad one.)
  """
  stride = max(1, round(stride_seconds / seconds_per_frame))
  found = nearest.nearest(source[::stride], target[::stride])
  if len(found) < 2 or np.ptp(found) == 0:
    return 0.0
  tau: Any = stats.kendalltau(np.arange(len(found)), found)
  return float(tau.statistic)


def _placed_error(
  mask: np.ndarray, source: Segments, target: Segments, scale: Scale, ties: Ties
) -> float:
  if source.phases != target.phases:
    raise ValueError(f"parts {source.phases} do not correspond to {target.phases}")
  time = np.arange(source.edges[-1])
  place = np.interp(time, source.edges, target.edges)
  lengths = np.diff(target.edges)[np.searchsorted(source.edges, time, side="right") - 1]
  divisor = lengths if scale == "segment" else np.full(len(time), target.edges[-1])
  return _expected_error(mask, place, ties, divisor)


def _expected_error(
  mask: np.ndarray, place: np.ndarray, ties: Ties, divisor: np.ndarray | float = 1.0
) -> float:
  """Mean over queries of the distance in frames from their neighbours to `place`."""
  if ties == "first":
    return float(np.mean(np.abs(np.argmax(mask, axis=1) - place) / divisor))
  distance = np.abs(np.arange(mask.shape[1]) - place[:, None])
  return float(np.mean((distance * mask).sum(axis=1) / mask.sum(axis=1) / divisor))
