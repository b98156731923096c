"""Writes run folders as a finished walking run leaves them, small and made up."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from jaxskills.assets.h1 import H1
from jaxskills.evaluation import walk_record
from jaxskills.evaluation.walk_record import WalkRecord

STEP = 0.02
PERIOD = 40  # rows in a turn of the clock
STANCE = 22  # rows of it that a foot is on the ground
COMMANDS = ((50, (0.0, 0.0, 0.0)), (150, (0.5, 0.0, 0.0)), (150, (1.0, 0.0, 0.0)))


def walk(commands=COMMANDS) -> WalkRecord:
  """A robot that follows its commands and its clock to the letter, walking along x."""
  command = np.repeat([told for _, told in commands], [number for number, _ in commands], axis=0)
  time = len(command)
  is_moving = np.abs(command).max(axis=1) > 0.05
  clock = np.arange(time)
  stance = np.stack([clock % PERIOD < STANCE, (clock + PERIOD // 2) % PERIOD < STANCE], axis=1)
  stance |= ~is_moving[:, None]
  joints = len(H1.joints)
  qpos, qvel = np.zeros((time, 7 + joints)), np.zeros((time, 6 + joints))
  qpos[:, 0] = np.cumsum(command[:, 0]) * STEP
  qpos[:, 2], qpos[:, 3], qpos[:, 7:] = H1.base_height, 1.0, H1.default_pose
  swing = 0.4 * is_moving * np.sin(2 * np.pi * clock / PERIOD)
  qpos[:, 7 + H1.joints.index("left_hip_pitch")] += swing
  qpos[:, 7 + H1.joints.index("right_hip_pitch")] -= swing
  qvel[:, 0] = command[:, 0]
  torque = np.zeros((time, joints))
  torque[:, 0] = np.linspace(0, 0.5, time) * H1.torque_limit[0]
  rewards = np.stack([np.full(time, 0.03), np.full(time, -0.01)], axis=1)
  return WalkRecord(
    step_seconds=STEP,
    joints=np.array(H1.joints),
    lower=np.array(H1.lower),
    upper=np.array(H1.upper),
    torque_limit=np.array(H1.torque_limit),
    default_pose=np.array(H1.default_pose),
    qpos=qpos,
    qvel=qvel,
    command=command,
    velocity=np.pad(command[:, :2], ((0, 0), (0, 1))),
    yaw_rate=command[:, 2],
    torque=torque,
    action=np.zeros((time, 10)),
    contact=stance,
    stance=stance,
    foot_height=np.where(stance, 0.0, 0.1),
    foot_speed=np.where(stance, 0.02, 1.0),
    phase=clock % PERIOD / PERIOD,
    is_moving=is_moving,
    push=np.zeros((time, 2)),
    fell=np.zeros(time, bool),
    reward_names=np.array(["tracking_velocity", "torque"]),
    rewards=rewards,
  )


def pushed() -> WalkRecord:
  """The same, shoved once from the right and once from behind."""
  record = walk(((120, (0.6, 0.0, 0.0)),))
  record.push[40], record.push[80] = (0.0, 0.6), (0.6, 0.0)
  return record


def fallen(at: int) -> WalkRecord:
  """The same, fallen from row `at` on; what it then does would spoil every figure."""
  record = walk()
  for field in (record.velocity, record.yaw_rate, record.torque, record.foot_speed):
    field[at:] = 1e3
  record.contact[at:], record.fell[at:] = False, True
  return record


def rows() -> list[dict[str, Any]]:
  """What `metrics.jsonl` holds."""
  lines: list[dict[str, Any]] = []
  for i in range(20):
    share = i / 19
    row = {
      "stage": "rl/ppo",
      "chunk": i + 1,
      "env_steps": 250_000 * (i + 1),
      "updates": 160 * (i + 1),
      "wall_seconds": 15.0 * (i + 1),
      "episode/return": -2.0 + 32.0 * share,
      "episode/length": 60.0 + 900.0 * share,
      "step/velocity_error": 0.7 - 0.5 * share,
      "step/reward/tracking_velocity": 0.03 * share,
      "step/reward/torque": -0.002,
      "step/reward/fall": -0.012 * (1 - share),
    }
    lines.append(row)
    if i % 4 == 3:
      judged = {
        "eval/fall_rate": round(1 - share, 3),
        "eval/velocity_error": 0.65 - 0.5 * share,
        "eval/yaw_rate_error": 0.3,
        "eval/return": 20.0 * share,
        "eval/length": 100.0 + 400.0 * share,
      }
      lines.append({key: row[key] for key in list(row)[:5]} | judged)
  return lines


def config() -> dict[str, Any]:
  """The part of the configuration that the report tells of."""
  return {
    "seed": 3,
    "task": {"randomize": True},
    "commands": {
      "forward": [0.0, 1.0],
      "sideways": [0.0, 0.0],
      "yaw_rate": [-0.5, 0.5],
      "seconds": 5.0,
      "standing_share": 0.1,
      "first_level": 1.0,
    },
    "variation": {"friction": [0.4, 1.25], "payload": [-1.0, 3.0], "center_of_mass": 0.03},
    "disturbances": {
      "noise": 1.0,
      "latency_seconds": 0.02,
      "push_speed": 0.6,
      "push_seconds": 5.0,
      "start_joint": 0.1,
    },
  }


def summary() -> dict[str, Any]:
  """A `summary.json` of a robot that hardly falls."""
  return {
    "experiment": "h1/velocity",
    "preset": "quick",
    "seed": 3,
    "metrics": {
      "fall_rate": 0.02,
      "fall_rate_ci": [0.006, 0.07],
      "velocity_error": 0.1234,
      "yaw_rate_error": 0.2,
      "return": 21.0,
      "episodes": 100,
      "episode_seconds": 10.0,
      "undisturbed": {"fall_rate": 0.0, "velocity_error": 0.08},
      "pushed": {"push_speed": 0.6, "pushes": 2, "fell": False},
    },
    "env_steps": 5_000_000,
    "updates": 3200,
    "wall_seconds": 301.0,
    "steps_per_second": 17000.0,
    "compile_seconds": 12.0,
    "device": "cpu x 1",
    "versions": {"jax": "0.0"},
    "git": "abc",
    "parameters_sha256": "00ff",
  }


def write_run(folder: Path) -> Path:
  """Writes a whole run folder."""
  data = folder / "report" / "data"
  data.mkdir(parents=True)
  (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()))
  run = {"experiment": "h1/velocity", "preset": "quick", "seed": 3, "config": config()}
  (folder / "config.json").write_text(json.dumps(run))
  (folder / "summary.json").write_text(json.dumps(summary()))
  walk_record.save(data / walk_record.WALK, walk())
  walk_record.save(data / walk_record.PUSHED, pushed())
  return folder
