"""Panda on the three engines: one step from the same state ends in the same state."""

import importlib.util

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from mujoco import mjx

from jaxskills.assets.panda import PANDA, panda_model, panda_spec

pytestmark = pytest.mark.timeout(900)  # Warp compiles its kernels, and a busy CPU makes it minutes

WARP = pytest.mark.skipif(importlib.util.find_spec("warp") is None, reason="needs the extra 'warp'")
CAPACITY = {"jax": {}, "warp": {"naconmax": 128, "njmax": 512}}

# The gripper at (.5, 0, .02), between whose fingers a cube of 4 cm would lie on the floor.
GRASP = (0.0, 0.49709767, 0.0, -2.35469474, 0.0, 2.85179241, np.pi / 4)


def _with_cube() -> mujoco.MjModel:
  spec = panda_spec()
  spec.delete(spec.key("home"))
  cube = spec.worldbody.add_body(name="cube", pos=[0.5, 0.0, 0.0199])
  cube.add_freejoint()
  cube.add_geom(name="cube", type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.02] * 3, mass=0.05)
  return spec.compile()


def _assert_same_step(
  model: mujoco.MjModel, implementation: str, controls: np.ndarray, tolerance: float
) -> None:
  """Steps once from `GRASP`, moving, fingers at 19.9 mm, in MuJoCo and in the engine.

  `tolerance` is of velocities, in rad/s and m/s.
  """
  data = mujoco.MjData(model)
  data.qpos[:7], data.qpos[7:9] = GRASP, 0.0199
  data.qvel[:7] = 0.05
  data.ctrl[:] = controls
  start = [jnp.asarray(value, jnp.float32) for value in (data.qpos, data.qvel, data.ctrl)]
  on_device = mjx.put_model(model, impl=implementation)

  @jax.jit
  def step(positions, velocities, controls):
    there = mjx.make_data(model, impl=implementation, **CAPACITY[implementation])
    there = mjx.step(on_device, there.replace(qpos=positions, qvel=velocities, ctrl=controls))
    return there.qpos, there.qvel, there.sensordata

  positions, velocities, sensors = step(*start)
  mujoco.mj_step(model, data)
  np.testing.assert_allclose(positions, data.qpos, atol=tolerance * model.opt.timestep + 1e-6)
  np.testing.assert_allclose(velocities, data.qvel, atol=tolerance)
  np.testing.assert_allclose(sensors, data.sensordata, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("control", ["position", "velocity"])
def test_mjx_accepts_the_model(control):
  model = panda_model(control=control, collisions="full")
  on_device = mjx.put_model(model, impl="jax")
  stepped = jax.eval_shape(lambda: mjx.step(on_device, mjx.make_data(model, impl="jax")))
  assert stepped.qpos.shape == (model.nq,)


@pytest.mark.slow
@pytest.mark.parametrize("implementation", ["jax", pytest.param("warp", marks=WARP)])
def test_position_servo_steps_as_in_mujoco(implementation):
  _assert_same_step(panda_model(), implementation, np.array([*PANDA.default_pose, 0.0]), 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("implementation", ["jax", pytest.param("warp", marks=WARP)])
def test_velocity_servo_steps_as_in_mujoco(implementation):
  model = panda_model(control="velocity", collisions="full")
  _assert_same_step(model, implementation, np.array([0.3] * 7 + [0.04]), 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("implementation", ["jax", pytest.param("warp", marks=WARP)])
def test_held_cube_steps_as_in_mujoco(implementation):
  _assert_same_step(_with_cube(), implementation, np.array([*GRASP, 0.0]), 3e-2)
