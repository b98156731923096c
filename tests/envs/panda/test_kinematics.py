"""The arm's kinematics against MuJoCo's, and least squares against their definition."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxskills.assets.panda import PANDA, panda_model
from jaxskills.envs.panda import kinematics

MODEL = panda_model(looks=False)
CHAIN = kinematics.make_chain(MODEL, "gripper")
POSES = np.random.default_rng(0).uniform(PANDA.lower, PANDA.upper, (50, 7)).astype(np.float32)


@pytest.fixture(scope="module")
def ours():
  """The gripper in all poses."""
  return jax.jit(jax.vmap(lambda angles: kinematics.pose(CHAIN, angles)))(POSES)


def test_place_attitude_and_jacobian_are_mujocos(ours):
  data, site = mujoco.MjData(MODEL), MODEL.site("gripper").id
  linear, angular = np.zeros((3, MODEL.nv)), np.zeros((3, MODEL.nv))
  for index, pose in enumerate(POSES):
    data.qpos[:7] = pose
    mujoco.mj_forward(MODEL, data)
    mujoco.mj_jacSite(MODEL, data, linear, angular, site)
    np.testing.assert_allclose(ours.position[index], data.site_xpos[site], atol=2e-6)
    np.testing.assert_allclose(ours.rotation[index].ravel(), data.site_xmat[site], atol=2e-6)
    expected = np.concatenate([linear, angular])[:, :7]
    np.testing.assert_allclose(ours.jacobian[index], expected, atol=5e-6)


def test_a_chain_may_have_joints_about_any_axis():
  xml = """<mujoco><worldbody><body pos=".1 0 .2" euler="10 20 30">
    <joint axis="0 1 0"/><geom size=".1"/><body pos=".3 0 0"><joint axis="1 1 0"/>
    <geom size=".1"/><site name="tool" pos=".1 .2 .3" euler="0 40 0"/></body></body>
    </worldbody></mujoco>"""
  model = mujoco.MjModel.from_xml_string(xml)
  data = mujoco.MjData(model)
  data.qpos[:] = 0.7, -1.3
  mujoco.mj_forward(model, data)
  linear, angular = np.zeros((3, 2)), np.zeros((3, 2))
  mujoco.mj_jacSite(model, data, linear, angular, 0)
  pose = kinematics.pose(kinematics.make_chain(model, "tool"), jnp.array([0.7, -1.3]))
  np.testing.assert_allclose(pose.position, data.site_xpos[0], atol=1e-6)
  np.testing.assert_allclose(pose.rotation.ravel(), data.site_xmat[0], atol=1e-6)
  np.testing.assert_allclose(pose.jacobian, np.concatenate([linear, angular]), atol=1e-6)


def test_damped_least_squares_minimise_what_they_say(ours):
  velocity = jnp.array([0.1, -0.2, 0.3, 0.4, -0.5, 0.6])
  found = jax.vmap(lambda j: kinematics.damped_least_squares(j, velocity, 0.3))(ours.jacobian)
  for jacobian, speed in zip(np.asarray(ours.jacobian, np.float64), found, strict=True):
    square = jacobian.T @ jacobian + 0.09 * np.eye(7)
    expected = np.linalg.solve(square, jacobian.T @ np.asarray(velocity))
    np.testing.assert_allclose(speed, expected, atol=2e-5)


def test_joint_speeds_stay_bounded_where_the_arm_is_singular():
  outstretched = jnp.array([0.0, 0.0, 0.0, -0.0698, 0.0, 0.0, 0.0])
  jacobian = kinematics.pose(CHAIN, outstretched).jacobian
  assert np.linalg.svd(jacobian)[1][-1] < 0.05
  for direction in np.eye(6, dtype=np.float32):
    speed = kinematics.damped_least_squares(jacobian, jnp.asarray(direction), 0.05)
    assert np.linalg.norm(speed) <= 1.0 / (2.0 * 0.05) + 1e-3  # the bound of the damped inverse


def test_rotation_error_is_the_axis_times_the_sine():
  turn = lambda axis, angle: kinematics._matrix(  # noqa: E731
    np.array([np.cos(angle / 2), *(np.sin(angle / 2) * np.array(axis))])
  ).astype(np.float32)
  start = turn((0.6, 0.0, 0.8), 0.4)
  for axis, angle in (((1.0, 0.0, 0.0), 0.5), ((0.0, 0.6, -0.8), -1.2)):
    error = kinematics.rotation_error(jnp.asarray(start), jnp.asarray(turn(axis, angle) @ start))
    np.testing.assert_allclose(error, np.array(axis) * np.sin(angle), atol=1e-6)


def test_a_slide_or_an_unknown_site_is_refused():
  with pytest.raises(ValueError, match="'finger_joint1' is no hinge"):
    kinematics.make_chain(MODEL, "left_tip")
  with pytest.raises(ValueError, match="no site 'griper'; did you mean gripper"):
    kinematics.make_chain(MODEL, "griper")
