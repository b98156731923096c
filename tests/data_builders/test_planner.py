"""Demonstrations: they stay out of walls, end where they say, and record what the planner asked.

Expected actions and distances are written out in NumPy.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.data_builders.maze_demos import planner
from jaxskills.envs.maze import dynamics, layouts

SIZE, STEPS, WORLDS = 10, 160, 24


@jax.jit
def demonstrate(keys, disturbance):
  return jax.vmap(lambda key: planner.demonstrate(key, SIZE, STEPS, disturbance))(keys)


@functools.cache
def demonstrations(disturbance):
  """Trajectories with a way to the goal, as a list of NumPy records."""
  batch = demonstrate(jax.random.split(jax.random.key(3), WORLDS), disturbance)
  batch = jax.tree.map(np.asarray, batch)
  return [
    jax.tree.map(lambda leaf, row=row: leaf[row], batch) for row in np.flatnonzero(batch.reachable)
  ]


@functools.partial(jax.jit, static_argnames="steps")
def empty_room_walk(disturbance, start, goal, steps=400):
  walls = jnp.ones((10, 10), bool).at[1:-1, 1:-1].set(False)
  start, goal = jnp.array(start), jnp.array(goal)
  field = layouts.distance_field(walls, goal)
  return planner.walk(jax.random.key(0), walls, field, start, steps, disturbance)


@pytest.mark.parametrize("disturbance", [planner.PAPER, planner.Disturbance()])
def test_the_ball_keeps_its_radius_from_every_wall(disturbance):
  for demonstration in demonstrations(disturbance):
    cells = np.argwhere(demonstration.walls)[None]
    position = demonstration.position[:, None]
    gap = np.maximum(np.maximum(cells - position, position - (cells + 1)), 0.0)
    assert np.linalg.norm(gap, axis=-1).min() > dynamics.RADIUS - 1e-4


@pytest.mark.parametrize("disturbance", [planner.PAPER, planner.Disturbance()])
def test_a_demonstration_ends_at_its_goal_or_at_the_limit(disturbance):
  reached = 0
  for demonstration in demonstrations(disturbance):
    length = int(demonstration.length)
    if length == STEPS:
      continue
    reached += 1
    off = np.abs(demonstration.position[length] - (demonstration.goal + 0.5)).max()
    assert off < disturbance.waypoint_offset + disturbance.waypoint_reach
    assert np.all(demonstration.position[length:] == demonstration.position[length])
  assert reached >= 5


def test_without_disturbance_the_recorded_actions_explain_the_motion():
  advance = jax.jit(jax.vmap(dynamics.advance, in_axes=(None, 0, 0, 0)))
  for demonstration in demonstrations(planner.PAPER)[:5]:
    length = int(demonstration.length)
    position, velocity = advance(
      demonstration.walls, demonstration.position, demonstration.velocity, demonstration.action
    )
    following = slice(1, length)
    np.testing.assert_allclose(position[: length - 1], demonstration.position[following], atol=1e-5)
    np.testing.assert_allclose(velocity[: length - 1], demonstration.velocity[following], atol=1e-4)


def test_the_paper_planner_never_touches_a_wall():
  for demonstration in demonstrations(planner.PAPER):
    length = int(demonstration.length)
    speed_in = np.abs(np.diff(demonstration.velocity[:length], axis=0))
    push = dynamics.GEAR * dynamics.STEP_SECONDS / dynamics.MASS  # largest change without contact
    drag = dynamics.MAX_SPEED * dynamics.STEP_SECONDS / dynamics.MASS
    assert speed_in.max() < push + drag + 1e-4


def test_a_pushed_ball_records_what_the_planner_asked_for():
  pushed = planner.PAPER._replace(
    push_rate=1.0, push_steps=1000, waypoint_offset=0.0, waypoint_reach=0.0
  )
  walked = empty_room_walk(pushed, start=(3, 3), goal=(3, 6))
  position, velocity, action, _ = (np.asarray(series)[:20] for series in walked)
  waypoint = np.array([3.5, 3.5])
  kept = np.abs(np.floor(position) - 3).sum(1) <= 1  # until the ball has strayed
  asked = np.clip(10.0 * (waypoint - position) - velocity, -1.0, 1.0)
  np.testing.assert_allclose(action[kept], asked[kept], atol=1e-5)
  speed = np.linalg.norm(velocity, axis=1)
  assert speed[10] > 1.5 and np.all(np.diff(speed[:10]) > 0)  # the push drove it all the same


def test_a_strayed_ball_is_led_on_from_where_it_is():
  route = planner.Disturbance(start_speed=5.0, push_rate=0.02, push_steps=40, action_noise=0.0)
  *_, reached = empty_room_walk(route, start=(1, 1), goal=(8, 8))
  assert reached[-1]


def test_random_cells_are_free_and_differ():
  walls = jnp.asarray(np.random.default_rng(1).random((SIZE, SIZE)) < 0.5)
  draw = jax.jit(jax.vmap(lambda key: planner.random_cells(key, walls, 2)))
  cells = np.asarray(draw(jax.random.split(jax.random.key(2), 200)))
  assert not np.asarray(walls)[cells[..., 0], cells[..., 1]].any()
  assert np.any(cells[:, 0] != cells[:, 1], axis=1).all()
