"""Behaviour cloning of single actions, which is also the one-step action prior.

SPiRL (Pertsch et al. 2020), section 4: "BC + SAC" starts from this policy, "Flat Prior" is
regularised towards it. It has the skill prior's network and sees the same modalities, so that
these baselines differ from SPiRL in temporal abstraction alone.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxskills import distributions
from jaxskills.distributions import Gaussian
from jaxskills.learners.optimizer import LearningRate, OptimizerName, make_optimizer
from jaxskills.learners.skill_prior import SkillWindows, example
from jaxskills.losses.behavior_cloning import behavior_cloning, unsquash
from jaxskills.networks.encoder import ImageOptions, Scaling
from jaxskills.networks.policy import GaussianPolicy
from jaxskills.types import EnvSpec, Key, Learner, Metrics, Observation, Params, Scalar, Step


class BcConfig(NamedTuple):
  """What a cloned policy is made of.

  Attributes:
    inputs: modalities that the policy sees.
    hidden: widths of its fully connected layers.
    layer_norm: whether those layers are normalised.
    scaling: fixed scaling of vector modalities, by name.
    image: how image modalities are read.
    squashed: whether the Gaussian is over `atanh(action / limit)`, so that its squashed samples
      are actions; false fits the actions themselves, as the released code does, although SAC then
      executes them through tanh.
    optimizer: "radam" (the paper's) or "adam".
    learning_rate: of that optimiser, or its schedule over updates.
  """

  inputs: Sequence[str] = ("view",)
  hidden: Sequence[int] = (128,) * 6
  layer_norm: bool = False
  scaling: Mapping[str, Scaling] | None = None
  image: ImageOptions = ImageOptions()
  squashed: bool = True
  optimizer: OptimizerName = "radam"
  learning_rate: LearningRate = 1e-3


class BcState(NamedTuple):
  """All that behaviour cloning remembers."""

  params: Params
  """Flax variables of the policy, as a squashed-Gaussian SAC can take them over."""
  optimizer: optax.OptState
  step: Step


def make_policy(config: BcConfig, spec: EnvSpec) -> GaussianPolicy:
  """The network of the cloned policy."""
  return GaussianPolicy(
    spec.action_size, config.inputs, config.hidden, config.layer_norm, config.scaling, config.image
  )


def make_bc(config: BcConfig, spec: EnvSpec) -> Learner[BcState, SkillWindows]:
  """Builds the behaviour-cloning learner; of each window it takes the first action.

  `act` gives executable actions within the limit: a sample, or without a key the mean.

  Raises:
    ValueError: if a named modality is not in `spec`.
  """
  for name in config.inputs:
    if name not in spec.observation:
      raise ValueError(f"no modality {name!r} among {sorted(spec.observation)}")
  network = make_policy(config, spec)
  optimizer = make_optimizer(config.optimizer, config.learning_rate)
  limit = spec.action_limit

  def init(key: Key) -> BcState:
    params = network.init(key, example(spec))
    return BcState(params, optimizer.init(params), jnp.zeros((), jnp.int32))

  def policy(params: Params, observation: Observation) -> Gaussian:
    return cast(Gaussian, network.apply(params, observation))

  def loss(params: Params, batch: SkillWindows) -> tuple[Scalar, Metrics]:
    action = batch.actions[:, 0]
    target = unsquash(action, limit) if config.squashed else action
    return behavior_cloning(policy(params, batch.observation), target)

  def update(state: BcState, batch: SkillWindows, key: Key) -> tuple[BcState, Metrics]:
    del key
    (_, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(state.params, batch)
    updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
    params = optax.apply_updates(state.params, updates)
    return BcState(params, optimizer_state, state.step + 1), metrics

  def act(
    params: Params, observation: Observation, key: Key | None = None
  ) -> Float[Array, "batch action"]:
    gaussian = policy(params, observation)
    value = gaussian.mean if key is None else distributions.sample(gaussian, key)
    if config.squashed:
      return distributions.squash(value, limit)
    return jnp.clip(value, -limit, limit)

  return Learner(init, update, act)
