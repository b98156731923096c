"""Whether films of one scene run in step, told by when things move in them.

No camera shows what another shows, but all of them show motion at the same instants. So the mean
change from frame to frame is compared between views, at every shift up to a limit.
"""

from typing import NamedTuple

import numpy as np

LEAST_OVERLAP = 24
"""In frames."""


class Offset(NamedTuple):
  """How far one film lags behind another."""

  frames: int
  """Positive if things happen later in it."""
  correlation: float
  """Of the motions at that shift, between -1 and 1."""
  correlation_at_zero: float

  @property
  def is_clear(self) -> bool:
    """Whether the motions agree, and much better so than unshifted.

    The thresholds are ours: in simulated motions they hardly ever call out views in step;
    short, smooth motions that have nothing in common sometimes agree by chance.
    """
    return self.correlation > 0.6 and self.correlation - self.correlation_at_zero > 0.2


def motion(frames: np.ndarray) -> np.ndarray:
  """The root of the mean absolute change of each frame from the one before.

  The root keeps a single fast movement from outweighing all others.

  Args:
    frames: grey, `[time, rows, columns]` uint8.

  Returns:
    `[time - 1]`.
  """
  change = np.abs(np.diff(frames.astype(np.float32), axis=0)).mean(axis=(1, 2))
  return np.sqrt(change)


def offset(reference: np.ndarray, other: np.ndarray, most: int) -> Offset:
  """The shift at which the motions of two films agree best.

  Args:
    reference: motion of one view, `[time]`.
    other: motion of another view, of about the same length.
    most: frames; shifts up to it are tried, as long as half of the shorter film and 24 frames
      overlap, fewer of which would agree by chance.
  """
  shorter = min(len(reference), len(other))
  most = max(0, min(most, shorter // 2, shorter - LEAST_OVERLAP))
  correlations = {}
  for shift in range(-most, most + 1):
    one, two = reference[max(0, -shift) :], other[max(0, shift) :]
    common = min(len(one), len(two))
    correlations[shift] = _correlation(one[:common], two[:common])
  best = max(correlations, key=lambda shift: (correlations[shift], -abs(shift)))
  return Offset(best, correlations[best], correlations[0])


def _correlation(one: np.ndarray, two: np.ndarray) -> float:
  """Pearson's; 0 where nothing changes."""
  if not len(one):
    return 0.0
  one, two = one - one.mean(), two - two.mean()
  scale = np.sqrt((one**2).sum() * (two**2).sum())
  return float((one * two).sum() / scale) if scale > 1e-9 else 0.0
