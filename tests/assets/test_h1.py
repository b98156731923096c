"""H1's model and record: that the two agree, what the motors do, what the variants change."""

import mujoco
import numpy as np
import pytest

from jaxskills.assets.h1 import H1, h1_model
from tests.assets.poses import home, moving


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
  return h1_model()


# The record and the model.


def test_joints_and_actuators_are_in_the_order_of_the_record(model):
  assert [model.joint(index).name for index in range(1, model.njnt)] == list(H1.joints)
  assert [model.actuator(index).name for index in range(model.nu)] == list(H1.joints)
  np.testing.assert_array_equal(model.actuator_trnid[:, 0], np.arange(1, model.njnt))


def test_the_free_joint_comes_first(model):
  assert model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE
  assert model.body(model.jnt_bodyid[0]).name == H1.base


def test_record_has_the_model_ranges_gains_and_limits(model):
  np.testing.assert_allclose(H1.lower, model.jnt_range[1:, 0], rtol=1e-12)
  np.testing.assert_allclose(H1.upper, model.jnt_range[1:, 1], rtol=1e-12)
  np.testing.assert_array_equal(H1.torque_limit, model.actuator_forcerange[:, 1])
  np.testing.assert_array_equal(H1.torque_limit, -model.actuator_forcerange[:, 0])
  np.testing.assert_array_equal(H1.stiffness, model.actuator_gainprm[:, 0])
  np.testing.assert_array_equal(H1.stiffness, -model.actuator_biasprm[:, 1])
  np.testing.assert_array_equal(H1.damping, -model.actuator_biasprm[:, 2])
  assert H1.timestep == model.opt.timestep


def test_gains_are_those_of_the_deployment():
  gains = dict(zip(H1.joints, zip(H1.stiffness, H1.damping, strict=True), strict=True))
  assert gains["right_hip_roll"] == (150, 2)
  assert gains["left_knee"] == (200, 4)
  assert gains["right_ankle"] == (40, 2)
  assert gains["torso"] == (300, 3)
  assert gains["left_shoulder_roll"] == (100, 2)
  assert gains["right_elbow"] == (50, 2)


def test_velocity_limits_of_the_legs_are_those_of_the_urdf():
  limits = dict(zip(H1.joints, H1.velocity_limit, strict=True))
  assert limits["left_hip_pitch"] == limits["right_hip_yaw"] == limits["torso"] == 23
  assert limits["left_knee"] == limits["right_knee"] == 14
  assert limits["left_ankle"] == limits["right_ankle"] == 9


def test_every_per_joint_field_names_every_joint():
  for field in (
    H1.lower, H1.upper, H1.velocity_limit, H1.torque_limit, H1.stiffness, H1.damping,
    H1.default_pose, H1.motors, H1.motor_modes or (),
  ):  # fmt: skip
    assert len(field) == len(H1.joints) == 19


def test_motors_are_all_slots_but_the_unused_ninth():
  assert sorted(H1.motors) == [slot for slot in range(H1.motor_slots) if slot != 9]


def test_each_slot_drives_the_joint_that_the_robot_has_there():
  joints = dict(zip(H1.motors, H1.joints, strict=True))
  joints[9] = "unused"
  assert " ".join(joints[slot] for slot in range(20)) == (
    "right_hip_roll right_hip_pitch right_knee left_hip_roll left_hip_pitch left_knee torso"
    " left_hip_yaw right_hip_yaw unused left_ankle right_ankle"
    " right_shoulder_pitch right_shoulder_roll right_shoulder_yaw right_elbow"
    " left_shoulder_pitch left_shoulder_roll left_shoulder_yaw left_elbow"
  )


def test_slots_from_ten_on_take_the_mode_of_weak_motors():
  for slot, mode in zip(H1.motors, H1.motor_modes or (), strict=True):
    assert mode == (0x01 if slot >= 10 else 0x0A)


def test_default_pose_lies_within_the_limits_and_is_the_keyframe(model):
  assert all(np.less(H1.lower, H1.default_pose) & np.less(H1.default_pose, H1.upper))
  np.testing.assert_array_equal(model.key("home").qpos[7:], H1.default_pose)
  np.testing.assert_array_equal(model.key("home").ctrl, H1.default_pose)
  assert model.key("home").qpos[2] == H1.base_height


def test_record_is_hashable():
  assert hash(H1) == hash(H1._replace())


def test_imu_of_the_record_is_the_site_of_the_model(model):
  assert H1.imu is not None
  site = model.site(H1.imu.site)
  assert model.body(site.bodyid[0]).name == H1.imu.body
  np.testing.assert_allclose(site.pos, H1.imu.position)
  np.testing.assert_array_equal(site.quat, [1, 0, 0, 0])
  assert model.body(model.body(H1.imu.body).parentid[0]).name == H1.base
  assert model.joint(H1.imu.waist_joint).bodyid[0] == model.body(H1.imu.body).id


# Heights, from the lengths of thigh, shin and foot.


def test_straight_legs_carry_the_pelvis_at_the_sum_of_their_lengths(model):
  data = mujoco.MjData(model)
  mujoco.mj_kinematics(model, data)
  assert data.body("pelvis").xpos[2] == pytest.approx(0.1742 + 0.4 + 0.4 + 0.056 + 0.014)
  for site in H1.feet:
    assert data.site(site).xpos[2] == pytest.approx(0.0, abs=1e-9)


def test_home_stands_flat_on_both_soles(model):
  data = home(model)
  expected = 0.1742 + 0.4 * np.cos(0.1) + 0.4 * np.cos(0.2) + 0.07
  assert H1.base_height == pytest.approx(expected, abs=1e-4)
  for site in H1.feet:
    assert data.site(site).xpos[2] == pytest.approx(0.0, abs=1e-4)
    np.testing.assert_allclose(data.site(site).xmat.reshape(3, 3), np.eye(3), atol=1e-9)


def test_home_bears_the_weight_with_knees_that_give_little(model):
  data = home(model)
  mujoco.mj_step(model, data, nstep=40)
  assert data.qpos[2] == pytest.approx(H1.base_height, abs=0.04)
  assert data.sensor("pelvis_up").data[2] > 0.99


# Motors.


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_torque_stops_at_the_limit_under_a_large_command(model, sign):
  data = home(model)
  data.ctrl[:] = 100.0 * sign
  mujoco.mj_forward(model, data)
  np.testing.assert_allclose(data.qfrc_actuator[6:], sign * np.array(H1.torque_limit))


def test_torque_within_the_limit_is_the_servo_law(model):
  data = moving(model)
  data.ctrl[:] = data.qpos[7:] + 0.05
  mujoco.mj_forward(model, data)
  expected = 0.05 * np.array(H1.stiffness) - np.array(H1.damping) * data.qvel[6:]
  np.testing.assert_allclose(data.qfrc_actuator[6:], expected)


def test_targets_are_not_clipped_to_the_joint_range(model):
  assert not model.actuator_ctrllimited.any()


# Variants of the model.


def test_only_soles_touch_the_floor_unless_all_may():
  lying = {}
  for collisions in ("feet", "full"):
    model = h1_model(collisions=collisions)
    data = mujoco.MjData(model)
    data.qpos[2] = -0.01
    data.qpos[3:7] = [np.sqrt(0.5), 0, -np.sqrt(0.5), 0]  # on its back, pressed into the floor
    mujoco.mj_forward(model, data)
    geoms = {model.geom(geom).name for pair in data.contact.geom for geom in pair}
    lying[collisions] = geoms - {"floor", *H1.foot_geoms[0], *H1.foot_geoms[1]}
  assert not lying["feet"]
  assert {"torso", "head", "pelvis", "left_thigh", "right_shin"} <= lying["full"]


def test_robot_never_touches_itself():
  model = h1_model(collisions="full", floor=False)
  generator = np.random.default_rng(0)
  data = mujoco.MjData(model)
  for _ in range(50):
    data.qpos[7:] = generator.uniform(H1.lower, H1.upper)
    mujoco.mj_forward(model, data)
    assert data.ncon == 0


def test_soles_decide_the_friction_whatever_the_floor():
  model = h1_model()
  for geoms in H1.foot_geoms:
    for geom in geoms:
      model.geom(geom).friction[0] = 0.2
  data = home(model)
  assert data.ncon > 0
  np.testing.assert_allclose(data.contact.friction[:, 0], 0.2)


def test_looks_change_no_dynamics():
  plain, dressed = h1_model(looks=False), h1_model()
  assert plain.ngeom == 1 + 6
  one, other = home(plain), home(dressed)
  for _ in range(20):
    mujoco.mj_step(plain, one)
    mujoco.mj_step(dressed, other)
  np.testing.assert_array_equal(one.qpos, other.qpos)
  np.testing.assert_array_equal(one.sensordata, other.sensordata)


def test_without_floor_the_robot_falls():
  model = h1_model(floor=False)
  data = home(model)
  mujoco.mj_step(model, data, nstep=100)
  assert data.qpos[2] < 0.0


def test_options_are_those_of_cheap_stepping():
  model = h1_model(timestep=0.004)
  assert model.opt.timestep == 0.004
  assert model.opt.integrator == mujoco.mjtIntegrator.mjINT_EULER
  assert model.opt.disableflags == mujoco.mjtDisableBit.mjDSBL_EULERDAMP
  assert model.opt.solver == mujoco.mjtSolver.mjSOL_NEWTON
  assert model.opt.cone == mujoco.mjtCone.mjCONE_PYRAMIDAL
  assert (model.opt.iterations, model.opt.ls_iterations) == (2, 5)


def test_track_camera_follows_the_robot(model):
  camera = model.camera("track")
  assert camera.mode == mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM
  assert model.body(camera.bodyid[0]).name == "pelvis"


@pytest.mark.parametrize("given", [{"collisions": "hands"}, {"timestep": 0.0}])
def test_a_wrong_argument_is_named(given):
  with pytest.raises(ValueError, match=next(iter(given))):
    h1_model(**given)
