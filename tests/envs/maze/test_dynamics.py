"""The ball's motion: closed forms in the open, and walls that neither leak nor push.

The properties are checked against brute force: the distance to every solid cell, one by one.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxskills.envs.maze import dynamics, layouts

WORLDS, STEPS, SIZE = 64, 150, 12
SLACK = 2e-5  # m; a few units in the last place of a float32 near 12 m


def empty_room(side=10):
  walls = np.ones((side, side), bool)
  walls[1:-1, 1:-1] = False
  return walls


def clearance(walls, position):
  """Distance from a point to the nearest solid cell, cell by cell."""
  cells = np.argwhere(walls)
  gap = np.maximum(np.maximum(cells - position, position - (cells + 1)), 0.0)
  return np.sqrt((gap**2).sum(-1)).min()


@functools.cache
def roll():
  """`(walls, position, velocity, actions [time, 2]) -> positions, velocities`, over worlds."""

  def one(walls, position, velocity, actions):
    def step(carry, action):
      carry = dynamics.advance(walls, *carry, action)
      return carry, carry

    return jax.lax.scan(step, (position, velocity), actions)[1]

  return jax.jit(jax.vmap(one))


@functools.cache
def random_layouts():
  return jax.jit(jax.vmap(lambda key: layouts.generate_layout(key, SIZE)))


def draw_worlds(seed):
  """Random layouts, places as near to walls as allowed, velocities, forces held for a while."""
  rng = np.random.default_rng(seed)
  walls = np.asarray(random_layouts()(jax.random.split(jax.random.key(seed), WORLDS)))
  cells = np.stack([rng.permutation(np.argwhere(~grid))[0] for grid in walls])
  inside = rng.choice([dynamics.RADIUS, 0.5, 1 - dynamics.RADIUS], size=(WORLDS, 2))
  random_inside = rng.uniform(dynamics.RADIUS, 1 - dynamics.RADIUS, size=(WORLDS, 2))
  inside = np.where(rng.random((WORLDS, 1)) < 0.5, inside, random_inside)
  velocity = rng.uniform(-5.0, 5.0, (WORLDS, 2))
  hold = int(rng.integers(1, 40))
  forces = rng.choice([-3.0, -1.0, -0.3, 0.0, 0.7, 1.0], size=(WORLDS, -(-STEPS // hold), 2))
  actions = np.repeat(forces, hold, axis=1)[:, :STEPS]
  floats = (array.astype(np.float32) for array in (cells + inside, velocity, actions))
  return walls, *floats


def test_free_motion_is_the_closed_form_of_a_damped_mass():
  force, steps = np.array([0.5, -0.2]), 30
  start = np.array([5.0, 5.0])
  positions, _ = roll()(
    empty_room()[None],
    jnp.array([start], jnp.float32),
    jnp.zeros((1, 2)),
    jnp.tile(jnp.array(force, jnp.float32), (1, steps, 1)),
  )
  # v_n = F/c (1 - r^n) with r = m / (m + dt c), hence x_n = x_0 + dt sum_k v_k.
  ratio = dynamics.MASS / (dynamics.MASS + 0.01 * 1.0)
  n = np.arange(1, steps + 1)
  velocity = 100.0 * force[:, None] * (1.0 - ratio**n)
  expected = start[:, None] + 0.01 * np.cumsum(velocity, axis=1)
  np.testing.assert_allclose(positions[0], expected.T, atol=2e-5)


def test_the_ball_weighs_what_its_density_says():
  assert pytest.approx(4.18879, abs=1e-5) == dynamics.MASS


def test_forces_beyond_the_motors_are_clipped():
  walls, start, rest = jnp.array(empty_room()), jnp.array([5.0, 5.0]), jnp.zeros(2)
  strong = dynamics.advance(walls, start, rest, jnp.array([9.0, -9.0]))
  full = dynamics.advance(walls, start, rest, jnp.array([1.0, -1.0]))
  np.testing.assert_array_equal(strong, full)


def test_velocity_is_clipped_before_the_step_not_after_it():
  walls, start = jnp.array(empty_room()), jnp.array([5.0, 5.0])
  _, velocity = dynamics.advance(walls, start, jnp.array([9.0, 0.0]), jnp.array([1.0, 0.0]))
  expected = (dynamics.MASS * 5.0 + 1.0) / (dynamics.MASS + 0.01)
  np.testing.assert_allclose(velocity, [expected, 0.0], rtol=1e-6)


def test_no_step_is_longer_than_the_radius():
  top_speed = (dynamics.MASS * dynamics.MAX_SPEED + 0.01 * dynamics.GEAR) / dynamics.MASS
  assert np.sqrt(2.0) * top_speed * dynamics.STEP_SECONDS < dynamics.RADIUS


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_face_stops_the_normal_and_keeps_the_tangent(axis, side):
  face = 9.0 if side > 0 else 1.0
  position, velocity = np.full(2, 5.0), np.full(2, 0.7)
  position[axis] = face - side * 0.11
  velocity[axis] = 4.0 * side
  moved, after = dynamics.advance(
    jnp.array(empty_room()),
    jnp.array(position, jnp.float32),
    jnp.array(velocity, jnp.float32),
    jnp.zeros(2),
  )
  assert float(moved[axis]) == pytest.approx(face - side * dynamics.RADIUS, abs=1e-6)
  assert float(after[axis]) == 0.0
  assert float(after[1 - axis]) == pytest.approx(0.7 * dynamics.MASS / (dynamics.MASS + 0.01))


def test_a_ball_may_leave_a_face_that_it_touches():
  walls, position = jnp.array(empty_room()), jnp.array([1.0 + dynamics.RADIUS, 5.0])
  moved, velocity = dynamics.advance(walls, position, jnp.array([2.0, 0.0]), jnp.zeros(2))
  assert float(moved[0]) > 1.119 and float(velocity[0]) > 1.99


def one_pillar():
  walls = empty_room()
  walls[5, 5] = True
  return walls


@settings(deadline=None, max_examples=100)
@given(
  st.floats(-0.099, 0.099), st.floats(0.5, 5.0), st.sampled_from([-1, 1]), st.sampled_from([-1, 1])
)
def test_a_corner_takes_the_normal_part_of_the_velocity_only(offset, speed, row_side, column_side):
  # Comes down a column that is `offset` outside or inside of the pillar's corner at (5, 5) et al.
  corner = np.array([5.0 if row_side < 0 else 6.0, 5.0 if column_side < 0 else 6.0])
  outside = abs(offset) + 1e-3  # m past the pillar's side: only the corner can be touched
  position = corner + np.array([row_side * 0.08, column_side * outside])
  velocity = np.array([-row_side * speed, 0.0])
  depth = dynamics.RADIUS - np.hypot(*(position - corner))
  moved, after = dynamics.resolve_contact(
    jnp.array(one_pillar()), jnp.array(position, jnp.float32), jnp.array(velocity, jnp.float32)
  )
  if depth < 1e-5:
    if depth < -1e-5:
      np.testing.assert_allclose(after, velocity, rtol=1e-6)
    return
  normal = (position - corner) / np.hypot(*(position - corner))
  expected = velocity - min(velocity @ normal, 0.0) * normal
  np.testing.assert_allclose(after, expected, atol=1e-4)
  np.testing.assert_allclose(moved, corner + dynamics.RADIUS * normal, atol=1e-5)


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 2**31 - 1))
def test_the_ball_never_enters_a_wall_nor_passes_through_one(seed):
  walls, position, velocity, actions = draw_worlds(seed)
  positions, _ = (np.asarray(array) for array in roll()(walls, position, velocity, actions))
  for world in range(WORLDS):
    path = np.concatenate([position[world : world + 1], positions[world]])
    nearest = min(clearance(walls[world], point) for point in path[:: STEPS // 50])
    assert nearest >= dynamics.RADIUS - SLACK
    cells = np.floor(path).astype(int)
    assert not walls[world][cells[:, 0], cells[:, 1]].any()
    jumps = np.abs(np.diff(cells, axis=0))
    assert jumps.max() <= 1
    for before, after in zip(cells[:-1], cells[1:], strict=True):
      if np.abs(after - before).sum() == 2:  # a diagonal step needs one of the two ways round
        assert not (walls[world][before[0], after[1]] and walls[world][after[0], before[1]])


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 2**31 - 1))
def test_contact_never_adds_energy(seed):
  walls, position, velocity, actions = draw_worlds(seed)
  positions, velocities = (
    np.asarray(array) for array in roll()(walls, position, velocity, actions)
  )
  before = np.concatenate([velocity[:, None], velocities[:, :-1]], axis=1)
  clipped = np.clip(before, -dynamics.MAX_SPEED, dynamics.MAX_SPEED)
  force = dynamics.GEAR * np.clip(actions, -1.0, 1.0)
  free = (dynamics.MASS * clipped + 0.01 * force) / (dynamics.MASS + 0.01 * dynamics.DAMPING)
  gained = (velocities**2).sum(-1) - (free**2).sum(-1)
  assert gained.max() < 1e-4
  assert np.isfinite(positions).all()
  touched = np.abs(velocities - free).max(-1) > 1e-3
  assert touched.mean() > 0.05  # the property is about contacts: there must be many


def test_a_ball_without_force_comes_to_rest():
  walls, position, velocity, _ = draw_worlds(3)
  _, velocities = roll()(walls, position, velocity, np.zeros((WORLDS, 1000, 2), np.float32))
  energy = np.asarray((velocities**2).sum(-1))
  assert (np.diff(energy, axis=1) <= 1e-6).all()
  decay = (dynamics.MASS / (dynamics.MASS + 0.01)) ** 1000
  assert (np.sqrt(energy[:, -1]) <= np.hypot(*velocity.T) * decay * 1.001).all()
