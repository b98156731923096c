"""A Unitree H1 learns to walk on command: PPO, domain randomisation, C MuJoCo or an accelerator.

  jaxskills train h1/velocity:quick
  jaxskills train h1/velocity:full

The actor sees what Unitree's own deployment of the robot sees, in its order and scales, noisy and
up to 20 ms late (the gait clock turns in .64 s where Unitree's takes .8); the critic sees the truth
too. In `quick` that is 41 numbers, and ten leg joints are controlled, arms and waist held.
Masses, friction, motors and gains differ from world to world, and every five seconds or so
something pushes.
After `quick`, 15 minutes on two shared cores, it falls in none of 100 episodes of 10 s with all of
that on, and keeps its velocity within .16 m/s of commands of 0 to 1 m/s in the mean
(`benchmarks/results/h1_velocity_quick.json`).
The physics engine is one word: `--config.engine=native`, `mjx` or `warp`; `auto` takes what suits
the device.
"""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxskills.envs.h1.conditions import Commands, Disturbances
from jaxskills.envs.h1.make import Variation
from jaxskills.envs.h1.rewards import WEIGHTS
from jaxskills.envs.h1.velocity import LEGS
from jaxskills.experiments import on_policy as shared
from jaxskills.experiments import ppo_run
from jaxskills.experiments.h1 import results
from jaxskills.experiments.h1.worlds import make_env
from jaxskills.experiments.ppo_run import PpoRun
from jaxskills.training.run_state import BuildStage

EXPERIMENT = "h1/velocity"
PRESETS = {
  "quick": "walks on command, legs only; 2 CPU cores, a quarter of an hour",
  "full": "sideways and faster too, all joints; wants an accelerator",
}
_ALL_JOINTS = tuple(range(19))


def get_config(preset: str = "quick") -> ConfigDict:
  """The configuration of a preset; every number of the run is in it.

  Raises:
    ValueError: if there is no such preset.
  """
  if preset not in PRESETS:
    raise ValueError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
  config = ConfigDict(
    {
      "seed": 0,
      "engine": "auto",
      "task": {
        "controlled": LEGS,
        "action_scale": 0.25,
        "history": 1,
        "clock_seconds": 0.64,
        "substeps": 4,
        "randomize": True,
      },
      "commands": Commands()._asdict(),
      "disturbances": Disturbances()._asdict(),
      "variation": Variation()._asdict(),
      "reward": dict(WEIGHTS),
      **shared.groups(),
    }
  )
  config.ppo.entropy = 0.0025  # with more, exploration stays so wide that tracking suffers
  config.rl.env_steps = 14_000_000
  if preset == "full":
    config.task.controlled = _ALL_JOINTS
    config.task.history = 3
    config.commands.update(forward=(-0.5, 1.5), sideways=(-0.4, 0.4), yaw_rate=(-1.0, 1.0))
    config.ppo.hidden = (512, 256, 128)
    config.rl.update(worlds=4096, env_steps=200_000_000, evaluate_every_steps=10_000_000)
    config.rl.reset_pool = 1024
    config.rl.reset_refresh = 128
  config.lock()
  return config


RUN = PpoRun(
  name=EXPERIMENT,
  get_config=get_config,
  make_env=make_env,
  evaluator=results.evaluator,
  evaluate=results.evaluate,
  figures=results.figures,
  write_report=results.write_report,
  headline=("eval/fall_rate", "eval/velocity_error", "step/velocity_error", "episode/length"),
)


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
    video: also film one into the run's report.
  """
  film = results.record if video else None
  return ppo_run.evaluate(RUN, workdir, episodes=episodes, film=film)


def make_stages(config: ConfigDict) -> list[tuple[str, BuildStage]]:
  """The one stage of the run."""
  return ppo_run.make_stages(RUN, config)


def run_config(workdir: Path) -> ConfigDict:
  """The configuration of a run in a folder; see `ppo_run.restored_config`."""
  return ppo_run.restored_config(RUN, workdir)


def check(config: ConfigDict) -> None:
  """Refuses what cannot be run before anything is made; see `ppo_run.check`."""
  ppo_run.check(RUN, config)
