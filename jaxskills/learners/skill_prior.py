"""SPiRL's skill model: a variational autoencoder of action windows and a state-conditioned prior.

SPiRL (Pertsch et al. 2020), section 3.2 and appendix B.1. The encoder and the decoder learn an
embedding of skills; the prior learns which skills a state calls for, and sends no gradient into
them. Reinforcement learning then acts in the embedding (`decode`) and stays near the prior
(`prior`). Options: a decoder whose first hidden state is predicted from the observation (appendix
D), and a closed-loop decoder that observes at every step (released code only).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, cast, get_args, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxskills import distributions
from jaxskills.distributions import Gaussian
from jaxskills.learners.optimizer import LearningRate, OptimizerName, make_optimizer
from jaxskills.losses.skill_vae import LossScaling, PriorObjective, skill_vae
from jaxskills.networks.encoder import ImageOptions, Scaling
from jaxskills.networks.policy import GaussianPolicy
from jaxskills.networks.skill import ClosedLoopDecoder, SkillDecoder, SkillEncoder
from jaxskills.types import EnvSpec, Key, Learner, Metrics, Observation, Params, Scalar, Step


class SkillPriorConfig(NamedTuple):
  """What a skill model is made of.

  Attributes:
    skill_size: dimensions of the embedding.
    horizon: actions of a skill.
    width: LSTM units of encoder and decoder.
    inputs: modalities that the prior sees.
    hidden: widths of the prior's fully connected layers.
    layer_norm: whether those layers are normalised.
    scaling: fixed scaling of vector modalities, by name.
    image: how image modalities are read.
    condition_on: modalities that predict the decoder's first hidden state; empty in the paper.
    closed_loop: modalities that a closed-loop decoder sees at every step; empty for open loop.
      Batches then need `observations`, one for every action.
    beta: weight of the regularisation, in the convention of `loss_scaling`. The released maze
      value of 1e-2 (on means) is 0.04 on sums; see `losses.skill_vae.summed_beta`.
    loss_scaling: "paper" sums, "released_code" averages.
    prior_objective: "kl", or the released code's "sample_nll".
    optimizer: "radam" (the paper's) or "adam", both with beta_1 .9 and beta_2 .999.
    learning_rate: of that optimiser, or its schedule over updates.
  """

  skill_size: int = 10
  horizon: int = 10
  width: int = 128
  inputs: Sequence[str] = ("view",)
  hidden: Sequence[int] = (128,) * 6
  layer_norm: bool = False
  scaling: Mapping[str, Scaling] | None = None
  image: ImageOptions = ImageOptions()
  condition_on: Sequence[str] = ()
  closed_loop: Sequence[str] = ()
  beta: float | Scalar = 0.04
  loss_scaling: LossScaling = "paper"
  prior_objective: PriorObjective = "kl"
  optimizer: OptimizerName = "radam"
  learning_rate: LearningRate = 1e-3


@runtime_checkable
class SkillWindows(Protocol):
  """A batch of demonstrated windows; a closed-loop decoder needs `observations` as well."""

  @property
  def observation(self) -> Observation:
    """What was seen before the first action: modalities `[batch, ...]`."""
    ...

  @property
  def actions(self) -> Float[Array, "batch horizon action"]:
    """What was done."""
    ...


class SkillPriorState(NamedTuple):
  """All that training a skill model remembers."""

  params: Params
  """`{"encoder", "decoder", "prior"}`: flax variables of each network."""
  optimizer: optax.OptState
  step: Step


class SkillNetworks(NamedTuple):
  """The three networks; a policy made like `prior` can start as a copy of its parameters."""

  encoder: SkillEncoder
  decoder: SkillDecoder | ClosedLoopDecoder
  prior: GaussianPolicy


def make_networks(config: SkillPriorConfig, spec: EnvSpec) -> SkillNetworks:
  """The networks that `config` describes for `spec`; a pure description, without parameters."""
  reading = {"scaling": config.scaling, "image": config.image}
  encoder = SkillEncoder(config.skill_size, config.width, config.closed_loop, **reading)
  if config.closed_loop:
    decoder = ClosedLoopDecoder(spec.action_size, config.closed_loop, **reading)
  else:
    decoder = SkillDecoder(
      spec.action_size, config.horizon, config.width, config.condition_on, **reading
    )
  prior = GaussianPolicy(
    config.skill_size, config.inputs, config.hidden, config.layer_norm, **reading
  )
  return SkillNetworks(encoder, decoder, prior)


def make_skill_prior(
  config: SkillPriorConfig, spec: EnvSpec
) -> Learner[SkillPriorState, SkillWindows]:
  """Builds the learner of skills and their prior from demonstrated windows (section 3.2).

  `act` samples a skill from the prior (its mean without a key), unsquashed.

  Raises:
    ValueError: if a size is not positive, a named modality is not in `spec`, or both kinds of
      observing decoders are asked for.
  """
  _check(config, spec)
  networks = make_networks(config, spec)
  optimizer = make_optimizer(config.optimizer, config.learning_rate)

  def init(key: Key) -> SkillPriorState:
    keys = jax.random.split(key, 3)
    observation = example(spec)
    skill = jnp.zeros((1, config.skill_size))
    actions = jnp.zeros((1, config.horizon, spec.action_size))
    observations = jax.tree.map(lambda x: jnp.repeat(x[:, None], config.horizon, 1), observation)
    inputs = (observation, skill) if config.closed_loop else (skill, observation)
    params = {
      "encoder": networks.encoder.init(keys[0], actions, observations),
      "decoder": networks.decoder.init(keys[1], *inputs),
      "prior": networks.prior.init(keys[2], observation),
    }
    return SkillPriorState(params, optimizer.init(params), jnp.zeros((), jnp.int32))

  def loss(params: Params, batch: SkillWindows, key: Key) -> tuple[Scalar, Metrics]:
    observations = getattr(batch, "observations", None)
    posterior = encode(config, spec, params, batch.actions, observations)
    skill = distributions.sample(posterior, key)
    if config.closed_loop:
      decoded = _decode_along(config, spec, params, observations, skill)
    else:
      decoded = decode(config, spec, params, skill, batch.observation)
    return skill_vae(
      batch.actions,
      decoded,
      posterior,
      skill,
      prior(config, spec, params, batch.observation),
      beta=config.beta,
      scaling=config.loss_scaling,
      prior_objective=config.prior_objective,
    )

  def update(
    state: SkillPriorState, batch: SkillWindows, key: Key
  ) -> tuple[SkillPriorState, Metrics]:
    (_, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(state.params, batch, key)
    updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
    params = optax.apply_updates(state.params, updates)
    return SkillPriorState(params, optimizer_state, state.step + 1), metrics

  def act(
    params: Params, observation: Observation, key: Key | None = None
  ) -> Float[Array, "batch skill"]:
    gaussian = prior(config, spec, params, observation)
    return gaussian.mean if key is None else distributions.sample(gaussian, key)

  return Learner(init, update, act)


def encode(
  config: SkillPriorConfig,
  spec: EnvSpec,
  params: Params,
  actions: Float[Array, "batch horizon action"],
  observations: Observation | None = None,
) -> Gaussian:
  """`q(z | actions)`; a closed-loop model also wants the observation before each action."""
  encoder = make_networks(config, spec).encoder
  return cast(Gaussian, encoder.apply(params["encoder"], actions, observations))


def decode(
  config: SkillPriorConfig,
  spec: EnvSpec,
  params: Params,
  skill: Float[Array, "batch skill"],
  observation: Observation | None = None,
) -> Float[Array, "batch horizon action"]:
  """The action windows that skills stand for, unclipped.

  Args:
    config: of the model.
    spec: of the environment.
    params: `{"decoder", ...}`.
    skill: executed skills.
    observation: before the first action; read only by a state-conditioned decoder.

  Raises:
    ValueError: if the decoder is closed-loop: it has no actions before it observes.
  """
  if config.closed_loop:
    raise ValueError("a closed-loop decoder acts one observation at a time: use decode_step")
  decoder = make_networks(config, spec).decoder
  return cast(jax.Array, decoder.apply(params["decoder"], skill, observation))


def decode_step(
  config: SkillPriorConfig,
  spec: EnvSpec,
  params: Params,
  observation: Observation,
  skill: Float[Array, "batch skill"],
) -> Float[Array, "batch action"]:
  """The action of a closed-loop decoder for the current observation and the skill under way.

  Raises:
    ValueError: if the decoder is open-loop.
  """
  if not config.closed_loop:
    raise ValueError("an open-loop decoder gives whole windows: use decode")
  decoder = make_networks(config, spec).decoder
  return cast(jax.Array, decoder.apply(params["decoder"], observation, skill))


def prior(
  config: SkillPriorConfig, spec: EnvSpec, params: Params, observation: Observation
) -> Gaussian:
  """`p(z | s)` for a batch of observations, unsquashed, `[batch, skill]`."""
  network = make_networks(config, spec).prior
  return cast(Gaussian, network.apply(params["prior"], observation))


def example(spec: EnvSpec) -> dict[str, jax.Array]:
  """A batch of one blank observation, to initialise networks with."""
  return {name: jnp.zeros((1, *x.shape), x.dtype) for name, x in spec.observation.items()}


def _decode_along(
  config: SkillPriorConfig,
  spec: EnvSpec,
  params: Params,
  observations: Observation,
  skill: Float[Array, "batch skill"],
) -> Float[Array, "batch horizon action"]:
  """A closed-loop decoder along demonstrated observations `[batch, horizon, ...]`."""
  along = jax.vmap(lambda seen: decode_step(config, spec, params, seen, skill), 1, 1)
  return along(observations)


def _check(config: SkillPriorConfig, spec: EnvSpec) -> None:
  for name in ("skill_size", "horizon", "width"):
    if getattr(config, name) < 1:
      raise ValueError(f"{name} must be at least 1, not {getattr(config, name)}")
  for value, known in (
    (config.loss_scaling, LossScaling),
    (config.prior_objective, PriorObjective),
  ):
    if value not in get_args(known):
      raise ValueError(f"{value!r} is none of {get_args(known)}")
  if config.condition_on and config.closed_loop:
    raise ValueError("a decoder is either conditioned on the first observation or closed-loop")
  for name in (*config.inputs, *config.condition_on, *config.closed_loop):
    if name not in spec.observation:
      raise ValueError(f"no modality {name!r} among {sorted(spec.observation)}")
