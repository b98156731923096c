"""One SAC for all: its entropy term is a divergence from a prior that an `ActionType` measures.

SPiRL (Pertsch et al. 2020), algorithm 1. With a uniform prior this is plain SAC, with a one-step
action prior the paper's "Flat Prior", with a skill prior SPiRL. The prior is frozen: what it says
of an observation comes with the batch (`Transition.prior`, `Transition.next_prior`), and the policy
may start as a copy of it (appendices B.2 and F). Where the released code departs from the paper,
the default is the paper's; `timeouts_terminate` restores the one that concerns this file.

An update takes every gradient at the parameters that it was given, in the released code's order:
alpha first, then the policy against the current critics, the critics, and the target critics last.
Collecting experience, replay and evaluation are `jaxskills.training`'s business.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxskills.learners.action_type import ActionType
from jaxskills.losses import sac as losses
from jaxskills.types import EnvSpec, Key, Learner, Metrics, Observation, Params, Transition


class SacConfig(NamedTuple):
  """Numbers that SAC runs by; all may be traced, so a sweep over them compiles once.

  The defaults are SPiRL's, appendix B.2. `alpha`, `target_divergence`, `alpha_min`, `alpha_max` and
  `learn_alpha` are one number for all components of the divergence or one for each.

  Attributes:
    gamma: discount per decision (per skill, not per low-level step).
    tau: share of the critics that their targets take over at each update.
    policy_learning_rate: Adam's step for the policy.
    critic_learning_rate: Adam's step for the critics.
    alpha_learning_rate: Adam's step for log alpha.
    target_divergence: nats by which the policy may stray from the prior (SPiRL: 1 in the maze).
    alpha: starting weight of the divergence; the weight for good if `learn_alpha` is off, where 0
      takes the regularisation away.
    learn_alpha: whether alpha follows the target divergence.
    alpha_min: floor of alpha.
    alpha_max: ceiling of alpha; the default only guards against overflow.
    reward_scale: multiplies rewards.
    target_limit: bound on the critics' targets (EXTRACT: `1 / (1 - gamma)`); 0 means none.
    gradient_clip: bound on the global norm of policy and critic gradients; 0 means none.
    timeouts_terminate: take time limits for ends of the world, as SPiRL's released code does.
    policy_delay: policy and alpha move at every such update only.
  """

  gamma: float | Array = 0.99
  tau: float | Array = 5e-3
  policy_learning_rate: float | Array = 3e-4
  critic_learning_rate: float | Array = 3e-4
  alpha_learning_rate: float | Array = 3e-4
  target_divergence: float | Sequence[float] | Array = 1.0
  alpha: float | Sequence[float] | Array = 1.0
  learn_alpha: bool | Sequence[bool] | Array = True
  alpha_min: float | Sequence[float] | Array = 0.0
  alpha_max: float | Sequence[float] | Array = 1e6
  reward_scale: float | Array = 1.0
  target_limit: float | Array = 0.0
  gradient_clip: float | Array = 0.0
  timeouts_terminate: bool | Array = False
  policy_delay: int | Array = 1


class SacState(NamedTuple):
  """All that SAC remembers."""

  policy: Params
  critic: Params
  target_critic: Params
  log_alpha: Float[Array, "component"]
  policy_optimizer: optax.OptState
  critic_optimizer: optax.OptState
  alpha_optimizer: optax.OptState
  step: Int[Array, ""]


def make_sac(
  config: SacConfig,
  spec: EnvSpec,
  *,
  action_type: ActionType,
  policy: nn.Module,
  critic: nn.Module,
  initial_policy: Params | None = None,
) -> Learner[SacState, Transition]:
  """Builds the prior-regularised soft actor-critic (SPiRL, algorithm 1).

  Args:
    config: the numbers; leaves may be traced.
    spec: of the environment as the policy sees it.
    action_type: what an action is, and which prior it is held to.
    policy: `observation -> output`, of the kind that `action_type` reads.
    critic: `(observation, action) -> [critic, batch]`, independent values; the least one counts.
    initial_policy: parameters that the policy starts from (a copy; the original is left alone).

  Returns:
    A learner whose batches are transitions `[batch, ...]` and whose `act` takes `state.policy`.

  Raises:
    ValueError: if a number is out of range, naming it; or if `initial_policy` does not fit.
  """
  check(config)
  example = {
    name: jnp.zeros((1, *shape.shape), shape.dtype) for name, shape in spec.observation.items()
  }
  policy_shape = jax.eval_shape(policy.init, jax.random.key(0), example)
  if initial_policy is not None:
    _check_fits(initial_policy, policy_shape)

  def per_component(value: Any) -> Float[Array, "component"]:
    return jnp.broadcast_to(jnp.asarray(value, jnp.float32), (len(action_type.components),))

  target_divergence = per_component(config.target_divergence)
  log_alpha_min = jnp.log(per_component(config.alpha_min))
  log_alpha_max = jnp.log(per_component(config.alpha_max))
  clip = optax.clip_by_global_norm(_or_infinity(config.gradient_clip))
  policy_optimizer = optax.chain(clip, optax.adam(config.policy_learning_rate))
  critic_optimizer = optax.chain(clip, optax.adam(config.critic_learning_rate))
  alpha_optimizer = optax.adam(config.alpha_learning_rate)

  def init(key: Key) -> SacState:
    policy_key, critic_key, action_key = jax.random.split(key, 3)
    start = policy.init(policy_key, example) if initial_policy is None else initial_policy
    policy_params = jax.tree.map(jnp.copy, start)
    action = action_type.sample(policy.apply(policy_params, example), action_key)
    critic_params = critic.init(critic_key, example, action)
    log_alpha = jnp.clip(jnp.log(per_component(config.alpha)), log_alpha_min, log_alpha_max)
    return SacState(
      policy=policy_params,
      critic=critic_params,
      target_critic=jax.tree.map(jnp.copy, critic_params),
      log_alpha=log_alpha,
      policy_optimizer=policy_optimizer.init(policy_params),
      critic_optimizer=critic_optimizer.init(critic_params),
      alpha_optimizer=alpha_optimizer.init(log_alpha),
      step=jnp.zeros((), jnp.int32),
    )

  def values_of(params: Params, observation: Observation, action: Any) -> Array:
    return cast(Array, critic.apply(params, observation, action))

  def terms(
    policy_params: Params, critic_params: Params, observation: Observation, prior: Any, key: Key
  ):
    """Values `[alternative, critic, batch]`, their weights, divergences `[component, batch]`."""
    output = policy.apply(policy_params, observation)
    actions, weights, draw = action_type.alternatives(output, key)
    values = jax.vmap(values_of, (None, None, 0))(critic_params, observation, actions)
    return values, weights, action_type.divergence(output, prior, draw)

  def update(state: SacState, batch: Transition, key: Key) -> tuple[SacState, Metrics]:
    batch = _without_masked_rows(batch)
    key, next_key = jax.random.split(key)
    now = (batch.observation, batch.prior, key)
    then = (batch.next_observation, batch.next_prior, next_key)
    policy_moves = (state.step + 1) % config.policy_delay == 0

    # Alpha, towards the target divergence of the policy as it stands.
    *_, divergence = terms(state.policy, state.critic, *now)
    gradient, alpha_metrics = jax.grad(losses.alpha_loss, has_aux=True)(
      state.log_alpha, divergence, target_divergence, batch.weight
    )
    updates, alpha_optimizer_state = alpha_optimizer.update(gradient, state.alpha_optimizer)
    raised = jnp.asarray(optax.apply_updates(state.log_alpha, updates))
    alpha_moves = policy_moves & jnp.asarray(config.learn_alpha)
    log_alpha = jnp.where(
      alpha_moves, jnp.clip(raised, log_alpha_min, log_alpha_max), state.log_alpha
    )
    alpha = jnp.exp(log_alpha)

    # Policy, against the critics as they stand.
    def policy_loss(params: Params):
      return losses.policy_loss(*terms(params, state.critic, *now), alpha, batch.weight)

    policy_gradient, policy_metrics = jax.grad(policy_loss, has_aux=True)(state.policy)
    updates, policy_optimizer_state = policy_optimizer.update(
      policy_gradient, state.policy_optimizer
    )
    policy_params = optax.apply_updates(state.policy, updates)

    # Critics, towards the reward and what the policy as it stood makes of the next observation.
    target = losses.bellman_target(
      batch.reward,
      batch.discount,
      batch.terminated,
      batch.truncated,
      losses.soft_value(*terms(state.policy, state.target_critic, *then), alpha),
      gamma=config.gamma,
      reward_scale=config.reward_scale,
      timeouts_terminate=config.timeouts_terminate,
      limit=config.target_limit,
    )

    def critic_loss(params: Params):
      values = values_of(params, batch.observation, batch.action)
      return losses.critic_loss(values, target, batch.weight)

    critic_gradient, critic_metrics = jax.grad(critic_loss, has_aux=True)(state.critic)
    updates, critic_optimizer_state = critic_optimizer.update(
      critic_gradient, state.critic_optimizer
    )
    critic_params = optax.apply_updates(state.critic, updates)

    # Target critics.
    target_critic = optax.incremental_update(critic_params, state.target_critic, config.tau)

    moved = (policy_params, policy_optimizer_state, alpha_optimizer_state)
    stayed = (state.policy, state.policy_optimizer, state.alpha_optimizer)
    policy_params, policy_optimizer_state, alpha_optimizer_state = jax.tree.map(
      lambda new, old: jnp.where(policy_moves, new, old), moved, stayed
    )
    metrics = {
      **alpha_metrics,
      **policy_metrics,
      **critic_metrics,
      **_by_component("alpha", action_type.components, alpha),
      **_by_component("target_divergence", action_type.components, target_divergence),
      **_by_component(
        "divergence",
        action_type.components,
        [losses.masked_mean(row, batch.weight) for row in divergence],
      ),
      "policy_gradient_norm": optax.tree.norm(policy_gradient),
      "critic_gradient_norm": optax.tree.norm(critic_gradient),
      "counted_rows": jnp.mean(jnp.sign(batch.weight)),
    }
    return SacState(
      policy=policy_params,
      critic=critic_params,
      target_critic=target_critic,
      log_alpha=log_alpha,
      policy_optimizer=policy_optimizer_state,
      critic_optimizer=critic_optimizer_state,
      alpha_optimizer=alpha_optimizer_state,
      step=state.step + 1,
    ), metrics

  def act(params: Params, observation: Observation, key: Key | None = None) -> Any:
    output = policy.apply(params, observation)
    return action_type.mode(output) if key is None else action_type.sample(output, key)

  return Learner(init, update, act)


def _without_masked_rows(batch: Transition) -> Transition:
  """Zeros in rows of weight 0: a gradient of 0 times something infinite would not be 0."""
  counts = batch.weight > 0

  def blank(leaf: Array) -> Array:
    rows = counts.reshape(-1, *(1,) * (leaf.ndim - 1))
    return jnp.where(rows, leaf, jnp.zeros_like(leaf))

  return jax.tree.map(blank, batch)


def _by_component(name: str, components: tuple[str, ...], values: Any) -> Metrics:
  """`{name}` if there is one component, `{name}_{component}` for each if there are several."""
  if len(components) == 1:
    return {name: values[0]}
  return {f"{name}_{part}": value for part, value in zip(components, values, strict=True)}


def _or_infinity(limit: float | Array) -> Array:
  return jnp.where(jnp.asarray(limit) > 0, limit, jnp.inf)


def check(config: SacConfig) -> None:
  """Refuses numbers out of range; traced ones cannot be looked at.

  Raises:
    ValueError: naming the field and its range.
  """
  for name, value in config._asdict().items():
    low = {"policy_delay": 1, "reward_scale": -math.inf}.get(name, 0)
    high = {"gamma": 1, "tau": 1}.get(name, math.inf)
    if isinstance(value, int | float) and not low <= value <= high:
      raise ValueError(f"SacConfig.{name} must lie in [{low}, {high}], not {value}")
  if config.learn_alpha is True and isinstance(config.alpha, int | float) and config.alpha == 0:
    raise ValueError("SacConfig.alpha is 0, from where it cannot be learned; set learn_alpha=False")


def _check_fits(params: Params, expected: Params) -> None:
  """Refuses parameters that are not this network's, naming the first place that differs."""

  def shapes(tree: Params) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): jnp.shape(leaf) for path, leaf in leaves}

  given, needed = shapes(params), shapes(expected)
  for path in sorted(given.keys() | needed.keys()):
    if given.get(path) != needed.get(path):
      raise ValueError(
        f"initial_policy does not fit the policy at {path}: it has {given.get(path, 'nothing')}, "
        f"the policy {needed.get(path, 'nothing')}; prior and policy need the same architecture"
      )
