"""PPO over many worlds: one update learns from one rollout, in epochs of minibatches.

PPO (Schulman et al. 2017) as legged robots are trained with it (Rudin et al. 2022): an unsquashed
Gaussian whose deviation is one number per dimension, observations and values normalised by running
statistics, a critic that may see more than the actor, and a learning rate that follows the
divergence between the policy that acted and the one that has learned.

What acted is recomputed at the start of an update and not recorded: the parameters are still those
that acted, and so are the normaliser's statistics, which take the rollout in at the *end* of an
update. So the ratio of the first minibatch is 1, whatever the observations did. Statistics of the
values move at the start, and the critic's last layer with them, so that no value changes by it
(PopArt, van Hasselt et al. 2016). Collecting rollouts is `jaxskills.training.on_policy`'s business.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxskills import distributions
from jaxskills.distributions import Gaussian
from jaxskills.learners.minibatches import deal, pick
from jaxskills.learners.ppo_config import PpoConfig, check
from jaxskills.losses import ppo as losses
from jaxskills.losses.sac import masked_mean
from jaxskills.networks import normalizer
from jaxskills.networks.actor_critic import Actor, Critic, rescaled
from jaxskills.networks.normalizer import Moments
from jaxskills.types import (
  EnvSpec,
  Key,
  Learner,
  Metrics,
  Observation,
  Params,
  Scalar,
  Step,
  Transition,
)

RATE_FACTOR = 1.5  # by which an adaptive rate moves at a time (Rudin et al. 2022)


class PpoParams(NamedTuple):
  """All that acting and valuing need, in one pytree: what is evaluated and exported."""

  actor: Params
  critic: Params
  """Flax variables; the critic's output is in units of `value`."""
  observation: dict[str, Moments]
  """Statistics of every float modality that is seen, by name; empty without normalisation."""
  value: Moments
  """Statistics of the value targets; mean 0 and variance 1 without normalisation."""


class PpoState(NamedTuple):
  """All that PPO remembers."""

  params: PpoParams
  optimizer: optax.OptState
  learning_rate: Scalar
  step: Step
  """Gradient steps so far, `epochs * minibatches` an update; skipped ones count."""


class _Rows(NamedTuple):
  """What a minibatch is made of, leading axes `[time, worlds]` or `[batch]`."""

  observation: Observation
  """Normalised."""
  action: Float[Array, "*batch action"]
  acted: Gaussian
  """The policy that chose the action."""
  log_prob: Float[Array, "*batch"]
  advantage: Float[Array, "*batch"]
  value: Float[Array, "*batch"]
  target: Float[Array, "*batch"]
  """Like `value` in the critic's units."""
  weight: Float[Array, "*batch"]


def make_networks(config: PpoConfig, spec: EnvSpec) -> tuple[Actor, Critic]:
  """The networks that `config` describes for `spec`; a pure description, without parameters."""
  actor = Actor(
    spec.action_size,
    config.actor_inputs,
    config.hidden,
    config.initial_std,
    config.state_dependent_std,
  )
  return actor, Critic(config.critic_inputs, config.hidden)


def make_ppo(config: PpoConfig, spec: EnvSpec) -> Learner[PpoState, Transition]:
  """Builds PPO.

  Its `update` takes a whole rollout, `Transition` of `[time, worlds, ...]` made by the state's own
  parameters, and makes `epochs * minibatches` gradient steps. Its `act` takes `state.params`, a
  batch of observations and a key, or a key for each of them; actions are not clipped.

  Raises:
    ValueError: if a number is out of range or a modality is not in `spec`, naming it.
  """
  check(config, spec)
  actor, critic = make_networks(config, spec)
  seen = sorted({*config.actor_inputs, *config.critic_inputs})
  scaled = [name for name in seen if jnp.issubdtype(spec.observation[name].dtype, jnp.floating)]
  clip = optax.clip_by_global_norm(_or_infinity(config.max_grad_norm))
  optimizer = optax.chain(clip, optax.scale_by_adam())

  def init(key: Key) -> PpoState:
    actor_key, critic_key = jax.random.split(key)
    example = {
      name: jnp.zeros((1, *spec.observation[name].shape), spec.observation[name].dtype)
      for name in seen
    }
    networks = {
      "actor": actor.init(actor_key, example),
      "critic": critic.init(critic_key, example),
    }
    moments = {name: normalizer.blank(spec.observation[name].shape) for name in scaled}
    return PpoState(
      params=PpoParams(
        **networks,
        observation=moments if config.normalize_observations else {},
        value=normalizer.blank(()),
      ),
      optimizer=optimizer.init(networks),
      learning_rate=jnp.asarray(config.learning_rate, jnp.float32),
      step=jnp.zeros((), jnp.int32),
    )

  def policy_of(params: Params, observation: Observation) -> Gaussian:
    return cast(Gaussian, actor.apply(params, observation))

  def value_of(params: Params, observation: Observation) -> Array:
    return cast(Array, critic.apply(params, observation))

  def act(
    params: PpoParams, observation: Observation, key: Key | None = None
  ) -> Float[Array, "batch action"]:
    gaussian = policy_of(params.actor, normalizer.normalize(params.observation, observation))
    if key is None:
      return gaussian.mean
    if key.ndim == 0:
      return distributions.sample(gaussian, key)
    return jax.vmap(distributions.sample)(gaussian, key)

  def prepare(params: PpoParams, rollout: Transition) -> tuple[PpoParams, _Rows, Metrics]:
    """Everything that stays the same over the epochs, and the value statistics with the rollout."""
    now = normalizer.normalize(params.observation, _only(rollout.observation, seen))
    then = _only(rollout.next_observation, config.critic_inputs)
    then = normalizer.normalize(params.observation, then)

    def judge(instant: tuple[Observation, Observation]) -> tuple[Gaussian, Array, Array]:
      now, then = instant
      value, next_value = (
        value_of(params.critic, observation) * normalizer.deviation(params.value)
        + params.value.mean
        for observation in (now, then)
      )
      return policy_of(params.actor, now), value, next_value

    # Instant by instant: all at once takes twice the time on a CPU, whose cache holds one.
    acted, value, next_value = jax.lax.map(judge, (now, then))
    advantage = losses.generalized_advantage(
      rollout.reward,
      value,
      next_value,
      rollout.terminated,
      jnp.maximum(rollout.terminated, rollout.truncated),
      rollout.weight,
      gamma=config.gamma * rollout.discount,
      gae_lambda=config.gae_lambda,
    )
    target = advantage + value
    flat = (leaf.reshape(-1) for leaf in (value, target, rollout.weight))
    metrics = {
      "explained_variance": losses.explained_variance(*flat),
      "value": _mean(value, rollout.weight),
      "advantage_deviation": jnp.sqrt(_mean(advantage**2, rollout.weight)),
      "counted_rows": jnp.mean(jnp.sign(rollout.weight)),
    }
    if config.normalize_values:
      moments = normalizer.merge(params.value, target, rollout.weight, config.statistics_limit)
      critic_params = rescaled(params.critic, params.value, moments)
      params = params._replace(critic=critic_params, value=moments)
    rows = _Rows(
      observation=now,
      action=rollout.action,
      acted=acted,
      log_prob=distributions.log_prob(acted, rollout.action),
      advantage=advantage,
      value=(value - params.value.mean) / normalizer.deviation(params.value),
      target=(target - params.value.mean) / normalizer.deviation(params.value),
      weight=rollout.weight,
    )
    return params, rows, metrics

  def loss(networks: Params, rows: _Rows) -> tuple[Scalar, Metrics]:
    policy = policy_of(networks["actor"], rows.observation)
    log_prob = distributions.log_prob(policy, rows.action)
    advantage = rows.advantage
    if config.normalize_advantage:
      advantage = losses.normalized(advantage, rows.weight)
    policy_loss, policy_metrics = losses.surrogate_loss(
      log_prob, rows.log_prob, advantage, rows.weight, clip=config.clip
    )
    value_loss, value_metrics = losses.value_loss(
      value_of(networks["critic"], rows.observation),
      rows.value,
      rows.target,
      rows.weight,
      clip=config.value_clip,
    )
    entropy = masked_mean(losses.entropy(policy), rows.weight)
    bound_loss = losses.bound_loss(policy.mean, rows.weight, limit=spec.action_limit)
    total = policy_loss + config.value_coefficient * value_loss - config.entropy * entropy
    return total + config.bound_coefficient * bound_loss, {
      **policy_metrics,
      **value_metrics,
      "bound_loss": bound_loss,
      "entropy": entropy,
      "kl": masked_mean(distributions.kl(rows.acted, policy), rows.weight),
      "std": jnp.mean(jnp.exp(policy.log_std)),
    }

  def descend(carry: tuple, rows: _Rows) -> tuple[tuple, Metrics]:
    """One gradient step; none at all where the gradient is not finite."""
    networks, optimizer_state, rate, step = carry
    gradient, metrics = jax.grad(loss, has_aux=True)(networks, rows)
    norm = optax.tree.norm(gradient)
    if config.rate == "adaptive":
      # Before the first step of an update nothing has diverged, which says nothing of the rate.
      adapted = adapted_rate(rate, metrics["kl"], config)
      rate = jnp.where(step > 0, adapted, rate)
    updates, moved_optimizer = optimizer.update(gradient, optimizer_state)
    moved = jax.tree.map(lambda leaf, by: leaf - rate * by, networks, updates)
    finite = jnp.isfinite(norm)
    networks, optimizer_state = jax.tree.map(
      lambda new, old: jnp.where(finite, new, old),
      (moved, moved_optimizer),
      (networks, optimizer_state),
    )
    metrics = {**metrics, "gradient_norm": norm, "finite": finite.astype(jnp.float32)}
    return (networks, optimizer_state, rate, step + 1), metrics

  def update(state: PpoState, rollout: Transition, key: Key) -> tuple[PpoState, Metrics]:
    rollout = _without_masked_rows(rollout)
    steps, worlds = rollout.reward.shape
    minibatches = deal(
      key, epochs=config.epochs, minibatches=config.minibatches, steps=steps, worlds=worlds
    )
    params, rows, metrics = prepare(state.params, rollout)
    networks = {"actor": params.actor, "critic": params.critic}
    carry = (networks, state.optimizer, state.learning_rate, jnp.zeros((), jnp.int32))
    carry, of_steps = jax.lax.scan(
      lambda carry, chosen: descend(carry, pick(rows, chosen)), carry, minibatches
    )
    networks, optimizer_state, rate, taken = carry
    moments = {
      name: normalizer.merge(
        known, rollout.observation[name], rollout.weight, config.statistics_limit
      )
      for name, known in params.observation.items()
    }
    params = PpoParams(**networks, observation=moments, value=params.value)
    state = PpoState(params, optimizer_state, rate, state.step + taken)
    return state, {**metrics, **_over_finite(of_steps), "learning_rate": rate}

  return Learner(init, update, act)


def adapted_rate(rate: Scalar, kl: Scalar, config: PpoConfig) -> Scalar:
  """The learning rate after seeing a divergence: less where it is too far, more where too near."""
  lowered = jnp.maximum(rate / RATE_FACTOR, config.learning_rate_min)
  raised = jnp.minimum(rate * RATE_FACTOR, config.learning_rate_max)
  return jnp.where(kl > config.kl_high, lowered, jnp.where(kl < config.kl_low, raised, rate))


def _over_finite(metrics: Metrics) -> Metrics:
  """Means over the gradient steps that were taken, and how many were not."""
  finite = metrics.pop("finite")
  taken = jnp.maximum(jnp.sum(finite), 1.0)
  means = {
    name: jnp.sum(jnp.where(finite > 0, value, 0.0)) / taken for name, value in metrics.items()
  }
  return {**means, "skipped_minibatches": jnp.sum(1.0 - finite)}


def _only(observation: Observation, names: Sequence[str]) -> Observation:
  return {name: observation[name] for name in names}


def _without_masked_rows(rollout: Transition) -> Transition:
  """Zeros in rows of weight 0: a gradient of 0 times something infinite would not be 0."""
  counts = rollout.weight > 0

  def blank(leaf: Array) -> Array:
    rows = counts.reshape(*counts.shape, *(1,) * (leaf.ndim - counts.ndim))
    return jnp.where(rows, leaf, jnp.zeros_like(leaf))

  return jax.tree.map(blank, rollout)


def _mean(values: Float[Array, "time worlds"], weight: Float[Array, "time worlds"]) -> Scalar:
  return masked_mean(values.reshape(-1), weight.reshape(-1))


def _or_infinity(limit: float | Array) -> Array:
  return jnp.where(jnp.asarray(limit) > 0, limit, jnp.inf)
