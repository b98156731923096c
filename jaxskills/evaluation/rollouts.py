"""Plays episodes of a frozen way of acting, jitted and batched, and keeps what was asked for.

A `plan` maps an observation to the next few actions: a skill policy decodes a whole skill, a flat
policy returns one action. The same function therefore evaluates every method, records exploration
(SPiRL, Fig. 5) and films a policy. The world is observed once per plan, as in training.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.types import Key, Metrics, Observation

Plan = Callable[[Observation, Key], Float[Array, "horizon action"]]


class Episode(NamedTuple):
  """One episode, step by step; a leading axis for several."""

  watched: Any
  """What `watch` said before every step and after the last: leaves `[time + 1, ...]`, held once
  the episode has ended."""
  reward: Float[Array, "*episodes time"]
  """Zero after the end."""
  success: Float[Array, "*episodes time"]
  """The environment's metric `success` of every step, 0 after the end; above 0 is a success."""
  alive: Float[Array, "*episodes time"]
  """1 while the episode goes on, 0 after its end."""


def play(
  env: Any,
  plan: Plan,
  key: Key,
  decisions: int,
  watch: Callable[[Any], Any] = lambda data: (),
) -> Episode:
  """Plays one episode of `decisions` plans.

  Args:
    env: an environment of one world (`reset`, `advance`, `step`); not an auto-resetting one.
    plan: `(observation, key) -> actions [horizon, action]`, executed without looking.
    key: decides the start and every random choice of the plan.
    decisions: plans per episode; `time` is that many times the horizon.
    watch: `data -> pytree`, what to keep of the world's state at every step.

  Returns:
    The episode. Jit or `vmap` over `key` as needed: it is pure.
  """
  reset_key, plan_key = jax.random.split(key)
  state = env.reset(reset_key)

  def advance(carry, action, move):
    state, alive, watched = carry
    state = move(state, action)
    seen = jax.tree.map(lambda new, old: jnp.where(alive, new, old), watch(state.data), watched)
    reward = jnp.where(alive, state.reward, 0.0)
    success = jnp.where(alive, state.metrics.get("success", jnp.zeros(())), 0.0)
    still = alive & (jnp.asarray(state.done) < 0.5)
    return (state, still, seen), (watched, reward, success, alive.astype(jnp.float32))

  def decide(carry, index):
    actions = plan(carry[0].obs, jax.random.fold_in(plan_key, index))
    carry, steps = jax.lax.scan(
      lambda carry, action: advance(carry, action, env.advance), carry, actions[:-1]
    )
    carry, last = advance(carry, actions[-1], env.step)  # only the last step is looked at
    steps = jax.tree.map(lambda head, tail: jnp.concatenate([head, tail[None]]), steps, last)
    return carry, steps

  start = (state, jnp.array(True), watch(state.data))
  (_, _, last), steps = jax.lax.scan(decide, start, jnp.arange(decisions))
  watched, reward, success, alive = jax.tree.map(
    lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), steps
  )
  watched = jax.tree.map(lambda path, end: jnp.concatenate([path, end[None]]), watched, last)
  return Episode(watched, reward, success, alive)


def play_many(
  env: Any,
  plan: Plan,
  key: Key,
  episodes: int,
  decisions: int,
  watch: Callable[[Any], Any] = lambda data: (),
) -> Episode:
  """Plays `episodes` episodes side by side; episode `i` depends on `key` and `i` alone.

  Returns:
    The episodes, every leaf with a leading axis `[episodes]`.
  """
  keys = jax.vmap(lambda index: jax.random.fold_in(key, index))(jnp.arange(episodes))
  return jax.vmap(lambda key: play(env, plan, key, decisions, watch))(keys)


def summarize(episodes: Episode) -> Metrics:
  """Means over episodes, `[episodes, time]` leaves in: `success_rate`, `return`, `length`.

  An episode is a success when any of its steps was.
  """
  return {
    "success_rate": jnp.mean(jnp.any(episodes.success > 0, axis=1)),
    "return": jnp.mean(jnp.sum(episodes.reward, axis=1)),
    "length": jnp.mean(jnp.sum(episodes.alive, axis=1)),
  }
