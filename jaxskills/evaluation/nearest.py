"""Nearest neighbours between embeddings, and what to do when several are equally near.

All metrics of an embedding rest on Euclidean distances, as in TCN (Sermanet et al. 2018) and ASN
(Mees et al. 2020). A pause in a video, or an embedding that has collapsed to a point, makes many
neighbours equally near. NumPy's `argmin` then takes the first, which is a claim about time that
the embedding never made; here ties are found, and who asks says what they are worth.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

RESOLUTION = 1e-12
"""Squared distances are equal if they differ by less than this share of the largest squared norm:
about what float32 can tell apart in 32 dimensions."""
_CHUNK = 2048  # queries at a time, where the candidates are many


def squared_distances(
  queries: Float[np.ndarray, "query dim"], candidates: Float[np.ndarray, "candidate dim"]
) -> Float[np.ndarray, "query candidate"]:
  """Squared Euclidean distances in float64, without a `[query, candidate, dim]` array."""
  middle = candidates.mean(axis=0, dtype=np.float64)  # less is lost where all are far from zero
  queries, candidates = queries - middle, candidates - middle
  own = np.sum(queries**2, axis=1)[:, None] + np.sum(candidates**2, axis=1)
  return np.maximum(own - 2.0 * queries @ candidates.T, 0.0)


def nearest_mask(
  queries: Float[np.ndarray, "query dim"], candidates: Float[np.ndarray, "candidate dim"]
) -> Bool[np.ndarray, "query candidate"]:
  """True at each query's nearest candidate, or at all of those that share the least distance."""
  found = squared_distances(queries, candidates)
  largest = max(_largest_square(queries), _largest_square(candidates))
  return found <= found.min(axis=1, keepdims=True) + RESOLUTION * largest


def nearest(
  queries: Float[np.ndarray, "query dim"], candidates: Float[np.ndarray, "candidate dim"]
) -> Int[np.ndarray, "query"]:
  """The nearest candidate of each query; the first of those that share the least distance."""
  return np.argmax(nearest_mask(queries, candidates), axis=1)


def nearest_elsewhere(
  queries: Float[np.ndarray, "query dim"],
  candidates: Float[np.ndarray, "candidate dim"],
  query_group: Int[np.ndarray, "query"],
  candidate_group: Int[np.ndarray, "candidate"],
  count: int,
) -> Int[np.ndarray, "query count"]:
  """The nearest candidates of another group than the query's, nearest first.

  Args:
    queries: embeddings to find neighbours of.
    candidates: embeddings to find them among.
    query_group: e.g. the video that each query is a frame of.
    candidate_group: likewise.
    count: neighbours of each query.

  Returns:
    Their rows in `candidates`; -1 where a query has fewer.
  """
  count = min(count, len(candidates))
  rows = np.full((len(queries), count), -1)
  for first in range(0, len(queries), _CHUNK):
    part = slice(first, first + _CHUNK)
    found = squared_distances(queries[part], candidates)
    found[query_group[part, None] == candidate_group] = np.inf
    few = np.argpartition(found, count - 1, axis=1)[:, :count]
    order = np.argsort(np.take_along_axis(found, few, axis=1), axis=1, kind="stable")
    few = np.take_along_axis(few, order, axis=1)
    is_there = np.isfinite(np.take_along_axis(found, few, axis=1))
    rows[part] = np.where(is_there, few, -1)
  return rows


def _largest_square(embeddings: np.ndarray) -> float:
  return float(np.sum(np.square(embeddings, dtype=np.float64), axis=1).max(initial=0.0))
