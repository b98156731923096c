"""Demonstrations for the maze: a grid planner and a PD controller, vectorised in JAX.

SPiRL (Pertsch et al. 2020), appendix C, after D4RL: a new layout for every trajectory, random start
and goal, a value-iteration planner over cells, and a PD controller (p = 10, d = -1) that walks from
waypoint to waypoint.

Planner data that never leaves the middle of the corridor teaches nothing about being at a wall: a
prior learned from it drives into a corner and stays there. `Disturbance` therefore shakes the robot
while the *planner's* action is what is recorded, as in DART (Laskey et al. 2017).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxskills.envs.maze import dynamics, layouts
from jaxskills.types import Key

P_GAIN = 10.0
D_GAIN = 1.0
_MOVES = jnp.array([(-1, 0), (1, 0), (0, -1), (0, 1)], jnp.int32)


class Disturbance(NamedTuple):
  """How a demonstration departs from the paper's planner, which is `PAPER`.

  Attributes:
    start_spread: half width of the square around the cell centre in which episodes start, m.
    start_speed: largest initial speed per axis, m/s.
    waypoint_offset: half width of the per-episode offset of all waypoints, m.
    waypoint_reach: distance to a waypoint at which the next one is taken, m. At the paper's 0.1 the
      ball brakes before every cell; at 0.35 it flows through corridors, skills reach a quarter
      further, and rollouts of the prior visit half as many cells again.
    action_noise: standard deviation of the time-correlated noise on the executed action.
    noise_memory: autocorrelation of that noise from one step to the next.
    push_rate: chance per step that a push begins.
    push_steps: steps that a push lasts.
  """

  start_spread: float = 0.35
  start_speed: float = 2.0
  waypoint_offset: float = 0.2
  waypoint_reach: float = 0.35
  action_noise: float = 0.3
  noise_memory: float = 0.9
  push_rate: float = 0.005
  push_steps: int = 15


PAPER = Disturbance(
  start_spread=0.1,
  start_speed=0.0,
  waypoint_offset=0.2,
  waypoint_reach=0.1,
  action_noise=0.0,
  push_rate=0.0,
)


class Trajectory(NamedTuple):
  """One demonstration, padded to the step limit by repeating its end."""

  walls: Bool[Array, "rows columns"]
  position: Float[Array, "time 2"]
  velocity: Float[Array, "time 2"]
  action: Float[Array, "time 2"]
  """What the planner asked for, in [-1, 1]."""
  length: Int[Array, ""]
  """Steps until the goal was reached, or the limit."""
  goal: Int[Array, "2"]
  reachable: Bool[Array, ""]


def demonstrate(key: Key, size: int, max_steps: int, disturbance: Disturbance) -> Trajectory:
  """Plans and walks one random route through one random layout; `vmap` it over keys."""
  layout_key, place_key, walk_key = jax.random.split(key, 3)
  walls = layouts.generate_layout(layout_key, size)
  start, goal = random_cells(place_key, walls, 2)
  field = layouts.distance_field(walls, goal)
  position, velocity, action, reached = walk(walk_key, walls, field, start, max_steps, disturbance)
  length = jnp.where(jnp.any(reached), jnp.argmax(reached), max_steps).astype(jnp.int32)
  reachable = field[start[0], start[1]] < layouts.UNREACHABLE
  return Trajectory(walls, position, velocity, action, length, goal, reachable)


def walk(
  key: Key,
  walls: Bool[Array, "rows columns"],
  field: Float[Array, "rows columns"],
  start: Int[Array, "2"],
  max_steps: int,
  disturbance: Disturbance,
) -> tuple[Array, Array, Array, Array]:
  """Follows the distance field from a start cell.

  Returns:
    Position and velocity *before* each action, the planner's actions (each `[max_steps, 2]`), and
    whether the goal was reached by then (`[max_steps]`).
  """
  direction = _descent(field)
  keys = jax.random.split(key, 4)
  spread, speed = disturbance.start_spread, disturbance.start_speed
  position = start + 0.5 + jax.random.uniform(keys[0], (2,), minval=-spread, maxval=spread)
  velocity = jax.random.uniform(keys[1], (2,), minval=-speed, maxval=speed)
  width = disturbance.waypoint_offset
  offset = 0.5 + jax.random.uniform(keys[2], (2,), minval=-width, maxval=width)

  def step(carry, step_key):
    position, velocity, waypoint, noise, push, push_left, done = carry
    cell = jnp.floor(position).astype(jnp.int32)
    strayed = jnp.sum(jnp.abs(cell - waypoint)) > 1
    waypoint = jnp.where(strayed, cell + _MOVES[direction[cell[0], cell[1]]], waypoint)
    near = jnp.sum((waypoint + offset - position) ** 2) < disturbance.waypoint_reach**2
    at_goal = field[waypoint[0], waypoint[1]] == 0.0
    done = done | (near & at_goal)
    ahead = waypoint + _MOVES[direction[waypoint[0], waypoint[1]]]
    waypoint = jnp.where(near & ~at_goal, ahead, waypoint)

    asked = jnp.clip(P_GAIN * (waypoint + offset - position) - D_GAIN * velocity, -1.0, 1.0)
    noise_key, when_key, push_key = jax.random.split(step_key, 3)
    memory = disturbance.noise_memory
    fresh = jax.random.normal(noise_key, (2,)) * disturbance.action_noise
    noise = memory * noise + jnp.sqrt(1 - memory**2) * fresh
    begins = (push_left <= 0) & jax.random.bernoulli(when_key, disturbance.push_rate)
    angle = jax.random.uniform(push_key, maxval=2 * jnp.pi)
    push = jnp.where(begins, jnp.stack([jnp.cos(angle), jnp.sin(angle)]), push)
    push_left = jnp.where(begins, disturbance.push_steps, push_left - 1)
    executed = jnp.where(push_left > 0, push, asked + noise)

    moved = dynamics.advance(walls, position, velocity, executed)
    position_, velocity_ = jax.tree.map(
      lambda new, old: jnp.where(done, old, new), moved, (position, velocity)
    )
    carry = (position_, velocity_, waypoint, noise, push, push_left, done)
    return carry, (position, velocity, asked, done)

  zeros = jnp.zeros(2)
  carry = (position, velocity, start, zeros, zeros, jnp.zeros((), jnp.int32), jnp.array(False))
  _, (positions, velocities, actions, reached) = jax.lax.scan(
    step, carry, jax.random.split(keys[3], max_steps)
  )
  return positions, velocities, actions, reached


def random_cells(key: Key, walls: Bool[Array, "rows columns"], count: int) -> Int[Array, "count 2"]:
  """Draws different free cells, uniformly."""
  gumbel = jax.random.gumbel(key, walls.shape)
  _, chosen = jax.lax.top_k(jnp.where(walls, -jnp.inf, gumbel).reshape(-1), count)
  return jnp.stack(jnp.unravel_index(chosen, walls.shape), axis=-1).astype(jnp.int32)


def _descent(field: Float[Array, "rows columns"]) -> Int[Array, "rows columns"]:
  """Index into `_MOVES` of the neighbour nearest to the goal, for every cell."""
  padded = jnp.pad(field, 1, constant_values=layouts.UNREACHABLE)
  neighbours = jnp.stack([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])
  return jnp.argmin(neighbours, axis=0)
