"""Environment steps per second of the maze, against gymnasium-robotics' PointMaze.

  jaxskills bench maze      about two minutes

The peer is the descendant of the simulator that SPiRL used: C MuJoCo, the same ball, motors, time
step and velocity limit, on the same walls, stepped in Gymnasium's own vector environments; of
`SyncVectorEnv` and `AsyncVectorEnv` the faster one here is taken. Both sides are handed random
actions made beforehand, cut episodes at the same length, begin finished worlds anew, and compute
the reward of every step. The peer draws no picture in either row. Floor: 50 times the peer.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxskills.benchmarks import measuring
from jaxskills.benchmarks.measuring import Contender
from jaxskills.envs.base import State
from jaxskills.envs.maze import maze, tasks
from jaxskills.envs.wrappers.auto_reset import AutoReset
from jaxskills.envs.wrappers.episode import EpisodeLimit
from jaxskills.envs.wrappers.map_observation import MapObservation
from jaxskills.envs.wrappers.skill_step import SkillStep
from jaxskills.types import Observation

FLOOR = 50.0
SKILL_STEPS = 10  # SPiRL's horizon


class Sizes(NamedTuple):
  """How much is measured.

  Attributes:
    layout: of `tasks.TASKS`.
    worlds: of ours, side by side.
    steps: control steps of every world in one call of ours.
    peer_worlds: candidates for the peer: (whether asynchronous, worlds).
    peer_steps: of every world of the peer in one call.
    rounds: turns of each side.
    seconds: of a turn.
  """

  layout: str = "quick"
  worlds: int = 1024
  steps: int = 200
  peer_worlds: tuple[tuple[bool, int], ...] = ((False, 16), (True, 2), (True, 8))
  peer_steps: int = 50
  rounds: int = measuring.ROUNDS
  seconds: float = 3.0


class HeldActions(NamedTuple):
  """A batch of worlds and what is asked of them."""

  worlds: State
  actions: jax.Array
  """`[decisions, worlds, action]`."""


SIZES = Sizes()  # of the benchmark; tests take less


def measure(sizes: Sizes = SIZES) -> dict[str, Any]:
  """Measures all rows; see `measuring` for how."""
  facts = measuring.machine("gymnasium", "gymnasium-robotics", "mujoco")
  physics, physics_compile = physics_contender(sizes)
  states, states_compile = states_contender(sizes)
  skills, skills_compile = skills_contender(sizes)
  peer, others = choose_peer(sizes)
  try:
    rates = measuring.race((states, skills, physics, peer.contender), sizes.rounds, sizes.seconds)
  finally:
    for candidate in (peer, *others):
      candidate.environment.close()
  task = tasks.find_task(sizes.layout)
  shared = {
    "layout": sizes.layout,
    "wall_cells": int(np.sum(task.walls)),
    "worlds": sizes.worlds,
    "peer_observes": "states, no picture",
  }
  unit, name = "environment steps/s", peer.contender.name
  rows = [
    measuring.row(
      "maze_states", unit, rates, states.name, name, FLOOR,
      does="physics, reward, time limit, automatic reset; states",
      compile_seconds=states_compile, **shared,
    ),
    measuring.row(
      "maze_skills_with_views", unit, rates, skills.name, name, FLOOR,
      does=f"as maze_states in skills of {SKILL_STEPS} steps; state and two 32x32 views after each",
      compile_seconds=skills_compile, **shared,
    ),
    measuring.row(
      "maze_physics", unit, rates, physics.name, name,
      does="physics and reward alone, without time limit and reset: less than the peer does",
      compile_seconds=physics_compile, **shared,
    ),
  ]  # fmt: skip
  facts["peer_candidates_steps_per_second"] = {
    candidate.contender.name: round(candidate.rate, 1) for candidate in (peer, *others)
  }
  return {"machine": facts, "rows": rows}


def physics_contender(sizes: Sizes) -> tuple[Contender, float]:
  """Our physics and reward, and the seconds to compile them."""
  world = maze.make_maze(sizes.layout)
  keys = jax.random.split(jax.random.key(0), sizes.worlds)
  held = HeldActions(jax.vmap(world.reset)(keys), _random_actions(sizes.steps, sizes.worlds, 2))

  def run(held: HeldActions) -> tuple[HeldActions, jax.Array]:
    def step(worlds: State, action: jax.Array) -> tuple[State, jax.Array]:
      after = jax.vmap(world.advance)(worlds, action)
      return after, jnp.sum(after.reward)

    worlds, rewards = jax.lax.scan(step, held.worlds, held.actions)
    return held._replace(worlds=worlds), jnp.sum(rewards) + jnp.sum(worlds.data.position)

  return _contender("jaxskills physics", run, held, sizes.worlds * sizes.steps)


def states_contender(sizes: Sizes) -> tuple[Contender, float]:
  """Our worlds with time limit and automatic reset, observed by their states."""
  task = tasks.find_task(sizes.layout)
  limited = EpisodeLimit(maze.make_maze(sizes.layout), task.episode_steps)
  env = AutoReset(MapObservation(limited, _state_only), pool_size=64)
  actions = _random_actions(sizes.steps, sizes.worlds, 2)
  return _stepping("jaxskills states", env, actions, sizes.worlds, 1)


def skills_contender(sizes: Sizes) -> tuple[Contender, float]:
  """Our worlds as training steps them: a skill at a time, with views where skills end."""
  task = tasks.find_task(sizes.layout)
  limited = EpisodeLimit(maze.make_maze(sizes.layout), task.episode_steps)
  size = 2 * SKILL_STEPS

  def decode(observation: Observation, skill: jax.Array) -> jax.Array:
    """A skill is its actions, so that no network is measured."""
    del observation
    return skill.reshape(SKILL_STEPS, 2)

  skilled = SkillStep(limited, decode, SKILL_STEPS, skill_size=size, skill_limit=1.0)
  decisions = max(1, sizes.steps // SKILL_STEPS)
  skills = _random_actions(decisions, sizes.worlds, size)
  env = AutoReset(skilled, pool_size=64)
  return _stepping("jaxskills skills with views", env, skills, sizes.worlds, SKILL_STEPS)


def _stepping(
  name: str, env: AutoReset, actions: jax.Array, worlds: int, steps: int
) -> tuple[Contender, float]:
  """Steps a batch of worlds through all actions; `steps` are those of one decision."""
  states = jax.jit(env.reset)(jax.random.split(jax.random.key(0), worlds))

  def run(held: HeldActions) -> tuple[HeldActions, jax.Array]:
    def step(states: State, action: jax.Array) -> tuple[State, tuple[jax.Array, Any]]:
      after = env.step(states, action)
      seen = jax.tree.map(lambda leaf: jnp.sum(leaf, dtype=jnp.float32), after.obs)
      return after, (jnp.sum(after.reward), seen)

    states, looked_at = jax.lax.scan(step, held.worlds, held.actions)
    total = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(looked_at))
    return held._replace(worlds=states), jnp.asarray(total)

  return _contender(name, run, HeldActions(states, actions), actions.shape[0] * worlds * steps)


def _contender(name: str, run: Any, held: HeldActions, count: int) -> tuple[Contender, float]:
  program, seconds = measuring.compiled(run, held)

  def again() -> Mapping[str, float]:
    nonlocal held
    held, total = program(held)
    return {"sum of rewards and observations": float(total)}

  return Contender(name, again, count), seconds


class Candidate(NamedTuple):
  """A vector environment that may become the peer."""

  contender: Contender
  environment: Any
  rate: float


def choose_peer(sizes: Sizes) -> tuple[Candidate, list[Candidate]]:
  """Tries PointMaze in each candidate vector environment; the fastest comes first."""
  found = []
  for asynchronous, worlds in sizes.peer_worlds:
    environment = make_point_maze(sizes.layout, worlds, asynchronous)
    kind = "AsyncVectorEnv" if asynchronous else "SyncVectorEnv"
    name = f"gymnasium-robotics PointMaze, {kind} of {worlds}"
    contender = _peer_contender(name, environment, worlds, sizes.peer_steps)
    rates = measuring.race((contender,), rounds=1, seconds=min(1.0, sizes.seconds))
    found.append(Candidate(contender, environment, rates[name][0]))
  best, *others = sorted(found, key=lambda candidate: -candidate.rate)
  return best, others


def _peer_contender(name: str, environment: Any, worlds: int, steps: int) -> Contender:
  environment.reset(seed=0)
  actions = np.asarray(_random_actions(steps, worlds, 2))

  def run() -> Mapping[str, float]:
    total = 0.0
    for action in actions:
      observation, reward, *_ = environment.step(action)
      total += float(np.sum(reward)) + float(np.sum(observation["observation"]))
    return {"sum of rewards and observations": total}

  return Contender(name, run, worlds * steps)


def make_point_maze(layout: str, worlds: int, asynchronous: bool) -> Any:
  """PointMaze on our layout, in Gymnasium's vector environment.

  Args:
    layout: of `tasks.TASKS`.
    worlds: in the vector.
    asynchronous: one process for each world, instead of one after the other in this process.
  """
  from gymnasium import vector  # pyright: ignore[reportMissingImports]

  task = tasks.find_task(layout)
  cells: list[list[Any]] = [[int(cell) for cell in line] for line in task.walls]
  cells[task.start[0]][task.start[1]] = "r"
  cells[task.goal[0]][task.goal[1]] = "g"

  def make() -> Any:
    import gymnasium  # pyright: ignore[reportMissingImports]
    import gymnasium_robotics  # pyright: ignore[reportMissingImports]

    gymnasium.register_envs(gymnasium_robotics)
    return gymnasium.make(
      "PointMaze_UMaze-v3",
      maze_map=cells,
      max_episode_steps=task.episode_steps,
      disable_env_checker=True,
    )

  if asynchronous:  # `spawn`: a fork would copy locks that JAX's threads hold
    return vector.AsyncVectorEnv([make] * worlds, context="spawn")
  return vector.SyncVectorEnv([make] * worlds)


def _state_only(observation: Observation) -> dict[str, jax.Array]:
  return {"state": observation["state"]}


def _random_actions(number: int, worlds: int, size: int) -> jax.Array:
  shape = (number, worlds, size)
  return jax.random.uniform(jax.random.key(1), shape, minval=-1.0, maxval=1.0)
