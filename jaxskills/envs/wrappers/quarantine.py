"""Containment of a world that stopped being finite, so that it cannot poison the others."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxskills.envs.base import Env, State, Wrapper
from jaxskills.types import Key

_ENDS = ("terminated", "truncated")  # reports of how an episode ended


class Quarantine(Wrapper):
  """Ends the episode of a non-finite world and marks the step as worthless.

  Such a world keeps its last finite state (zeros where there is none), earns nothing, is `done` and
  so reset next, and gets `info["weight"]` 0 for that step, 1 otherwise: a learner multiplies by it.
  `info["quarantined"]` counts how often it happened to this world. Neither terminated nor truncated
  is set, for nothing can be learned from how it ended.
  """

  def __init__(self, env: Env):
    super().__init__(env)
    self.reports = env.reports | {"weight", "quarantined"}

  def reset(self, key: Key) -> State:
    state = self.env.reset(key)
    report = {"weight": jnp.ones(()), "quarantined": jnp.zeros((), jnp.int32)}
    return state.replace(info={**state.info, **report})

  def follow(self, before: State, after: State) -> State:
    healthy = _is_finite((after.data, after.obs, after.reward, after.metrics))
    safe = jax.tree.map(
      lambda new, old: jnp.where(healthy, new, _finite_or_zero(old)),
      (after.data, after.obs, after.info),
      (before.data, before.obs, {name: before.info[name] for name in after.info}),
    )
    data, obs, info = safe
    ends = {name: jnp.where(healthy, info[name], 0) for name in _ENDS if name in info}
    report = {
      **ends,
      "weight": jnp.where(healthy, 1.0, 0.0),
      "quarantined": before.info["quarantined"] + ~healthy,
    }
    return after.replace(
      data=data,
      obs=obs,
      reward=jnp.where(healthy, after.reward, 0.0),
      done=jnp.where(healthy, after.done, 1.0),
      metrics=jax.tree.map(lambda metric: jnp.where(healthy, metric, 0), after.metrics),
      info={**info, **report},
    )


def _is_float(leaf: Any) -> bool:
  return jnp.issubdtype(leaf.dtype, jnp.inexact)


def _is_finite(tree: Any) -> Bool[Array, ""]:
  """Whether every floating number of a tree is finite."""
  checks = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree) if _is_float(leaf)]
  return jnp.all(jnp.stack(checks)) if checks else jnp.array(True)


def _finite_or_zero(leaf: Array) -> Array:
  return jnp.where(jnp.isfinite(leaf), leaf, 0) if _is_float(leaf) else leaf
