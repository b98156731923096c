"""A Franka Panda learns to bring its gripper to a place in the air: PPO, dense or sparse reward.

  jaxskills train panda/reach:quick
  jaxskills train panda/reach:full

`quick` takes two to four minutes on two cores; then the gripper ends 6 mm from its target in the
median, and within 2 cm in all of 100 episodes.

The policy sees joint positions and velocities, what the joints are told, where the gripper is and
where it shall be, noisy and up to 20 ms late. Masses, gains and damping differ from world to world.
Twenty times a second it says how fast each joint's target shall move; `--config.control.mode` makes
that joint velocities ("joint_velocity", for the robot's velocity mode) or the gripper's velocity
through space ("end_effector"), `--config.task.reward=sparse` a reward for being there only. The
physics engine is one word: `--config.engine=native`, `mjx` or `warp`; `auto` takes what suits the
device.
"""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxskills.envs.panda.reach import Targets
from jaxskills.envs.panda.rewards import REACH_WEIGHTS
from jaxskills.experiments import ppo_run
from jaxskills.experiments.panda import runs, worlds
from jaxskills.experiments.panda.worlds import make_env as make_env

EXPERIMENT = "panda/reach"
PRESETS = {
  "quick": "joint targets, dense reward; 2 CPU cores, minutes",
  "full": "ten times as long, wider networks; wants an accelerator",
}


def get_config(preset: str = "quick") -> ConfigDict:
  """The configuration of a preset; every number of the run is in it.

  Raises:
    ValueError: if there is no such preset.
  """
  if preset not in PRESETS:
    raise ValueError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
  config = ConfigDict(
    {
      **worlds.groups(),
      "targets": Targets()._asdict(),
      "reward": dict(REACH_WEIGHTS),
    }
  )
  config.rl.update(worlds=512, env_steps=1_500_000, evaluate_every_steps=250_000)
  config.rl.update(episode_steps=100, eval_steps=100)
  config.rl.update(reset_pool=512, reset_refresh=64)
  config.ppo.update(gamma=0.97, entropy=0.002)
  # Targets follow one another on a robot: episodes begin in many poses, and trembling costs more.
  config.disturbances.update(start_joint=0.5)
  config.reward.update(action_rate=-0.06, joint_speed=-0.06)
  if preset == "full":
    config.ppo.hidden = (512, 256, 128)
    config.rl.update(worlds=4096, env_steps=20_000_000, evaluate_every_steps=2_000_000)
    config.rl.update(reset_pool=1024, reset_refresh=128)
  config.lock()
  return config


RUN = runs.make_run(EXPERIMENT, get_config)


def train(
  config: ConfigDict, workdir: Path, *, preset: str, overwrite: bool = False
) -> dict[str, Any]:
  """Runs or resumes the experiment and writes its summary and report.

  Args:
    config: from `get_config`, with overrides.
    workdir: the run's folder.
    preset: that the configuration began as.
    overwrite: discard what is in the folder.

  Returns:
    What `summary.json` holds.
  """
  return ppo_run.train(RUN, config, workdir, preset=preset, overwrite=overwrite)


def evaluate(workdir: Path, *, episodes: int, video: bool) -> dict[str, Any]:
  """Evaluates the policy of a finished run with fresh episodes.

  Args:
    workdir: of a finished run.
    episodes: how many.
    video: refused; there is no film of this task.
  """
  return runs.evaluate(RUN, workdir, episodes=episodes, video=video)
