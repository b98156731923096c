"""The ball against C MuJoCo: the same mass, damping, motors, step and walls.

In the open the two must agree to rounding. At walls MuJoCo's contact is soft, ours is rigid, so
there only what a contact does is compared: where the ball comes to rest, and how far it slides.
"""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxskills.envs.maze import dynamics, layouts


def mujoco_model(walls):
  boxes = "".join(
    f'<geom type="box" size=".5 .5 .5" pos="{row + 0.5} {column + 0.5} 0"/>'
    for row, column in np.argwhere(walls)
  )
  return mujoco.MjModel.from_xml_string(f"""
    <mujoco>
      <option timestep="0.01" gravity="0 0 0" integrator="Euler"/>
      <default><geom condim="1" friction="0 0 0"/></default>
      <worldbody>
        {boxes}
        <body>
          <joint name="row" type="slide" axis="1 0 0" damping="1"/>
          <joint name="column" type="slide" axis="0 1 0" damping="1"/>
          <geom type="sphere" size="0.1" density="1000"/>
        </body>
      </worldbody>
      <actuator>
        <motor joint="row" gear="100" ctrllimited="true" ctrlrange="-1 1"/>
        <motor joint="column" gear="100" ctrllimited="true" ctrlrange="-1 1"/>
      </actuator>
    </mujoco>""")


def roll_mujoco(model, position, velocity, actions):
  data = mujoco.MjData(model)
  data.qpos[:], data.qvel[:] = position, velocity
  path = []
  for action in actions:
    data.qvel[:] = np.clip(data.qvel, -5.0, 5.0)
    data.ctrl[:] = action
    mujoco.mj_step(model, data)
    path.append(np.concatenate([data.qpos, data.qvel]))
  return np.array(path)


@jax.jit
def roll_ours(walls, position, velocity, actions):
  def step(carry, action):
    carry = dynamics.advance(walls, *carry, action)
    return carry, jnp.concatenate(carry)

  return jax.lax.scan(step, (position, velocity), actions)[1]


def both(walls, position, velocity, actions):
  floats = (jnp.asarray(array, jnp.float32) for array in (position, velocity, actions))
  ours = roll_ours(jnp.asarray(walls), *floats)
  return np.asarray(ours), roll_mujoco(mujoco_model(walls), position, velocity, actions)


def room(side=8):
  walls = np.ones((side, side), bool)
  walls[1:-1, 1:-1] = False
  return walls


def test_mass_and_damping_are_those_of_the_model():
  model = mujoco_model(room())
  assert model.body_mass[1] == pytest.approx(dynamics.MASS, rel=1e-6)
  assert model.dof_damping == pytest.approx([dynamics.DAMPING] * 2)


@pytest.mark.parametrize("seed", range(5))
def test_free_space_trajectories_are_equal(seed):
  rng = np.random.default_rng(seed)
  walls = room(60)
  forces = np.repeat(rng.uniform(-1.3, 1.3, (20, 2)), 10, axis=0)
  velocity = rng.uniform(-7, 7, 2)  # beyond the clip
  ours, theirs = both(walls, np.array([30.0, 30.0]), velocity, forces)
  assert np.abs(theirs[:, :2] - 30.0).max() < 28  # it stayed in the open
  assert np.abs(theirs[:, :2] - 30.0).max() > 1
  np.testing.assert_allclose(ours, theirs, atol=3e-4)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_pushed_ball_rests_at_the_same_wall(axis, side):
  force = np.zeros(2)
  force[axis] = side
  ours, theirs = both(room(), np.array([4.0, 4.0]), np.zeros(2), np.tile(force, (250, 1)))
  np.testing.assert_allclose(ours[-1, :2], theirs[-1, :2], atol=0.02)
  np.testing.assert_allclose(theirs[-1, 2:], 0.0, atol=0.02)
  np.testing.assert_array_equal(ours[-1, 2:], 0.0)


def test_a_ball_slides_along_a_wall_equally_far():
  force = np.array([1.0, 0.05])
  ours, theirs = both(room(), np.array([4.0, 1.5]), np.zeros(2), np.tile(force, (200, 1)))
  assert theirs[-1, 1] > 3.0
  np.testing.assert_allclose(ours[-1, :2], theirs[-1, :2], atol=0.05)
  np.testing.assert_allclose(ours[-1, 3], theirs[-1, 3], rtol=0.03)


def test_a_ball_passes_a_door_in_both():
  walls = room()
  walls[4, 1:-1] = True
  walls[4, 3] = False
  ours, theirs = both(walls, np.array([2.0, 3.5]), np.zeros(2), np.tile([0.3, 0.0], (150, 1)))
  assert ours[-1, 0] > 6 and theirs[-1, 0] > 6
  np.testing.assert_allclose(ours[-1, :2], theirs[-1, :2], atol=0.02)


@pytest.mark.parametrize("offset", [0.01, 0.03, 0.06, 0.09])
def test_a_corner_deflects_equally(offset):
  walls = room(10)
  walls[5, 5] = True
  start = np.array([3.0, 5.0 - offset])  # its edge will clip the corner at (5, 5)
  ours, theirs = both(walls, start, np.array([3.0, 0.0]), np.zeros((100, 2)))
  assert ours[-1, 1] < start[1] - 0.05 and theirs[-1, 1] < start[1] - 0.05
  np.testing.assert_allclose(ours[-1, :2], theirs[-1, :2], atol=0.06)
  np.testing.assert_allclose(ours[-1, 2:], theirs[-1, 2:], atol=0.2)


@pytest.mark.parametrize("seed", range(8))
def test_random_pushes_in_the_papers_maze_go_the_same_way(seed):
  rng = np.random.default_rng(seed)
  angle = rng.uniform(0, 2 * np.pi, 6)
  forces = 0.3 * np.repeat(np.stack([np.cos(angle), np.sin(angle)], -1), 25, axis=0)
  start = np.array(layouts.TASK_START) + 0.5
  ours, theirs = both(layouts.task_layout(), start, np.zeros(2), forces)
  gap = np.hypot(*(ours[:, :2] - theirs[:, :2]).T)
  assert np.ptp(ours[:, :2], axis=0).max() > 1.0
  assert gap.max() < 0.1  # with a contact in half of them
