"""Is the prior worth using? Rollouts before any reinforcement learning, kept for the report.

SPiRL (Pertsch et al. 2020), Fig. 5. Its authors judge a prior by such rollouts, not by its loss; a
prior that stays at a wall shows in its displacement per skill against the demonstrations'.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxskills.data.maze import TrajectoryFeed
from jaxskills.envs.maze.maze import MazeData
from jaxskills.errors import UserError
from jaxskills.evaluation import coverage, recordings, rollouts
from jaxskills.evaluation.recordings import Exploration, Rollout
from jaxskills.experiments.spirl import methods
from jaxskills.learners import skill_prior
from jaxskills.training.progress import ProgressReport
from jaxskills.types import Key, Observation, Params

DEMONSTRATIONS = 256  # to compare displacements with
_DEMONSTRATION_SEED = 1


def record(
  config: ConfigDict, models: Mapping[str, Params], data: Path, folder: Path
) -> dict[str, float]:
  """Plays the priors and the two ways without one, saves their paths, and judges the prior.

  Args:
    config: the experiment's.
    models: parameters, `{"skill", "action"}`.
    data: folder of the demonstrations.
    folder: where `exploration.npz` goes; if it is there already and whole, it is read instead.

  Returns:
    `coverage.prior_check` of the skill prior, `goal_reached`, and the cells of the other ways.
  """
  exploration = _recorded(folder)
  if exploration is None:
    exploration = _explore(config, methods.make_world(config), models, data)
    recordings.save_exploration(folder, exploration)
  demonstrated = exploration.demonstrations
  assert demonstrated is not None  # `_explore` keeps them
  lengths = np.sum(np.isfinite(demonstrated[..., 0]), axis=1)
  paths = exploration.positions
  check = coverage.prior_check(
    paths["skill_prior"],
    exploration.walls,
    exploration.skill_horizon,
    demonstrated,
    lengths,
  )
  check["goal_reached"] = coverage.goal_reached(
    paths["skill_prior"], exploration.goal, exploration.goal_radius
  )
  for name in paths:
    check[f"cells_{name}"] = float(coverage.coverage(paths[name], exploration.walls).cells)
  return check


def record_rollout(
  config: ConfigDict, agent: methods.Agent, params: Params, folder: Path, key: jax.Array
) -> None:
  """Films one episode of a trained policy, sampled as in training."""
  world = methods.make_world(config)
  decisions = methods.decisions(config, agent.steps)

  def watch(data: MazeData) -> tuple[jax.Array, jax.Array]:
    return data.position, data.velocity

  episode = jax.jit(
    lambda key: rollouts.play(
      agent.single, lambda seen, key: agent.plan(params, seen, key), key, decisions, watch
    )
  )(key)
  states = np.concatenate([np.asarray(part) for part in episode.watched], axis=-1)
  task = world.task
  rollout = Rollout(states, task.walls, np.array(task.start), np.array(task.goal))
  recordings.save_rollout(folder, rollout._replace(goal_radius=world.goal_radius))


def plans(
  config: ConfigDict, models: Mapping[str, Params]
) -> dict[str, Callable[[Observation, Key], jax.Array]]:
  """Ways to explore without learning (SPiRL, Fig. 5): plans of one world."""
  world, model = methods.make_world(config), methods.skill_prior_config(config)
  spec, limit = world.spec(), config.rl.skill_limit
  skills = methods.METHODS["spirl"]
  agents = {
    "skill_prior": methods.make_agent(config, skills, models),
    "action_prior": methods.make_agent(config, methods.METHODS["flat_prior"], models),
  }

  def from_prior(name: str) -> Callable[[Observation, Key], jax.Array]:
    params = models["skill"]["prior"] if name == "skill_prior" else models["action"]
    return lambda observation, key: agents[name].plan(params, observation, key)

  def uniform_skill(observation: Observation, key: Key) -> jax.Array:
    seen = jax.tree.map(lambda leaf: leaf[None], observation)
    skill = jax.random.uniform(key, (1, model.skill_size), minval=-limit, maxval=limit)
    return skill_prior.decode(model, spec, models["skill"], skill, seen)[0]

  def random_action(observation: Observation, key: Key) -> jax.Array:
    del observation
    return jax.random.uniform(key, (1, spec.action_size), minval=-1.0, maxval=1.0)

  return {
    "skill_prior": from_prior("skill_prior"),
    "action_prior": from_prior("action_prior"),
    "uniform_skills": uniform_skill,
    "random_actions": random_action,
  }


def _recorded(folder: Path) -> Exploration | None:
  """What an earlier process recorded, if it is there and whole."""
  if not (folder / recordings.EXPLORATION).exists():
    return None
  try:
    return recordings.load_exploration(folder)
  except UserError:
    with ProgressReport() as shown:
      shown.note(f"{folder / recordings.EXPLORATION} is damaged; recording it anew")
    return None


def _explore(
  config: ConfigDict, world: methods.maze.Maze, models: Mapping[str, Params], data: Path
) -> Exploration:
  """Episodes of the task's length from its start, for each way of acting."""
  positions, horizon = {}, methods.skill_prior_config(config).horizon
  limited = methods.EpisodeLimit(world, methods.episode_steps(config))
  for index, (name, plan) in enumerate(plans(config, models).items()):
    steps = 1 if name in ("action_prior", "random_actions") else horizon
    decisions = methods.decisions(config, steps)

    def play(key: jax.Array, plan=plan, decisions=decisions) -> jax.Array:
      return rollouts.play_many(
        limited,
        plan,
        key,
        config.exploration.episodes,
        decisions,
        lambda state: state.position,
      ).watched

    positions[name] = np.asarray(jax.jit(play)(jax.random.key(index)))
  block = TrajectoryFeed(data, batch=DEMONSTRATIONS, seed=_DEMONSTRATION_SEED).next()
  shown = np.arange(block["position"].shape[1]) < np.asarray(block["length"])[:, None]
  demonstrations = np.where(shown[..., None], block["position"], np.nan)
  task = world.task
  return Exploration(
    walls=task.walls,
    start=np.array(task.start),
    goal=np.array(task.goal),
    positions=positions,
    skill_horizon=horizon,
    goal_radius=world.goal_radius,
    demonstrations=demonstrations,
  )
