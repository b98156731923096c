"""The Panda's gripper: where it is, how its fingers move, and that it holds what it grasps."""

import mujoco
import numpy as np
import pytest

from jaxskills.assets.panda import PANDA, panda_model, panda_spec
from tests.assets.poses import home

assert PANDA.gripper is not None
GRIPPER = PANDA.gripper


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
  return panda_model()


def test_gripper_site_is_between_the_fingertips(model):
  data = home(model)
  tips = [data.geom(tip).xpos for tip in GRIPPER.tips]
  site = data.site("gripper")
  offset = site.xmat.reshape(3, 3).T @ (np.mean(tips, axis=0) - site.xpos)
  np.testing.assert_allclose(offset, [0, 0, 0.0584 + 0.04525 - 0.1], atol=1e-9)


def test_gripper_sensors_are_of_the_site_in_the_world(model):
  data = home(model)
  data.qvel[:] = np.random.default_rng(0).normal(size=model.nv)
  mujoco.mj_forward(model, data)
  np.testing.assert_array_equal(data.sensor("gripper_position").data, data.site("gripper").xpos)
  rotation, velocity = np.zeros(9), np.zeros(6)
  mujoco.mju_quat2Mat(rotation, data.sensor("gripper_quat").data)
  np.testing.assert_allclose(rotation, data.site("gripper").xmat, atol=1e-12)
  site = model.site("gripper").id
  mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_SITE, site, velocity, 0)
  np.testing.assert_allclose(data.sensor("gripper_angular_velocity").data, velocity[:3])
  np.testing.assert_allclose(data.sensor("gripper_velocity").data, velocity[3:])


@pytest.mark.parametrize("target", [0.0, 0.015, 0.04])
def test_fingers_move_together_to_the_target(model, target):
  data = home(model)
  data.qpos[7:] = 0.02
  data.ctrl[7] = target
  for _ in range(500):
    mujoco.mj_step(model, data)
    assert abs(data.qpos[7] - data.qpos[8]) < 1e-4
  np.testing.assert_allclose(data.qpos[7:], target, atol=5e-4)


def test_fingers_stay_together_when_one_is_pushed(model):
  data = home(model)
  data.ctrl[7] = 0.02
  mujoco.mj_step(model, data, nstep=500)
  data.qfrc_applied[7] = 5.0
  mujoco.mj_step(model, data, nstep=500)
  assert data.qpos[7] > 0.022
  assert abs(data.qpos[7] - data.qpos[8]) < 1e-3


def test_fingers_open_away_from_the_middle(model):
  data = home(model)
  tips = [data.geom(tip).xpos for tip in GRIPPER.tips]
  assert np.linalg.norm(tips[0] - tips[1]) == pytest.approx(2 * (0.04 + 0.00758), abs=1e-6)


def _beside_a_cube(collisions: str = "hand") -> mujoco.MjModel:
  """The arm and a free cube of 4 cm on the floor under the home pose's gripper."""
  spec = panda_spec(collisions=collisions)
  spec.delete(spec.key("home"))
  cube = spec.worldbody.add_body(name="cube", pos=[0.5, 0.0, 0.02])
  cube.add_freejoint()
  cube.add_geom(name="cube", type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.02] * 3, mass=0.05)
  return spec.compile()


LOW = (0.0, 0.49709767, 0.0, -2.35469474, 0.0, 2.85179241, np.pi / 4)  # gripper at (.5, 0, .02)
HIGH = (0.0, -0.03639899, 0.0, -2.33775788, 0.0, 2.30135888, np.pi / 4)  # at (.5, 0, .25)


def test_a_cube_is_grasped_lifted_and_held():
  model = _beside_a_cube()
  data = mujoco.MjData(model)
  data.qpos[:7] = LOW
  data.qpos[7:9] = 0.04
  for start, end, opening, seconds in (
    (LOW, LOW, 0.0, 0.5), (LOW, HIGH, 0.0, 1.5), (HIGH, HIGH, 0.0, 1.0)
  ):  # fmt: skip
    for share in np.linspace(0, 1, round(seconds / model.opt.timestep)):
      data.ctrl[:7] = (1 - share) * np.array(start) + share * np.array(end)
      data.ctrl[7] = opening
      mujoco.mj_step(model, data)
  assert data.body("cube").xpos[2] > 0.24
  np.testing.assert_array_equal(data.contact.friction[:, 0], 1.5)  # the fingertips', not the cube's
  np.testing.assert_allclose(data.body("cube").xpos, data.site("gripper").xpos, atol=3e-3)
  for side in ("left", "right"):
    assert data.sensor(f"{side}_tip_contact").data[0] == pytest.approx(20.0, rel=0.05)


def test_fingertips_feel_nothing_in_the_air(model):
  data = home(model)
  assert data.sensor("left_tip_contact").data[0] == data.sensor("right_tip_contact").data[0] == 0
