"""The world protocol: one record and a few pure functions that every environment shares.

`reset(key) -> State` and `step(state, action) -> State` are those of Brax and MuJoCo Playground, so
their wrappers drive our worlds and ours drive theirs (`envs/brax.py`). Two things are added. A step
is split into `advance`, which moves the world, and `observe`, which looks at it, so that ten steps
of physics need not draw ten pictures. And no function has a batch axis: `jax.vmap` gives one.
"""

import abc
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxskills.types import EnvSpec, Key, Observation


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
  """A world at one instant, and what its last step reported.

  Attributes:
    data: the physical state, a pytree; all that `Env.observe` looks at.
    obs: what the agent sees, a mapping from modality to array.
    reward: float32 `[]`, of the last step.
    done: float32 `[]`, 1 where the last step ended the episode, for whatever reason.
    metrics: figures of the last step; like rewards, they add up over steps.
    info: what wrappers remember between steps and report of the last one.

  The fields are annotated loosely because transformations put things other than arrays in them.
  """

  data: Any
  obs: Observation
  reward: Any
  done: Any
  metrics: dict[str, Any] = dataclasses.field(default_factory=dict)
  info: dict[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def pipeline_state(self) -> Any:
    """Brax's name for `data`."""
    return self.data

  def replace(self, **changes: Any) -> "State":
    """A copy with some fields changed; `pipeline_state` is taken for `data`."""
    if "pipeline_state" in changes:
      changes["data"] = changes.pop("pipeline_state")
    return dataclasses.replace(self, **changes)


class Env(abc.ABC):
  """A world as pure functions; an instance holds only what is static.

  Attributes:
    reports: keys of `State.info` that tell of the last step or the last episode. All others are
      memory of the running episode, and begin anew with it.
    keeps: whether a world has something of its own that outlives its episodes (`begin_again`); only
      what `unwrapped` says of it counts.
  """

  reports: frozenset[str] = frozenset()
  keeps: bool = False

  @abc.abstractmethod
  def reset(self, key: Key) -> State:
    """Begins an episode.

    Args:
      key: a PRNG key, typed or raw (`uint32 [2]`, as Brax hands over).
    """

  @abc.abstractmethod
  def advance(self, state: State, action: Any) -> State:
    """Moves the world by one control step and leaves `obs` as it was."""

  @abc.abstractmethod
  def observe(self, data: Any) -> Observation:
    """What an agent sees of a world."""

  def step(self, state: State, action: Any) -> State:
    """Moves the world by one control step and looks at it."""
    state = self.advance(state, action)
    return state.replace(obs=self.observe(state.data))

  def begin_again(self, start: Any, before: State) -> Any:
    """The data that a world begins a further episode with, where it draws from a stock of starts.

    Only called where `keeps` says so, and of the world beneath all wrappers (`unwrapped`), whose
    data is theirs too.

    Args:
      start: data that any world may draw.
      before: this world as its last episode left it.
    """
    del before
    return start

  @property
  @abc.abstractmethod
  def action_size(self) -> int:
    """Number of action dimensions."""

  @property
  @abc.abstractmethod
  def step_seconds(self) -> float:
    """Control period in s."""

  @property
  def action_limit(self) -> float:
    """Actions lie within plus and minus this."""
    return 1.0

  @property
  def observation_size(self) -> dict[str, tuple[int, ...]]:
    """Shape of every modality, as Brax asks for it."""
    return {name: leaf.shape for name, leaf in self.spec().observation.items()}

  @property
  def unwrapped(self) -> "Env":
    """The world beneath all wrappers."""
    return self

  @property
  def backend(self) -> str:
    """What computes the physics."""
    return "jax"

  def spec(self) -> EnvSpec:
    """What a learner must know before it builds a network."""
    observation = jax.eval_shape(self.reset, jax.random.key(0)).obs
    return EnvSpec(observation, self.action_size, self.action_limit, self.step_seconds)


class Wrapper(Env):
  """A world around a world.

  A wrapper that keeps books implements `follow` alone: it is handed the state before and after a
  step, whether that step observed or not.
  """

  def __init__(self, env: Env):
    self.env = env

  def follow(self, before: State, after: State) -> State:
    """Adds to `after` what this wrapper has to say of the step; `after.obs` may be stale."""
    del before
    return after

  def reset(self, key: Key) -> State:
    return self.env.reset(key)

  def advance(self, state: State, action: Any) -> State:
    return self.follow(state, self.env.advance(state, action))

  def step(self, state: State, action: Any) -> State:
    return self.follow(state, self.env.step(state, action))

  def observe(self, data: Any) -> Observation:
    return self.env.observe(data)

  @property
  def action_size(self) -> int:
    return self.env.action_size

  @property
  def action_limit(self) -> float:
    return self.env.action_limit

  @property
  def step_seconds(self) -> float:
    return self.env.step_seconds

  @property
  def unwrapped(self) -> Env:
    return self.env.unwrapped

  @property
  def backend(self) -> str:
    return self.env.backend


def typed_key(key: Key) -> Key:
  """The same key with its type; raw `uint32 [..., 2]` keys are wrapped."""
  return key if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else jax.random.wrap_key_data(key)
