"""H1 on the three engines: every sensor, the contact of the feet above all, reads the same."""

import importlib.util
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from mujoco import mjx

from jaxskills.assets.h1 import H1, h1_model

ENGINES = [
  ("jax", {}),
  pytest.param(
    ("warp", {"naconmax": 64, "njmax": 256}),
    marks=[
      pytest.mark.slow,  # compiles its kernels, 20 s
      pytest.mark.skipif(importlib.util.find_spec("warp") is None, reason="needs the extra 'warp'"),
    ],
  ),
]


def _states(model: mujoco.MjModel) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """Positions and velocities in the air, standing, on one foot's edge, and lying."""
  generator = np.random.default_rng(0)
  home = model.key("home").qpos
  states = {}
  for name, height, attitude in (
    ("air", 1.2, (1.0, 0, 0, 0)),
    ("standing", H1.base_height - 0.002, (1.0, 0, 0, 0)),
    ("on an edge", H1.base_height - 0.005, (1.0, 0.03, 0.02, 0)),
    ("lying", 0.03, (1.0, 0, -1.0, 0)),
  ):
    positions = home.copy()
    positions[2] = height
    positions[3:7] = np.array(attitude) / np.linalg.norm(attitude)
    states[name] = positions, generator.normal(size=model.nv) * 0.1
  return states


def _tolerance(name: str) -> dict[str, Any]:
  """Forces and what follows from them inherit the solver's error; all else is kinematics."""
  if name.endswith("contact"):
    return {"rtol": 2e-3, "atol": 0.5}
  if name == "accelerometer":
    return {"rtol": 2e-3, "atol": 2e-2}
  return {"rtol": 1e-4, "atol": 1e-4}


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine[0])
def test_sensors_read_the_same_as_in_mujoco(engine):
  implementation, capacity = engine
  model = h1_model(collisions="full")
  on_device = mjx.put_model(model, impl=implementation)

  @jax.jit
  def sensors(positions, velocities, controls):
    data = mjx.make_data(model, impl=implementation, **capacity)
    data = data.replace(qpos=positions, qvel=velocities, ctrl=controls)
    return mjx.forward(on_device, data).sensordata

  controls = model.key("home").ctrl
  for state, (positions, velocities) in _states(model).items():
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:], data.ctrl[:] = positions, velocities, controls
    mujoco.mj_forward(model, data)
    arguments = (jnp.asarray(value, jnp.float32) for value in (positions, velocities, controls))
    read = np.asarray(sensors(*arguments))
    for index in range(model.nsensor):
      sensor = model.sensor(index)
      start, size = sensor.adr[0], sensor.dim[0]
      np.testing.assert_allclose(
        read[start : start + size],
        data.sensordata[start : start + size],
        **_tolerance(sensor.name),
        err_msg=f"{sensor.name}, {state}",
      )
