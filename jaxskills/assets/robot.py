"""What a robot is, in numbers: one record that environments and exporters read alike.

The record says what MJCF cannot (motor slots, velocity and jerk limits, the pose that a controller
starts from) and repeats what it can (names, ranges, gains), so that an exporter needs no simulator;
the tests hold the two together. Fields are tuples of floats, hence hashable and safe to close over.
"""

from typing import NamedTuple


class Imu(NamedTuple):
  """Where the inertial measurement unit sits.

  Attributes:
    site: its site in the model; the sensors `gyro`, `accelerometer` and `imu_quat` are of it.
    body: the body that carries it.
    position: of the site in that body's frame, in m; the axes are parallel.
    waist_joint: the joint between the floating base and `body`, whose angle and rate turn what the
      unit reads into the base's frame, or None where the base carries it.
  """

  site: str
  body: str
  position: tuple[float, float, float]
  waist_joint: str | None


class Gripper(NamedTuple):
  """Two fingers that one actuator opens and closes together.

  Attributes:
    actuator: its name; a position servo whose target is how far each finger opens, in m.
    joints: the two slide joints, in the order of `qpos`.
    opening: least and greatest opening of each finger, in m: the width between them is twice that.
    tips: names of the geoms that grasp, in the order of `joints`.
  """

  actuator: str
  joints: tuple[str, str]
  opening: tuple[float, float]
  tips: tuple[str, str]


class Robot(NamedTuple):
  """A robot's joints, limits, gains and wiring. Per-joint fields follow `joints`.

  Attributes:
    name: the identity that a bundle is written for; robots with the same kinematics and other
      limits (Panda and FR3) differ in it.
    joints: names in the model, in the order of the policy, of `qpos` and of the actuators.
    lower: least positions, in rad.
    upper: greatest positions, in rad.
    velocity_limit: greatest joint speeds, in rad/s.
    torque_limit: greatest torques, in N m.
    acceleration_limit: greatest joint accelerations, in rad/s^2; None where unpublished.
    jerk_limit: greatest joint jerks, in rad/s^3; None where unpublished.
    torque_rate_limit: greatest rates of change of the torques, in N m/s; None where unpublished.
    stiffness: kp of the position servo, in N m/rad.
    damping: kd of the position servo, in N m s/rad.
    default_pose: the pose that a policy starts from and acts around, in rad.
    motors: index of each joint in the robot's own array of motors.
    motor_slots: length of that array; slots that no joint names stay unused.
    motor_modes: byte that enables each joint's motor in its command, or None where there is none.
    imu: the inertial unit, or None.
    base: the body that floats or is bolted down.
    base_height: height of `base` over the floor in `default_pose`, feet flat, in m; 0 where bolted.
    key_bodies: pairs of name and site: hands, feet, then others.
    feet: sites of the soles, left first; empty for an arm.
    foot_geoms: names of the geoms under each foot, in the order of `feet`.
    control_hz: rate at which a policy acts.
    timestep: of the physics, in seconds.
    velocity_gain: kv of the velocity servo, in N m s/rad, or None where there is none.
    gripper: the hand that an arm ends in, or None.
  """

  name: str
  joints: tuple[str, ...]
  lower: tuple[float, ...]
  upper: tuple[float, ...]
  velocity_limit: tuple[float, ...]
  torque_limit: tuple[float, ...]
  acceleration_limit: tuple[float, ...] | None
  jerk_limit: tuple[float, ...] | None
  torque_rate_limit: tuple[float, ...] | None
  stiffness: tuple[float, ...]
  damping: tuple[float, ...]
  default_pose: tuple[float, ...]
  motors: tuple[int, ...]
  motor_slots: int
  motor_modes: tuple[int, ...] | None
  imu: Imu | None
  base: str
  base_height: float
  key_bodies: tuple[tuple[str, str], ...]
  feet: tuple[str, ...]
  foot_geoms: tuple[tuple[str, ...], ...]
  control_hz: float
  timestep: float
  velocity_gain: tuple[float, ...] | None = None
  gripper: Gripper | None = None
