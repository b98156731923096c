"""H1 against a community model that we did not write: kinematics, inertials, mass matrix."""

from pathlib import Path

import mujoco
import numpy as np
import pytest

from jaxskills.assets.h1 import H1, h1_model

SHARED = Path(__file__).parents[2].parent / "shared"
REFERENCE = SHARED / "data/robots/h1_feetonly_nomesh.xml"

pytestmark = pytest.mark.skipif(
  not REFERENCE.exists(), reason="needs ../shared/data/robots, which is not part of the package"
)


@pytest.fixture(scope="module")
def reference() -> mujoco.MjModel:
  return mujoco.MjModel.from_xml_path(str(REFERENCE))


@pytest.fixture(scope="module")
def ours() -> mujoco.MjModel:
  return h1_model()


def _inertia(model: mujoco.MjModel, body: int) -> np.ndarray:
  """Of a body about its centre of mass, along the axes of the body's frame: `[3, 3]`."""
  rotation = np.zeros(9)
  mujoco.mju_quat2Mat(rotation, model.body_iquat[body])
  rotation = rotation.reshape(3, 3)
  return rotation @ np.diag(model.body_inertia[body]) @ rotation.T


def _poses(model: mujoco.MjModel, count: int) -> np.ndarray:
  """Positions `[count, nq]`: any place, any attitude, joints uniform in their ranges."""
  generator = np.random.default_rng(0)
  attitudes = generator.normal(size=(count, 4))
  attitudes /= np.linalg.norm(attitudes, axis=1, keepdims=True)
  joints = generator.uniform(*model.jnt_range[1:].T, size=(count, model.nu))
  return np.concatenate([generator.uniform(-2, 2, (count, 3)), attitudes, joints], axis=1)


def test_bodies_and_joints_have_the_reference_names_and_order(ours, reference):
  for count, name_of in (("nbody", "body"), ("njnt", "joint")):
    assert getattr(ours, count) == getattr(reference, count)
    for index in range(
      name_of == "joint", getattr(ours, count)
    ):  # the free joint has no name there
      assert getattr(ours, name_of)(index).name == getattr(reference, name_of)(index).name


def test_total_mass_is_the_reference(ours, reference):
  assert ours.body_mass.sum() == pytest.approx(reference.body_mass.sum(), abs=1e-9)
  assert ours.body_mass.sum() == pytest.approx(51.44, abs=0.01)


def test_mass_of_each_link_is_the_reference(ours, reference):
  np.testing.assert_allclose(ours.body_mass, reference.body_mass, rtol=1e-9)


def test_centre_of_mass_of_each_link_is_the_reference(ours, reference):
  np.testing.assert_allclose(ours.body_ipos, reference.body_ipos, atol=1e-9)


def test_inertia_of_each_link_is_the_reference(ours, reference):
  for body in range(ours.nbody):
    np.testing.assert_allclose(
      _inertia(ours, body), _inertia(reference, body), atol=1e-9, err_msg=ours.body(body).name
    )


def test_axes_ranges_and_kinds_of_joints_are_the_reference(ours, reference):
  np.testing.assert_array_equal(ours.jnt_type, reference.jnt_type)
  np.testing.assert_array_equal(ours.jnt_axis, reference.jnt_axis)
  np.testing.assert_array_equal(ours.jnt_pos, reference.jnt_pos)
  np.testing.assert_array_equal(ours.jnt_range, reference.jnt_range)


def test_damping_and_armature_are_the_reference(ours, reference):
  np.testing.assert_array_equal(ours.dof_armature, reference.dof_armature)
  np.testing.assert_array_equal(ours.dof_damping, reference.dof_damping)


def test_torque_limits_are_the_reference(ours, reference):
  np.testing.assert_array_equal(ours.actuator_forcerange, reference.actuator_forcerange)


def test_soles_are_the_reference_capsules(ours, reference):
  for side, names in zip(("left", "right"), H1.foot_geoms, strict=True):
    for index, name in enumerate(names, start=1):
      one, other = ours.geom(name), reference.geom(f"{side}_foot{index}")
      assert one.type == other.type
      np.testing.assert_allclose(one.size, other.size, atol=1e-9)
      np.testing.assert_allclose(one.pos, other.pos, atol=1e-9)
      np.testing.assert_allclose(one.quat, other.quat, atol=1e-9)


def test_forward_kinematics_are_the_reference_in_a_thousand_random_poses(ours, reference):
  one, other = mujoco.MjData(ours), mujoco.MjData(reference)
  for pose in _poses(reference, 1000):
    one.qpos[:] = other.qpos[:] = pose
    mujoco.mj_kinematics(ours, one)
    mujoco.mj_kinematics(reference, other)
    np.testing.assert_allclose(one.xpos, other.xpos, atol=1e-5)
    np.testing.assert_allclose(one.xmat, other.xmat, atol=1e-5)


def test_mass_matrix_is_the_reference_in_random_poses(ours, reference):
  one, other = mujoco.MjData(ours), mujoco.MjData(reference)
  inertia, expected = np.zeros((2, ours.nv, ours.nv))
  for pose in _poses(reference, 100):
    one.qpos[:] = other.qpos[:] = pose
    mujoco.mj_forward(ours, one)
    mujoco.mj_forward(reference, other)
    mujoco.mj_fullM(ours, one, inertia)
    mujoco.mj_fullM(reference, other, expected)
    np.testing.assert_allclose(inertia, expected, atol=1e-9, rtol=1e-4)
