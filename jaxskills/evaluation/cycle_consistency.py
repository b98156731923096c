"""Whether nearest neighbours lead back: from one video to others and home again, without labels.

Two-way cycles are Aytar et al.'s (2018, "Playing hard exploration games by watching YouTube"),
three-way cycles Zakka et al.'s (2021, XIRL). A warning that neither gives: points without any
meaning return as well. Independent Gaussian embeddings come home from half of all two-way cycles in
one dimension and from a quarter in 32, so that a share says something only beside that of random
features. Three-way cycles forgive less: a quarter in one dimension, a hundredth in 32.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from jaxskills.evaluation import nearest


def two_way(
  first: Float[np.ndarray, "first dim"],
  second: Float[np.ndarray, "second dim"],
  *,
  tolerance: int = 1,
) -> float:
  """Share of frames whose neighbour's neighbour is the frame itself.

  Args:
    first: embeddings of the video that is left.
    second: embeddings of the video that is visited.
    tolerance: frames by which the way home may miss; 1 in XIRL's code.
  """
  return float(np.mean(_is_home(_walk([first, second, first]), tolerance)))


def three_way(
  first: Float[np.ndarray, "first dim"],
  second: Float[np.ndarray, "second dim"],
  third: Float[np.ndarray, "third dim"],
  *,
  tolerance: int = 1,
) -> float:
  """Share of frames that come home through both others, in either order (both must succeed)."""
  forth = _is_home(_walk([first, second, third, first]), tolerance)
  back = _is_home(_walk([first, third, second, first]), tolerance)
  return float(np.mean(forth & back))


def _walk(videos: Sequence[np.ndarray]) -> Int[np.ndarray, "time"]:
  """Where each frame of the first video ends after a step to every next video."""
  place = np.arange(len(videos[0]))
  for here, there in zip(videos[:-1], videos[1:], strict=True):
    place = nearest.nearest(here, there)[place]
  return place


def _is_home(place: np.ndarray, tolerance: int) -> np.ndarray:
  return np.abs(place - np.arange(len(place))) <= tolerance
