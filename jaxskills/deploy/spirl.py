"""Reads the policy of a finished `spirl/maze` run, and says what its numbers mean.

SPiRL (Pertsch et al. 2020), section 4.2: a policy over skills that began as a copy of the prior,
and the decoder of those skills; or one of the baselines that act step by step. Only checkpoints are
read: the demonstrations need not be there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxskills.deploy.contract import DETERMINISTIC, SAMPLED
from jaxskills.deploy.deployable import ActionTerm, Decoder, Deployable, Reference, Term
from jaxskills.envs.maze import dynamics, maze
from jaxskills.envs.maze.view import VIEW_SPAN
from jaxskills.errors import UserError
from jaxskills.experiments.spirl import maze as experiment
from jaxskills.experiments.spirl import methods, stages
from jaxskills.learners import skill_prior
from jaxskills.networks.policy import GaussianPolicy
from jaxskills.training import loop
from jaxskills.training.workdir import read_config

ACTION = ActionTerm(
  names=("row_force", "column_force"),
  unit=f"fraction of the motors' {dynamics.GEAR:g} N",
  frame="maze: rows and columns of the layout",
  low=(-1.0, -1.0),
  high=(1.0, 1.0),
)
DECIDED = {
  "success_rate": SAMPLED,
  "return": SAMPLED,
  "success_rate_deterministic": DETERMINISTIC,
}


def read_run(workdir: Path, method: str | None, seed_index: int) -> Deployable:
  """Loads one trained method.

  Args:
    workdir: of a finished run.
    method: one of the run's methods; its first if None.
    seed_index: which of the seeds that were trained together.

  Raises:
    UserError: if the run is of a version with other keys, has no such method or seed, or its
      result is missing or damaged.
  """
  run = read_config(workdir)
  config = experiment.run_config(workdir)
  name = method or config.methods[0]
  if name not in config.methods:
    raise UserError(f"{workdir} has no method {name!r}; it has: {', '.join(config.methods)}.")
  if not 0 <= seed_index < config.num_seeds:
    raise UserError(f"{workdir} has no seed {seed_index}; it has {config.num_seeds}, from 0 on.")
  stage = f"rl/{name}"
  results, reports = loop.load_results(workdir, stages.make_stages(config, [name]))
  policy = results[stage]["policy"]
  if config.num_seeds > 1:
    policy = jax.tree.map(lambda leaf: leaf[seed_index], policy)
  provenance = {
    "experiment": run["experiment"],
    "preset": run["preset"],
    "method": name,
    "run": workdir.expanduser().resolve().name,
    "seed": run["seed"],
    "seed_index": seed_index,
    "config": run["config"],
    "parameters_sha256": reports[stage].parameters_sha256,
    "stage_parameters_sha256": {
      stage: report.parameters_sha256 for stage, report in reports.items()
    },
  }
  return describe(config, name, stages.models(results), policy, provenance)


def describe(
  config: ConfigDict,
  name: str,
  models: Mapping[str, Any],
  policy: Any,
  provenance: Mapping[str, Any],
) -> Deployable:
  """Puts a method's networks together with the meaning of what they take and give.

  Args:
    config: of the experiment.
    name: of the method.
    models: the pretrained parameters, `{"skill", "action"}`.
    policy: the trained policy's parameters.
    provenance: see `Deployable`.
  """
  method = methods.METHODS[name]
  world, model = methods.make_world(config), methods.skill_prior_config(config)
  agent, spec = methods.make_agent(config, method, models), world.spec()
  size = model.skill_size if method.skills else spec.action_size
  network = GaussianPolicy(size, model.inputs, model.hidden, model.layer_norm, model.scaling)

  def decide(observation: Mapping[str, Any], dtype: Any) -> dict[str, Any]:
    gaussian: Any = network.apply(_as(policy, dtype), observation)
    decision = agent.action_type.mode(gaussian)
    named = "skill" if method.skills else "action"
    return {"mean": gaussian.mean, "log_std": gaussian.log_std, named: decision}

  def decode(observation: Mapping[str, Any], skill: Any, dtype: Any) -> Any:
    skill = jnp.asarray(skill, dtype)
    return skill_prior.decode(model, spec, _as(models["skill"], dtype), skill, observation)

  def plan(observation: Mapping[str, Any]) -> Any:
    return jax.vmap(lambda seen: agent.plan(policy, seen))(observation)

  return Deployable(
    provenance=provenance,
    observation=observation_terms(world),
    action=ACTION,
    step_seconds=spec.step_seconds,
    horizon=agent.steps,
    limit=float(config.rl.skill_limit if method.skills else spec.action_limit),
    policy=network,
    variables=policy,
    decoder=(
      Decoder(skill_prior.make_networks(model, spec).decoder, models["skill"]["decoder"])
      if method.skills
      else None
    ),
    reference=Reference(decide, decode if method.skills else None, plan),
    samples=lambda count, generator: sample_observations(world, count, generator),
    decided=DECIDED,
  )


def _as(params: Any, dtype: Any) -> Any:
  return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), params)


def observation_terms(world: maze.Maze) -> tuple[Term, ...]:
  """What the ball sees, in the environment's order."""
  spec, (rows, columns) = world.spec().observation, world.task.walls.shape
  fastest = dynamics.MAX_SPEED
  return (
    Term(
      name="view",
      shape=spec["view"].shape,
      dtype=str(spec["view"].dtype),
      unit="share of a pixel that walls cover, 0 (free) to 255 (solid)",
      frame=(
        f"centred on the ball, {VIEW_SPAN:.3f} m across, rows and columns as in the layout; "
        f"channel 0 is now, channel 1 is {world.step_seconds:g} s before"
      ),
      low=(0.0,),
      high=(255.0,),
    ),
    Term(
      name="state",
      shape=spec["state"].shape,
      dtype=str(spec["state"].dtype),
      unit="m, m, m/s, m/s",
      frame="maze: row and column from the layout's outer corner, then their velocities",
      low=(0.0, 0.0, -fastest, -fastest),
      high=(float(rows), float(columns), fastest, fastest),
    ),
  )


def sample_observations(
  world: maze.Maze, count: int, generator: np.random.Generator
) -> dict[str, np.ndarray]:
  """What the ball sees anywhere in the free cells of its layout, at any speed."""
  free = np.argwhere(~np.asarray(world.task.walls))
  inside = generator.uniform(dynamics.RADIUS, 1.0 - dynamics.RADIUS, (count, 2))
  position = free[generator.integers(len(free), size=count)] + inside
  velocity = generator.uniform(-dynamics.MAX_SPEED, dynamics.MAX_SPEED, (count, 2))
  before = position - world.step_seconds * velocity
  data = maze.MazeData(*(jnp.asarray(part, jnp.float32) for part in (position, velocity, before)))
  seen = jax.jit(jax.vmap(world.observe))(data)
  return {name: np.asarray(value) for name, value in seen.items()}
