"""Which frames and which pairs of videos the scores of an embedding look at.

The same for every model and seed of training, so that scores differ by the embedding alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxskills.evaluation import alignment
from jaxskills.evaluation.classification import LabelledVideo
from jaxskills.evaluation.embedded_videos import EmbeddedVideo

Scores = dict[str, np.ndarray]
"""By name, float64 `[values]`: what each score is a mean of."""


class ScoreConfig(NamedTuple):
  """How much is computed; times in seconds, whatever the frame rate.

  Attributes:
    stride_seconds: between frames of Kendall's tau, cycles, classification and retrieval.
    tolerance_seconds: by which a cycle's way home and a retrieved instant may miss.
    partners: other demonstrations that each one is compared with.
    neighbours: that vote on a label.
    draws: of labelled videos, where only a share has labels.
    demonstrations: successes of each task that rewards are made of.
    seed: of all choices.
  """

  stride_seconds: float = 0.25
  tolerance_seconds: float = 0.25
  partners: int = 4
  neighbours: int = 1
  draws: int = 3
  demonstrations: int = 4
  seed: int = 0


DEFAULT = ScoreConfig()


def partners(
  videos: Sequence[EmbeddedVideo], config: ScoreConfig
) -> list[tuple[EmbeddedVideo, list[EmbeddedVideo]]]:
  """Each success with a few other successes of its task, the same ones for every model."""
  rng, pairs = np.random.default_rng(config.seed), []
  good = [video for video in videos if video.is_success]
  for index, source in enumerate(good):
    others = [other for at, other in enumerate(good) if at != index and other.task == source.task]
    chosen = rng.permutation(len(others))[: config.partners]
    if len(chosen):
      pairs.append((source, [others[at] for at in chosen]))
  return pairs


def segments(
  source: EmbeddedVideo, target: EmbeddedVideo
) -> tuple[alignment.Segments, alignment.Segments] | None:
  """The parts of both, if they correspond."""
  if not all("phase" in video.labels for video in (source, target)):
    return None
  parts = [alignment.segments(video.labels["phase"].astype(int)) for video in (source, target)]
  return (parts[0], parts[1]) if parts[0].phases == parts[1].phases else None


def halves(
  videos: list[EmbeddedVideo], config: ScoreConfig
) -> list[tuple[list[EmbeddedVideo], list[EmbeddedVideo]]]:
  """Two halves of the videos, each to learn from and each to be judged on; none of one video."""
  order = np.random.default_rng(config.seed).permutation(len(videos))
  first, second = ([videos[at] for at in order[part::2]] for part in (0, 1))
  return [(first, second), (second, first)] if second else []


def stride(video: EmbeddedVideo, config: ScoreConfig) -> int:
  """Frames from one that is used to the next."""
  return max(1, round(config.stride_seconds / video.seconds_per_frame))


def frames(video: EmbeddedVideo, config: ScoreConfig) -> np.ndarray:
  """Embeddings of the strided frames of all views, `[frame, dim]`."""
  some = video.embeddings[:: stride(video, config)]
  return some.reshape(-1, some.shape[-1])


def labels(video: EmbeddedVideo, name: str, config: ScoreConfig) -> np.ndarray:
  """Labels of the same frames, `[frame]`."""
  views = video.embeddings.shape[1]
  return np.repeat(video.labels[name][:: stride(video, config)], views)


def labelled(
  videos: Sequence[EmbeddedVideo], name: str, config: ScoreConfig
) -> list[LabelledVideo]:
  """Frames and labels, video by video."""
  return [LabelledVideo(frames(video, config), labels(video, name, config)) for video in videos]


def attributes(videos: Sequence[EmbeddedVideo]) -> list[str]:
  """Labels with a class for each frame that all videos have, but for the phase.

  One that never changes (blocks in a zone, in a task without zones) is left out.
  """
  return [
    name
    for name, values in (videos[0].labels if videos else {}).items()
    if name != "phase" and values.ndim == 1 and values.dtype.kind in "biu"
    if all(name in video.labels for video in videos)
    if len(np.unique(np.concatenate([video.labels[name] for video in videos]))) > 1
  ]


def miss(video: EmbeddedVideo, config: ScoreConfig) -> int:
  """The tolerance, in strided frames."""
  return round(config.tolerance_seconds / (stride(video, config) * video.seconds_per_frame))
