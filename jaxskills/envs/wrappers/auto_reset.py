"""A batch of worlds in which a finished one begins anew, and the record of a step made there.

Brax resets a finished world to the one state in which it first began, so that a learner sees the
same start for ever. Here finished worlds draw from a pool of reset states, which `refresh` renews.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxskills.envs.base import Env, State, typed_key
from jaxskills.types import EnvSpec, Key, Transition


class Pool(NamedTuple):
  """Reset states in stock; not per world, hence replicated where worlds are sharded."""

  data: Any
  """Of each start; this and the next two have a leading axis `[pool_size]`."""
  obs: Any
  memory: dict[str, Any]
  """The part of `State.info` that an episode begins with."""
  oldest: Int[Array, ""]
  """Where `refresh` goes on."""
  key: Key
  draws: Int[Array, ""]
  """Steps made so far; with `key` and the world's index it decides which start is drawn."""


class AutoReset:
  """Steps a batch of worlds `[B]`; where one is done, the state handed back is that of a new start.

  The step's own `reward`, `done`, `metrics` and reports (`Env.reports`) stay those of the episode
  that ended. `info["final_observation"]` is what was seen at the end of the step, before any reset,
  and `info["reset"]` is 1 where there was one. Which start a world draws depends on the key, the
  step and the global index of the world (`info["world"]`) only, not on how worlds lie on devices.

  Two worlds that draw the same start do not live the same random life from there on: every typed
  PRNG key in what is drawn is folded with the world's index and the step. A raw key (`uint32`)
  cannot be told from numbers, and stays as it was drawn. What is a world's own for the whole of a
  run, such as the masses of its robot, it keeps by `Env.begin_again`.
  """

  def __init__(self, env: Env, pool_size: int, refresh_size: int | None = None):
    """Wraps a single-world `env`.

    Args:
      env: a world without batch axis.
      pool_size: reset states in stock.
      refresh_size: how many of them `refresh` redraws; an eighth of the pool if not given.

    Raises:
      ValueError: if the pool has fewer than two states, or is no multiple of `refresh_size`.
    """
    refresh_size = max(1, pool_size // 8) if refresh_size is None else refresh_size
    if pool_size < 2:
      raise ValueError(f"a pool needs at least two reset states, got {pool_size}")
    if refresh_size < 1 or pool_size % refresh_size:
      raise ValueError(f"a pool of {pool_size} cannot be redrawn {refresh_size} at a time")
    self.env = env
    self.pool_size = pool_size
    self.refresh_size = refresh_size

  def spec(self) -> EnvSpec:
    """Of a single world."""
    return self.env.spec()

  def reset(self, keys: Key) -> State:
    """Begins an episode in every world and fills the pool.

    Args:
      keys: one per world, `[B]` typed or `[B, 2]` raw.
    """
    keys = typed_key(keys)
    pool_key, slot_key = jax.random.split(jax.random.fold_in(keys[0], keys.shape[0]))
    state = jax.vmap(self.env.reset)(keys)
    zero = jnp.zeros((), jnp.int32)
    data, obs, memory = self._starts(pool_key, self.pool_size)
    own = {
      "pool": Pool(data, obs, memory, oldest=zero, key=slot_key, draws=zero),
      "world": jnp.arange(keys.shape[0]),
      "reset": jnp.zeros_like(state.done),
      "final_observation": state.obs,
    }
    return state.replace(info={**state.info, **own})

  def step(self, states: State, actions: Any) -> State:
    """Steps every world, then begins anew where it is done."""
    pool: Pool = states.info["pool"]
    world = states.info["world"]
    own = ("pool", "world", "reset", "final_observation")
    inner = {name: value for name, value in states.info.items() if name not in own}
    running = states.replace(done=jnp.zeros_like(states.done), info=inner)
    after = jax.vmap(self.env.step)(running, actions)

    key = jax.random.fold_in(pool.key, pool.draws)
    slots = jax.vmap(
      lambda index: jax.random.randint(jax.random.fold_in(key, index), (), 0, self.pool_size)
    )(world)
    memory = {name: after.info[name] for name in pool.memory}
    fresh = jax.tree.map(lambda leaf: leaf[slots], (pool.data, pool.obs, pool.memory))
    fresh = jax.vmap(_renew_keys, in_axes=(0, 0, None))(fresh, world, pool.draws)
    if self.env.unwrapped.keeps:
      data = jax.vmap(self.env.unwrapped.begin_again)(fresh[0], after)
      fresh = (data, jax.vmap(self.env.observe)(data), fresh[2])
    data, obs, memory = jax.tree.map(
      lambda new, old: jnp.where(_along(after.done > 0.0, old), new, old),
      fresh,
      (after.data, after.obs, memory),
    )
    own = {
      "pool": pool._replace(draws=pool.draws + 1),
      "world": world,
      "reset": after.done,
      "final_observation": after.obs,
    }
    return after.replace(data=data, obs=obs, info={**after.info, **memory, **own})

  def refresh(self, states: State, key: Key) -> State:
    """Redraws the oldest part of the pool."""
    pool: Pool = states.info["pool"]
    new = self._starts(typed_key(key), self.refresh_size)
    data, obs, memory = jax.tree.map(
      lambda old, part: jax.lax.dynamic_update_slice_in_dim(old, part, pool.oldest, 0),
      (pool.data, pool.obs, pool.memory),
      new,
    )
    oldest = (pool.oldest + self.refresh_size) % self.pool_size
    pool = pool._replace(data=data, obs=obs, memory=memory, oldest=oldest)
    return states.replace(info={**states.info, "pool": pool})

  def _starts(self, key: Key, number: int) -> tuple[Any, Any, dict[str, Any]]:
    """Data, observation and episode memory of `number` reset states."""
    state = jax.vmap(self.env.reset)(jax.random.split(key, number))
    memory = {name: leaf for name, leaf in state.info.items() if name not in self.env.reports}
    return state.data, state.obs, memory


def transition(before: State, action: Any, after: State) -> Transition:
  """The record of one step of an `AutoReset` world; leading axes as they come.

  What a wrapper that is not there would have reported takes its natural value: a world is never
  truncated without `EpisodeLimit`, not discounted without `SkillStep`, healthy without
  `Quarantine`.
  """
  info = after.info
  nothing = jnp.zeros_like(after.done)
  return Transition(
    observation=before.obs,
    action=action,
    reward=after.reward,
    terminated=info.get("terminated", after.done),
    truncated=info.get("truncated", nothing),
    next_observation=info.get("final_observation", after.obs),
    discount=info.get("discount", nothing + 1.0),
    weight=info.get("weight", nothing + 1.0),
  )


def _renew_keys(start: Any, world: Int[Array, ""], draw: Int[Array, ""]) -> Any:
  """A start of one world whose typed keys, of whatever shape, are this world's and this draw's."""

  def renew(leaf: Array) -> Array:
    if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
      return leaf
    renewed = jax.vmap(lambda key: jax.random.fold_in(jax.random.fold_in(key, world), draw))
    return renewed(leaf.reshape(-1)).reshape(leaf.shape)

  return jax.tree.map(renew, start)


def _along(mask: Array, leaf: Array) -> Array:
  """The mask `[B]` with as many trailing axes as `leaf` has."""
  return mask.reshape(mask.shape + (1,) * (leaf.ndim - mask.ndim))
