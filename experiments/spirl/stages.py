"""The stages of a SPiRL run: two pretrained models, then one learner per method.

SPiRL (Pertsch et al. 2020), appendix B: the skill model and the one-step action prior are trained
on demonstrations once; every method then learns the task for the same number of environment steps,
with the same number of them per update.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxskills.data.maze import SkillBatch, TrajectoryFeed, sample_windows, with_random_actions
from jaxskills.evaluation import rollouts
from jaxskills.experiments.spirl import methods
from jaxskills.learners.bc import make_bc
from jaxskills.learners.skill_prior import make_skill_prior
from jaxskills.training import off_policy
from jaxskills.training.off_policy import OffPolicyConfig, OffPolicyState
from jaxskills.training.run_state import BuildStage, Results, Stage
from jaxskills.training.worlds import place_worlds
from jaxskills.types import Key, Learner, Metrics, Params, Step

SKILL_PRIOR, ACTION_PRIOR = PRETRAINED = ("pretrain/skill_prior", "pretrain/action_prior")
EVALUATION_SEED = 20_000  # fixed keys: every evaluation of every run sees the same random numbers


class PretrainState(NamedTuple):
  """All that pretraining remembers, besides the position in the data."""

  learner: Any
  key: Key
  updates: Step


def models(results: Results) -> dict[str, Params]:
  """The pretrained parameters, as `methods.make_agent` takes them."""
  return {"skill": results[SKILL_PRIOR], "action": results[ACTION_PRIOR]}


def make_stages(
  config: ConfigDict,
  names: Sequence[str],
  data: Path | None = None,
  before_rl: Callable[[Results], None] | None = None,
) -> list[tuple[str, BuildStage]]:
  """The stages of a run in order.

  Args:
    config: the experiment's.
    names: the methods to train.
    data: the demonstrations; not needed to load the results of a finished run.
    before_rl: called with the pretrained models before reinforcement learning starts.
  """

  def reinforcement(name: str) -> BuildStage:
    def build(results: Results) -> Stage:
      if before_rl is not None and name == names[0]:
        before_rl(results)
      return rl_stage(config, name, results)

    return build

  return [
    (SKILL_PRIOR, lambda results: skill_prior_stage(config, data)),
    (ACTION_PRIOR, lambda results: action_prior_stage(config, data)),
    *((f"rl/{name}", reinforcement(name)) for name in names),
  ]


def skill_prior_stage(config: ConfigDict, data: Path | None) -> Stage:
  """Trains skill encoder, decoder and prior together (equation 4)."""
  model, spec = methods.skill_prior_config(config), methods.make_world(config).spec()
  learner = make_skill_prior(model, spec)
  stage = _pretraining(SKILL_PRIOR, learner, config.skill_prior, config, data, model.horizon)
  return stage._replace(headline=("reconstruction", "prior"))


def action_prior_stage(config: ConfigDict, data: Path | None) -> Stage:
  """Trains the one-step prior by behaviour cloning, for "Flat Prior" and "BC + SAC"."""
  model, spec = methods.action_prior_config(config), methods.make_world(config).spec()
  learner = make_bc(model, spec)
  return _pretraining(ACTION_PRIOR, learner, config.action_prior, config, data, horizon=1)


def _pretraining(
  name: str,
  learner: Learner,
  group: ConfigDict,
  config: ConfigDict,
  data: Path | None,
  horizon: int,
) -> Stage:
  """Updates on windows of demonstrations: each chunk cuts its batches out of one block of them.

  Without data the stage cannot be run, but its result can be loaded.
  """
  feed = None
  if data is not None:
    feed = TrajectoryFeed(data, batch=group.trajectories_per_chunk, seed=config.seed)
  fraction_random = config.data.fraction_random

  def init(key: Key) -> PretrainState:
    learner_key, run_key = jax.random.split(key)
    return PretrainState(learner.init(learner_key), run_key, jnp.zeros((), jnp.int32))

  def chunk(state: PretrainState, trajectories: Any) -> tuple[PretrainState, Metrics]:
    if fraction_random > 0:
      # Not 0 or 1: folding those in gives the keys that splitting gives below.
      mix_key = jax.random.fold_in(jax.random.fold_in(state.key, state.updates), 2)
      trajectories = with_random_actions(trajectories, mix_key, fraction_random)

    def update(state: PretrainState, _: None) -> tuple[PretrainState, Metrics]:
      cut_key, key = jax.random.split(jax.random.fold_in(state.key, state.updates))
      batch: SkillBatch = sample_windows(trajectories, cut_key, group.batch_size, horizon)
      trained, metrics = learner.update(state.learner, batch, key)
      return PretrainState(trained, state.key, state.updates + 1), metrics

    state, metrics = jax.lax.scan(update, state, None, length=group.updates_per_chunk)
    return state, jax.tree.map(jnp.mean, metrics)

  return Stage(
    name=name,
    init=init,
    chunk=chunk,
    chunks=-(-group.updates // group.updates_per_chunk),
    per_chunk=group.updates_per_chunk,
    unit="updates",
    finish=lambda state: state.learner.params,
    counters=lambda state: {"env_steps": jnp.zeros((), jnp.int32), "updates": state.updates},
    feed=feed,
  )


def rl_stage(config: ConfigDict, name: str, results: Results) -> Stage:
  """Learns the task with one method, for one seed or several at once."""
  method = methods.METHODS[name]
  agent = methods.make_agent(config, method, models(results))
  sizes = loop_config(config, method, agent.steps)
  loop = off_policy.make_off_policy(
    sizes, agent.env, agent.learner, agent.policy, agent.action_type, agent.prior
  )
  seeds = config.num_seeds
  many = seeds > 1
  if many:
    loop = off_policy.over_seeds(loop, seeds)
  per_chunk = sizes.worlds * agent.steps * sizes.iterations_per_chunk
  score = evaluator(config, agent)

  def total(leaf: jax.Array) -> jax.Array:
    return leaf[0] if many else leaf

  whole = jax.vmap(agent.whole) if many else agent.whole

  def evaluate(state: OffPolicyState) -> Metrics:
    policy = whole(state.learner.policy)
    return jax.vmap(score)(policy) if many else score(policy)

  return Stage(
    name=f"rl/{name}",
    init=loop.init,
    chunk=lambda state, data: loop.chunk(state),
    chunks=-(-(config.rl.env_steps - config.rl.warmup_env_steps) // per_chunk),
    per_chunk=per_chunk,
    unit="environment steps",
    finish=lambda state: {"policy": whole(state.learner.policy), "critic": state.learner.critic},
    counters=lambda state: {"env_steps": total(state.env_steps), "updates": total(state.updates)},
    evaluate=evaluate,
    evaluate_every=max(1, config.rl.evaluate_every_steps // per_chunk),
    headline=("eval/success_rate", "divergence", "alpha"),
    shardings=None if many else place_worlds,
  )


def loop_config(config: ConfigDict, method: methods.Method, steps: int) -> OffPolicyConfig:
  """Sizes of the loop of a method whose decisions take `steps` control steps.

  Raises:
    ValueError: if they do not fit together, naming the numbers.
  """
  rl = config.rl
  per_update = rl.env_steps_per_update if method.skills else rl.flat_env_steps_per_update
  if per_update < 1:
    raise ValueError(f"environment steps per update must be at least 1, not {per_update}")
  updates = rl.worlds * steps / per_update
  if updates != int(updates) or updates < 1:
    raise ValueError(
      f"{rl.worlds} worlds of {steps} steps a decision make {updates} updates a round at "
      f"{per_update} environment steps per update; the number must be whole"
    )
  if rl.env_steps <= rl.warmup_env_steps:
    raise ValueError(
      f"{rl.env_steps} environment steps leave nothing to learn after a warm-up of "
      f"{rl.warmup_env_steps}"
    )
  ablates_start = method.prior == "skill" and method.start == "random"
  explore = rl.prior_env_steps // steps if ablates_start else 0
  return OffPolicyConfig(
    worlds=rl.worlds,
    updates_per_iteration=int(updates),
    iterations_per_chunk=max(1, rl.env_steps_per_chunk // (rl.worlds * steps)),
    batch_size=rl.batch_size,
    replay_capacity=rl.replay_capacity,
    warmup_decisions=max(1, rl.warmup_env_steps // steps),
    warmup_from_prior=method.start == "random",
    prior_decisions=explore,
    prior_fade_decisions=max(1, explore),
  )


def evaluator(
  config: ConfigDict, agent: methods.Agent, seed: int = EVALUATION_SEED
) -> Callable[[Params], Metrics]:
  """`whole policy parameters -> metrics` over episodes with fixed keys.

  `eval/success_rate` is of the policy as it trains and as the paper evaluates it, with sampled
  skills; `eval/success_rate_deterministic` of its mean, which from one fixed start is 0 or 1.
  """
  decisions = methods.decisions(config, agent.steps)
  key = jax.random.key(seed)

  def score(params: Params) -> Metrics:
    def play(plan: Callable[..., jax.Array]) -> Metrics:
      episodes = rollouts.play_many(agent.single, plan, key, config.rl.eval_episodes, decisions)
      return rollouts.summarize(episodes)

    sampled = play(lambda observation, key: agent.plan(params, observation, key))
    mean = play(lambda observation, key: agent.plan(params, observation))
    return {
      "eval/success_rate": sampled["success_rate"],
      "eval/return": sampled["return"],
      "eval/success_rate_deterministic": mean["success_rate"],
      "eval/episodes": jnp.asarray(config.rl.eval_episodes, jnp.float32),
    }

  return score
