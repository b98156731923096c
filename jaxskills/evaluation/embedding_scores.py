"""Every score of one embedding on a set of videos: alignment, order, labels, retrieval, rewards.

A score is an array of the values that it is a mean of, one per video where videos are independent
(so that an interval can count them) and a single one otherwise. `SCORES` says of each what it is
and which way is good. `embedding_table.py` turns scores of several seeds into intervals and tables.

What needs time to be comparable (key frames, order, progress) is computed between *successful*
demonstrations of one task; alignment of views and attributes use the fakes as well, as ASN does.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import threadpoolctl

from jaxskills.evaluation import (
  alignment,
  label_scores,
  order_scores,
  reward_scores,
  score_sampling,
)
from jaxskills.evaluation.embedded_videos import EmbeddedVideo
from jaxskills.evaluation.score_sampling import DEFAULT, ScoreConfig, Scores


class Score(NamedTuple):
  """What a number is.

  Attributes:
    title: for tables.
    is_error: whether less is better.
    about: what it judges: "views" of one demonstration, "demonstrations" of one task, single
      "frames", or "rewards".
  """

  title: str
  is_error: bool
  about: str = "frames"


SCORES = {
  "alignment": Score("Alignment error", True, "views"),
  "alignment_unseen_view": Score("Alignment error, unseen camera", True, "views"),
  "across_by_segment": Score("Alignment error, per segment", True, "demonstrations"),
  "across_by_video": Score("Alignment error, per video", True, "demonstrations"),
  "kendalls_tau": Score("Kendall's tau", False, "demonstrations"),
  "two_way_cycles": Score("Two-way cycles", False, "demonstrations"),
  "three_way_cycles": Score("Three-way cycles", False, "demonstrations"),
  "phase_error": Score("Phase, error by neighbours", True),
  "linear_phase_error_10": Score("Phase, linear error, 10 % of labels", True),
  "linear_phase_error_50": Score("Phase, linear error, 50 %", True),
  "linear_phase_error_100": Score("Phase, linear error, 100 %", True),
  "progress_r2": Score("Progress, R\u00b2 of a linear map", False),
  "view_recall_1": Score("Same instant in another view, recall at 1", False),
  "view_recall_5": Score("Same instant in another view, recall at 5", False),
  "kind_recall_1": Score("Same phase with other objects, recall at 1", False),
  "kind_recall_5": Score("Same phase with other objects, recall at 5", False),
  "reward_progress": Score("Grows with time, another view", False, "rewards"),
  "reward_progress_across": Score("Grows with time, another demonstration", False, "rewards"),
  "reward_over_reversed": Score("Forwards above backwards, another view", False, "rewards"),
  "reward_over_frozen": Score("Moving above standing, another view", False, "rewards"),
  "success_auroc_goal": Score("Success above fake, by the end", False, "rewards"),
  "success_auroc_tracking": Score("Success above fake, by tracking", False, "rewards"),
}
"""Scores by name; an attribute's is `<attribute>_error`.

`score_videos` gives all but `alignment_unseen_view`: the alignment error with a camera that
training has not seen, for which the caller embeds other views.
"""


def describe(name: str) -> Score | None:
  """What a score is; None for a name that is none."""
  if name.endswith("_error") and name not in SCORES:
    title = name.removesuffix("_error").replace("_", " ").capitalize()
    return Score(f"{title}, error by neighbours", True)
  return SCORES.get(name)


def score_videos(
  videos: Sequence[EmbeddedVideo],
  *,
  other_kinds: Sequence[EmbeddedVideo] = (),
  config: ScoreConfig = DEFAULT,
) -> Scores:
  """All scores that the videos allow.

  Args:
    videos: at least one, of at least two views.
    other_kinds: videos of the same tasks with objects of other kinds, for `kind_recall`.
    config: how much is computed.

  Returns:
    By name (`SCORES`). A score that lacks its labels, a second demonstration or fakes is left out.
  """
  # Thousands of small products: threads cost more than they bring, and ten times the time where
  # they have to share their cores.
  with threadpoolctl.threadpool_limits(1):
    return (
      alignment_scores(videos)
      | order_scores.order_scores(videos, config)
      | label_scores.neighbour_scores(videos, config)
      | label_scores.linear_scores(videos, config)
      | label_scores.view_scores(videos, config)
      | label_scores.kind_scores(videos, other_kinds, config)
      | reward_scores.reward_scores(videos, config.demonstrations, config.seed)
    )


def alignment_scores(videos: Sequence[EmbeddedVideo]) -> Scores:
  """Alignment of views alone, one value per video."""
  errors = [alignment.same_demonstration_error(video.embeddings) for video in videos]
  return {"alignment": np.array(errors)}


def blind_alignment(videos: Sequence[EmbeddedVideo]) -> dict[str, Scores]:
  """Alignment of views expected of "chance", "middle" and "first"; see `blind_scores`."""
  blind: dict[str, Callable[[int], float]] = {
    "chance": alignment.chance_error,
    "middle": alignment.middle_error,
    "first": alignment.first_error,
  }
  lengths = [len(video.embeddings) for video in videos]
  return {
    name: {"alignment": np.array([error(length) for length in lengths])}
    for name, error in blind.items()
  }


def blind_scores(
  videos: Sequence[EmbeddedVideo], config: ScoreConfig = DEFAULT
) -> dict[str, Scores]:
  """What is expected of looking at no picture: of a random frame, and of always one frame.

  Returns:
    Scores of "chance", "middle" and "first" (which a collapsed embedding has with `argmin`), as far
    as they have closed forms; the embeddings of the videos are not read.
  """
  scores = blind_alignment(videos)
  across = order_scores.blind_scores(videos, config)
  chance = scores["chance"] | {"kendalls_tau": np.zeros(1)} | across["chance"]
  good = [video for video in videos if video.is_success]
  for some, names in ((good, ["phase"]), (videos, score_sampling.attributes(videos))):
    for name in names:
      if some and all(name in video.labels for video in some):
        classes = len(np.unique(np.concatenate([video.labels[name] for video in some])))
        chance[f"{name}_error"] = np.array([1.0 - 1.0 / classes])
  coins = ["reward_over_reversed", "reward_over_frozen"]
  if len({video.is_success for video in videos}) == 2:
    coins += ["success_auroc_goal", "success_auroc_tracking"]
  chance |= {name: np.array([0.5]) for name in coins}
  return scores | {"chance": chance, "middle": scores["middle"] | across["middle"]}
