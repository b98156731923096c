"""Panda's model and record: kinematics, inertials, limits, servos."""

import mujoco
import numpy as np
import pytest

from jaxskills.assets.panda import PANDA, panda_model, panda_spec
from tests.assets.poses import home

assert PANDA.gripper is not None
GRIPPER = PANDA.gripper

# Franka's documentation: Denavit-Hartenberg parameters after Craig; a and d in m, alpha in rad.
_DH = (
  # a, d, alpha
  (0.0, 0.333, 0.0),
  (0.0, 0.0, -np.pi / 2),
  (0.0, 0.316, np.pi / 2),
  (0.0825, 0.0, np.pi / 2),
  (-0.0825, 0.384, -np.pi / 2),
  (0.0, 0.0, np.pi / 2),
  (0.088, 0.0, np.pi / 2),
  (0.0, 0.107, 0.0),  # the flange, which does not turn
)


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
  return panda_model()


def _flange(joints: np.ndarray) -> np.ndarray:
  """The flange in the base's frame, a product of Denavit-Hartenberg transforms: `[4, 4]`."""
  pose = np.eye(4)
  for (a, d, alpha), theta in zip(_DH, [*joints, 0.0], strict=True):
    (ca, sa), (ct, st) = (np.cos(alpha), np.sin(alpha)), (np.cos(theta), np.sin(theta))
    pose = pose @ np.array(
      [
        [ct, -st, 0, a],
        [st * ca, ct * ca, -sa, -d * sa],
        [st * sa, ct * sa, ca, d * ca],
        [0, 0, 0, 1],
      ]
    )
  return pose


# Kinematics and inertials.


def test_flange_is_the_product_of_the_published_transforms_in_a_thousand_random_poses(model):
  data = mujoco.MjData(model)
  turn = np.array([[1, 1, 0], [-1, 1, 0], [0, 0, np.sqrt(2)]]) / np.sqrt(2)  # -45 degrees about z
  for joints in np.random.default_rng(0).uniform(PANDA.lower, PANDA.upper, (1000, 7)):
    data.qpos[:7] = joints
    mujoco.mj_kinematics(model, data)
    flange = _flange(joints)
    np.testing.assert_allclose(data.body("hand").xpos, flange[:3, 3], atol=1e-5)
    rotation = data.body("hand").xmat.reshape(3, 3)
    np.testing.assert_allclose(rotation, flange[:3, :3] @ turn, atol=1e-5)


def test_ready_pose_points_the_hand_down_in_front_of_the_base(model):
  data = home(model)
  np.testing.assert_allclose(data.body("hand").xpos, [0.3069, 0.0, 0.5903], atol=1e-4)
  np.testing.assert_allclose(data.site("gripper").xmat[8], -1.0, atol=1e-9)


def test_masses_are_the_published_ones(model):
  masses = [0.629769, 4.970684, 0.646926, 3.228604, 3.587895, 1.225946, 1.666555, 0.735522]
  np.testing.assert_allclose(model.body_mass[1:], [*masses, 0.73, 0.015, 0.015])


# The record and the model.


def test_passive_damping_and_armature_are_the_published_ones(model):
  np.testing.assert_array_equal(model.dof_armature[:7], 0.1)
  np.testing.assert_array_equal(model.dof_damping[:7], [40.0] * 4 + [2.0] * 3)
  np.testing.assert_array_equal(model.dof_damping[7:9], 20.0)  # the fingers': ours


def test_joints_and_actuators_are_in_the_order_of_the_record(model):
  fingers = GRIPPER.joints
  assert [model.joint(index).name for index in range(model.njnt)] == [*PANDA.joints, *fingers]
  actuators = [model.actuator(index).name for index in range(model.nu)]
  assert actuators == [*PANDA.joints, GRIPPER.actuator]


def test_record_has_the_model_ranges_gains_and_limits(model):
  np.testing.assert_allclose(PANDA.lower, model.jnt_range[:7, 0], rtol=1e-12)
  np.testing.assert_allclose(PANDA.upper, model.jnt_range[:7, 1], rtol=1e-12)
  np.testing.assert_array_equal(PANDA.torque_limit, model.actuator_forcerange[:7, 1])
  np.testing.assert_array_equal(PANDA.torque_limit, -model.actuator_forcerange[:7, 0])
  np.testing.assert_array_equal(PANDA.stiffness, model.actuator_gainprm[:7, 0])
  np.testing.assert_array_equal(PANDA.stiffness, -model.actuator_biasprm[:7, 1])
  np.testing.assert_array_equal(PANDA.damping, -model.actuator_biasprm[:7, 2])
  np.testing.assert_array_equal(model.jnt_range[7:], [GRIPPER.opening] * 2)
  assert PANDA.timestep == model.opt.timestep


def test_limits_are_those_of_the_panda_and_not_of_its_successor():
  assert PANDA.name == "panda"
  assert PANDA.upper[5] == 3.7525  # FR3: 4.5169
  assert PANDA.velocity_limit == (2.175,) * 4 + (2.61,) * 3  # FR3: 2.62, 5.26, 4.18
  assert PANDA.acceleration_limit == (15, 7.5, 10, 12.5, 15, 20, 20)
  assert PANDA.jerk_limit == (7500, 3750, 5000, 6250, 7500, 10000, 10000)
  assert PANDA.torque_limit == (87,) * 4 + (12,) * 3
  assert PANDA.torque_rate_limit == (1000,) * 7


@pytest.mark.parametrize("control", ["position", "velocity"])
def test_home_is_the_default_pose_within_the_limits_and_stays_there(control):
  model = panda_model(control=control)
  assert all(np.less(PANDA.lower, PANDA.default_pose) & np.less(PANDA.default_pose, PANDA.upper))
  np.testing.assert_array_equal(model.key("home").qpos[:7], PANDA.default_pose)
  data = home(model)
  mujoco.mj_step(model, data, nstep=500)
  np.testing.assert_allclose(data.qpos[:7], PANDA.default_pose, atol=1e-6)
  np.testing.assert_allclose(data.qpos[7:], 0.04, atol=1e-6)


def test_record_is_hashable():
  assert hash(PANDA) == hash(PANDA._replace())


# Servos.


def test_position_servo_reaches_and_holds_a_pose_within_a_milliradian(model):
  data = home(model)
  target = np.array(PANDA.default_pose) + [0.3, -0.2, 0.3, 0.2, -0.3, 0.2, 0.4]
  data.ctrl[:7] = target
  mujoco.mj_step(model, data, nstep=1500)
  np.testing.assert_allclose(data.qpos[:7], target, atol=1e-3)
  np.testing.assert_allclose(data.qvel[:7], 0.0, atol=1e-3)


def test_gravity_is_compensated_in_any_pose():
  model = panda_model(floor=False)
  data = mujoco.MjData(model)
  for joints in np.random.default_rng(0).uniform(PANDA.lower, PANDA.upper, (20, 7)):
    data.qpos[:7] = data.ctrl[:7] = joints
    data.qvel[:] = 0.0
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(data.qacc[:7], 0.0, atol=1e-9)


def test_velocity_servo_tracks_within_two_percent():
  model = panda_model(control="velocity")
  data = home(model)
  target = np.array([0.5, 0.4, -0.5, 0.4, 0.6, -0.5, 0.6])
  data.ctrl[:7] = target
  mujoco.mj_step(model, data, nstep=200)
  np.testing.assert_allclose(data.qvel[:7], target, rtol=0.02)


def test_velocity_servo_is_the_stated_law():
  model = panda_model(control="velocity")
  data = home(model)
  data.qvel[:7] = 0.1
  data.ctrl[:7] = 0.3
  mujoco.mj_forward(model, data)
  np.testing.assert_allclose(data.qfrc_actuator[:7], 0.2 * np.array(PANDA.velocity_gain))
  np.testing.assert_array_equal(data.qfrc_damper[:7], 0.0)


@pytest.mark.parametrize("control", ["position", "velocity"])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_torque_stops_at_the_limit_under_a_large_command(control, sign):
  model = panda_model(control=control)
  data = home(model)
  data.qvel[:7] = -sign * 8.0
  data.ctrl[:7] = sign * 100.0
  if control == "position":
    data.qvel[:7] = 0.0
    data.qpos[:7] = PANDA.lower if sign > 0 else PANDA.upper
  mujoco.mj_forward(model, data)
  np.testing.assert_allclose(data.qfrc_actuator[:7], sign * np.array(PANDA.torque_limit))


def test_targets_are_kept_within_range_and_velocity_limit(model):
  np.testing.assert_allclose(model.actuator_ctrlrange[:7].T, [PANDA.lower, PANDA.upper])
  limit = np.array(PANDA.velocity_limit)
  velocity = panda_model(control="velocity")
  np.testing.assert_allclose(velocity.actuator_ctrlrange[:7].T, [-limit, limit])
  assert model.actuator_ctrllimited.all()
  assert velocity.actuator_ctrllimited.all()


# Variants.


def test_arm_touches_the_floor_only_in_full():
  touched = {}
  for collisions in ("hand", "full"):
    model = panda_model(collisions=collisions)
    data = mujoco.MjData(model)
    data.qpos[:7] = [0, 1.76, 0, -0.9, 0, 1.0, 0]  # bowed far forward
    mujoco.mj_forward(model, data)
    touched[collisions] = {model.geom(geom).name for pair in data.contact.geom for geom in pair}
  assert touched["full"] - touched["hand"] >= {"forearm"}


def test_robot_never_touches_itself():
  model = panda_model(collisions="full", floor=False)
  data = mujoco.MjData(model)
  for joints in np.random.default_rng(0).uniform(PANDA.lower, PANDA.upper, (50, 7)):
    data.qpos[:7] = joints
    mujoco.mj_forward(model, data)
    assert data.ncon == 0


def test_looks_change_no_dynamics():
  one, other = (panda_model(looks=looks) for looks in (False, True))
  assert one.ngeom < other.ngeom
  ends = []
  for model in (one, other):
    data = home(model)
    data.ctrl[:7] += 0.1
    mujoco.mj_step(model, data, nstep=50)
    ends.append(data.qpos.copy())
  np.testing.assert_array_equal(*ends)


def test_each_specification_is_fresh():
  panda_spec().worldbody.add_body(name="extra")
  assert all(body.name != "extra" for body in panda_spec().bodies)


@pytest.mark.parametrize("given", [{"control": "torque"}, {"collisions": "feet"}])
def test_a_wrong_argument_is_named(given):
  with pytest.raises(ValueError, match=next(iter(given))):
    panda_model(**given)
