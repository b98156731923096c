"""C MuJoCo finds every contact of a world whose centres of mass are its own."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from jaxskills.assets.h1 import H1, h1_model
from jaxskills.physics.engine import make_engine
from jaxskills.physics.sensors import Sensors

WORLDS = 300
FEET = ("left_ankle_link", "right_ankle_link")
_DEPTH = 0.004  # m that the lowest sole is in the floor


def poses(model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
  """A robot that leans anywhere with a sole in the floor, and which feet are."""
  generator, data = np.random.default_rng(0), mujoco.MjData(model)
  found, touches = [], []
  for _ in range(WORLDS):
    mujoco.mj_resetDataKeyframe(model, data, 0)
    turn = np.concatenate([[1.0], generator.normal(0.0, 0.15, 3)])
    data.qpos[3:7] = turn / np.linalg.norm(turn)
    data.qpos[7:] += generator.normal(0.0, 0.15, len(H1.joints))
    mujoco.mj_kinematics(model, data)
    soles = np.array([[_lowest(model, data, name) for name in foot] for foot in H1.foot_geoms])
    data.qpos[2] -= soles.min() + _DEPTH
    found.append(data.qpos.copy())
    touches.append(soles.min(axis=1) < soles.min() + _DEPTH)
  return np.stack(found), np.stack(touches)


def _lowest(model: mujoco.MjModel, data: mujoco.MjData, name: str) -> float:
  """Of a capsule, m: the geometry that no centre of mass changes."""
  geom = model.geom(name).id
  radius, half = model.geom_size[geom][:2]
  return data.geom_xpos[geom][2] - abs(half * data.geom_xmat[geom][8]) - radius


def test_a_shifted_centre_of_mass_hides_no_contact():
  model = h1_model(looks=False)
  qpos, expected = poses(model)
  generator = np.random.default_rng(1)
  ipos = np.tile(model.body_ipos, (WORLDS, 1, 1))
  for foot in FEET:
    ipos[:, model.body(foot).id] += generator.uniform(-0.1, 0.1, (WORLDS, 3))
  engine, sensors = make_engine("native", model, 1, worlds=WORLDS), Sensors(model)
  start = jax.vmap(lambda q, own: engine.start(q, jnp.zeros(model.nv), {"body_ipos": own}))
  said = start(jnp.asarray(qpos), jnp.asarray(ipos, jnp.float32)).sensordata
  force = [sensors(said, f"{side}_foot_contact")[:, 0] for side in ("left", "right")]
  touching = np.stack(force, axis=1) > 0.0
  assert expected.any(axis=0).all() and not expected.all(axis=0).any()
  np.testing.assert_array_equal(touching, expected)
