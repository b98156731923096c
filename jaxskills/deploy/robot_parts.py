"""What the H1 and the Franka add to a bundle, and which policies neither of them can run.

Two declarations meet here. The environment says of each term whether a robot can measure it at all;
`_PROVIDED` says what the robot itself and its operator give. A term that either of the two lacks is
refused by name: the place of a cube is measurable, but by a camera beside the arm, and no arm alone
can run a policy that reads it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxskills.assets.robot import Robot
from jaxskills.deploy import h1_yaml, safety_c, safety_limits
from jaxskills.deploy.deployable import Deployable, Quantity, Task
from jaxskills.errors import UserError

_OF_LEGS = ("gyro", "projected_gravity", "command", "clock")
_OF_ARMS = ("commanded_velocity", "joint_target", "gripper_position", "target", "goal")
_OF_HANDS = ("gripper_width", "gripper_command")
_OF_JOINTS = ("joint_position", "joint_velocity", "last_action")
_PROVIDED = {"h1": {*_OF_JOINTS, *_OF_LEGS}, "panda": {*_OF_JOINTS, *_OF_ARMS, *_OF_HANDS}}


class Parts(NamedTuple):
  """What a robot adds to a bundle.

  Attributes:
    manifest: JSON values by part, e.g. `{"robot": {...}, "safety": {...}}`.
    files: contents by file name.
  """

  manifest: Mapping[str, Any] = {}
  files: Mapping[str, bytes] = {}


def h1(policy: Deployable) -> Parts:
  """The parts of a Unitree H1.

  Raises:
    UserError: for a policy of another robot, or one that reads what an H1 does not measure.
  """
  task = _checked(policy, "h1")
  limits, filter_files = _safety(policy, task)
  files = {"h1.yaml": h1_yaml.write(policy, task), **filter_files}
  return Parts(_manifest(task, limits), files)


def franka(policy: Deployable) -> Parts:
  """The parts of a Franka Emika Panda.

  Raises:
    UserError: for a policy of another robot, one that reads what a Panda alone does not measure, or
      one that moves the gripper.
  """
  task = _checked(policy, "panda")
  if policy.action.names[-1] == "gripper":
    raise UserError(
      "this policy moves the gripper, which the controllers of this version do not; "
      "export it with --robot=none."
    )
  limits, filter_files = _safety(policy, task)
  return Parts(_manifest(task, limits), filter_files)


def _checked(policy: Deployable, name: str) -> Task:
  """The policy's task, if the robot called `name` can run it."""
  task, experiment = policy.task, policy.provenance["experiment"]
  if task is None or task.robot.name != name:
    drives = "a simulated world" if task is None else task.robot.name
    raise UserError(f"a policy of {experiment} acts on {drives}, not on {name}; see --robot.")
  for quantity in (quantity for term in policy.observation for quantity in term.quantities):
    if fault := _lack(quantity, name):
      raise UserError(
        f"this policy of {experiment} reads {quantity.name} ({quantity.unit}), which {fault}; "
        f"train one without it, or export this one with --robot=none."
      )
  return task


def _lack(quantity: Quantity, robot: str) -> str | None:
  """Why a robot cannot give a quantity, in words."""
  if not quantity.measurable:
    return "is declared not measurable"
  if quantity.name not in _PROVIDED[robot]:
    return f"a {robot} alone does not measure"
  return None


def _safety(policy: Deployable, task: Task) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
  """The safety filter's limits as JSON, and its C sources.

  A Panda's action is no displacement of its pose: its command generator stands between the two, and
  the filter is given joint positions.
  """
  robot = task.robot
  is_displacement = policy.action.scaled_unit == "rad"
  pose = tuple(robot.default_pose[index] for index in task.controlled)
  limits = safety_limits.limits_of(
    robot._asdict(),
    controlled=task.controlled,
    scale=policy.action.scale if is_displacement else (0.0,) * len(pose),
    offset=pose,
    action_limit=policy.limit,
    policy_seconds=policy.step_seconds,
  )
  return safety_limits.to_json(limits), safety_c.write(limits)


def _manifest(task: Task, limits: Mapping[str, Any]) -> dict[str, Any]:
  return {
    "robot": {**_record(task.robot), "controlled": list(task.controlled)},
    "safety": dict(limits),
    "task": dict(task.facts),
  }


def _record(robot: Robot) -> dict[str, Any]:
  """All fields of a robot's record as JSON values; what a reader of an IMU must know besides."""
  record = {name: _plain(value) for name, value in robot._asdict().items()}
  if robot.imu is not None:
    record["imu"] |= {
      "quaternion": "w x y z, from the unit's frame to the world's",
      "frame": (
        f"axes of {robot.imu.body}; {robot.imu.waist_joint}'s angle and rate turn what is read "
        f"into the frame of {robot.base}, which observations are in"
      ),
    }
  return record


def _plain(value: Any) -> Any:
  if hasattr(value, "_asdict"):
    return {name: _plain(entry) for name, entry in value._asdict().items()}
  return [_plain(entry) for entry in value] if isinstance(value, tuple) else value
