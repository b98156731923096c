"""From a policy's actions to a smooth stream of joint positions at a kilohertz, without JAX.

An action means what it meant in training (`envs.panda.control`): a velocity of each joint that
changes evenly over a control period, within shares of the robot's limits. Here a period is sampled
at every tick of the robot, and a moving average over `SMOOTHING_TICKS` makes it limited in jerk:
a ramp's acceleration changes by at most twice its limit, so jerk is at most `2 A / (N dt)`. `tick`
and `follow` are the twin of `c/franka_motion.c`, operation by operation, and give the same bits;
trials and the replay of logs run on this one, the robot on the other.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxskills.errors import UserError

TICK_SECONDS = 0.001  # of the Franka Control Interface
SMOOTHING_TICKS = 16  # ours: jerk stays under an eighth of libfranka's limit, half of A given
LATENCY_TICKS = 10  # ours: within the delays of training (0 to 20 ms), and time for any small net
MARGIN = 0.05  # rad of a joint's range that targets leave free, as in training
JOINTS = 7
QUANTITIES: Mapping[str, int] = {
  "joint_position": JOINTS,
  "joint_velocity": JOINTS,
  "commanded_velocity": JOINTS,
  "gripper_position": 3,
  "joint_target": JOINTS,
  "last_action": JOINTS,
  "target": 3,
}
"""What a policy may see here, and how many numbers each is; the C code's terms, in its order."""

Joints = np.ndarray  # float64 `[joints]`


class Constants(NamedTuple):
  """What a bundle says about motion and observation.

  Attributes:
    lower: least target of each joint, rad.
    upper: greatest one, rad.
    speed: that an action of 1 asks for, rad/s.
    acceleration: of targets at most, rad/s^2.
    leash: how far targets run ahead of a joint that does not follow, rad.
    default_pose: that observations are relative to, rad.
    period_ticks: ticks in a control period.
    latency_ticks: ticks from a measurement to the beginning of the command that follows from it.
    offsets: of the arm's chain to the gripper, `[joints + 1, 3]`, m.
    rotations: likewise, `[joints + 1, 3, 3]`; columns are axes.
    terms: what the policy sees, in order.
    scale: of each number that it sees.
  """

  lower: Joints
  upper: Joints
  speed: Joints
  acceleration: Joints
  leash: float
  default_pose: Joints
  period_ticks: int
  latency_ticks: int
  offsets: np.ndarray
  rotations: np.ndarray
  terms: tuple[str, ...]
  scale: np.ndarray

  @property
  def period(self) -> float:
    """Seconds in a control period."""
    return self.period_ticks * TICK_SECONDS


class Motion(NamedTuple):
  """What the joints are told.

  Attributes:
    position: where the command of the moment began, rad.
    begin: velocity at its beginning, rad/s.
    end: velocity at its end, rad/s.
    ticks: of it that are over.
    action: that it came from.
    recent: latest places, before the average, `[SMOOTHING_TICKS, joints]`, rad.
    oldest: the row of `recent` that comes next.
  """

  position: Joints
  begin: Joints
  end: Joints
  ticks: int
  action: Joints
  recent: np.ndarray
  oldest: int


class Sight(NamedTuple):
  """What a policy looks at; units and frames are those of the bundle's terms, before scale.

  Attributes:
    joint_position: measured, rad.
    joint_velocity: measured, rad/s.
    joint_target: where the command of the moment ends, rad.
    commanded_velocity: at its end, rad/s.
    action: that it came from.
    target: where the gripper shall be, world frame, m.
  """

  joint_position: Joints
  joint_velocity: Joints
  joint_target: Joints
  commanded_velocity: Joints
  action: Joints
  target: np.ndarray


def constants_of(manifest: Mapping[str, Any]) -> Constants:
  """Reads a bundle's manifest, whole or before its files are known.

  Raises:
    UserError: if the bundle is for another robot, or of a way of acting or seeing that this
      controller does not have.
  """
  if manifest["robot"] != "franka":
    raise UserError(
      f"the bundle is for robot {manifest['robot']!r}, not for 'franka'; export the run again with "
      "--robot=franka."
    )
  robot, task = manifest["parts"]["robot"], manifest["parts"]["task"]
  if robot["name"] != "panda":
    raise UserError(
      f"the bundle's limits are those of a {robot['name']!r}; this controller has the 'panda'."
    )
  control = task["control"]
  if control["mode"] != "joint_position" or task["kind"] != "panda/reach":
    raise UserError(
      f"the Franka controller runs panda/reach with control mode joint_position, not "
      f"{task['kind']} with {control['mode']}; train with config.control.mode=joint_position."
    )
  state = manifest["observation"][0]
  terms = tuple(term["name"] for term in state["terms"])
  length = state.get("history", {}).get("length", 1)
  if unknown := [name for name in terms if name not in QUANTITIES]:
    raise UserError(f"the Franka controller cannot measure {unknown[0]}; train without it.")
  if length != 1 or len(manifest["observation"]) != 1:
    raise UserError("the Franka controller keeps no history; train a policy without one.")
  chain = task["chain"]
  return Constants(
    lower=np.array(robot["lower"]) + MARGIN,
    upper=np.array(robot["upper"]) - MARGIN,
    speed=control["speed"] * np.array(robot["velocity_limit"]),
    acceleration=control["acceleration"] * np.array(robot["acceleration_limit"]),
    leash=float(control["leash"]),
    default_pose=np.array(robot["default_pose"]),
    period_ticks=round(manifest["control"]["step_seconds"] / TICK_SECONDS),
    latency_ticks=LATENCY_TICKS,
    offsets=np.array(chain["offsets"], np.float64),
    rotations=np.array(chain["rotations"], np.float64),
    terms=terms,
    scale=np.concatenate([np.array(term["scale"], np.float64) for term in state["terms"]]),
  )


def begin(constants: Constants, pose: Joints) -> Motion:
  """Rest at a pose, rad."""
  still = np.zeros(JOINTS)
  recent = np.tile(pose, (SMOOTHING_TICKS, 1))
  return Motion(pose, still, still, constants.period_ticks, still, recent, 0)


def follow(constants: Constants, motion: Motion, action: Joints, measured: Joints) -> Motion:
  """Begins the command that an action means, from where the motion is and as fast as it is.

  Args:
    constants: of the bundle.
    motion: so far.
    action: finite; clipped to plus and minus 1.
    measured: joints when the policy looked, rad.
  """
  place, velocity = _place(constants, motion), _velocity(constants, motion)
  low = np.maximum(constants.lower, measured - constants.leash)
  high = np.minimum(constants.upper, measured + constants.leash)
  change = constants.period * constants.acceleration
  travelled = 0.5 * constants.period * velocity
  asked = np.clip(action, -1.0, 1.0)
  wanted = constants.speed * asked
  wanted = np.minimum(wanted, _brake(constants, high - place - travelled))
  wanted = np.maximum(wanted, -_brake(constants, place + travelled - low))
  end = velocity + np.clip(wanted - velocity, -change, change)
  return motion._replace(position=place, begin=velocity, end=end, ticks=0, action=asked)


def tick(constants: Constants, motion: Motion) -> tuple[Motion, Joints]:
  """One tick further; and what the joints shall be told, rad.

  A command that is over without another one is followed by braking: an action of zero.
  """
  if motion.ticks >= constants.period_ticks:
    motion = follow(constants, motion, np.zeros(JOINTS), _place(constants, motion))
  motion = motion._replace(ticks=motion.ticks + 1)
  recent = motion.recent.copy()
  recent[motion.oldest] = _place(constants, motion)
  total = np.add.reduce(recent, axis=0)  # row after row, as C adds
  oldest = (motion.oldest + 1) % SMOOTHING_TICKS
  return motion._replace(recent=recent, oldest=oldest), total / SMOOTHING_TICKS


def look(
  constants: Constants,
  motion: Motion,
  joint_position: Joints,
  joint_velocity: Joints,
  target: np.ndarray,
) -> Sight:
  """What a policy sees now."""
  ends = _place(constants, motion._replace(ticks=constants.period_ticks))
  return Sight(joint_position, joint_velocity, ends, motion.end, motion.action, target)


def observe(constants: Constants, sight: Sight) -> np.ndarray:
  """The policy's input, float32, in the order and scale of the bundle."""
  default = constants.default_pose
  quantities = {
    "joint_position": lambda: sight.joint_position - default,
    "joint_velocity": lambda: sight.joint_velocity,
    "commanded_velocity": lambda: sight.commanded_velocity,
    "gripper_position": lambda: gripper(constants, sight.joint_position),
    "joint_target": lambda: sight.joint_target - default,
    "last_action": lambda: sight.action,
    "target": lambda: sight.target,
  }
  values = np.concatenate([quantities[name]() for name in constants.terms])
  return (constants.scale * values).astype(np.float32)


def gripper(constants: Constants, angles: Joints) -> np.ndarray:
  """Place of the gripper with the joints at `angles`, world frame, m."""
  place, frame = np.zeros(3), np.eye(3)
  for link, (offset, rotation) in enumerate(
    zip(constants.offsets, constants.rotations, strict=True)
  ):
    place, frame = place + frame @ offset, frame @ rotation
    if link < len(angles):
      cosine, sine = np.cos(angles[link]), np.sin(angles[link])
      frame = frame @ np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
  return place


def _place(constants: Constants, motion: Motion) -> Joints:
  """Where the motion is, before the average."""
  share = motion.ticks / constants.period_ticks
  change = motion.end - motion.begin
  moved = constants.period * share * (motion.begin + 0.5 * share * change)
  return np.clip(motion.position + moved, constants.lower, constants.upper)


def _velocity(constants: Constants, motion: Motion) -> Joints:
  share = motion.ticks / constants.period_ticks
  return motion.begin + share * (motion.end - motion.begin)


def _brake(constants: Constants, room: Joints) -> Joints:
  """The greatest velocity at the end of a control period from which a joint stops in time."""
  gain = constants.period * constants.acceleration
  square = gain * gain + 2.0 * constants.acceleration * room
  return np.sqrt(np.maximum(square, 0.0)) - gain
