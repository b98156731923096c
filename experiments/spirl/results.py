"""The figures of a SPiRL run: what its summary says, and what its report shows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxskills.envs.maze import tasks
from jaxskills.evaluation import intervals
from jaxskills.experiments.spirl import exploration, methods, stages
from jaxskills.training.run_state import StageReport
from jaxskills.training.workdir import Workdir


def check_prior(
  config: ConfigDict, results: Mapping[str, Any], data: Path, folder: Workdir
) -> dict[str, float]:
  """What rollouts of the skill prior cover, recorded once per run; see `exploration.record`."""
  return exploration.record(config, stages.models(results), data, folder.report / "data")


def figures(
  config: ConfigDict,
  results: Mapping[str, Any],
  reports: Mapping[str, StageReport],
  data: Path,
  folder: Workdir,
) -> dict[str, Any]:
  """The final figures of all methods, of policies that no longer change."""
  final = config.copy_and_resolve_references()
  final.rl.eval_episodes = config.rl.final_eval_episodes
  task = methods.make_world(config).task
  scores = {}
  for name in config.methods:
    progress = reports[f"rl/{name}"].progress
    scores[name] = {
      **evaluate(final, name, results),
      "env_steps": progress.env_steps,
      "updates": progress.updates,
      "training_seconds": progress.wall_seconds,
      **_conditions(config, methods.METHODS[name]),
    }
  film(config, results, folder)
  main, *baselines = config.methods
  return {
    **scores[main],
    "coverage": check_prior(config, results, data, folder),
    "task": {
      "layout": config.task.layout,
      "start": list(task.start),
      "goal": list(task.goal),
      "shortest_path_cells": tasks.path_cells(task),
      "episode_steps": methods.episode_steps(config),
    },
    "baselines": {name: scores[name] for name in baselines},
  }


def evaluate(
  config: ConfigDict, name: str, results: Mapping[str, Any], seed: int = stages.EVALUATION_SEED
) -> dict[str, Any]:
  """Success rates of one trained method, with 95 % intervals over episodes, or over seeds."""
  agent = methods.make_agent(config, methods.METHODS[name], stages.models(results))
  score = stages.evaluator(config, agent, seed)
  params = results[f"rl/{name}"]["policy"]
  scores = jax.jit(jax.vmap(score) if config.num_seeds > 1 else score)(params)
  rates, episodes = np.atleast_1d(scores["eval/success_rate"]), config.rl.eval_episodes
  interval = intervals.rate_interval(rates, episodes)
  figures = {
    "success_rate": float(rates.mean()),
    "success_rate_ci": [float(bound) for bound in interval],
    "success_rate_deterministic": float(np.mean(scores["eval/success_rate_deterministic"])),
    "return": float(np.mean(scores["eval/return"])),
    "episodes": episodes,
    "seeds": config.num_seeds,
    # Seeds with one prior between them do not show how much priors differ.
    "prior_is_shared": bool(config.prior_from) or config.num_seeds > 1,
  }
  if config.num_seeds > 1:
    for name in ("success_rate", "success_rate_deterministic"):
      figures[f"{name}_by_seed"] = [float(rate) for rate in scores[f"eval/{name}"]]
  return figures


def _conditions(config: ConfigDict, method: methods.Method) -> dict[str, Any]:
  """What a method sees, and what decides how fairly it compares with the others."""
  networks, rl = config.networks, config.rl
  return {
    "inputs": {
      "actor": list(networks.actor_inputs),
      "critic": list(networks.critic_inputs),
      "encoder": "trained" if networks.train_encoder else "pretrained, frozen",
    },
    "learning": {
      "env_steps_per_decision": config.skill_prior.horizon if method.skills else 1,
      "env_steps_per_update": (
        rl.env_steps_per_update if method.skills else rl.flat_env_steps_per_update
      ),
      "batch_size": rl.batch_size,
      "replay_decisions": rl.replay_capacity,
      "gamma_per_decision": config.sac.gamma,
    },
  }


def film(config: ConfigDict, results: Mapping[str, Any], folder: Workdir) -> None:
  """Keeps one episode of the first method (of its first seed) for the report's video."""
  name = config.methods[0]
  agent = methods.make_agent(config, methods.METHODS[name], stages.models(results))
  policy = results[f"rl/{name}"]["policy"]
  if config.num_seeds > 1:
    policy = jax.tree.map(lambda leaf: leaf[0], policy)
  key = jax.random.key(stages.EVALUATION_SEED)
  exploration.record_rollout(config, agent, policy, folder.report / "data", key)
