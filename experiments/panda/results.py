"""The figures of a Panda's run: how often it succeeds, what it asks of the robot, its report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from jaxskills.envs import base
from jaxskills.envs.panda.arm import PandaArm
from jaxskills.evaluation import intervals
from jaxskills.experiments import on_policy as shared
from jaxskills.experiments.panda import report
from jaxskills.experiments.panda.worlds import make_env
from jaxskills.learners.ppo import PpoParams
from jaxskills.training.workdir import Workdir
from jaxskills.types import Key, Metrics

_LIMITS = "limits/"  # of these the greatest value of an episode matters, not the mean


def evaluator(
  config: ConfigDict, seed: int = shared.EVALUATION_SEED
) -> Callable[[PpoParams], Metrics]:
  """`parameters -> metrics` of the mean action, over fresh episodes as hard as in training.

  `eval/success_rate` is the share of episodes with a success at any step, `eval/success_at_end` of
  those whose last step is one; `eval/distance_at_end` is a median, m; `eval/grasp_rate` and
  `eval/lift_rate` are shares with a grasp and with a grasped cube half way up, if there is one;
  `eval/limits/...` are means over episodes of the greatest use of a limit.
  """
  episodes, steps = config.rl.eval_episodes, config.rl.eval_steps
  env = make_env(config, episodes)
  plan = shared.make_policy(config, env)

  def score(params: PpoParams) -> Metrics:
    keys = jax.random.split(jax.random.key(seed), episodes)
    act = lambda observation: plan(params, observation, None)[0]  # noqa: E731
    return summarize(*jax.vmap(lambda key: _play(env, act, key, steps))(keys))

  return score


def summarize(
  metrics: dict[str, Float[Array, "episodes time"]],
  reward: Float[Array, "episodes time"],
  goal_height: Float[Array, "episodes"],
) -> Metrics:
  """The figures of `evaluator`.

  Args:
    metrics: of every step.
    reward: likewise.
    goal_height: of each episode's goal, m.
  """
  success = metrics["success"] > 0.0
  scores = {
    "success_rate": jnp.mean(jnp.any(success, axis=1)),
    "success_at_end": jnp.mean(success[:, -1]),
    "distance_at_end": jnp.median(metrics["distance"][:, -1]),
    "return": jnp.mean(jnp.sum(reward, axis=1)),
    "episodes": jnp.asarray(len(reward)),
    "overflow": jnp.max(metrics["overflow"]),
  }
  if "grasped" in metrics:
    is_grasped = metrics["grasped"] > 0.0
    is_up = is_grasped & (metrics["height"] > 0.5 * goal_height[:, None])
    scores["grasp_rate"] = jnp.mean(jnp.any(is_grasped, axis=1))
    scores["lift_rate"] = jnp.mean(jnp.any(is_up, axis=1))
  limits = {name: value for name, value in metrics.items() if name.startswith(_LIMITS)}
  scores |= {name: jnp.mean(jnp.max(value, axis=1)) for name, value in limits.items()}
  return {f"eval/{name}": jnp.asarray(value, jnp.float32) for name, value in scores.items()}


def evaluate(
  config: ConfigDict, params: PpoParams, seed: int = shared.EVALUATION_SEED
) -> dict[str, Any]:
  """Final figures of a policy, with a 95 % interval of the success rate over episodes."""
  env = make_env(config, 1)
  options = env.engine.compiler_options
  scores = jax.device_get(jax.jit(evaluator(config, seed), compiler_options=options)(params))
  found = {name.removeprefix("eval/"): float(value) for name, value in scores.items()}
  episodes = config.rl.eval_episodes
  interval = intervals.rate_interval(np.array([found["success_rate"]]), episodes)
  return {
    **found,
    "success_rate_ci": [float(bound) for bound in interval],
    "episodes": episodes,
    "episode_seconds": config.rl.eval_steps * env.step_seconds,
  }


def figures(config: ConfigDict, params: PpoParams) -> dict[str, Any]:
  """All final figures of a run.

  Returns:
    What `evaluate` says of episodes like those of training, and the same without anything left to
    chance but start and goal as `undisturbed`.
  """
  seen = {"actor": list(config.ppo.actor_inputs), "critic": list(config.ppo.critic_inputs)}
  calm = evaluate(undisturbed(config), params)
  return {**evaluate(config, params), "undisturbed": calm, "inputs": seen}


def undisturbed(config: ConfigDict) -> ConfigDict:
  """The same task without randomisation, noise and latency."""
  calm = config.copy_and_resolve_references()
  calm.task.randomize = False
  calm.disturbances.update(noise=0.0, latency_seconds=0.0)
  return calm


def write_report(folder: Workdir) -> Path:
  """Writes the run's report; see `report`."""
  return report.write_report(folder.path)


def _play(
  env: PandaArm, act: Callable[[Any], Array], key: Key, steps: int
) -> tuple[dict[str, Array], Array, Array]:
  """Metrics and rewards of every step of an episode, and the height of its goal, m."""
  start = env.reset(key)

  def step(state: base.State, _: None) -> tuple[base.State, tuple[dict[str, Array], Array]]:
    state = env.step(state, act(state.obs))
    return state, (state.metrics, state.reward)

  metrics, reward = jax.lax.scan(step, start, None, length=steps)[1]
  return metrics, reward, start.data.goal[2]
