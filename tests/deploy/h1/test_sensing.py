"""Tests of what the controller knows of the robot, against MuJoCo and the training environment."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxskills.assets.h1 import H1, h1_model
from jaxskills.deploy import bundle as bundles
from jaxskills.deploy.h1 import messages
from jaxskills.deploy.h1.observation import Observation
from jaxskills.deploy.h1.sensing import Sensing, sole
from jaxskills.envs import terms
from jaxskills.envs.h1.conditions import Disturbances
from jaxskills.envs.h1.make import make_h1_velocity
from jaxskills.errors import UserError

MOTORS = np.array(H1.motors)


@pytest.fixture(scope="module")
def manifest(h1_bundle):
  return bundles.read(h1_bundle).manifest


@pytest.fixture(scope="module")
def sensing(manifest):
  return Sensing(manifest["parts"]["robot"])


@pytest.fixture(scope="module")
def model():
  return h1_model()


def posed(model, seed: int) -> mujoco.MjData:
  """A robot in the air, anywhere in its ranges, turned and moving."""
  random, data = np.random.default_rng(seed), mujoco.MjData(model)
  quaternion = np.array([1.0, 0.0, 0.0, 0.0]) + 0.3 * random.normal(size=4)
  data.qpos[:3] = 0.0, 0.0, 2.0
  data.qpos[3:7] = quaternion / np.linalg.norm(quaternion)
  data.qpos[7:] = random.uniform(H1.lower, H1.upper)
  data.qvel[:] = random.normal(size=model.nv)
  mujoco.mj_forward(model, data)
  return data


def message_of(data) -> np.ndarray:
  """What the robot says of that state."""
  state = messages.blank(messages.LOW_STATE)
  state["imu_state"]["quaternion"] = data.sensor("imu_quat").data
  state["imu_state"]["gyroscope"] = data.sensor("gyro").data
  state["motor_state"]["q"][MOTORS] = data.qpos[7:]
  state["motor_state"]["dq"][MOTORS] = data.qvel[6:]
  state["tick"] = 7
  return messages.sign(state)


@pytest.mark.parametrize("seed", range(5))
def test_the_pelvis_is_sensed_through_the_waist(model, sensing, seed):
  data = posed(model, seed)
  senses = sensing.read(message_of(data))
  rotation = data.body("pelvis").xmat.reshape(3, 3)
  np.testing.assert_allclose(senses.gravity, rotation.T @ [0.0, 0.0, -1.0], atol=1e-6)
  np.testing.assert_allclose(senses.gyro, data.qvel[3:6], atol=1e-6)
  assert senses.upright == pytest.approx(rotation[2, 2], abs=1e-6)
  np.testing.assert_allclose(senses.position, data.qpos[7:], atol=1e-6)
  np.testing.assert_allclose(senses.velocity, data.qvel[6:], atol=1e-6)
  assert senses.tick == 7


@pytest.mark.parametrize("seed", range(5))
def test_the_height_is_over_the_lower_sole(model, sensing, seed):
  data = posed(model, seed)
  feet = [data.site(name).xpos[2] for name in H1.feet]
  height = sensing.read(message_of(data)).height
  assert height == pytest.approx(data.qpos[2] - min(feet), abs=1e-5)


@pytest.mark.parametrize(("side", "name"), [(1.0, "left"), (-1.0, "right")])
def test_a_sole_is_where_the_model_has_it(model, side, name):
  data = posed(model, 3)
  joints = [
    data.qpos[7 + H1.joints.index(f"{name}_{part}")]
    for part in ("hip_yaw", "hip_roll", "hip_pitch", "knee", "ankle")
  ]
  rotation = data.body("pelvis").xmat.reshape(3, 3)
  expected = rotation.T @ (data.site(f"{name}_foot").xpos - data.body("pelvis").xpos)
  np.testing.assert_allclose(sole(*joints, side=side), expected, atol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, 0.0, 3.0])
def test_a_unit_without_an_attitude_gives_no_number(model, sensing, bad):
  message = message_of(posed(model, 0))
  message["imu_state"]["quaternion"] = bad
  senses = sensing.read(message)
  assert np.isnan(senses.gravity).all()
  assert np.isnan(senses.height)


def test_a_joint_that_is_no_number_gives_no_height(model, sensing):
  message = message_of(posed(model, 0))
  message["motor_state"]["q"][H1.motors[0]] = np.inf
  assert np.isnan(sensing.read(message).height)


@pytest.fixture(scope="module")
def walk():
  """The training environment, and its states while random actions are taken."""
  env = make_h1_velocity(variation=None, disturbances=Disturbances(noise=0.0))
  state = jax.jit(env.reset)(jax.random.key(0))
  step, states = jax.jit(env.step), []
  for action in 0.5 * np.random.default_rng(0).normal(size=(6, env.action_size)):
    state = step(state, action.astype(np.float32))
    states.append(state)
  return env, states


def robot_message(env, data) -> np.ndarray:
  """The same state as the robot would say it: unit and waist at one instant, as trained."""
  read, sensed = env._sensors, jnp.asarray(data.physics.sensordata)
  state = messages.blank(messages.LOW_STATE)
  state["imu_state"]["quaternion"] = read(sensed, "imu_quat")
  state["imu_state"]["gyroscope"] = read(sensed, "gyro")
  position, velocity = np.array(data.physics.qpos[7:]), np.array(data.physics.qvel[6:])
  waist = H1.joints.index("torso")
  position[waist] = read(sensed, "waist_position")[0]
  velocity[waist] = read(sensed, "waist_velocity")[0]
  state["motor_state"]["q"][MOTORS], state["motor_state"]["dq"][MOTORS] = position, velocity
  return state


def test_the_policy_sees_what_it_saw_in_training(walk, manifest, sensing):
  env, states = walk
  assert len(states) == 6
  for state in states:
    data = state.data
    senses = sensing.read(robot_message(env, data))
    action, step = np.asarray(data.action), int(data.steps)
    built = Observation(manifest).build(senses, np.asarray(data.command).tolist(), action, step)[
      "state"
    ]
    expected = np.asarray(terms.measure(env.measurable, data))
    np.testing.assert_allclose(built, expected, atol=2e-6)


def longer(manifest, length: int):
  """The manifest of a policy that remembers so many measurements."""
  entry = manifest["observation"][0]
  shape = [length * entry["shape"][0]]
  entry = {**entry, "history": {**entry["history"], "length": length}, "shape": shape}
  return {**manifest, "observation": [entry]}


def test_history_is_newest_first_and_begins_with_the_first_measurement(manifest, sensing, model):
  view = Observation(longer(manifest, 3))
  first, second = (sensing.read(message_of(posed(model, seed))) for seed in (0, 1))
  action = np.zeros(10, np.float32)
  one = view.build(first, (0.0, 0.0, 0.0), action, 0)["state"].reshape(3, -1)
  np.testing.assert_array_equal(one[0], one[1])
  np.testing.assert_array_equal(one[0], one[2])
  two = view.build(second, (0.0, 0.0, 0.0), action, 1)["state"].reshape(3, -1)
  np.testing.assert_array_equal(two[1:], one[:2])
  assert not np.array_equal(two[0], two[1])
  view.reset()
  again = view.build(second, (0.0, 0.0, 0.0), action, 1)["state"].reshape(3, -1)
  np.testing.assert_array_equal(again[0], again[2])


def test_a_term_that_nobody_here_can_build_is_named(manifest):
  entry = dict(manifest["observation"][0])
  entry["terms"] = [{**entry["terms"][0], "name": "foot_contact"}, *entry["terms"][1:]]
  with pytest.raises(UserError, match="'foot_contact'"):
    Observation({**manifest, "observation": [entry]})


def test_terms_that_overlap_are_refused(manifest):
  entry = dict(manifest["observation"][0])
  entry["terms"] = [entry["terms"][0], {**entry["terms"][1], "slice": [2, 5]}, *entry["terms"][2:]]
  with pytest.raises(UserError, match="no place of its own"):
    Observation({**manifest, "observation": [entry]})
