"""On-policy reinforcement learning as pure functions: a rollout in many worlds, then an update.

A chunk is one jitted call: in each of its iterations every world takes `unroll` steps with the
policy as it is, and the learner makes one update of that rollout, however many gradient steps that
means to it. The rollout keeps what was truly seen after every step, so that a learner can tell a
time limit from an end, and an adversary can see transitions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxskills.envs.base import State
from jaxskills.envs.wrappers.auto_reset import AutoReset, transition
from jaxskills.training.worlds import episode_metrics
from jaxskills.types import Key, Learner, Metrics, Transition


class OnPolicyConfig(NamedTuple):
  """How experience and updates alternate.

  Attributes:
    worlds: that run side by side.
    unroll: steps of each world in a rollout.
    iterations_per_chunk: rollouts and updates in one jitted call.
  """

  worlds: int = 1024
  unroll: int = 24
  iterations_per_chunk: int = 10


class OnPolicyState(NamedTuple):
  """All that a run of one seed remembers."""

  learner: Any
  """Has `params`, which `Learner.act` takes, and `step`, its gradient steps so far."""
  worlds: State
  key: Key
  """Never changes: random numbers come from it and `iteration`."""
  iteration: Int[Array, ""]
  env_steps: Int[Array, ""]
  updates: Int[Array, ""]
  """Gradient steps, as the learner counts them."""


class OnPolicy(NamedTuple):
  """The two halves of a `Stage`: `init(key) -> state`, `chunk(state) -> (state, metrics)`."""

  init: Callable[[Key], OnPolicyState]
  chunk: Callable[[OnPolicyState], tuple[OnPolicyState, Metrics]]


def make_on_policy(
  config: OnPolicyConfig, env: AutoReset, learner: Learner[Any, Transition]
) -> OnPolicy:
  """Builds the training loop of one seed.

  Args:
    config: sizes.
    env: worlds that begin anew by themselves.
    learner: whose `update` takes a rollout, `Transition` of `[unroll, worlds, ...]`, and whose
      `act` takes a key for each world.

  Raises:
    ValueError: if a size is not positive, naming it.
  """
  check(config)

  def init(key: Key) -> OnPolicyState:
    learner_key, world_key, run_key = jax.random.split(key, 3)
    indices = jnp.arange(config.worlds)
    worlds = env.reset(jax.vmap(jax.random.fold_in, (None, 0))(world_key, indices))
    zero = jnp.zeros((), jnp.int32)
    return OnPolicyState(learner.init(learner_key), worlds, run_key, zero, zero, zero)

  def roll_out(params: Any, worlds: State, key: Key) -> tuple[State, Transition, Metrics]:
    """`unroll` steps of every world; the noise of a world depends on its index alone."""
    noise = jax.vmap(jax.random.fold_in, (None, 0))(key, worlds.info["world"])

    def step(worlds: State, number: Array) -> tuple[State, tuple[Transition, Metrics]]:
      keys = jax.vmap(jax.random.fold_in, (0, None))(noise, number)
      action = learner.act(params, worlds.obs, keys)
      after = env.step(worlds, action)
      rows = transition(worlds, action, after)
      return after, (rows, _step_metrics(rows, after))

    worlds, (rows, metrics) = jax.lax.scan(step, worlds, jnp.arange(config.unroll))
    return worlds, rows, {name: jnp.mean(value) for name, value in metrics.items()}

  def iterate(state: OnPolicyState, _: None) -> tuple[OnPolicyState, Metrics]:
    key = jax.random.fold_in(state.key, state.iteration)
    act_key, refresh_key, update_key = jax.random.split(key, 3)
    worlds, rows, step_metrics = roll_out(state.learner.params, state.worlds, act_key)
    trained, metrics = learner.update(state.learner, rows, update_key)
    state = state._replace(
      learner=trained,
      worlds=env.refresh(worlds, refresh_key),
      iteration=state.iteration + 1,
      env_steps=state.env_steps + config.worlds * config.unroll,
      updates=trained.step,
    )
    return state, {**metrics, **step_metrics}

  def chunk(state: OnPolicyState) -> tuple[OnPolicyState, Metrics]:
    state, metrics = jax.lax.scan(iterate, state, None, length=config.iterations_per_chunk)
    means = {name: jnp.mean(value) for name, value in metrics.items()}
    return state, {**means, **episode_metrics(state.worlds)}

  return OnPolicy(init, chunk)


def _step_metrics(rows: Transition, after: State) -> Metrics:
  """Means over the healthy worlds of what one step reported."""
  healthy = rows.weight > 0
  number = jnp.maximum(jnp.sum(healthy), 1)

  def mean(values: Array) -> Array:
    return jnp.sum(jnp.where(healthy, values, 0)) / number

  reported = {"reward": rows.reward, "terminated": rows.terminated, **after.metrics}
  return {
    **{f"step/{name}": mean(values) for name, values in reported.items()},
    "worlds/healthy": jnp.mean(healthy.astype(jnp.float32)),
  }


def check(config: OnPolicyConfig) -> None:
  """Refuses sizes that are not positive.

  Raises:
    ValueError: naming the size.
  """
  for name, value in config._asdict().items():
    if value < 1:
      raise ValueError(f"{name} must be at least 1, not {value}")
