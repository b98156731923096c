"""Demonstrations made of numbers: two cameras, four phases, an arm that is never twice the same."""

import numpy as np

from jaxskills.data import video_store
from jaxskills.data.video_plan import StorePlan
from jaxskills.data.video_writer import StoreWriter
from jaxskills.evaluation.embedded_videos import EmbeddedVideo

SECONDS = 1 / 12
PHASES = 4


def labels(length: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
  """Labels of one demonstration whose phases last differently long each time."""
  inner = np.sort(rng.permutation(np.arange(1, length // 3))[: PHASES - 1]) * 3
  edges = np.concatenate([[0], inner, [length]])
  phase = np.repeat(np.arange(PHASES), np.diff(edges))
  progress = np.interp(np.arange(length), edges, np.arange(PHASES + 1)) / PHASES
  arm = progress[:, None] * np.linspace(0.5, 2.0, 7) + 0.1 * np.sin(3 * progress)[:, None]
  objects = np.zeros((length, 14))
  objects[:, 0] = np.clip(2 * progress - 0.5, 0, 1) * 0.3
  return {
    "progress": progress.astype(np.float32),
    "phase": phase.astype(np.int32),
    "grasped": np.isin(phase, (1, 2)),
    "joints": arm.astype(np.float32),
    "objects": objects.astype(np.float32),
  }


def videos(
  count: int = 6,
  *,
  fakes: int = 0,
  noise: float = 0.02,
  views: int = 2,
  dim: int = 3,
  seed: int = 0,
) -> list[EmbeddedVideo]:
  """Embeddings along one curve of progress, with noise for each view; fakes stop half way."""
  rng, made = np.random.default_rng(seed), []
  for index in range(count + fakes):
    length, is_success = int(rng.integers(36, 60)), index < count
    told = labels(length, rng)
    along = told["progress"] if is_success else np.minimum(told["progress"], 0.5)
    curve = np.stack([along, along**2, np.sin(3 * along)], axis=-1)[:, None, :dim]
    embeddings = curve + noise * rng.standard_normal((length, views, dim))
    made.append(
      EmbeddedVideo(f"v{index}", "A", is_success, SECONDS, embeddings.astype(np.float32), told)
    )
  return made


def store(folder, count: int = 6, *, fakes: int = 2, side: int = 16) -> video_store.VideoStore:
  """A store of videos in which a bright bar rises with progress, one camera brighter than another.

  Half of the successes are of the split "test", the others "shapes"; fakes are "test".
  """
  rng = np.random.default_rng(0)
  lengths = rng.integers(30, 45, count + fakes)
  is_success = np.arange(count + fakes) < count
  split = np.where(is_success & (np.arange(count + fakes) % 2 == 1), 3, 2)
  index = video_store.make_index(
    lengths, seconds_per_frame=SECONDS, is_success=is_success, split=split
  )
  told = [labels(int(length), rng) for length in lengths]
  plan = StorePlan(
    index=index,
    names=tuple(f"v{number}" for number in range(len(lengths))),
    tasks=("A",),
    views=("front", "left"),
    rows=side,
    columns=side,
    labels={name: (values.dtype.str, values.shape[1:]) for name, values in told[0].items()},
  )
  with StoreWriter(folder, plan) as writer:
    for number, values in enumerate(told):
      progress = values["progress"] if is_success[number] else np.minimum(values["progress"], 0.5)
      frames = np.zeros((len(progress), 2, side, side, 3), np.uint8)
      for time, done in enumerate(progress):
        frames[time, :, : round(done * side)] = 140
        frames[time, 1] = np.minimum(frames[time, 1] + 60, 255)
      writer.write(number, frames, values)
    return writer.finish()
