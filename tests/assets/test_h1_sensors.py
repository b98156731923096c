"""H1's sensors: each means what its name says."""

import mujoco
import numpy as np
import pytest

from jaxskills.assets.h1 import H1, h1_model
from tests.assets.poses import home, moving


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
  return h1_model()


def _object_velocity(model: mujoco.MjModel, data: mujoco.MjData, site: str, local: bool):
  """Angular and linear velocity of a site from MuJoCo's own kinematics, not from a sensor."""
  velocity = np.zeros(6)
  kind = mujoco.mjtObj.mjOBJ_SITE
  mujoco.mj_objectVelocity(model, data, kind, model.site(site).id, velocity, int(local))
  return velocity[:3], velocity[3:]


def _site_contact_forces(model: mujoco.MjModel, data: mujoco.MjData) -> list[float]:
  """Normal force on each foot, summed over MuJoCo's contacts."""
  total = [0.0, 0.0]
  for index in range(data.ncon):
    force = np.zeros(6)
    mujoco.mj_contactForce(model, data, index, force)
    touching = {model.geom(geom).name for geom in data.contact[index].geom}
    for foot, geoms in enumerate(H1.foot_geoms):
      total[foot] += force[0] * bool(touching & set(geoms))
  return total


def test_gyro_is_the_angular_velocity_of_the_torso_in_its_own_frame(model):
  data = moving(model)
  angular, _ = _object_velocity(model, data, "imu", local=True)
  np.testing.assert_allclose(data.sensor("gyro").data, angular)
  world = data.body("torso_link").xmat.reshape(3, 3) @ angular
  np.testing.assert_allclose(world, data.body("torso_link").cvel[:3])


def test_accelerometer_reads_nothing_in_free_fall_and_gravity_at_rest(model):
  falling = mujoco.MjData(model)
  falling.qpos[2] = 5.0
  mujoco.mj_forward(model, falling)
  np.testing.assert_allclose(falling.sensor("accelerometer").data, 0.0, atol=1e-9)
  data = home(model)
  readings = []
  for _ in range(40):
    mujoco.mj_step(model, data)
    readings.append(data.sensor("accelerometer").data.copy())
  assert np.mean(readings, axis=0)[2] == pytest.approx(9.81, abs=1.0)


def test_imu_quaternion_is_the_attitude_of_the_torso(model):
  data = moving(model)
  rotation = np.zeros(9)
  mujoco.mju_quat2Mat(rotation, data.sensor("imu_quat").data)
  np.testing.assert_allclose(rotation, data.site("imu").xmat, atol=1e-12)


def test_pelvis_sensors_are_in_the_frame_of_the_pelvis(model):
  data = moving(model)
  angular, linear = _object_velocity(model, data, "pelvis", local=True)
  np.testing.assert_allclose(data.sensor("pelvis_gyro").data, angular)
  np.testing.assert_allclose(data.sensor("pelvis_velocity").data, linear)
  np.testing.assert_allclose(data.sensor("pelvis_gyro").data, data.qvel[3:6])
  rotation = data.body("pelvis").xmat.reshape(3, 3)
  np.testing.assert_allclose(rotation @ linear, data.qvel[:3])
  np.testing.assert_allclose(data.sensor("pelvis_up").data, rotation[:, 2])


@pytest.mark.parametrize("name", [name for name, _ in H1.key_bodies])
def test_key_body_sensors_are_positions_of_their_sites(model, name):
  data = moving(model)
  site = dict(H1.key_bodies)[name]
  np.testing.assert_array_equal(data.sensor(f"{name}_position").data, data.site(site).xpos)


@pytest.mark.parametrize("foot", H1.feet)
def test_foot_velocity_is_that_of_the_site_in_the_world(model, foot):
  data = moving(model)
  _, linear = _object_velocity(model, data, foot, local=False)
  np.testing.assert_allclose(data.sensor(f"{foot}_velocity").data, linear)


def test_feet_feel_nothing_in_the_air(model):
  data = moving(model)
  assert [data.sensor(f"{foot}_contact").data[0] for foot in H1.feet] == [0.0, 0.0]


def test_feet_feel_all_of_the_floor_when_standing(model):
  data = home(model)
  felt = []
  for _ in range(60):
    mujoco.mj_step(model, data)
    mujoco.mj_forward(model, data)
    felt = [data.sensor(f"{foot}_contact").data[0] for foot in H1.feet]
    np.testing.assert_allclose(felt, _site_contact_forces(model, data), rtol=1e-9, atol=1e-9)
  assert sum(felt) == pytest.approx(51.44 * 9.81, rel=0.3)


@pytest.mark.parametrize("foot", [0, 1])
def test_each_foot_feels_only_itself(model, foot):
  data = home(model)
  data.qpos[7 + 5 * (1 - foot) + 3] += 0.6  # the other knee lifts the other foot
  mujoco.mj_forward(model, data)
  assert data.sensor(f"{H1.feet[foot]}_contact").data[0] > 0.0
  assert data.sensor(f"{H1.feet[1 - foot]}_contact").data[0] == 0.0


@pytest.mark.parametrize("lean", ["roll", "pitch"])
@pytest.mark.parametrize("degrees", [-60, -20, 20, 60])
def test_a_foot_on_edge_is_still_felt(model, lean, degrees):
  """A tilted sole touches outside of the flat footprint's plane; the zone must hold that too."""
  data = home(model)
  axis = {"roll": [1.0, 0, 0], "pitch": [0, 1.0, 0]}[lean]
  mujoco.mju_axisAngle2Quat(data.qpos[3:7], np.array(axis), np.deg2rad(degrees))
  mujoco.mj_kinematics(model, data)
  soles = [model.geom(geom).id for geoms in H1.foot_geoms for geom in geoms]
  lowest = min(
    mujoco.mj_geomDistance(model, data, model.geom("floor").id, sole, 10.0, None) for sole in soles
  )
  data.qpos[2] -= lowest + 0.01
  mujoco.mj_forward(model, data)
  felt = [data.sensor(f"{foot}_contact").data[0] for foot in H1.feet]
  np.testing.assert_allclose(felt, _site_contact_forces(model, data), rtol=1e-9, atol=1e-9)
  assert max(felt) > 0.0
