"""Worlds that speak Brax's or MuJoCo Playground's protocol, as worlds of ours.

The other direction needs no adapter: `State` answers to `pipeline_state` too, and `reset` takes raw
keys, so Brax's wrappers drive our worlds as they are. This module does not import Brax.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxskills.envs.base import Env, State, typed_key
from jaxskills.types import Key, Observation


class FromBrax(Env):
  """A Brax-protocol world as one of ours.

  It needs `reset(rng)` and `step(state, action)` on a record with `obs`, `reward`, `done`,
  `metrics` and `info`, and `action_size` and `dt` (Brax's and Playground's classes have them). Its
  whole state is our `data`, so that what it keeps in its own `info` is reset along with it. An
  observation that is one array becomes the modality `"state"`. Leave the episode limit to our
  `EpisodeLimit`: Brax's folds truncation into `done`.
  """

  def __init__(self, env: Any, step_seconds: float | None = None):
    """Adapts `env`; give `step_seconds` where it has no `dt` of its own."""
    self.env = env
    self._step_seconds = step_seconds

  def reset(self, key: Key) -> State:
    theirs = self.env.reset(jax.random.key_data(typed_key(key)))
    return self._ours(theirs, {})

  def advance(self, state: State, action: Any) -> State:
    theirs = jax.tree.map(lambda leaf: leaf, state.data)  # their step writes into dictionaries
    return self._ours(self.env.step(theirs, action), state.info).replace(obs=state.obs)

  def observe(self, data: Any) -> Observation:
    return data.obs if isinstance(data.obs, dict) else {"state": data.obs}

  def _ours(self, theirs: Any, info: dict[str, Any]) -> State:
    reward, done = (jnp.asarray(leaf, jnp.float32) for leaf in (theirs.reward, theirs.done))
    return State(theirs, self.observe(theirs), reward, done, dict(theirs.metrics), info)

  @property
  def action_size(self) -> int:
    return self.env.action_size

  @property
  def step_seconds(self) -> float:
    return float(self.env.dt) if self._step_seconds is None else self._step_seconds

  @property
  def backend(self) -> str:
    return getattr(self.env, "backend", "mjx")
