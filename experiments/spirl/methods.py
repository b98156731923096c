"""SPiRL, its baselines and its ablations: one table, and how a row of it becomes a learner.

SPiRL (Pertsch et al. 2020), section 4.1 and appendices E and F. Methods differ in three things
only: whether a decision is a skill or a single action, which prior the policy is held to, and what
the policy starts from. All see the same: the actor `networks.actor_inputs`, the critic
`networks.critic_inputs`.

Unless `networks.train_encoder` is set, the policy keeps the pretrained model's convolutions: they
run once per decision, the replay stores their features, and updates are four times as fast on a
CPU. A method that starts from nothing gets the skill prior's. What a run hands on is always a whole
policy, from observation to action.
"""

from collections.abc import Callable, Mapping, Set
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from jaxskills.distributions import Gaussian
from jaxskills.envs.maze import maze
from jaxskills.envs.wrappers.auto_reset import AutoReset
from jaxskills.envs.wrappers.episode import EpisodeLimit, EpisodeStatistics
from jaxskills.envs.wrappers.map_observation import MapObservation
from jaxskills.envs.wrappers.quarantine import Quarantine
from jaxskills.envs.wrappers.skill_step import SkillStep
from jaxskills.learners import action_type, skill_prior
from jaxskills.learners.action_type import ActionType
from jaxskills.learners.bc import BcConfig
from jaxskills.learners.sac import SacConfig, make_sac
from jaxskills.learners.skill_prior import SkillPriorConfig
from jaxskills.losses.skill_vae import summed_beta
from jaxskills.networks.critic import TwinCritic
from jaxskills.networks.encoder import ObservationEncoder, Scaling
from jaxskills.networks.policy import GaussianPolicy
from jaxskills.types import EnvSpec, Key, Learner, Observation, Params


class Method(NamedTuple):
  """One way to learn the task.

  Attributes:
    skills: a decision is a skill, not a single action.
    prior: what the policy is held to: "skill", "action" (one step), or "uniform" (plain SAC).
    start: what the policy starts from: "skill", "action", or "random".
  """

  skills: bool
  prior: str
  start: str


METHODS = {
  "spirl": Method(skills=True, prior="skill", start="skill"),
  "sac": Method(skills=False, prior="uniform", start="random"),
  "bc_sac": Method(skills=False, prior="uniform", start="action"),
  "flat_prior": Method(skills=False, prior="action", start="action"),
  "ssp": Method(skills=True, prior="uniform", start="random"),
  # Ablations: the paper's appendices F and E.
  "spirl_no_init": Method(skills=True, prior="skill", start="random"),
  "spirl_no_regularisation": Method(skills=True, prior="uniform", start="skill"),
}


class Agent(NamedTuple):
  """A method made ready for an experiment.

  Attributes:
    env: its worlds, for training.
    single: one world with an episode limit, for evaluation.
    learner: SAC, on what `env` shows.
    policy: `(learner state, observation of env) -> Gaussian`.
    action_type: how that becomes a decision.
    prior: `observation of env -> Gaussian`, or None for a uniform one.
    whole: `policy parameters of the learner -> of the whole policy`.
    plan: `(whole parameters, one observation of single, key or None) -> actions [steps, 2]`.
    steps: control steps of a decision.
  """

  env: AutoReset
  single: EpisodeLimit
  learner: Learner
  policy: Callable[[Any, Observation], Gaussian]
  action_type: ActionType
  prior: Callable[[Observation], Gaussian] | None
  whole: Callable[[Params], Params]
  plan: Callable[..., jax.Array]
  steps: int


def make_world(config: ConfigDict) -> maze.Maze:
  """The maze that `config.task` names."""
  task = config.task
  return maze.make_maze(task.layout, goal_radius=task.goal_radius, start_spread=task.start_spread)


def episode_steps(config: ConfigDict) -> int:
  """Control steps of an episode: the task's own, unless the configuration says otherwise."""
  return config.task.episode_steps or make_world(config).task.episode_steps


def decisions(config: ConfigDict, steps: int) -> int:
  """Decisions of `steps` control steps that fill an episode; the last one may be cut short."""
  return -(-episode_steps(config) // steps)


def state_scaling(world: maze.Maze) -> dict[str, Scaling]:
  """Brings the state to order one: metres from the middle over 10, speeds over their limit."""
  rows, columns = world.task.walls.shape
  return {"state": Scaling((rows / 2, columns / 2, 0.0, 0.0), (0.1, 0.1, 0.2, 0.2))}


def skill_prior_config(config: ConfigDict) -> SkillPriorConfig:
  """The skill model of an experiment."""
  group, world = config.skill_prior, make_world(config)
  fields = {name: group[name] for name in _shared(group, SkillPriorConfig)}
  fields |= {name: tuple(fields[name]) for name in ("hidden", "condition_on")}
  fields["learning_rate"] = _learning_rate(group)
  if group.loss_scaling == "paper":
    action_size = world.spec().action_size
    fields["beta"] = summed_beta(group.beta, group.horizon, action_size, group.skill_size)
  inputs = tuple(config.networks.actor_inputs)
  return SkillPriorConfig(**fields, inputs=inputs, scaling=state_scaling(world))


def action_prior_config(config: ConfigDict) -> BcConfig:
  """The one-step prior of an experiment; its network is the skill prior's."""
  model = skill_prior_config(config)
  return BcConfig(
    inputs=model.inputs,
    hidden=model.hidden,
    layer_norm=model.layer_norm,
    scaling=model.scaling,
    learning_rate=_learning_rate(config.action_prior),
  )


def _learning_rate(group: ConfigDict) -> float | optax.Schedule:
  """Fixed, or falling linearly over the updates of a model.

  A prior that was trained at a fixed rate to the end keeps the noise of its last updates, and its
  rollouts reach the goal of the maze half as often.
  """
  if group.final_learning_rate == group.learning_rate:
    return group.learning_rate
  return optax.linear_schedule(group.learning_rate, group.final_learning_rate, group.updates)


def make_agent(
  config: ConfigDict, method: Method, models: Mapping[str, Params], sac: SacConfig | None = None
) -> Agent:
  """Builds a method.

  Args:
    config: the experiment's.
    method: a row of `METHODS`.
    models: parameters of the pretrained models, `{"skill", "action"}`.
    sac: overrides the configured numbers; leaves may be traced.
  """
  world = make_world(config)
  limited = EpisodeLimit(world, episode_steps(config))
  spec, model = world.spec(), skill_prior_config(config)
  horizon = model.horizon if method.skills else 1
  limit = config.rl.skill_limit if method.skills else spec.action_limit
  size = model.skill_size if method.skills else spec.action_size

  def decode(observation: Observation, skill: jax.Array) -> jax.Array:
    seen = jax.tree.map(lambda leaf: leaf[None], observation)
    return skill_prior.decode(model, spec, models["skill"], skill[None], seen)[0]

  skill_model, action_model = models["skill"]["prior"], models["action"]
  uses_action_model = "action" in (method.prior, method.start)
  pretrained = action_model if uses_action_model else skill_model
  shown, seen_by_actor = limited, model.inputs
  if not config.networks.train_encoder:
    kept = {*config.networks.critic_inputs, *(model.condition_on if method.skills else ())}
    shown = MapObservation(limited, _features(model, pretrained, kept))
    seen_by_actor = ("features",)

  env = shown
  if method.skills:
    env = SkillStep(env, decode, horizon, skill_size=size, skill_limit=limit)
  env = AutoReset(EpisodeStatistics(Quarantine(env)), config.rl.reset_pool)

  whole_network = GaussianPolicy(size, model.inputs, model.hidden, model.layer_norm, model.scaling)
  network = whole_network.clone(inputs=seen_by_actor)
  critic = TwinCritic(
    tuple(config.networks.critic_inputs),
    tuple(config.networks.critic_hidden),
    config.networks.critic_layer_norm,
    state_scaling(world),
  )

  def trained_part(params: Params) -> Params:
    """What is left to train of a pretrained model."""
    if config.networks.train_encoder:
      return params
    return {"params": {name: part for name, part in params["params"].items() if name != "encoder"}}

  def whole(params: Params) -> Params:
    return {"params": {**pretrained["params"], **params["params"]}}

  kinds = {"uniform": action_type.uniform_prior, "gaussian": action_type.gaussian_prior}
  kind = kinds["uniform" if method.prior == "uniform" else "gaussian"](limit)
  starts = {"skill": skill_model, "action": action_model}
  learner = make_sac(
    sac or sac_config(config, method),
    EnvSpec(shown.spec().observation, size, limit, horizon * spec.step_seconds),
    action_type=kind,
    policy=network,
    critic=critic,
    initial_policy=trained_part(starts[method.start]) if method.start in starts else None,
  )
  prior = None
  if method.prior != "uniform":
    prior_params = trained_part(starts[method.prior])

    def prior(observation: Observation) -> Gaussian:
      return network.apply(prior_params, observation)

  def plan(params: Params, observation: Observation, key: Key | None = None) -> jax.Array:
    output = whole_network.apply(params, jax.tree.map(lambda leaf: leaf[None], observation))
    decision = kind.mode(output) if key is None else kind.sample(output, key)
    return decode(observation, decision[0]) if method.skills else decision

  return Agent(
    env=env,
    single=limited,
    learner=learner,
    policy=lambda state, observation: network.apply(state.policy, observation),
    action_type=kind,
    prior=prior,
    whole=whole,
    plan=plan,
    steps=horizon,
  )


def _features(
  model: SkillPriorConfig, params: Params, kept: Set[str]
) -> Callable[[Observation], dict[str, jax.Array]]:
  """One observation: a frozen encoder's features of the actor's inputs, and what others need."""
  encoder = ObservationEncoder(model.inputs, model.scaling)

  def encode(observation: Observation) -> dict[str, jax.Array]:
    batch = jax.tree.map(lambda leaf: leaf[None], observation)
    features = encoder.apply({"params": params["params"].get("encoder", {})}, batch)[0]
    others = {name: leaf for name, leaf in observation.items() if name in kept}
    return {**others, "features": features.astype(jnp.float16)}

  return encode


def sac_config(config: ConfigDict, method: Method) -> SacConfig:
  """SAC's numbers for a method; a uniform prior takes plain SAC's target entropy, -size."""
  fields = {name: config.sac[name] for name in _shared(config.sac, SacConfig)}
  sac = SacConfig(**fields)
  if method.prior != "uniform":
    return sac
  size = config.skill_prior.skill_size if method.skills else 2
  limit = config.rl.skill_limit if method.skills else 1.0
  target = action_type.divergence_at_entropy(-float(size), size, limit)
  return sac._replace(target_divergence=target)


def _shared(group: ConfigDict, record: Any) -> list[str]:
  """Names in a configuration group that are fields of a learner's configuration."""
  return [name for name in record._fields if name in group]
