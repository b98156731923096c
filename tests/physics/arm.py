"""A small arm with some of everything that can be varied, and what becomes of it."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from jaxskills.physics import randomization as vary

KEY = jax.random.key(0)

ARM = """
<mujoco>
  <option timestep="0.002"/>
  <worldbody>
    <geom name="floor" type="plane" size="1 1 .1" friction=".7"/>
    <body name="trunk" pos="0 0 1">
      <inertial pos=".01 .02 .03" mass="4" diaginertia=".1 .2 .25"/>
      <joint name="swing" axis="0 1 0" damping=".5" armature=".1" actuatorfrcrange="-9 9"/>
      <geom name="trunk" size=".1" friction=".8"/>
      <body name="upper" pos=".3 0 0">
        <inertial pos=".1 0 .05" mass="2" diaginertia=".02 .03 .04"/>
        <joint name="hinge" axis="0 0 1" damping="2" armature=".2" frictionloss=".3"/>
        <body name="fore" pos=".3 0 0">
          <inertial pos=".1 .01 0" mass="1" diaginertia=".01 .01 .015"/>
          <joint name="ball" type="ball" damping="1" armature=".05"/>
          <geom name="hand" size=".05" friction=".9"/>
        </body>
      </body>
      <body name="tail" pos="-.3 0 0">
        <inertial pos="0 0 .1" mass=".5" diaginertia=".001 .001 .001"/>
        <joint name="slide" type="slide"/>
      </body>
    </body>
  </worldbody>
  <contact><pair geom1="hand" geom2="floor" friction=".6 .6 .01 .001 .001"/></contact>
  <actuator>
    <position name="servo" joint="swing" kp="30" kv="3" forcerange="-20 20"/>
    <velocity name="speed" joint="hinge" kv="5" forcerange="-7 7"/>
    <motor name="thrust" joint="slide" gear="2" forcerange="-4 4"/>
  </actuator>
</mujoco>
"""


def once(randomizer, model, key=KEY):
  """Parameters of one world, in NumPy."""
  return {name: np.asarray(value) for name, value in randomizer(key, model, {}).items()}


def many(randomizer, model, number=500):
  """Parameters of many worlds, each leaf with a leading axis."""
  drawn = jax.jit(lambda key: vary.draw(randomizer, key, model, jnp.arange(number)))(KEY)
  return {name: np.asarray(value) for name, value in drawn.items()}


def accelerations(model, parameters, ctrl=(0.4, 2.0, 1.0)):
  """Of a moving arm with these parameters written into it, nothing derived anew."""
  copy = mujoco.MjModel.from_xml_string(ARM)
  for name, value in parameters.items():
    getattr(copy, name)[:] = value
  data = mujoco.MjData(copy)
  data.qpos[:2], data.qvel[:], data.ctrl[:] = (0.3, -0.2), 0.5, ctrl
  mujoco.mj_forward(copy, data)
  return data
