"""One stage for each reward of an imitation run: PPO, all seeds at once, judged by true success."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array
from ml_collections import ConfigDict

from jaxskills.envs.wrappers.video_reward import VideoReward
from jaxskills.evaluation import rollouts
from jaxskills.experiments import on_policy as shared
from jaxskills.experiments.asn.imitation_eyes import Eyes
from jaxskills.experiments.asn.imitation_world import (
  Scenery,
  Sight,
  episode_steps,
  make_arena,
  make_sights,
  make_world,
)
from jaxskills.learners.ppo import PpoParams, make_ppo
from jaxskills.training import on_policy
from jaxskills.training.on_policy import OnPolicy, OnPolicyState
from jaxskills.training.run_state import BuildStage, Stage
from jaxskills.types import Key, Metrics, Observation


class Setting(NamedTuple):
  """What all stages of a run share.

  Attributes:
    config: the experiment's.
    scenery: made from it.
    eyes: made from it.
  """

  config: ConfigDict
  scenery: Scenery
  eyes: Eyes

  def worlds(
    self, reward: str, *, is_trial: bool = False
  ) -> tuple[Callable[[Sight], VideoReward], Sight]:
    """`sight of a seed -> its world`, and the sights of all seeds, stacked."""
    arena = make_arena(self.config, self.scenery, is_trial=is_trial)
    sights = make_sights(self.scenery, self.eyes, arena, reward)

    def world(sight: Sight) -> VideoReward:
      return make_world(self.config, self.scenery, arena, self.eyes.embed, sight, reward)

    return world, sights


class Evaluator(NamedTuple):
  """Plays a policy by the mean of its actions.

  Attributes:
    world: `sight of a seed -> its world` for trials.
    plan: `(parameters of a seed, observation) -> actions [1, action]`.
    sights: of all seeds, stacked.
  """

  world: Callable[[Sight], VideoReward]
  plan: Callable[[PpoParams, Observation], Array]
  sights: Sight


def stage_name(reward: str) -> str:
  """Of the stage that learns from a reward."""
  return f"rl/{reward}"


def make_stages(setting: Setting) -> list[tuple[str, BuildStage]]:
  """The stages of a run in order; none needs another's results."""

  def build(reward: str) -> BuildStage:
    return lambda results: make_stage(setting, reward)

  return [(stage_name(reward), build(reward)) for reward in setting.config.rewards]


def make_stage(setting: Setting, reward: str) -> Stage:
  """Learns from one reward; the result is `PpoParams` with a leading axis `[seeds]`."""
  config = setting.config.copy_and_resolve_references()
  with config.unlocked():
    config.rl.episode_steps = episode_steps(config, setting.scenery)
  world, sights = setting.worlds(reward)
  sizes = shared.loop_config(config)

  def loop(sight: Sight) -> OnPolicy:
    env = world(sight)
    learner = make_ppo(shared.ppo_config(config), env.spec())
    return on_policy.make_on_policy(sizes, shared.make_worlds(config, env), learner)

  def init(key: Key) -> OnPolicyState:
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(config.num_seeds))
    return jax.vmap(lambda sight, key: loop(sight).init(key))(sights, keys)

  def chunk(state: OnPolicyState, data: Any) -> tuple[OnPolicyState, Metrics]:
    del data
    return jax.vmap(lambda sight, state: loop(sight).chunk(state))(sights, state)

  def counters(state: OnPolicyState) -> Mapping[str, Array]:
    return {"env_steps": state.env_steps[0], "updates": state.updates[0]}

  per_chunk = sizes.worlds * sizes.unroll * sizes.iterations_per_chunk
  score = scorer(setting, reward)
  return Stage(
    name=stage_name(reward),
    init=init,
    chunk=chunk,
    chunks=max(1, round(config.rl.env_steps / per_chunk)),
    per_chunk=per_chunk,
    unit="environment steps",
    finish=lambda state: state.learner.params,
    counters=counters,
    evaluate=lambda state: score(state.learner.params),
    evaluate_every=max(1, round(config.rl.evaluate_every_steps / per_chunk)),
    headline=("eval/success_rate", "eval/return", "step/video_distance"),
    compiler_options=setting.scenery.engine.compiler_options,
  )


def make_evaluator(setting: Setting, reward: str) -> Evaluator:
  """What plays the policies that learned from a reward."""
  world, sights = setting.worlds(reward, is_trial=True)
  first = jax.tree.map(lambda leaf: leaf[0], sights)
  learner = make_ppo(shared.ppo_config(setting.config), world(first).spec())

  def plan(params: PpoParams, observation: Observation) -> Array:
    return learner.act(params, jax.tree.map(lambda leaf: leaf[None], observation))

  return Evaluator(world, plan, sights)


def scorer(
  setting: Setting, reward: str, seed: int = shared.EVALUATION_SEED
) -> Callable[[PpoParams], Metrics]:
  """`parameters of all seeds -> metrics [seeds]` of the mean action, over fresh episodes.

  Every episode begins as the demonstration did, give or take `config.starts`. Of `eval/...`,
  `success_rate` is the share of episodes in whose last step the task is truly done, `success_ever`
  of those in which it is at any, and `return` the mean sum of the reward that was learned from.
  """
  evaluator = make_evaluator(setting, reward)
  episodes, steps = setting.config.rl.eval_episodes, episode_steps(setting.config, setting.scenery)

  def of_seed(params: PpoParams, sight: Sight) -> Metrics:
    played = rollouts.play_many(
      evaluator.world(sight),
      lambda observation, key: evaluator.plan(params, observation),
      jax.random.key(seed),
      episodes,
      steps,
    )
    done = played.success > 0.0
    return {
      "eval/success_rate": jnp.mean(done[:, -1]),
      "eval/success_ever": jnp.mean(jnp.any(done, axis=1)),
      "eval/return": jnp.mean(jnp.sum(played.reward, axis=1)),
      "eval/episodes": jnp.asarray(episodes, jnp.float32),
    }

  return lambda params: jax.vmap(of_seed)(params, evaluator.sights)
