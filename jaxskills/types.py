"""The few records that every part of jaxskills shares.

A learner is three pure functions (`Learner`), experience is a `Transition`, and an environment
describes itself with an `EnvSpec`. Nothing here computes anything.
"""

from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import jax
from jaxtyping import Array, Float, Int

Key = jax.Array
"""A typed PRNG key (`jax.random.key`), shape `[]` unless said otherwise."""

Params = Any
"""A pytree of network parameters."""

Observation = Any
"""What an agent sees: a mapping from modality to array, e.g. `{"view", "state"}`."""

Scalar = Float[Array, ""]
Metrics = dict[str, jax.Array]

StateT = TypeVar("StateT")
BatchT = TypeVar("BatchT")


class Transition(NamedTuple):
  """One decision and what came of it; leading axes are the caller's.

  `next_observation` is the true last observation of the decision, never that of the episode that
  an automatic reset began. Whether the world *ended* there (`terminated`: the future is worth
  nothing) or was merely *cut off* (`truncated`: the future goes on unseen) is kept apart.
  """

  observation: Observation
  action: Any
  reward: Float[Array, "..."]
  """Sum over the decision's steps; discounted where the environment was told to."""
  terminated: Float[Array, "..."]
  """1 where the world reached a terminal state."""
  truncated: Float[Array, "..."]
  """1 where a time limit cut the episode."""
  next_observation: Observation
  discount: Float[Array, "..."]
  """Factor on the value of `next_observation` before termination is applied."""
  weight: Float[Array, "..."]
  """0 where the world was not finite: such a row carries no statistics and no gradient."""
  prior: Any = ()
  """What a frozen prior says of `observation`; written once, since it never changes."""
  next_prior: Any = ()


class EnvSpec(NamedTuple):
  """What a learner must know of an environment before any network is built."""

  observation: Mapping[str, jax.ShapeDtypeStruct]
  """Shape and dtype of each modality, without batch axes."""
  action_size: int
  action_limit: float
  """Actions lie in `[-action_limit, action_limit]` per dimension."""
  step_seconds: float
  """Control period."""


class Learner(NamedTuple, Generic[StateT, BatchT]):
  """An algorithm: three pure functions made by `make_<name>(config, spec)`.

  Attributes:
    init: `key -> state`.
    update: `(state, batch, key) -> (state, metrics)`, one gradient step.
    act: `(params, observation, key) -> action`; without a key, the deterministic action.
  """

  init: Callable[[Key], StateT]
  update: Callable[[StateT, BatchT, Key], tuple[StateT, Metrics]]
  act: Callable[..., Any]


Step = Int[Array, ""]
