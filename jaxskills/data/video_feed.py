"""Batches of frames for training: picks of a key, copied out of the memory-mapped store.

Which frames a batch holds depends on the seed and on the number of the update alone, so a resumed
run sees what it would have seen, and a run cut into other chunks sees the same.
"""

import functools
import json
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, UInt8

from jaxskills.data.catalog import Picks
from jaxskills.data.samplers import Sampler
from jaxskills.data.video_store import VideoStore
from jaxskills.types import Key


class VideoFeed:
  """An endless stream of batches, whose position can be saved; see `training.run_state.Feed`.

  While the caller computes with one batch, the picks of the next are drawn already: on an
  accelerator they would otherwise wait behind that computation.
  """

  def __init__(self, store: VideoStore, sampler: Sampler, updates_per_chunk: int, seed: int = 0):
    """Compiles nothing yet.

    Args:
      store: where frames come from.
      sampler: what to draw; see `samplers`.
      updates_per_chunk: batches that each call of `next` gives.
      seed: of the order.

    Raises:
      ValueError: for fewer than one update a chunk.
    """
    if updates_per_chunk < 1:
      raise ValueError(f"a chunk needs one or more updates, got {updates_per_chunk}")
    self._identity = {"videos": store.fingerprint, "seed": seed, "sampler": sampler.settings}
    self._frames = store.frames
    self._updates = updates_per_chunk
    self._position = 0
    self._drawn: tuple[int, Any] = (-1, None)

    @jax.jit
    def draw(first: jax.Array) -> Any:
      numbers = first + jax.numpy.arange(updates_per_chunk)
      keys = jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(seed)))(numbers)
      return jax.vmap(sampler.draw)(keys)

    self._draw = draw

  def next(self) -> Any:
    """The next batches, as NumPy arrays with a leading axis of the chunk's updates."""
    position, drawn = self._drawn
    if position != self._position:
      drawn = self._draw(np.int32(self._position))
    batch = jax.tree.map(self._gather, drawn, is_leaf=lambda leaf: isinstance(leaf, Picks))
    self._position += self._updates
    self._drawn = (self._position, self._draw(np.int32(self._position)))
    return batch

  def get_state(self) -> bytes:
    """The position, such that `set_state` makes the next batch the same one."""
    return json.dumps({**self._identity, "position": self._position}).encode()

  def set_state(self, state: bytes) -> None:
    """Goes to a saved position.

    Raises:
      ValueError: if the state is of other videos, another sampler or another seed.
    """
    fields = json.loads(state)
    position = fields.pop("position")
    if differing := sorted(key for key in self._identity if fields.get(key) != self._identity[key]):
      raise ValueError(f"saved feed position differs in {', '.join(differing)}")
    self._position = position

  def _gather(self, leaf: Any) -> np.ndarray:
    """Frames for picks; anything else becomes a NumPy array."""
    if isinstance(leaf, Picks):
      return gather(self._frames, leaf)
    return np.asarray(leaf)


def draw_resident(
  frames: UInt8[Array, "frame view rows columns 3"], sampler: Sampler, key: Key
) -> Any:
  """One batch from frames that lie on the device; pure, for small stores and large memories.

  Args:
    frames: `jax.device_put(store.frames)`; hand it on as an argument, since what a compiled
      function closes over is compiled into it.
    sampler: what to draw.
    key: typed PRNG key; `VideoFeed` takes `jax.random.fold_in(jax.random.key(seed), update)`.
  """

  def copy(leaf: Any) -> Any:
    return frames[leaf.frame, leaf.view] if isinstance(leaf, Picks) else leaf

  return jax.tree.map(copy, sampler.draw(key), is_leaf=lambda leaf: isinstance(leaf, Picks))


def gather(frames: np.ndarray, picks: Picks) -> np.ndarray:
  """Copies the frames that picks name.

  Args:
    frames: `VideoStore.frames`, `[frame, view, rows, columns, 3]`.
    picks: with any axes.

  Returns:
    uint8 `[..., rows, columns, 3]`.
  """
  count, views, *picture = frames.shape
  number = np.asarray(picks.frame) * views + np.asarray(picks.view)
  return np.take(frames.reshape(count * views, *picture), number, axis=0)
