"""Synchronous views of a dot that crosses a picture: the least that an embedding can be learned of.

The dot goes from left to right. In the second view colours are exchanged and the picture is turned
upside down, so that pixels say nothing across views; tasks differ in the height at which it goes.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxskills.data.augment import AugmentConfig
from jaxskills.data.clips import AsnBatch, SkillClips, ViewPairs
from jaxskills.learners.frame_encoder import EmbedderOptions
from jaxskills.learners.frame_spec import FrameSpec
from jaxskills.networks.embedder import SmallOptions
from jaxskills.networks.embedding_head import HeadOptions

SIDE = 16
SPEC = FrameSpec(rows=SIDE, columns=SIDE, views=2, tasks=2)
TINY = EmbedderOptions(
  embedding_dim=8, small=SmallOptions((8,), (2,)), head=HeadOptions(hidden=32, dropout=0.0)
)
"""Without dropout in the encoder: what it makes of a picture is then always the same."""
PLAIN = AugmentConfig((1.0, 1.0), 0.0, 0.0, 0.0, 0.0)
"""Pictures as they are."""


def seen(progress: jax.Array, height: jax.Array) -> jax.Array:
  """Both views of dots, uint8 `[..., view, rows, columns, 3]`.

  Args:
    progress: from 0, at the left, to 1, at the right, `[...]`.
    height: likewise from the top, `[...]`.
  """
  place = jnp.arange(SIDE) / (SIDE - 1)
  across = (place - progress[..., None]) ** 2
  down = (place - height[..., None]) ** 2
  light = jnp.exp(-(down[..., :, None] + across[..., None, :]) / 0.02)
  dark = jnp.full_like(light, 0.2)
  first = jnp.stack([light, dark, dark], axis=-1)
  second = jnp.stack([dark, dark, light], axis=-1)[..., ::-1, :, :]
  return (255 * jnp.stack([first, second], axis=-4)).astype(jnp.uint8)


def pairs(key: jax.Array, videos: int = 3, times: int = 4) -> ViewPairs:
  """Instants in order, a fifth of the way apart or more on average, in videos of any height."""
  time_key, height_key = jax.random.split(key)
  progress = jnp.sort(jax.random.uniform(time_key, (videos, times)), axis=1)
  height = jax.random.uniform(height_key, (videos, 1), minval=0.2, maxval=0.8)
  return ViewPairs(seen(progress, jnp.broadcast_to(height, progress.shape)))


def skills(key: jax.Array, clips: int = 6, frames: int = 2) -> SkillClips:
  """Clips of two tasks: high up and low down."""
  progress = jax.random.uniform(key, (clips, 1), maxval=0.7) + 0.3 * jnp.arange(frames) / frames
  task = jnp.arange(clips) % 2
  height = jnp.broadcast_to((0.3 + 0.4 * task)[:, None], progress.shape)
  return SkillClips(jnp.moveaxis(seen(progress, height), 2, 1), task)


def batch(key: jax.Array) -> AsnBatch:
  """What one update of ASN takes."""
  pairs_key, skills_key = jax.random.split(key)
  return AsnBatch(pairs(pairs_key), skills(skills_key))


def misalignment(embed) -> float:
  """How far from the right instant the nearest neighbour in the other view is; chance is 1/3."""
  progress = jnp.linspace(0, 1, 20)
  embeddings = np.asarray(embed(seen(progress, jnp.full(20, 0.45))))  # [time, view, dim]
  apart = ((embeddings[:, None, 0] - embeddings[None, :, 1]) ** 2).sum(-1)
  return float(np.mean(np.abs(np.argmin(apart, axis=1) - np.arange(20))) / 20)
