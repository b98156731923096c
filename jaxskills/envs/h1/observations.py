"""What the walking H1 sees: 41 numbers that the robot measures, in Unitree's order, and the truth.

The order and scales of the measurable part are those of Unitree's own deployment for ten leg joints
(unitree_rl_gym, `deploy_real`, whose clock turns in .8 s): gyro, gravity, command, joint positions,
joint velocities, last action, clock. The inertial unit sits in the torso; what it reads is turned
into the pelvis' frame by the waist's angle and rate at the same instant, as the robot's controller
has to (sensors say what was before a physics step, `qpos` what is after it). Noise:
gyro, joint positions and gravity as mjlab and MuJoCo Playground set them, joint velocities between
the two.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxskills.assets.h1 import H1
from jaxskills.envs.terms import Term
from jaxskills.physics import frames
from jaxskills.physics.sensors import Sensors

_GROUND_FRICTION = "left_heel"  # every sole has the same


def declare(env: Any) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
  """The measurable and the privileged terms of an `H1Velocity`."""
  sensors, joints = Sensors(env.engine.model), env.controlled
  default = jnp.asarray(H1.default_pose)
  number = len(joints)

  def gyro(data: Any) -> Float[Array, "3"]:
    read = data.physics.sensordata
    turned = frames.about_z(sensors(read, "waist_position")[0], sensors(read, "gyro"))
    return turned - jnp.array([0.0, 0.0, 1.0]) * sensors(read, "waist_velocity")

  def gravity(data: Any) -> Float[Array, "3"]:
    read = data.physics.sensordata  # its quaternion is never one of zeros
    torso = frames.rotate_inverse(sensors(read, "imu_quat"), jnp.array(frames.DOWN))
    return frames.about_z(sensors(read, "waist_position")[0], torso)

  def clock(data: Any) -> Float[Array, "2"]:
    angle = 2.0 * jnp.pi * data.phase
    return jnp.stack([jnp.sin(angle), jnp.cos(angle)])

  measurable = (
    Term("gyro", 3, "rad/s", "pelvis", gyro, 0.25, noise=0.2),
    Term("projected_gravity", 3, "1", "pelvis", gravity, noise=0.05),
    Term("command", 3, "m/s, m/s, rad/s", "heading", lambda data: data.command, (2.0, 2.0, 0.25)),
    Term(
      "joint_position",
      number,
      "rad",
      "relative to the default pose",
      lambda data: (data.physics.qpos[7:] - default)[joints],
      noise=0.01,
    ),
    Term(
      "joint_velocity",
      number,
      "rad/s",
      "",
      lambda data: data.physics.qvel[6:][joints],
      0.05,
      noise=1.0,
    ),
    Term("last_action", number, "1", "", lambda data: data.action),
    Term("clock", 2, "1", "", clock),
  )
  model = env.engine.model
  sole = model.geom(_GROUND_FRICTION).id
  nominal_mass = float(np.sum(model.body_mass))

  def friction(data: Any) -> Float[Array, "1"]:
    own = data.parameters.get("geom_friction", jnp.asarray(model.geom_friction, jnp.float32))
    return own[sole, :1]

  def mass(data: Any) -> Float[Array, "1"]:
    own = data.parameters.get("body_mass", jnp.asarray(model.body_mass, jnp.float32))
    return jnp.sum(own)[None] / nominal_mass - 1.0

  def strength(data: Any) -> Float[Array, "joints"]:
    nominal = jnp.asarray(model.actuator_gainprm[:, 0], jnp.float32)
    own = data.parameters.get("actuator_gainprm")
    gains = nominal if own is None else own[:, 0]
    return (gains / nominal - 1.0)[joints]

  def velocity(data: Any) -> Float[Array, "3"]:
    return frames.about_z(-frames.yaw(data.physics.qpos[3:7]), data.physics.qvel[:3])

  def feet(data: Any) -> Float[Array, "2"]:
    sides = ("left", "right")
    heights = [sensors(data.physics.sensordata, f"{side}_foot_position")[2] for side in sides]
    return jnp.stack(heights)

  truth = lambda name, size, unit, frame, read, scale=1.0: Term(  # noqa: E731
    name, size, unit, frame, read, scale, measurable=False
  )
  latency = lambda data: data.latency[None] * model.opt.timestep  # noqa: E731
  privileged = (
    truth("base_velocity", 3, "m/s", "heading", velocity, 2.0),
    truth("base_height", 1, "m", "world", lambda data: data.physics.qpos[2:3] - 1.0, 10.0),
    truth("base_rate", 3, "rad/s", "pelvis", lambda data: data.physics.qvel[3:6], 0.25),
    truth("true_joint_velocity", number, "rad/s", "", lambda d: d.physics.qvel[6:][joints], 0.05),
    truth("foot_contact", 2, "1", "", lambda data: env.contact(data).astype(jnp.float32)),
    truth("foot_height", 2, "m", "world", feet, 10.0),
    truth("friction", 1, "1", "", friction),
    truth("added_mass", 1, "1", "share of the robot's", mass, 10.0),
    truth("motor_strength", number, "1", "relative to nominal", strength, 5.0),
    truth("latency", 1, "s", "", latency, 50.0),
  )
  return measurable, privileged
