"""Off-policy reinforcement learning as pure functions: collect with many worlds, replay, update.

A chunk is one jitted call: in each of its iterations every world takes one decision (a skill or a
single action), the transitions go into an on-device replay (flashbax), and the learner makes a
fixed number of updates. Several seeds are a leading axis over all of it (`over_seeds`).

This is the loop of SPiRL (Pertsch et al. 2020), algorithm 1, for any learner over `Transition`s;
appendix F's exploration, which follows the prior before the policy, is `prior_decisions`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flashbax as fbx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxskills.envs.base import State
from jaxskills.envs.wrappers.auto_reset import AutoReset, transition
from jaxskills.learners.action_type import ActionType
from jaxskills.training.worlds import episode_metrics
from jaxskills.types import Key, Learner, Metrics, Observation, Transition


class OffPolicyConfig(NamedTuple):
  """How experience and updates alternate; a decision is a skill, or an action without skills.

  Attributes:
    worlds: that take decisions side by side.
    updates_per_iteration: gradient steps after each round of one decision per world.
    iterations_per_chunk: rounds in one jitted call.
    batch_size: transitions per gradient step.
    replay_capacity: transitions kept; the oldest make room.
    warmup_decisions: over all worlds, before the first update.
    warmup_from_prior: warm up with the action type's prior (plain SAC: uniform actions) instead of
      the policy, which starts as the prior in SPiRL.
    prior_decisions: over all worlds, taken from the prior before it fades out (appendix F: the
      decisions in 500k steps); 0 follows the policy at once.
    prior_fade_decisions: over which the share of the prior falls from 1 to 0 after that.
  """

  worlds: int = 128
  updates_per_iteration: int = 32
  iterations_per_chunk: int = 10
  batch_size: int = 256
  replay_capacity: int = 100_000
  warmup_decisions: int = 5_000
  warmup_from_prior: bool = False
  prior_decisions: int = 0
  prior_fade_decisions: int = 1


class OffPolicyState(NamedTuple):
  """All that a run of one seed remembers."""

  learner: Any
  worlds: State
  replay: Any
  key: Key
  """Never changes: random numbers come from it and `iteration`."""
  iteration: Int[Array, ""]
  decisions: Int[Array, ""]
  env_steps: Int[Array, ""]
  updates: Int[Array, ""]


class OffPolicy(NamedTuple):
  """The two halves of a `Stage`: `init(key) -> state`, `chunk(state) -> (state, metrics)`."""

  init: Callable[[Key], OffPolicyState]
  chunk: Callable[[OffPolicyState], tuple[OffPolicyState, Metrics]]


def make_off_policy(
  config: OffPolicyConfig,
  env: AutoReset,
  learner: Learner,
  policy: Callable[[Any, Observation], Any],
  action_type: ActionType,
  prior: Callable[[Observation], Any] | None = None,
) -> OffPolicy:
  """Builds the training loop of one seed.

  Args:
    config: sizes and rates.
    env: worlds that begin anew by themselves; a `SkillStep` inside makes decisions of skills.
    learner: over `Transition`s.
    policy: `(learner state, observation) -> output` that `action_type` reads.
    action_type: how an output becomes an action.
    prior: `observation -> output` of a frozen prior. It is asked once for every transition, which
      stores the answer, and not again in every update that replays it.

  Raises:
    ValueError: if the replay cannot hold the warm-up or a batch, naming both numbers.
  """
  check(config)
  replay = fbx.make_item_buffer(
    max_length=config.replay_capacity,
    min_length=1,
    sample_batch_size=config.batch_size,
    add_batches=True,
  )
  warmup_iterations = -(-config.warmup_decisions // config.worlds)

  def says(observation: Observation) -> Any:
    return () if prior is None else prior(observation)

  def collect(state: OffPolicyState, follow_prior: Array) -> OffPolicyState:
    """One decision in every world; `follow_prior` is the chance that the prior takes it."""
    key = jax.random.fold_in(state.key, state.iteration)
    act_key, prior_key, choice_key, refresh_key = jax.random.split(jax.random.fold_in(key, 0), 4)
    before = state.worlds
    output, prior_output = policy(state.learner, before.obs), says(before.obs)
    chosen = _where_worlds(
      jax.random.uniform(choice_key, (config.worlds,)) < follow_prior,
      action_type.sample_prior(output, prior_output, prior_key),
      action_type.sample(output, act_key),
    )
    after = env.step(before, chosen)
    rows = transition(before, chosen, after)
    rows = rows._replace(prior=prior_output, next_prior=says(rows.next_observation))
    steps = after.info.get("skill_steps", jnp.ones(config.worlds, jnp.int32))
    return state._replace(
      worlds=env.refresh(after, refresh_key),
      replay=replay.add(state.replay, rows),
      iteration=state.iteration + 1,
      decisions=state.decisions + config.worlds,
      env_steps=state.env_steps + jnp.sum(steps),
    )

  def init(key: Key) -> OffPolicyState:
    learner_key, world_key, run_key = jax.random.split(key, 3)
    indices = jnp.arange(config.worlds)
    worlds = env.reset(jax.vmap(jax.random.fold_in, (None, 0))(world_key, indices))
    zero = jnp.zeros((), jnp.int32)
    state = OffPolicyState(learner.init(learner_key), worlds, (), run_key, zero, zero, zero, zero)
    state = state._replace(replay=replay.init(_example_row(state)))
    share = jnp.asarray(float(config.warmup_from_prior or config.prior_decisions > 0))
    return jax.lax.fori_loop(0, warmup_iterations, lambda _, state: collect(state, share), state)

  def _example_row(state: OffPolicyState) -> Transition:
    """A blank transition of the shapes that `collect` makes."""

    def rows(state: OffPolicyState) -> Transition:
      output, prior_output = policy(state.learner, state.worlds.obs), says(state.worlds.obs)
      chosen = action_type.sample(output, state.key)
      made = transition(state.worlds, chosen, env.step(state.worlds, chosen))
      return made._replace(prior=prior_output, next_prior=prior_output)

    shapes = jax.eval_shape(rows, state)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape[1:], leaf.dtype), shapes)

  def iterate(state: OffPolicyState, _: None) -> tuple[OffPolicyState, Metrics]:
    faded = (state.decisions - config.prior_decisions) / config.prior_fade_decisions
    share = 1.0 - jnp.clip(faded, 0.0, 1.0) if config.prior_decisions else jnp.zeros(())
    update_key = jax.random.fold_in(jax.random.fold_in(state.key, state.iteration), 1)
    state = collect(state, share)
    buffer = state.replay

    def update(learner_state: Any, key: Key) -> tuple[Any, Metrics]:
      sample_key, key = jax.random.split(key)
      batch = replay.sample(buffer, sample_key).experience
      return learner.update(learner_state, batch, key)

    keys = jax.random.split(update_key, config.updates_per_iteration)
    trained, metrics = jax.lax.scan(update, state.learner, keys)
    state = state._replace(learner=trained, updates=state.updates + config.updates_per_iteration)
    return state, {**jax.tree.map(jnp.mean, metrics), **_world_metrics(state.worlds)}

  def chunk(state: OffPolicyState) -> tuple[OffPolicyState, Metrics]:
    state, metrics = jax.lax.scan(iterate, state, None, length=config.iterations_per_chunk)
    means = {name: jnp.mean(value) for name, value in metrics.items()}
    latest = episode_metrics(state.worlds)
    return state, {**means, **latest}

  return OffPolicy(init, chunk)


def over_seeds(loop: OffPolicy, seeds: int) -> OffPolicy:
  """The same loop for several seeds at once: states and metrics get a leading axis `[seeds]`.

  Seed `i` depends on the key and `i` alone, so its run is that of any other number of seeds.
  """

  def init(key: Key) -> OffPolicyState:
    return jax.vmap(lambda seed: loop.init(jax.random.fold_in(key, seed)))(jnp.arange(seeds))

  return OffPolicy(init, jax.vmap(loop.chunk))


def _where_worlds(mask: Array, yes: Any, no: Any) -> Any:
  """Picks per world, along the leading axis of every leaf."""
  return jax.tree.map(lambda a, b: jnp.where(mask.reshape(-1, *(1,) * (a.ndim - 1)), a, b), yes, no)


def _world_metrics(worlds: State) -> Metrics:
  """Figures of the last decision of every world."""
  metrics = {"decision/reward": jnp.mean(worlds.reward)}
  if "weight" in worlds.info:
    metrics["worlds/healthy"] = jnp.mean(worlds.info["weight"])
  return metrics


def check(config: OffPolicyConfig) -> None:
  """Refuses sizes that do not fit together.

  Raises:
    ValueError: naming the numbers.
  """
  for name in ("worlds", "updates_per_iteration", "iterations_per_chunk", "batch_size"):
    if getattr(config, name) < 1:
      raise ValueError(f"{name} must be at least 1, not {getattr(config, name)}")
  if config.warmup_decisions < 1:
    raise ValueError("warmup_decisions must be at least 1: an update needs something to replay")
  if config.replay_capacity < config.warmup_decisions + config.worlds:
    raise ValueError(
      f"a replay of {config.replay_capacity} cannot hold a warm-up of {config.warmup_decisions} "
      f"decisions and a round of {config.worlds} worlds"
    )
