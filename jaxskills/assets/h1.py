"""Unitree H1 (19 joints): its record and its model.

The model is `h1.xml` beside this file, written by us from published numbers, of primitives only.
Its sensors, by name:

- `gyro`, `accelerometer`: of the unit in the torso, in its frame; `imu_quat`: its attitude, wxyz;
- `pelvis_velocity`, `pelvis_gyro`: in the pelvis' frame; `pelvis_up`: its z axis, world frame;
- `left_foot_contact`, `right_foot_contact`: total normal force on the sole, in N, 0 in the air;
- `left_foot_position`, `left_foot_velocity` (likewise right): of the sole's middle, world frame;
- `left_hand_position`, `right_hand_position`, `head_position`: world frame;
- `waist_position`, `waist_velocity`: of the joint between pelvis and torso, in rad and rad/s, when
  the unit reads.
"""

from importlib import resources

import mujoco

from jaxskills.assets.robot import Imu, Robot

_SIDES = ("left", "right")
_LEG = ("hip_yaw", "hip_roll", "hip_pitch", "knee", "ankle")
_ARM = ("shoulder_pitch", "shoulder_roll", "shoulder_yaw", "elbow")
_STRONG, _WEAK = 0x0A, 0x01  # motor modes of unitree_sdk2; slots 10 to 19 are the weak set
_MOTORS = (7, 3, 4, 5, 10, 8, 0, 1, 2, 11, 6, 16, 17, 18, 19, 12, 13, 14, 15)


def _joints() -> tuple[str, ...]:
  legs = [f"{side}_{joint}" for side in _SIDES for joint in _LEG]
  arms = [f"{side}_{joint}" for side in _SIDES for joint in _ARM]
  return (*legs, "torso", *arms)


def _each(leg: tuple[int | float, ...], waist: int, arm: tuple[int, ...]) -> tuple[float, ...]:
  """Both legs, the waist, both arms."""
  return tuple(float(value) for value in (*leg, *leg, waist, *arm, *arm))


H1 = Robot(
  name="h1",
  joints=_joints(),
  lower=(
    *(-0.43, -0.43, -1.57, -0.26, -0.87) * 2,
    -2.35,
    *(-2.87, -0.34, -1.3, -1.25),
    *(-2.87, -3.11, -4.45, -1.25),
  ),
  upper=(
    *(0.43, 0.43, 1.57, 2.05, 0.52) * 2,
    2.35,
    *(2.87, 3.11, 4.45, 2.61),
    *(2.87, 0.34, 1.3, 2.61),
  ),
  velocity_limit=_each((23, 23, 23, 14, 9), 23, (9, 9, 20, 20)),
  torque_limit=_each((200, 200, 200, 300, 40), 200, (40, 40, 18, 18)),
  acceleration_limit=None,
  jerk_limit=None,
  torque_rate_limit=None,
  stiffness=_each((150, 150, 150, 200, 40), 300, (100, 100, 50, 50)),
  damping=_each((2, 2, 2, 4, 2), 3, (2, 2, 2, 2)),
  default_pose=_each((0, 0, -0.1, 0.3, -0.2), 0, (0, 0, 0, 0)),
  motors=_MOTORS,
  motor_slots=20,
  motor_modes=tuple(_WEAK if motor >= 10 else _STRONG for motor in _MOTORS),
  imu=Imu("imu", "torso_link", (-0.04452, -0.01891, 0.27756), waist_joint="torso"),
  base="pelvis",
  base_height=1.0342,
  key_bodies=tuple(
    (name, name) for name in ("left_hand", "right_hand", "left_foot", "right_foot", "head")
  ),
  feet=("left_foot", "right_foot"),
  foot_geoms=tuple(
    tuple(f"{side}_{part}" for part in ("heel", "midfoot", "toe")) for side in _SIDES
  ),
  control_hz=50.0,
  timestep=0.005,
)
"""Unitree H1. Order, axes, ranges, torque limits and the legs' velocity limits: Unitree's URDF as
MuJoCo Menagerie gives it. The arms' velocity limits (9 and 20 rad/s) are from memory and were not
checked against a source: build no safety margin on them. Gains, default pose, motor slots and
modes: Unitree's own deployment (unitree_rl_gym, `deploy_real`), in `unitree_go` messages, where
slot 9 is not used."""

_COLLISIONS = ("feet", "full")
_LOOKS, _LIMBS = 2, 3  # geom groups in h1.xml


def h1_model(
  *,
  collisions: str = "feet",
  timestep: float = H1.timestep,
  floor: bool = True,
  looks: bool = True,
) -> mujoco.MjModel:
  """The H1 as a MuJoCo model: 26 positions, 25 velocities, 19 actuators in `H1.joints`' order.

  An actuator is a position servo with the deployment gains: `kp (target - q) - kd dq`, in N m,
  clipped to the torque limit. Targets themselves (rad) are not clipped. The keyframe "home" stands
  in `H1.default_pose`; `qpos0` stands with straight legs, all joints zero. The camera `track`
  follows the robot. A sole's friction decides over the floor's.

  Args:
    collisions: "feet" lets only the soles touch the floor; "full" adds pelvis, thighs, shins,
      torso, head, upper arms, forearms and fists. The robot never touches itself.
    timestep: of the physics, in seconds.
    floor: with the floor plane. Without it, give the robot something to touch before MJX gets the
      model: with touch sensors and no pair of geoms that can collide, MJX-JAX fails.
    looks: with the geoms that are only seen. Leaving them out changes no dynamics.

  Raises:
    ValueError: if `collisions` is neither of the two or `timestep` is not positive.
  """
  if not timestep > 0:
    raise ValueError(f"timestep must be positive, in seconds; it is {timestep}")
  spec = h1_spec(collisions=collisions, floor=floor, looks=looks)
  spec.option.timestep = timestep
  return spec.compile()


def h1_spec(*, collisions: str = "feet", floor: bool = True, looks: bool = True) -> mujoco.MjSpec:
  """A fresh specification of the same model, for scenes that add bodies.

  Arguments and errors are those of `h1_model`.
  """
  if collisions not in _COLLISIONS:
    raise ValueError(f"collisions must be one of {', '.join(_COLLISIONS)}; it is {collisions!r}")
  source = resources.files("jaxskills.assets").joinpath("h1.xml").read_text(encoding="utf-8")
  spec = mujoco.MjSpec.from_string(source)
  for geom in list(spec.geoms):
    if geom.group == _LIMBS and collisions == "full":
      geom.conaffinity = 1
    elif geom.group == _LIMBS or (geom.group == _LOOKS and not looks):
      spec.delete(geom)
  if not floor:
    spec.delete(spec.geom("floor"))
  return spec
