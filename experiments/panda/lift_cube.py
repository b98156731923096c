"""A Franka Panda learns to lift a cube and hold it in the air: PPO, dense or sparse reward.

  jaxskills train panda/lift_cube:quick
  jaxskills train panda/lift_cube:full

`quick` takes eleven minutes on two cores; then 99 of 100 episodes end with the cube in the air
at its target (95 %: 95 to 100), 97 with nothing disturbed.

The cube's place and yaw are seen as a tracker tells them, 3 mm noise; with
`--noconfig.task.cube_is_tracked` only the critic knows them. The policy moves the gripper through
space (damped least squares make that joint motions within the robot's limits) and closes it;
`--config.control.mode=joint_position` or `joint_velocity` acts on joints instead. Masses, gains,
damping, friction and the cube's size and mass differ from world to world. The physics engine is
one word: `--config.engine=native`, `mjx` or `warp`; `auto` takes what suits the device.
"""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxskills.envs.panda.lift_cube import Cubes
from jaxskills.envs.panda.make import CubeVariation
from jaxskills.envs.panda.rewards import LIFT_WEIGHTS
from jaxskills.experiments import ppo_run
from jaxskills.experiments.panda import runs, worlds
from jaxskills.experiments.panda.worlds import make_env as make_env

EXPERIMENT = "panda/lift_cube"
PRESETS = {
  "quick": "moves the gripper, dense reward; 2 CPU cores, eleven minutes",
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
      "cubes": Cubes()._asdict(),
      "cube_variation": CubeVariation()._asdict(),
      "reward": dict(LIFT_WEIGHTS),
    }
  )
  config.task.cube_is_tracked = True
  config.control.mode = "end_effector"
  config.rl.update(worlds=512, env_steps=5_000_000, evaluate_every_steps=500_000)
  config.rl.update(episode_steps=120, eval_steps=120)
  config.rl.update(reset_pool=512, reset_refresh=64)
  config.ppo.update(gamma=0.98, entropy=0.003)
  if preset == "full":
    config.ppo.hidden = (512, 256, 128)
    config.rl.update(worlds=4096, env_steps=50_000_000, evaluate_every_steps=5_000_000)
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
