"""What a learner of embeddings must know of its videos before any network is built."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

SMALLEST_SIDE = 8  # ours: the small trunk leaves 2 x 2 positions of it


class FrameSpec(NamedTuple):
  """Pictures and the sets that they come from.

  Attributes:
    rows: of a picture.
    columns: of a picture.
    views: cameras that training may draw from.
    tasks: how many tasks are told apart; labels are below it.
    features: `(rows, columns, channels)` of cached feature maps, where batches hold those in place
      of pictures (see `data.feature_cache`).
  """

  rows: int
  columns: int
  views: int
  tasks: int
  features: tuple[int, int, int] | None = None

  @property
  def shape(self) -> tuple[int, int, int]:
    """Of what stands for one frame in a batch."""
    return (self.rows, self.columns, 3) if self.features is None else self.features

  def example(self, frames: int = 1) -> Float[Array, "one *frame rows columns channels"]:
    """A blank input of so many frames as networks take it, to initialise them with."""
    frame = () if frames == 1 else (frames,)
    return jnp.zeros((1, *frame, *self.shape))


def check_frames(spec: FrameSpec, *, views: int = 1, tasks: int = 0) -> None:
  """Refuses pictures or sets that a learner cannot do with.

  Args:
    spec: of the videos.
    views: how many cameras the learner needs at least.
    tasks: how many tasks.

  Raises:
    ValueError: naming what there is too little of, and how much there was.
  """
  for name, least in (("rows", SMALLEST_SIDE), ("columns", SMALLEST_SIDE), ("views", views)):
    if getattr(spec, name) < least:
      raise ValueError(f"{name} must be at least {least}, not {getattr(spec, name)}")
  if spec.tasks < tasks:
    raise ValueError(f"tasks must be at least {tasks}, not {spec.tasks}")


def check_shape(frames: jax.Array, spec: FrameSpec, axes: tuple[str, ...]) -> None:
  """Refuses a batch whose frames are not of the declared size behind these axes.

  Raises:
    ValueError: telling both shapes.
  """
  if frames.ndim != len(axes) + 3 or frames.shape[-3:] != spec.shape:
    wanted = ", ".join((*axes, *map(str, spec.shape)))
    raise ValueError(f"frames of this learner are [{wanted}], not {list(frames.shape)}")
