"""The figures of an imitation run: true success beside the return that was learned from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxskills.envs.tabletop.scene import FRAMES_PER_SECOND, make_model
from jaxskills.evaluation import imitation_record, intervals, rollouts
from jaxskills.evaluation.imitation_record import ImitationRecord
from jaxskills.experiments import on_policy as shared
from jaxskills.experiments.asn import imitation_report
from jaxskills.experiments.asn.imitation_stages import (
  Setting,
  make_evaluator,
  scorer,
  stage_name,
)
from jaxskills.experiments.asn.imitation_world import REWARDS, episode_steps, film_states
from jaxskills.training.workdir import Workdir
from jaxskills.types import Key

_PIXELS = 128  # a side of a picture in the report's film

Found = Mapping[str, Any]
"""Results of the stages: parameters of all seeds, by name."""


def figures(setting: Setting, found: Found, folder: Workdir) -> dict[str, Any]:
  """All final figures, and what the report's film is made of."""
  config = setting.config
  film(setting, found, folder)
  return {
    **evaluate(setting, found),
    "titles": {reward: REWARDS[reward] for reward in config.rewards},
    "task": setting.scenery.task.title,
    "demonstration_seconds": (len(setting.scenery.frames) - 1) / FRAMES_PER_SECOND,
    "inputs": {"actor": list(config.ppo.actor_inputs), "critic": list(config.ppo.critic_inputs)},
  }


def evaluate(setting: Setting, found: Found, seed: int = shared.EVALUATION_SEED) -> dict[str, Any]:
  """`success_rate`, `success_ever` and `learned_return` of each reward's policies.

  Each is `{"mean", "low", "high", "by_seed"}`, with 95 % intervals over seeds.
  """
  final = setting.config.copy_and_resolve_references()
  final.rl.eval_episodes = episodes = final.rl.final_eval_episodes
  options = setting.scenery.engine.compiler_options
  made: dict[str, Any] = {"success_rate": {}, "success_ever": {}, "learned_return": {}}
  for reward in final.rewards:
    score = jax.jit(scorer(setting._replace(config=final), reward, seed), compiler_options=options)
    scores = jax.device_get(score(found[stage_name(reward)]))
    for name in ("success_rate", "success_ever"):
      rates = scores[f"eval/{name}"]
      made[name][reward] = _figure(rates, intervals.rate_interval(rates, episodes))
    returns = scores["eval/return"]
    made["learned_return"][reward] = _figure(returns, intervals.mean_interval(returns))
  return {**made, "episodes": episodes, "seeds": final.num_seeds}


def film(setting: Setting, found: Found, folder: Workdir) -> None:
  """Keeps the first episode of each reward's first seed, and the demonstration, for the report."""
  config, scenery = setting.config, setting.scenery
  given = scenery.demonstration
  model = make_model(given.scene)
  shown = film_states(config, model, (config.views.demonstration,), given.qpos, _PIXELS)[:, 0]
  for reward in config.rewards:
    episode = _first_episode(setting, found, reward)
    frames = film_states(config, model, tuple(config.views.agent[:1]), episode.watched, _PIXELS)[
      :, 0
    ]
    record = ImitationRecord(
      title=REWARDS[reward],
      seconds_per_frame=1.0 / FRAMES_PER_SECOND,
      demonstration=shown,
      rollout=frames,
      reward=np.concatenate([episode.reward[:1], episode.reward]),
      is_success=bool(episode.success[-1] > 0.0),
    )
    imitation_record.save(folder.report / "data", reward, record)


def _first_episode(setting: Setting, found: Found, reward: str) -> rollouts.Episode:
  """Of the first seed; `watched` are the positions."""
  evaluator, steps = make_evaluator(setting, reward), episode_steps(setting.config, setting.scenery)
  first = (found[stage_name(reward)], evaluator.sights)
  params, sight = jax.tree.map(lambda leaf: leaf[0], first)

  def play(key: Key) -> rollouts.Episode:
    return rollouts.play(
      evaluator.world(sight),
      lambda observation, key: evaluator.plan(params, observation),
      key,
      steps,
      lambda data: data.physics.qpos,
    )

  options = setting.scenery.engine.compiler_options
  key = jax.random.key(shared.EVALUATION_SEED)
  return jax.device_get(jax.jit(play, compiler_options=options)(key))


def write_report(folder: Workdir) -> Path:
  """Writes the run's report; see `imitation_report`."""
  return imitation_report.write_report(folder.path)


def written(figure: Mapping[str, Any]) -> str:
  """`0.87 [0.79, 0.95]` of a figure from `evaluate`; without bounds where they are unknown."""
  if figure["low"] is None or figure["high"] is None:
    return f"{figure['mean']:.2f}"
  return f"{figure['mean']:.2f} [{figure['low']:.2f}, {figure['high']:.2f}]"


def _figure(values: np.ndarray, interval: Any) -> dict[str, Any]:
  low, high = (float(bound) for bound in interval)
  return {
    "mean": float(np.mean(values)),
    "low": low if np.isfinite(low) else None,
    "high": high if np.isfinite(high) else None,
    "by_seed": [float(value) for value in values],
  }
