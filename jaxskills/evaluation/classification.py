"""Whether an embedding knows phases and attributes of a frame: by its neighbours, by a linear map.

Neighbours are of *other* videos only (TCN, section IV-A), and errors are means over classes, so
that a rare one counts as much as a common one. TCN's released code averages over those classes
alone that were matched at least once, which hides the ones that an embedding never gets right;
here every class that occurs is counted, with error 1 if it is never matched.

Chance is `1 - 1 / classes` whatever the shares of the classes.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression

from jaxskills.evaluation import nearest

SHARES = (0.1, 0.5, 1.0)
"""Of the labelled videos that a linear classifier learns from (Dwibedi et al. 2019, table 1)."""
COMPONENTS = 64
"""Principal components that linear maps see of wider features (pixels), so that no row has many
times the parameters of another; ours."""
RIDGE = 1.0
"""Penalty of the regression on standardised features; ours, for features that outnumber frames."""


class ClassErrors(NamedTuple):
  """Share of frames that were classified wrongly, class by class.

  Attributes:
    classes: labels that occur, ascending, `[class]`.
    errors: `[class]`, 0 to 1.
    frames: of each class, `[class]`.
  """

  classes: np.ndarray
  errors: np.ndarray
  frames: np.ndarray

  @property
  def mean(self) -> float:
    """Mean over classes."""
    return float(np.mean(self.errors))


class LabelledVideo(NamedTuple):
  """Embeddings of some of a video's frames, and what is to be read from each.

  Attributes:
    embeddings: `[frame, dim]`.
    labels: `[frame]`: a class, or a number where one is regressed.
  """

  embeddings: np.ndarray
  labels: np.ndarray


def class_errors(found: Int[np.ndarray, "frame"], truth: Int[np.ndarray, "frame"]) -> ClassErrors:
  """Errors of a classification over all classes that `truth` holds."""
  classes, which = np.unique(truth, return_inverse=True)
  frames = np.bincount(which)
  wrong = np.bincount(which, weights=found != truth)
  return ClassErrors(classes, wrong / frames, frames)


def neighbour_errors(
  embeddings: Sequence[Float[np.ndarray, "_ dim"]],
  labels: Mapping[str, Sequence[Int[np.ndarray, "_"]]],
  *,
  neighbours: int = 1,
) -> dict[str, ClassErrors]:
  """Errors of the vote of each frame's nearest frames in other videos.

  Args:
    embeddings: of some of each video's frames, `[frame, dim]`.
    labels: by name, the classes of the same frames; neighbours are looked for once for all.
    neighbours: that vote; the class of the nearest wins a tie.

  Raises:
    ValueError: if there are fewer than two videos.
  """
  if len(embeddings) < 2:
    raise ValueError(f"neighbours come from other videos, got {len(embeddings)} video")
  everything = np.concatenate(list(embeddings))
  group = np.repeat(np.arange(len(embeddings)), [len(video) for video in embeddings])
  rows = nearest.nearest_elsewhere(everything, everything, group, group, neighbours)
  truths = {name: np.concatenate(list(parts)) for name, parts in labels.items()}
  return {name: class_errors(_vote(truth, rows), truth) for name, truth in truths.items()}


def linear_errors(train: Sequence[LabelledVideo], test: Sequence[LabelledVideo]) -> ClassErrors:
  """Errors on `test` of a logistic regression that was fitted to `train`.

  Features are standardised by `train`. A class that only `test` has is counted, with error 1.
  """
  features, held = _standardised(train, test)
  labels, truth = (_stack(videos).astype(np.int64) for videos in (train, test))
  if np.ptp(labels) == 0:
    return class_errors(np.full(len(truth), labels[0]), truth)
  model = LogisticRegression(max_iter=1000).fit(features, labels)
  return class_errors(np.asarray(model.predict(held)), truth)


def linear_errors_by_share(
  train: Sequence[LabelledVideo],
  test: Sequence[LabelledVideo],
  *,
  shares: Sequence[float] = SHARES,
  draws: int = 5,
  seed: int = 0,
) -> Mapping[float, Float[np.ndarray, "draw"]]:
  """Mean error over classes of `linear_errors` where only a share of the videos has labels.

  TCC's code takes the first videos of its list, one draw; here a share below 1 is drawn anew
  `draws` times, and videos, not frames, are drawn, since frames of one video are alike. With
  `shares=[1 / len(train)]` it is one-shot classification.

  Args:
    train: videos that a share of is drawn from; at least one is.
    test: videos that errors are of.
    shares: of the videos in `train`, each above 0 and at most 1.
    draws: of videos, where not all are taken.
    seed: of the draws.

  Returns:
    By share, the error of each draw; of a single one where all videos are taken.
  """
  errors: dict[float, np.ndarray] = {}
  for share in shares:
    count = max(1, int(share * len(train)))
    rng = np.random.default_rng(seed)
    picked = [
      rng.permutation(len(train))[:count] for _ in range(draws if count < len(train) else 1)
    ]
    errors[share] = np.array(
      [linear_errors([train[index] for index in draw], test).mean for draw in picked]
    )
  return errors


def progress_r2(train: Sequence[LabelledVideo], test: Sequence[LabelledVideo]) -> float:
  """How much of the variance of progress over `test` a linear map of the embedding explains.

  The map is a ridge regression fitted to `train`; 1 is all, 0 what the mean progress of `test`
  explains, and below that it misleads (Dwibedi et al. 2019, "phase progression").

  Returns:
    The coefficient of determination over all frames of `test`; NaN if their progress is constant.
  """
  features, held = _standardised(train, test)
  progress, truth = _stack(train).astype(np.float64), _stack(test).astype(np.float64)
  middle = progress.mean()
  gram = features.T @ features + RIDGE * np.eye(features.shape[1])
  weights = np.linalg.solve(gram, features.T @ (progress - middle))
  residual = np.sum((truth - middle - held @ weights) ** 2)
  total = np.sum((truth - truth.mean()) ** 2)
  return float(1.0 - residual / total) if total > 0 else float("nan")


def _vote(labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
  """The commonest label of each row of neighbours, -1 for none; the nearest decides a tie."""
  voted = np.where(rows >= 0, labels[rows], -1)
  if rows.shape[1] == 1:
    return voted[:, 0]
  classes = np.unique(labels)
  is_class = voted[:, :, None] == classes
  first = np.where(is_class.any(axis=1), np.argmax(is_class, axis=1), rows.shape[1])
  score = is_class.sum(axis=1) - first / (rows.shape[1] + 1.0)
  return np.where(rows[:, 0] >= 0, classes[np.argmax(score, axis=1)], -1)


def _stack(videos: Sequence[LabelledVideo]) -> np.ndarray:
  return np.concatenate([video.labels for video in videos])


def _standardised(
  train: Sequence[LabelledVideo], test: Sequence[LabelledVideo]
) -> tuple[np.ndarray, np.ndarray]:
  """Features of both with the mean and deviation that `train` has, and no more than `COMPONENTS`.

  Constant features become 0.
  """
  features = np.concatenate([video.embeddings for video in train]).astype(np.float64)
  held = np.concatenate([video.embeddings for video in test]).astype(np.float64)
  middle, spread = features.mean(axis=0), features.std(axis=0)
  is_alive = spread > 1e-9 * max(float(np.abs(middle).max(initial=0.0)), 1e-30)
  divisor = np.where(is_alive, spread, np.inf)
  features, held = (features - middle) / divisor, (held - middle) / divisor
  if features.shape[1] > COMPONENTS:
    _, axes = np.linalg.eigh(features.T @ features)  # ascending
    features, held = features @ axes[:, -COMPONENTS:], held @ axes[:, -COMPONENTS:]
  return features, held
