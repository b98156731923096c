"""What a robot's controller must know of a task besides its policy: actions, commands, targets.

Everything is taken from the environment that the policy was trained in, and from its configuration;
the manifest's `action` and `parts.task` are made of it.
"""

from typing import Any

from jaxskills.assets.h1 import H1
from jaxskills.assets.panda import PANDA
from jaxskills.deploy.deployable import ActionTerm, Task


def describe(env: Any, config: Any, kind: str) -> tuple[ActionTerm, Task]:
  """The meaning of an environment's actions, and its task.

  Args:
    env: of one of the experiments that `ppo.RUNS` names.
    config: of the run.
    kind: name of the experiment.
  """
  return _walk(env, config, kind) if kind.startswith("h1/") else _manipulate(env, config, kind)


def _walk(env: Any, config: Any, kind: str) -> tuple[ActionTerm, Task]:
  controlled = tuple(int(index) for index in env.controlled)
  scale, limit = float(config.task.action_scale), float(env.action_limit)
  action = ActionTerm(
    names=tuple(H1.joints[index] for index in controlled),
    unit="1",
    frame="displacement of the joint's target from the default pose, over scale",
    low=(-limit,) * len(controlled),
    high=(limit,) * len(controlled),
    scale=(scale,) * len(controlled),
    offset=tuple(H1.default_pose[index] for index in controlled),
    scaled_unit="rad",
  )
  ranges = [config.commands[name] for name in ("forward", "sideways", "yaw_rate")]
  facts = {
    "kind": kind,
    "command_low": [float(low) for low, _ in ranges],
    "command_high": [float(high) for _, high in ranges],
    "command_unit": "m/s, m/s, rad/s",
    "clock_seconds": float(config.task.clock_seconds),
    "action_scale": scale,
  }
  return action, Task(H1, "joint_position", _latency(config), controlled, facts)


def _manipulate(env: Any, config: Any, kind: str) -> tuple[ActionTerm, Task]:
  control = env.arm.control
  fastest = [control.speed * limit for limit in PANDA.velocity_limit]
  names, speeds, unit = PANDA.joints, tuple(fastest), "rad/s"
  frame = "velocity of the joint's target, over scale"
  if control.mode == "joint_velocity":
    frame = "velocity of the joint, over scale"
  elif control.mode == "end_effector":
    names, speeds, unit = ("x", "y", "z"), (control.gripper_speed,) * 3, "m/s"
    frame = "velocity of the gripper along the world's axes, over scale"
  if env.grips:
    names, speeds = (*names, "gripper"), (*speeds, 1.0)
    frame += "; the gripper's last: 1 opens, -1 closes"
  action = ActionTerm(
    names=names,
    unit="1",
    frame=frame,
    low=(-1.0,) * len(names),
    high=(1.0,) * len(names),
    scale=speeds,
    offset=(0.0,) * len(names),
    scaled_unit=unit,
  )
  place = env.cubes if env.grips else env.targets
  low, high = (place.goal_low, place.goal_high) if env.grips else (place.low, place.high)
  facts = {
    "kind": kind,
    "target_low": list(low),
    "target_high": list(high),
    "tolerance": place.tolerance,
    "control": control._asdict(),
    "chain": {
      "offsets": env.chain.offsets.tolist(),
      "rotations": env.chain.rotations.tolist(),
    },
  }
  joints = tuple(range(len(PANDA.joints)))
  return action, Task(PANDA, control.mode, _latency(config), joints, facts)


def _latency(config: Any) -> tuple[float, float]:
  return 0.0, float(config.disturbances.latency_seconds)
