"""A YAML file in the shape of Unitree's own H1 configuration, for scripts that read that.

Keys and their meaning are those of `deploy_real/configs/h1.yaml` in Unitree's unitree_rl_gym. The
manifest stays the contract: scripts that read this file have neither limits nor a safety filter,
and turn their gait clock in .8 s unless they are told otherwise.
"""

from collections.abc import Sequence

from jaxskills.deploy.deployable import Deployable, Quantity, Task

_WEAK = 0x01  # mode byte of the weak motors in `unitree_go` messages
_CLOCK = 0.8  # s, of the scripts


def write(policy: Deployable, task: Task) -> bytes:
  """The file's content; gains and poses of joints that the action moves first, then the others."""
  robot, (state,) = task.robot, policy.observation
  held = [index for index in range(len(robot.joints)) if index not in task.controlled]
  terms = {quantity.name: quantity for quantity in state.quantities}
  facts = task.facts
  most = [
    max(abs(low), abs(high))
    for low, high in zip(facts["command_low"], facts["command_high"], strict=True)
  ]
  modes = zip(robot.motors, robot.motor_modes or (), strict=True)
  lines = [
    f"# {policy.provenance['experiment']}, run {policy.provenance['run']}: gains, scales and pose",
    "# for scripts that read Unitree's deploy_real configuration. manifest.json is the contract.",
    *_differences(policy, task, held),
    _line("control_dt", policy.step_seconds),
    _line("gait_period", facts["clock_seconds"]),
    'msg_type: "go"',
    'imu_type: "torso"',
    _list("weak_motor", sorted(motor for motor, mode in modes if mode == _WEAK)),
    'lowcmd_topic: "rt/lowcmd"',
    'lowstate_topic: "rt/lowstate"',
    'policy_path: "policy.pt"',
    _list("leg_joint2motor_idx", [robot.motors[index] for index in task.controlled]),
    _list("kps", [robot.stiffness[index] for index in task.controlled]),
    _list("kds", [robot.damping[index] for index in task.controlled]),
    _list("default_angles", [robot.default_pose[index] for index in task.controlled]),
    _list("arm_waist_joint2motor_idx", [robot.motors[index] for index in held]),
    _list("arm_waist_kps", [robot.stiffness[index] for index in held]),
    _list("arm_waist_kds", [robot.damping[index] for index in held]),
    _list("arm_waist_target", [robot.default_pose[index] for index in held]),
    _line("ang_vel_scale", _one(terms["gyro"])),
    _line("dof_pos_scale", _one(terms["joint_position"])),
    _line("dof_vel_scale", _one(terms["joint_velocity"])),
    _line("action_scale", facts["action_scale"]),
    _list("cmd_scale", terms["command"].scale),
    _line("num_actions", len(task.controlled)),
    _line("num_obs", state.shape[0]),
    _list("max_cmd", most),
  ]
  return ("\n".join(lines) + "\n").encode()


def _differences(policy: Deployable, task: Task, held: Sequence[int]) -> list[str]:
  """Comments on what a script written for Unitree's own policy has to change."""
  seconds, (state,) = task.facts["clock_seconds"], policy.observation
  notes = []
  if seconds != _CLOCK:
    notes.append(
      f"# The gait clock turns in {seconds:g} s, not in the {_CLOCK:g} s of the scripts."
    )
  notes.append("# policy.pt lies beside this file if torch was installed where it was exported.")
  if state.history > 1:
    notes.append(f"# It sees {state.history} measurements, newest first; the scripts give one.")
  if not held:
    notes.append("# It moves all joints, the waist among them, which the scripts hold.")
  limit = policy.limit
  notes.append(f"# Actions are clipped to plus and minus {limit:g}, which the scripts do not do.")
  return notes


def _one(quantity: Quantity) -> float:
  """The scale that all entries share."""
  (scale,) = set(quantity.scale)
  return scale


def _line(key: str, value: int | float) -> str:
  return f"{key}: {value!r}"


def _list(key: str, values: Sequence[int | float]) -> str:
  return f"{key}: [{', '.join(repr(value) for value in values)}]"
