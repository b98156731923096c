"""Franka Emika Panda with its hand: its record and its model.

The model is `panda.xml` beside this file, written by us from published numbers, of primitives only.
Its sensors, by name, in the world's frame: `gripper_position`, `gripper_quat` (w x y z),
`gripper_velocity` and `gripper_angular_velocity` of the site between the fingertips;
`left_tip_contact` and `right_tip_contact`: normal force on the fingertip, in N.
"""

from importlib import resources

import mujoco
import numpy as np

from jaxskills.assets.robot import Gripper, Robot

_QUARTER = 0.7853981633974483  # pi / 4


def _each(proximal: float, distal: float) -> tuple[float, ...]:
  """Joints 1 to 4, joints 5 to 7."""
  return (proximal,) * 4 + (distal,) * 3


PANDA = Robot(
  name="panda",
  joints=tuple(f"joint{index}" for index in range(1, 8)),
  lower=(-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973),
  upper=(2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973),
  velocity_limit=_each(2.175, 2.61),
  torque_limit=_each(87.0, 12.0),
  acceleration_limit=(15.0, 7.5, 10.0, 12.5, 15.0, 20.0, 20.0),
  jerk_limit=(7500.0, 3750.0, 5000.0, 6250.0, 7500.0, 10000.0, 10000.0),
  torque_rate_limit=_each(1000.0, 1000.0),
  stiffness=(1000.0, 1000.0, 750.0, 750.0, 300.0, 300.0, 300.0),
  damping=(20.0, 20.0, 4.0, 4.0, 2.0, 2.0, 2.0),
  default_pose=(0.0, -_QUARTER, 0.0, -3 * _QUARTER, 0.0, 2 * _QUARTER, _QUARTER),
  motors=tuple(range(7)),
  motor_slots=7,
  motor_modes=None,
  imu=None,
  base="link0",
  base_height=0.0,
  key_bodies=(("gripper", "gripper"),),
  feet=(),
  foot_geoms=(),
  control_hz=20.0,
  timestep=0.002,
  velocity_gain=_each(60.0, 10.0),
  gripper=Gripper(
    actuator="gripper",
    joints=("finger_joint1", "finger_joint2"),
    opening=(0.0, 0.04),
    tips=("left_tip", "right_tip"),
  ),
)
"""Franka Emika Panda; not FR3, whose limits differ. Limits: libfranka's `rate_limiting.h` and
Franka's documentation. Gains: MuJoCo Menagerie's model for MJX, whose joints have a passive damping
of 40 (joints 1 to 4) and 2 N m s/rad besides. `default_pose` is libfranka's "ready". `control_hz`
and `velocity_gain` are ours."""

_CONTROLS = ("position", "velocity")
_COLLISIONS = ("hand", "full")
_LOOKS, _TOUCHING = 2, 3  # geom groups in panda.xml


def panda_model(
  *,
  control: str = "position",
  collisions: str = "hand",
  timestep: float = PANDA.timestep,
  floor: bool = True,
  looks: bool = True,
) -> mujoco.MjModel:
  """The Panda as a MuJoCo model: 9 positions, 9 velocities, 8 actuators.

  The actuators are the arm's, in `PANDA.joints`' order, then `gripper`. Gravity is compensated on
  every moving body, as libfranka does. The keyframe "home" is `PANDA.default_pose`, fingers open.

  Args:
    control: what the arm's controls are. "position": targets in rad within the joint's range,
      torque `kp (target - q) - kd dq`. "velocity": targets in rad/s within the joint's velocity
      limit, torque `kv (target - dq)`; the joints' passive damping, which would hold them back, is
      taken out. Torques (N m) are clipped to the limit.
    collisions: "hand" lets hand and fingertips touch what has `contype` 1; "full" adds the arm and
      the rest of the fingers. The robot never touches itself.
    timestep: of the physics, in seconds.
    floor: with a floor plane at the height of the base. Without it, add something to touch before
      MJX gets the model: with touch sensors and no pair of geoms that can collide, MJX-JAX fails.
    looks: with the geoms that are only seen. Leaving them out changes no dynamics.

  Raises:
    ValueError: if `control` or `collisions` is none of the above or `timestep` is not positive.
  """
  if not timestep > 0:
    raise ValueError(f"timestep must be positive, in seconds; it is {timestep}")
  spec = panda_spec(control=control, collisions=collisions, floor=floor, looks=looks)
  spec.option.timestep = timestep
  return spec.compile()


def panda_spec(
  *,
  control: str = "position",
  collisions: str = "hand",
  floor: bool = True,
  looks: bool = True,
) -> mujoco.MjSpec:
  """A fresh specification of the same model, for scenes that add bodies.

  Bodies that are added come after the robot's in `qpos`. A keyframe of one's own has to hold their
  positions too: delete "home" or extend it. Arguments and errors are those of `panda_model`.
  """
  if control not in _CONTROLS:
    raise ValueError(f"control must be one of {', '.join(_CONTROLS)}; it is {control!r}")
  if collisions not in _COLLISIONS:
    raise ValueError(f"collisions must be one of {', '.join(_COLLISIONS)}; it is {collisions!r}")
  source = resources.files("jaxskills.assets").joinpath("panda.xml").read_text(encoding="utf-8")
  spec = mujoco.MjSpec.from_string(source)
  for geom in list(spec.geoms):
    touches = geom.conaffinity > 0
    if geom.group == _TOUCHING and not touches and collisions == "full":
      geom.conaffinity = 1
    elif (geom.group == _TOUCHING and not touches) or (geom.group == _LOOKS and not looks):
      spec.delete(geom)
  if not floor:
    spec.delete(spec.geom("floor"))
  if control == "velocity":
    _servo_velocity(spec)
  return spec


def _servo_velocity(spec: mujoco.MjSpec) -> None:
  """Turns the arm's position servos into velocity servos, in place; "home" then asks for rest.

  Their damping is stiff, hence the implicit integrator: where joints turn about one axis, little
  more than the armature resists them. Where a torque is clipped, MJX-JAX differs slightly from the
  other engines under it.
  """
  assert PANDA.velocity_gain is not None
  gains = zip(PANDA.joints, PANDA.velocity_gain, PANDA.velocity_limit, strict=True)
  for name, gain, limit in gains:
    spec.actuator(name).set_to_velocity(kv=gain)
    spec.actuator(name).inheritrange = 0.0
    spec.actuator(name).ctrlrange = [-limit, limit]
    spec.joint(name).damping = np.zeros((3, 1))
  spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
  home = spec.key("home")
  home.ctrl = [0.0] * len(PANDA.joints) + [home.ctrl[len(PANDA.joints)]]
