"""A batch of worlds whose episodes do not end all at once: `Staggered`."""

import jax
from jaxtyping import Array, Int

from jaxskills.envs.base import Env, State, typed_key
from jaxskills.envs.wrappers.auto_reset import AutoReset
from jaxskills.types import Key

_OWN = 0x57A66E  # what a world's key is folded with; its reset splits the same key


class Staggered(AutoReset):
  """`AutoReset` whose worlds begin with a different part of their first episode behind them.

  Worlds that all begin at once and end by the limit alone stay in step for ever, and each rollout
  sees one phase of the episode. So the first limit of every world comes after 1 to `length` steps,
  drawn from its key (as rsl_rl's `init_at_random_ep_len`); later episodes have all their steps. The
  first one is cut off, not terminated, and counts in statistics as long as it was.
  """

  def __init__(self, env: Env, length: int, pool_size: int, refresh_size: int | None = None):
    """Wraps a single-world `env`.

    Args:
      env: a world without batch axis, with an `EpisodeLimit` on it somewhere.
      length: of that limit, in steps.
      pool_size: see `AutoReset`.
      refresh_size: likewise.
    """
    super().__init__(env, pool_size, refresh_size)
    self.length = length

  def reset(self, keys: Key) -> State:
    states = super().reset(keys)

    def behind(key: Key) -> Int[Array, ""]:
      return jax.random.randint(jax.random.fold_in(key, _OWN), (), 0, self.length)

    steps = jax.vmap(behind)(typed_key(keys))
    return states.replace(info={**states.info, "steps": steps})
