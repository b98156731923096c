"""A policy learns to do what one video shows: PPO, rewarded for looking alike in an embedding.

  jaxskills train asn/blocks:imitation --workdir=RUN
  jaxskills train asn/imitate:quick --config.embedding.run=RUN

  jaxskills train asn/blocks:paper --config.columns="AB->C" --config.num_seeds=25 --workdir=RUN2
  jaxskills train asn/imitate:paper --config.embedding.run=RUN2

Mees et al. 2020, section III-C. RUN is a finished run of `asn/blocks`, whose embeddings, trained
without the task that is imitated, see what the agent's two cameras see; with the angles of the
joints and the time they are all that the policy knows. It is rewarded for being near the frame of
that time of one demonstration, seen by a third camera. The same PPO with the same eyes is then
rewarded for raw pixels being alike. What counts is neither's return, but how often the task is
truly done. Seeds are of embeddings and policy together, five embeddings for each: a run of fewer
than 25 is dealt out again.

`quick` is not a whole task but the reach-and-push part of A: in a scene of A, red is reached and
pushed up to blue, with fingers that neither open nor close. Its embeddings learn from B and C: what
they know of pushing is B's, and nothing of A or of this task. `paper` is task C, stacking three
blocks by colour, with embeddings of A and B. There the hand cannot turn: it keeps the attitude of
the arm's home pose, and a block that lies askew can be gripped by luck only. No success is claimed
for it.

The paper's agent has one camera and no clock. A reward that goes with the demonstration's time is
no function of what one frame shows, so time is told; and one embedding through one camera takes
the hand's place for one up to 9 cm away, each in its own way; through two cameras on either side
and five embeddings side by side it is 2 cm to the side, as the hand pushes.

Not from the video come the demonstration's states, where some episodes begin and from which none
may stray far, as in the paper (`--config.starts.anywhere=0 --config.far=0` does without); the
scene, whose objects, looks and cameras are those of the demonstration; the unit of distances, from
videos of the tasks that the embedding learned from; and the judgement of success.

Ablations are one line each:
  --config.views.agent=left             one camera; =front is the demonstration's own
  --config.embedding.members=1          one embedding a seed
  --config.rewards=object_state,success    true states as a ceiling; true success alone
  --config.reward.kind=tcn, distance       other forms of the reward
  --config.goal_only                       the last frame of the demonstration at all times
  --config.embedding.method=untrained      random weights
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxskills.config import describe_run, nearest, restore
from jaxskills.envs import imitation_rewards
from jaxskills.envs.imitation_rewards import ImitationReward
from jaxskills.envs.panda import control as panda_control
from jaxskills.envs.panda.control import Control
from jaxskills.envs.tabletop import imitation_env
from jaxskills.envs.tabletop.looks import CAMERAS
from jaxskills.envs.tabletop.scene import CONDITIONS
from jaxskills.errors import UserError
from jaxskills.experiments import on_policy as shared
from jaxskills.experiments.asn import imitation_results as results
from jaxskills.experiments.asn.imitation_eyes import load_eyes
from jaxskills.experiments.asn.imitation_stages import Setting, make_stages, stage_name
from jaxskills.experiments.asn.imitation_world import ALL_TASKS, REWARDS, make_scenery
from jaxskills.training import loop, summary
from jaxskills.training.workdir import Workdir, open_workdir, read_config

EXPERIMENT = "asn/imitate"
PRESETS = {
  "quick": "reaches a block and pushes it up to another as one video shows; 2 CPU cores",
  "paper": "stacks three blocks by colour as one video shows; wants an accelerator",
}


def get_config(preset: str = "quick") -> ConfigDict:
  """The configuration of a preset; every number of the run is in it.

  Raises:
    ValueError: if there is no such preset.
  """
  if preset not in PRESETS:
    raise ValueError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
  groups = shared.groups()
  del groups["rl"]["episode_steps"], groups["rl"]["eval_steps"]  # the demonstration's length
  reward = ImitationReward()._asdict()
  del reward["unit"]  # what two cameras' views of one instant are apart
  config = ConfigDict(
    {
      "seed": 0,
      "num_seeds": 5,
      "engine": "auto",
      "camera": "auto",
      "task": "push_together",
      "rewards": ("embedding", "pixels"),
      "embedding": {"run": "", "method": "tcn_lifted", "train": "BC", "members": 5},
      "demonstration": {"seed": 1000, "condition": "train"},
      "views": {"agent": ("left", "right"), "demonstration": "front", "size": 64},
      "calibration": {"videos": 4, "stride": 4},
      "starts": imitation_env.STARTS._asdict(),
      "far": imitation_env.FAR,
      "hold_seconds": 0.5,
      "control": imitation_env.CONTROL._asdict(),
      "reward": reward,
      "goal_only": False,
      **groups,
    }
  )
  config.control.update(gripper_speed=0.5, speed=0.8, acceleration=0.8)
  config.rl.update(env_steps=100_000, worlds=32, unroll=48, iterations_per_chunk=4)
  config.rl.update(reset_pool=64, reset_refresh=8)
  config.rl.update(evaluate_every_steps=24_576, eval_episodes=20, final_eval_episodes=100)
  seen = ("embedding", "joints", "phase")
  config.ppo.update(actor_inputs=seen, critic_inputs=seen, hidden=(128, 128), initial_std=0.3)
  config.ppo.update(gamma=0.9, entropy=0.0, epochs=5, kl_low=0.0125, kl_high=0.05)
  if preset == "paper":
    config.task = "C"
    config.embedding.train = "AB"
    config.rl.update(env_steps=20_000_000, worlds=512, unroll=64, reset_pool=512)
    config.rl.update(reset_refresh=64, evaluate_every_steps=1_000_000, eval_episodes=50)
    config.ppo.update(hidden=(256, 256), gamma=0.98)
  config.lock()
  return config


def train(
  config: ConfigDict, workdir: Path, *, preset: str, overwrite: bool = False
) -> dict[str, Any]:
  """Runs or resumes the whole experiment and writes its summary and report.

  Args:
    config: from `get_config`, with overrides.
    workdir: the run's folder.
    preset: that the configuration began as.
    overwrite: discard what is in the folder.

  Returns:
    What `summary.json` holds.
  """
  run = describe_run(EXPERIMENT, preset, config)
  _check(config)
  eyes = load_eyes(config)
  with open_workdir(workdir, run, overwrite=overwrite) as folder:
    setting = Setting(config, make_scenery(config), eyes)
    found, reports = loop.run_stages(folder, make_stages(setting), config.seed)
    figures = results.figures(setting, found, folder)
    written = summary.write(folder, run, figures, reports, stage_name(config.rewards[0]))
    results.write_report(folder)
    setting.scenery.camera.close()
  return written


def evaluate(workdir: Path, *, episodes: int, video: bool) -> dict[str, Any]:
  """Evaluates the policies of a finished run with fresh episodes.

  Args:
    workdir: of a finished run.
    episodes: of each policy.
    video: also film one episode of each reward's first seed anew into the run's report.

  Raises:
    UserError: if there is no run, or one of a version with other keys.
  """
  config = run_config(workdir)
  config.rl.final_eval_episodes = episodes
  setting = Setting(config, make_scenery(config), load_eyes(config))
  folder = Workdir(Path(workdir).expanduser().resolve())
  found, _ = loop.load_results(folder.path, make_stages(setting))
  seed = shared.EVALUATION_SEED + 1  # not the episodes that the run itself was judged by
  figures = results.evaluate(setting, found, seed)
  if video:
    results.film(setting, found, folder)
    results.write_report(folder)
  setting.scenery.camera.close()
  return figures


def table(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
  """A row for each reward: true success, and the return that was learned from."""
  heads = {
    "True success": "success_rate",
    "at any step": "success_ever",
    "return": "learned_return",
  }
  return [
    {
      "Reward": REWARDS[name],
      **{head: results.written(metrics[heads[head]][name]) for head in heads},
    }
    for name in metrics["success_rate"]
  ]


def run_config(workdir: Path) -> ConfigDict:
  """The configuration of a run in a folder.

  Raises:
    UserError: if there is no run, or one of a version with other keys, naming them.
  """
  return restore(read_config(workdir).get("config"), get_config(), workdir)


def _check(config: ConfigDict) -> None:
  """Refuses what cannot be run before anything is made.

  Raises:
    UserError: naming what is wrong.
  """
  for name in config.rewards:
    if name not in REWARDS:
      raise UserError(f"no reward {name}{nearest(name, list(REWARDS))}")
  if not config.rewards or len(set(config.rewards)) != len(config.rewards):
    raise UserError(f"config.rewards needs different names, not {list(config.rewards)}")
  choices = (
    ("task", config.task, tuple(ALL_TASKS)),
    ("demonstration.condition", config.demonstration.condition, CONDITIONS),
    *(("views.agent", name, CAMERAS) for name in config.views.agent),
    ("views.demonstration", config.views.demonstration, CAMERAS),
    ("control.mode", config.control.mode, ("end_effector",)),
  )
  for key, value, known in choices:
    if value not in known:
      raise UserError(f"config.{key} is one of {', '.join(known)}, not {value}")
  for key in ("worlds", "unroll", "iterations_per_chunk", "env_steps", "eval_episodes"):
    if config.rl[key] < 1:
      raise UserError(f"config.rl.{key} must be at least 1, not {config.rl[key]}")
  if min(config.num_seeds, config.calibration.videos, config.embedding.members) < 1:
    raise UserError(
      "config.num_seeds, config.calibration.videos and config.embedding.members must be at least 1"
    )
  if not config.views.agent:
    raise UserError(f"config.views.agent needs one or more of {', '.join(CAMERAS)}")
  try:
    shared.check_minibatches(config)
    imitation_rewards.check(ImitationReward(**config.reward))
    imitation_env.check(imitation_env.Starts(**config.starts), config.far)
    panda_control.check(Control(**{**config.control}))
  except ValueError as error:
    raise UserError(str(error)) from error
