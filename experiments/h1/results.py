"""The figures of a walking run: how often it falls, how well it follows, what its report shows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array
from ml_collections import ConfigDict

from jaxskills.envs.h1 import rewards
from jaxskills.envs.h1.velocity import WalkData
from jaxskills.evaluation import intervals, rollouts, walk_gait, walk_record, walk_report
from jaxskills.evaluation.walk_record import WalkRecord
from jaxskills.experiments import on_policy as shared
from jaxskills.experiments.h1 import scripted_walk
from jaxskills.experiments.h1.worlds import make_env, whole_commands
from jaxskills.learners.ppo import PpoParams
from jaxskills.training.workdir import Workdir
from jaxskills.types import Metrics


def evaluator(
  config: ConfigDict, seed: int = shared.EVALUATION_SEED
) -> Callable[[PpoParams], Metrics]:
  """`parameters -> metrics` of the mean action, over fresh episodes as hard as training gets.

  `eval/fall_rate` is the share of episodes with a fall, `eval/velocity_error` the mean over all
  steps before one of the distance between commanded and true planar velocity, m/s.
  """
  episodes, steps = config.rl.eval_episodes, config.rl.eval_steps
  env = make_env(config, episodes, commands=whole_commands(config))
  plan = shared.make_policy(config, env)

  def watch(data: WalkData) -> tuple[Array, Array, Array, Array]:
    stride, overflow = env.stride(data), data.physics.overflow != 0
    return rewards.velocity_error(stride), rewards.yaw_rate_error(stride), stride.fell, overflow

  def score(params: PpoParams) -> Metrics:
    played = rollouts.play_many(
      env,
      lambda observation, key: plan(params, observation, None),
      jax.random.key(seed),
      episodes,
      steps,
      watch,
    )
    error, turn, fell, overflow = (leaf[:, 1:] for leaf in played.watched)
    # A robot that diverged has fallen, and has no velocity.
    alive = played.alive * jnp.isfinite(error)
    error, turn = (jnp.where(alive > 0, leaf, 0.0) for leaf in (error, turn))
    return {
      "eval/fall_rate": jnp.mean(jnp.any(fell, axis=1)),
      "eval/velocity_error": jnp.sum(error * alive) / jnp.sum(alive),
      "eval/yaw_rate_error": jnp.sum(turn * alive) / jnp.sum(alive),
      "eval/return": jnp.mean(jnp.sum(jnp.nan_to_num(played.reward), axis=1)),
      "eval/length": jnp.mean(jnp.sum(alive, axis=1)),
      "eval/overflow": jnp.mean(jnp.any(overflow, axis=1)),
    }

  return score


def evaluate(
  config: ConfigDict, params: PpoParams, seed: int = shared.EVALUATION_SEED
) -> dict[str, Any]:
  """Final figures of a policy, with a 95 % interval of the fall rate over episodes."""
  env = make_env(config, 1)
  options = env.engine.compiler_options
  scores = jax.jit(evaluator(config, seed), compiler_options=options)(params)
  fall_rate, episodes = float(scores["eval/fall_rate"]), config.rl.eval_episodes
  interval = intervals.rate_interval([fall_rate], episodes)
  return {
    "fall_rate": fall_rate,
    "fall_rate_ci": [float(bound) for bound in interval],
    "velocity_error": float(scores["eval/velocity_error"]),
    "yaw_rate_error": float(scores["eval/yaw_rate_error"]),
    "return": float(scores["eval/return"]),
    "overflow": float(scores["eval/overflow"]),
    "episodes": episodes,
    "episode_seconds": config.rl.eval_steps * env.step_seconds,
  }


def figures(config: ConfigDict, params: PpoParams, folder: Workdir) -> dict[str, Any]:
  """All final figures of a run; records its scripted walk on the way.

  Returns:
    What `evaluate` says of episodes like those of training; the same without anything that
    disturbs as `undisturbed`; the diagnostics of the recorded walk (`walk_gait.diagnose`) as
    `gait`; and how it took being pushed, as `pushed`.
  """
  walks = record(config, params, folder)
  found = {
    **evaluate(config, params),
    "undisturbed": evaluate(undisturbed(config), params),
    "gait": walk_gait.diagnose(walks[walk_record.WALK]),
  }
  if walk_record.PUSHED in walks:
    pushed = walks[walk_record.PUSHED]
    found["pushed"] = {
      "push_speed": float(config.disturbances.push_speed),
      "pushes": int((pushed.push.any(axis=1) & walk_gait.upright(pushed)).sum()),
      "fell": bool(pushed.fell.any()),
    }
  return found


def undisturbed(config: ConfigDict) -> ConfigDict:
  """The same task without randomisation, noise, latency and pushes."""
  calm = config.copy_and_resolve_references()
  calm.task.randomize = False
  calm.disturbances.update(noise=0.0, latency_seconds=0.0, push_speed=0.0)
  return calm


def record(config: ConfigDict, params: PpoParams, folder: Workdir) -> dict[str, WalkRecord]:
  """Plays the scripted walk, and the pushed one if training has pushes, for the report.

  Returns:
    The recordings by the file's name; they lie in `report/data`.
  """
  env = scripted_walk.scripted_env(config)
  scripts = {walk_record.WALK: scripted_walk.walk_script(config, env.step_seconds)}
  if config.disturbances.push_speed > 0:
    scripts[walk_record.PUSHED] = scripted_walk.push_script(config, env.step_seconds)
  data = folder.report / "data"
  (data / walk_record.PUSHED).unlink(missing_ok=True)
  walks = {
    name: scripted_walk.play(config, params, env, script) for name, script in scripts.items()
  }
  for name, walk in walks.items():
    walk_record.save(data / name, walk)
  return walks


def write_report(folder: Workdir) -> Path:
  """Writes the run's report; see `walk_report`."""
  return walk_report.write_report(folder.path)
