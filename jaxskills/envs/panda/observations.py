"""What a Panda's policy sees, by declaration: the arm's own sensors, and what a simulator knows.

Joint positions and velocities, the width of the gripper, what the joints are told, and the
gripper's place by kinematics all come from the robot itself, a thousand times a second. The noise
declared here is ours. Where a cube is, the robot cannot tell: it takes a camera that tracks it. The
policy is told its place once: of a second term with noise of its own it could make a mean, which no
tracker's one sample allows. The way from it to the goal is the policy's own subtraction, and so is
that from the gripper to a target.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxskills.assets.panda import PANDA
from jaxskills.envs.terms import Term

_JOINTS = len(PANDA.joints)
_FINGERS = slice(_JOINTS, _JOINTS + 2)
_JOINT_NOISE = 0.002  # rad, half width
TRACKER_NOISE = 0.003  # m, half width; of a calibrated camera near the table
_TRACKER_TURN = 0.05  # of the sine and cosine of four times the yaw


def arm(env: Any) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
  """Measurable and privileged terms of the arm, for any task."""
  default = jnp.asarray(PANDA.default_pose)

  def told(data: Any) -> Float[Array, "joints"]:
    return env.arm.target(data.command) - default

  target = Term("joint_target", _JOINTS, "rad", "relative to the default pose", told)
  command = () if env.arm.is_velocity else (target,)
  measurable = (
    Term(
      "joint_position",
      _JOINTS,
      "rad",
      "relative to the default pose",
      lambda data: data.physics.qpos[:_JOINTS] - default,
      noise=_JOINT_NOISE,
    ),
    Term(
      "joint_velocity",
      _JOINTS,
      "rad/s",
      "",
      lambda data: data.physics.qvel[:_JOINTS],
      0.5,
      noise=0.05,
    ),
    Term("commanded_velocity", _JOINTS, "rad/s", "", lambda data: data.command.end, 0.5),
    Term("gripper_position", 3, "m", "world", lambda data: data.gripper.position, 2.0, noise=0.001),
    *command,
    Term("last_action", env.action_size, "1", "", lambda data: data.action),
  )
  privileged = (
    _truth("gripper_velocity", 3, "m/s", "world", lambda data: data.gripper.velocity),
    _truth("torque", _JOINTS, "N m", "", lambda data: data.torque, 0.02),
    _truth("mass", 1, "1", "share of the nominal arm's", lambda d: _arm_mass(env, d), 10.0),
    _truth("servo_gain", _JOINTS, "1", "relative to nominal", lambda d: _gains(env, d), 5.0),
    _truth("latency", 1, "s", "", lambda d: _latency(env, d), 50.0),
  )
  return measurable, privileged


def reach(env: Any) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
  """Terms of reaching: the target, which somebody gives, and, for critics, the way to it."""
  to_goal = lambda data: data.goal - data.gripper.position  # noqa: E731
  measurable = (Term("target", 3, "m", "world", lambda data: data.goal, 2.0),)
  return measurable, (_truth("to_target", 3, "m", "world, from the gripper", to_goal, 5.0),)


def lift(env: Any, *, cube_is_tracked: bool) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
  """Terms of lifting: gripper, goal, and the cube.

  Args:
    env: a `PandaLiftCube`.
    cube_is_tracked: whether something outside the robot measures the cube's place and yaw. If so
      the policy sees them, noisy; if not only critics see them.
  """
  model = env.engine.model
  body = model.body("cube").id
  nominal = float(model.body_mass[body])

  def width(data: Any) -> Float[Array, "1"]:
    return jnp.sum(data.physics.qpos[_FINGERS])[None]

  def tip_friction(data: Any) -> Float[Array, "2"]:
    return env.own(data.parameters, "geom_friction")[tips, 0]

  def mass(data: Any) -> Float[Array, "1"]:
    return env.own(data.parameters, "body_mass")[body][None] / nominal - 1.0

  place = lambda data: env.cube(data) - data.gripper.position  # noqa: E731
  tips = np.array([model.geom(name).id for name in env.tips])
  tracked = (
    Term("cube_position", 3, "m", "world, from the gripper", place, 5.0, TRACKER_NOISE),
    Term("cube_yaw", 2, "1", "sine, cosine of four times it", env.cube_yaw, 1.0, _TRACKER_TURN),
  )
  measurable = (
    Term("gripper_width", 1, "m", "between the fingers", width, 20.0, noise=0.0005),
    Term("gripper_command", 1, "m", "of each finger", lambda d: d.opening[None], 40.0),
    Term("goal", 3, "m", "world", lambda data: data.goal, 2.0),
    *(tracked if cube_is_tracked else ()),
  )
  privileged = (
    *(t._replace(name=f"true_{t.name}", noise=0.0, measurable=False) for t in tracked),
    _truth("cube_to_goal", 3, "m", "world", lambda d: d.goal - env.cube(d), 5.0),
    _truth("cube_velocity", 3, "m/s", "world", env.cube_velocity),
    _truth("cube_turn_rate", 3, "rad/s", "cube", env.cube_turn_rate, 0.2),
    _truth("touch", 2, "N", "", env.touch, 0.05),
    _truth("cube_mass", 1, "1", "relative to nominal", mass),
    _truth("cube_size", 1, "m", "half an edge", lambda d: env.half_edge(d.parameters)[None], 40.0),
    _truth("tip_friction", 2, "1", "", tip_friction),
  )
  return measurable, privileged


def _truth(name: str, size: int, unit: str, frame: str, read: Any, scale: float = 1.0) -> Term:
  return Term(name, size, unit, frame, read, scale, measurable=False)


def _arm_mass(env: Any, data: Any) -> Float[Array, "1"]:
  """Of the moving links, relative to nominal."""
  model = env.engine.model
  links = np.array([model.body(f"link{index}").id for index in range(1, _JOINTS + 1)])
  own = env.own(data.parameters, "body_mass")
  return jnp.sum(own[links])[None] / float(np.sum(model.body_mass[links])) - 1.0


def _gains(env: Any, data: Any) -> Float[Array, "joints"]:
  nominal = jnp.asarray(env.engine.model.actuator_gainprm[:_JOINTS, 0], jnp.float32)
  return env.own(data.parameters, "actuator_gainprm")[:_JOINTS, 0] / nominal - 1.0


def _latency(env: Any, data: Any) -> Float[Array, "1"]:
  return data.latency[None] * jnp.float32(env.engine.model.opt.timestep)
