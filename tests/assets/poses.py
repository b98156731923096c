"""Where the tests of the robots' models put them."""

import mujoco
import numpy as np


def home(model: mujoco.MjModel) -> mujoco.MjData:
  """At rest in the keyframe of that name."""
  data = mujoco.MjData(model)
  mujoco.mj_resetDataKeyframe(model, data, model.key("home").id)
  mujoco.mj_forward(model, data)
  return data


def moving(model: mujoco.MjModel) -> mujoco.MjData:
  """An H1 somewhere in the air, tilted, waist turned, everything in motion."""
  data = mujoco.MjData(model)
  generator = np.random.default_rng(1)
  data.qpos[:] = generator.normal(size=model.nq) * 0.3
  data.qpos[2] = 2.0
  data.qpos[3:7] = generator.normal(size=4)
  data.qpos[3:7] /= np.linalg.norm(data.qpos[3:7])
  data.qvel[:] = generator.normal(size=model.nv)
  mujoco.mj_forward(model, data)
  return data
