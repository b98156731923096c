"""What a reward from an embedding is worth before anybody trains on it.

Two rewards of a demonstration are audited: the distance to its last frame alone (ASN's figure 5)
and the distance to its frame of the same time (what TCN and ASN train with). A reward that deserves
training grows while the task progresses, ranks successes above failures, and pays less for a video
that runs backwards or stands still. Everything here is a rank or a share: distances in an embedding
have no scale, and papers that stretch each curve to [0, 1] hide what a failure would have earned.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats


def goal_reward(
  embeddings: Float[np.ndarray, "time dim"], goal: Float[np.ndarray, "dim"]
) -> Float[np.ndarray, "time"]:
  """Minus the Euclidean distance of each frame to one goal frame."""
  return -np.linalg.norm(embeddings - goal, axis=-1)


def tracking_reward(
  embeddings: Float[np.ndarray, "time dim"], demonstration: Float[np.ndarray, "step dim"]
) -> Float[np.ndarray, "time"]:
  """Minus the distance of each frame to the demonstration's frame of the same time.

  Past the demonstration's end its last frame counts, as in training on it.
  """
  step = np.minimum(np.arange(len(embeddings)), len(demonstration) - 1)
  return -np.linalg.norm(embeddings - demonstration[step], axis=-1)


def stretch(
  embeddings: Float[np.ndarray, "time dim"], length: int
) -> Float[np.ndarray, "step dim"]:
  """A demonstration of another length, each frame the nearest in time; begin and end stay."""
  step = np.round(np.linspace(0, len(embeddings) - 1, length)).astype(int)
  return embeddings[step]


def progress_correlation(reward: Float[np.ndarray, "time"]) -> float:
  """Spearman's correlation of a reward with time, -1 to 1; 0 for a constant reward.

  Known as value-order correlation. On a video that runs backwards a reward that looks at frames
  one by one has minus this value.
  """
  if len(reward) < 2 or np.ptp(reward) == 0:
    return 0.0
  rank: Any = stats.spearmanr(np.arange(len(reward)), reward)
  return float(rank.statistic)


def area_under_roc(
  positive: Float[np.ndarray, "positive"], negative: Float[np.ndarray, "negative"]
) -> float:
  """Chance that a positive scores above a negative, ties counted half (Mann and Whitney 1947).

  Returns:
    1 all above, .5 no better than a coin; NaN where either is empty.
  """
  if not len(positive) or not len(negative):
    return float("nan")
  ranks = stats.rankdata(np.concatenate([positive, negative]))
  above = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
  return float(above / (len(positive) * len(negative)))


class Audit(NamedTuple):
  """One demonstration's rewards of one attempt, and of that attempt made worse.

  Attributes:
    goal_progress: `progress_correlation` of the goal reward.
    tracking: mean tracking reward of the attempt.
    tracking_reversed: of the attempt backwards.
    tracking_frozen: of the attempt's first frame, held.
    goal_end: goal reward of the last frame.
  """

  goal_progress: float
  tracking: float
  tracking_reversed: float
  tracking_frozen: float
  goal_end: float


def audit(
  attempt: Float[np.ndarray, "time dim"], demonstration: Float[np.ndarray, "step dim"]
) -> Audit:
  """Audits the rewards that a demonstration gives to an attempt.

  The demonstration is stretched to the attempt's length first, since speeds differ: without it
  the tracking reward would mostly say who was faster.

  Args:
    attempt: embeddings of a video, of another view or another execution than the demonstration.
    demonstration: embeddings of a successful video; its last frame is the goal.
  """
  steps = stretch(demonstration, len(attempt))
  goal = goal_reward(attempt, demonstration[-1])
  frozen = np.repeat(attempt[:1], len(attempt), axis=0)
  return Audit(
    goal_progress=progress_correlation(goal),
    tracking=float(tracking_reward(attempt, steps).mean()),
    tracking_reversed=float(tracking_reward(attempt[::-1], steps).mean()),
    tracking_frozen=float(tracking_reward(frozen, steps).mean()),
    goal_end=float(goal[-1]),
  )
