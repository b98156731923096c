"""Rotations against MuJoCo's own."""

import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxskills.physics import frames


def quaternions(number: int) -> np.ndarray:
  """Random ones, of unit length."""
  values = np.random.default_rng(0).normal(size=(number, 4))
  return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_rotation_is_that_of_mujoco_and_undone_by_its_inverse():
  vectors = np.random.default_rng(1).normal(size=(50, 3))
  for quaternion, vector in zip(quaternions(50), vectors, strict=True):
    expected = np.zeros(3)
    mujoco.mju_rotVecQuat(expected, vector, quaternion)
    turned = frames.rotate(jnp.asarray(quaternion), jnp.asarray(vector))
    np.testing.assert_allclose(turned, expected, atol=1e-5)
    back = frames.rotate_inverse(jnp.asarray(quaternion), turned)
    np.testing.assert_allclose(back, vector, atol=1e-5)


@pytest.mark.parametrize("angle", [-3.0, -0.4, 0.0, 1.2])
def test_yaw_is_the_angle_about_z(angle: float):
  quaternion = frames.from_yaw(jnp.asarray(angle))
  assert frames.yaw(quaternion) == pytest.approx(angle, abs=1e-5)
  vector = jnp.array([1.0, 2.0, 3.0])
  np.testing.assert_allclose(
    frames.about_z(jnp.asarray(angle), vector), frames.rotate(quaternion, vector), atol=1e-5
  )


def test_yaw_ignores_roll_and_pitch():
  tilt = np.zeros(4)
  mujoco.mju_axisAngle2Quat(tilt, np.array([0.0, 1.0, 0.0]), 0.3)  # pitch, after the yaw
  heading, both = np.zeros(4), np.zeros(4)
  mujoco.mju_axisAngle2Quat(heading, np.array([0.0, 0.0, 1.0]), 0.9)
  mujoco.mju_mulQuat(both, heading, tilt)
  assert frames.yaw(jnp.asarray(both)) == pytest.approx(0.9, abs=1e-5)
