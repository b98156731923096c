"""A function over what is seen: `MapObservation`."""

from collections.abc import Callable
from typing import Any

from jaxskills.envs.base import Env, State, Wrapper
from jaxskills.types import Key, Observation


class MapObservation(Wrapper):
  """Shows `function(observation)` instead of the observation.

  For example the features of a frozen encoder: computed once per decision, they are what a replay
  stores, and no update has to compute them again.
  """

  def __init__(self, env: Env, function: Callable[[Observation], Observation]):
    """Wraps `env`.

    Args:
      env: a world without batch axis.
      function: pure, of one observation.
    """
    super().__init__(env)
    self.reports = env.reports
    self._function = function

  def reset(self, key: Key) -> State:
    state = self.env.reset(key)
    return state.replace(obs=self._function(state.obs))

  def step(self, state: State, action: Any) -> State:
    state = self.advance(state, action)
    return state.replace(obs=self.observe(state.data))

  def observe(self, data: Any) -> Observation:
    return self._function(self.env.observe(data))
