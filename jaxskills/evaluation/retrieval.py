"""Finding the same moment in another view, and the same phase with other objects: recall at k.

The share of queries that have a match among their k nearest candidates. TCN's code reports it as
its labelled evaluation; it is easier than classification, since one match of k is enough.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from jaxskills.evaluation import nearest

Recalls = Mapping[int, float]
"""By k, the share of queries with a match among their k nearest."""


def view_recall(
  videos: Sequence[Float[np.ndarray, "_ view dim"]],
  query_view: int,
  candidate_view: int,
  *,
  counts: Sequence[int] = (1, 5),
  tolerance: int = 0,
) -> Recalls:
  """How often the same instant of the same video is found among all frames from another camera.

  Args:
    videos: embeddings of demonstrations.
    query_view: the camera whose frames are looked for.
    candidate_view: the camera whose frames of *all* videos are searched.
    counts: neighbours looked at.
    tolerance: frames by which the instant may be missed.
  """
  video = np.repeat(np.arange(len(videos)), [len(one) for one in videos])
  time = np.concatenate([np.arange(len(one)) for one in videos])
  queries = np.concatenate([one[:, query_view] for one in videos])
  candidates = np.concatenate([one[:, candidate_view] for one in videos])
  nobody = np.full(len(candidates), -1)
  rows = nearest.nearest_elsewhere(queries, candidates, video, nobody, max(counts))
  is_match = (video[rows] == video[:, None]) & (np.abs(time[rows] - time[:, None]) <= tolerance)
  return _recalls(is_match & (rows >= 0), counts)


def label_recall(
  queries: Float[np.ndarray, "query dim"],
  query_labels: Int[np.ndarray, "query"],
  candidates: Float[np.ndarray, "candidate dim"],
  candidate_labels: Int[np.ndarray, "candidate"],
  *,
  counts: Sequence[int] = (1, 5),
) -> Recalls:
  """How often a frame of the same label is found, as a mean over all labels of the queries.

  For retrieval across kinds of objects: queries show blocks, candidates cylinders, labels are
  phases. A label that no candidate has counts, with recall 0.
  """
  apart = np.zeros(len(queries), np.int64), np.ones(len(candidates), np.int64)
  rows = nearest.nearest_elsewhere(queries, candidates, *apart, max(counts))
  is_match = candidate_labels[rows] == query_labels[:, None]
  classes = [_recalls(is_match[query_labels == label], counts) for label in np.unique(query_labels)]
  return {count: float(np.mean([recall[count] for recall in classes])) for count in counts}


def _recalls(is_match: np.ndarray, counts: Sequence[int]) -> dict[int, float]:
  return {count: float(np.mean(is_match[:, :count].any(axis=1))) for count in counts}
