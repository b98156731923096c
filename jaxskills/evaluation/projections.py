"""Embeddings in two dimensions, for the eye: principal components and t-SNE.

Distances within a t-SNE picture mean little, and its clusters may be made by the method; principal
components cannot invent any, and stand beside it. Perplexity 40 is ASN's, TCN's is 30.
"""

from typing import Any

import numpy as np
import threadpoolctl
from jaxtyping import Float
from sklearn.manifold import TSNE

PERPLEXITY = 40.0


def principal_components(
  embeddings: Float[np.ndarray, "point dim"],
) -> tuple[Float[np.ndarray, "point 2"], float]:
  """The plane of greatest variance.

  Returns:
    Places in it, and the share of the variance that it holds (0 where there is none). The sign of
    each axis is that which makes its greatest coefficient positive.
  """
  centred = embeddings - embeddings.mean(axis=0, dtype=np.float64)
  _, strength, axes = np.linalg.svd(centred, full_matrices=False)
  axes = axes[:2]
  at = np.argmax(np.abs(axes), axis=1)
  axes = axes * np.where(axes[np.arange(len(axes)), at] < 0, -1.0, 1.0)[:, None]
  places = np.zeros((len(embeddings), 2))
  places[:, : len(axes)] = centred @ axes.T
  total = float(np.sum(strength**2))
  return places, float(np.sum(strength[:2] ** 2) / total) if total > 0 else 0.0


def neighbour_embedding(
  embeddings: Float[np.ndarray, "point dim"], *, perplexity: float = PERPLEXITY, seed: int = 0
) -> Float[np.ndarray, "point 2"]:
  """t-SNE (van der Maaten and Hinton 2008), begun from principal components.

  Args:
    embeddings: a few hundred points; time grows as `n log n`.
    perplexity: neighbours that each point keeps; cut to a third of the points.
    seed: of ties; the same points give the same picture.
  """
  points = np.asarray(embeddings, np.float64)
  points = points - points.mean(axis=0)
  points = points / max(float(points.std()), 1e-12)
  places, _ = principal_components(points)
  begin: Any = 1e-4 * places / max(float(places[:, 0].std()), 1e-12)
  with threadpoolctl.threadpool_limits(1):  # sums in one order, so that pictures repeat
    return TSNE(
      perplexity=min(perplexity, (len(points) - 1) / 3), init=begin, random_state=seed
    ).fit_transform(points)
