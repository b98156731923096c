"""A tiny world whose every number can be worked out by hand."""

import jax
import jax.numpy as jnp
import pytest

from jaxskills.envs import base


class Counter(base.Env):
  """Counts its steps from a random origin; an action is the reward of its step.

  It terminates after `ends_at` steps, succeeds where the reward is above 5, and its state becomes
  NaN where the action is; an action above 50 spoils the observation alone. Every step throws two
  dice, keys of its state, and nothing but `luck` comes of it.
  """

  def __init__(self, ends_at: int | None = None):
    self.ends_at = ends_at
    self.observed = 0  # how often `observe` was traced

  def reset(self, key):
    data = {
      "origin": jax.random.uniform(base.typed_key(key)),
      "count": jnp.zeros(()),
      "last": jnp.zeros(()),
      "dice": jax.random.split(base.typed_key(key)),
      "luck": jnp.zeros(()),
    }
    zero = jnp.zeros(())
    return base.State(data, self.observe(data), zero, zero, {"success": zero}, {})

  def advance(self, state, action):
    count = state.data["count"] + 1.0 + 0.0 * action[0]
    dice = jax.vmap(jax.random.fold_in, in_axes=(0, None))(state.data["dice"], 0)
    luck = jax.random.uniform(dice[0]) + jax.random.uniform(dice[1])
    data = {**state.data, "count": count, "last": action[0], "dice": dice, "luck": luck}
    done = jnp.zeros(()) if self.ends_at is None else (count >= self.ends_at).astype(jnp.float32)
    success = (action[0] > 5.0).astype(jnp.float32)
    return state.replace(data=data, reward=action[0], done=done, metrics={"success": success})

  def observe(self, data):
    self.observed += 1
    spoilt = jnp.where(data["last"] > 50.0, jnp.inf, 0.0)
    return {"state": jnp.stack([data["origin"], data["count"]]) + spoilt}

  @property
  def action_size(self):
    return 1

  @property
  def step_seconds(self):
    return 0.1


@pytest.fixture
def counter():
  """The class of the tiny world."""
  return Counter
