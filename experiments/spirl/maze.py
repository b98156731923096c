"""SPiRL in the maze: a skill prior from planner demonstrations solves a sparse-reward task.

  jaxskills train spirl/maze:quick    2 CPU cores, 6 minutes; SPiRL 1. [.97, 1.], SAC 0 [0, .03]
  jaxskills train spirl/maze:full     the paper's maze; SPiRL 1.0 on each of 3 seeds from 0.9M steps
                                      on (the paper: .97); SAC, BC + SAC, Flat Prior 0, SSP 0
                                      until 0.9M; benchmarks/results/spirl_maze_full.json
  jaxskills train spirl/maze:paper    as full, with more of the paper's numbers (below)

Pertsch et al. 2020, section 4.2. Demonstrations in random 20x20 mazes train a skill model and a
one-step action prior; then SPiRL and its baselines learn to reach a goal in a maze that no
demonstration has seen, from a reward given only near the goal. Everything that a run does follows
from its configuration; `methods.py` has the table of methods and ablations.

Ablations are one line each:
  --config.methods=spirl,spirl_no_init,spirl_no_regularisation   (appendices F and E)
  --config.skill_prior.horizon=5    --config.skill_prior.skill_size=2    (Fig. 6)
  --config.data.fraction_random=0.5 --config.data.preset=mediocre         (appendix G)
  --config.task.layout=task_east --config.prior_from=RUN                  (appendix H)

`full` departs from the paper where two CPU cores ask for it: the pretrained convolutions stay
frozen, flat methods make one update per ten steps like SPiRL (the paper's make one per step), the
replay holds 200,000 decisions, pretraining ends at a learning rate of 0, and the reward is scaled,
with a small floor under alpha. `paper` has none of this and wants an accelerator. Kept in both:
pretraining of 20,000 updates (the released code makes many more), losses that sum, analytic
divergences, and skills that are squashed with a slope of 1 (the released code: 2).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxskills.config import describe_run, nearest, restore
from jaxskills.data_builders import registry
from jaxskills.errors import UserError
from jaxskills.evaluation import coverage, report
from jaxskills.experiments.spirl import methods, prior_reuse, stages
from jaxskills.experiments.spirl import results as figures_of
from jaxskills.learners import sac
from jaxskills.learners.skill_prior import make_skill_prior
from jaxskills.training import loop, off_policy, summary
from jaxskills.training.progress import ProgressReport
from jaxskills.training.workdir import Workdir, open_workdir, read_config

EXPERIMENT = "spirl/maze"
PRESETS = {
  "quick": "20x20 maze, SPiRL and SAC; 2 CPU cores, minutes",
  "full": "the paper's 40x40 maze, SPiRL and all baselines",
  "paper": "as full, with more of the paper's numbers; wants an accelerator",
}


_MANY = 10**12
_RANGES = (  # group, key, lowest, highest: what nothing else refuses before it is too late
  ("rl", "eval_episodes", 1, _MANY),
  ("rl", "final_eval_episodes", 1, _MANY),
  ("rl", "reset_pool", 2, _MANY),
  ("rl", "skill_limit", 1e-3, _MANY),
  ("exploration", "episodes", 1, _MANY),
  ("data", "fraction_random", 0.0, 1.0),
)


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
      "num_seeds": 1,
      "methods": ("spirl", "sac"),
      "prior_from": "",  # a finished run whose pretrained models are taken
      "task": {
        "layout": "quick",
        "episode_steps": 0,  # the task's own
        "goal_radius": 2.0,
        "start_spread": 0.0,
      },
      "data": {"preset": "quick", "trajectories": 0, "directory": "", "fraction_random": 0.0},
      "networks": {
        "actor_inputs": ("view",),
        "critic_inputs": ("state",),
        "critic_hidden": (256, 256),
        "critic_layer_norm": False,
        "train_encoder": False,
      },
      "skill_prior": {
        "skill_size": 10,
        "horizon": 10,
        "width": 128,
        "hidden": (128,) * 6,
        "layer_norm": False,
        "condition_on": (),
        "beta": 1e-2,  # the released code's, on means; converted where the loss sums
        "loss_scaling": "paper",
        "prior_objective": "kl",
        "learning_rate": 1e-3,
        "final_learning_rate": 0.0,
        "updates": 4_000,
        "updates_per_chunk": 100,
        "batch_size": 128,
        "trajectories_per_chunk": 512,
      },
      "action_prior": {
        "learning_rate": 1e-3,
        "final_learning_rate": 0.0,
        "updates": 1_500,
        "updates_per_chunk": 100,
        "batch_size": 128,
        "trajectories_per_chunk": 512,
      },
      "exploration": {"episodes": 64},
      "rl": {
        "env_steps": 320_000,
        "worlds": 80,
        "env_steps_per_update": 10,
        "flat_env_steps_per_update": 10,
        "env_steps_per_chunk": 8_000,
        "batch_size": 128,
        "replay_capacity": 100_000,
        "reset_pool": 64,
        "warmup_env_steps": 8_000,
        "skill_limit": 2.0,
        "prior_env_steps": 100_000,
        "eval_episodes": 128,
        "evaluate_every_steps": 24_000,
        "final_eval_episodes": 128,
      },
      "sac": {
        "gamma": 0.99,
        "tau": 5e-3,
        "policy_learning_rate": 3e-4,
        "critic_learning_rate": 1e-3,
        "alpha_learning_rate": 3e-4,
        "target_divergence": 1.0,
        "alpha": 0.02,
        "alpha_min": 0.01,
        "reward_scale": 0.1,
        "timeouts_terminate": False,
      },
    }
  )
  if preset != "quick":
    config.methods = ("spirl", "sac", "bc_sac", "flat_prior", "ssp")
    config.task.layout = "task"
    config.data.preset = "full"
    config.skill_prior.updates = 20_000
    config.action_prior.updates = 6_000
    config.rl.env_steps = 1_200_000
    config.rl.batch_size = 256
    config.rl.prior_env_steps = 500_000
    config.rl.replay_capacity = 200_000
    config.rl.evaluate_every_steps = 48_000
  if preset == "paper":
    config.data.update(preset="undisturbed", trajectories=85_000)
    config.networks.train_encoder = True
    config.skill_prior.final_learning_rate = config.skill_prior.learning_rate
    config.action_prior.final_learning_rate = config.action_prior.learning_rate
    config.rl.update(worlds=10, flat_env_steps_per_update=1, warmup_env_steps=50_000)
    config.rl.replay_capacity = 1_000_000
    config.sac.update(critic_learning_rate=3e-4, alpha=1.0, alpha_min=0.0, reward_scale=1.0)
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
  if config.prior_from:
    prior_reuse.check(config, workdir)
  with open_workdir(workdir, run, overwrite=overwrite) as folder:
    data = build_data(config)
    if config.prior_from:
      prior_reuse.adopt(config, folder)

    def judge_prior(results: Mapping[str, Any]) -> None:
      check = figures_of.check_prior(config, results, data, folder)
      with ProgressReport() as shown:
        shown.note(coverage.describe_check(check))

    planned = stages.make_stages(config, config.methods, data, before_rl=judge_prior)
    results, reports = loop.run_stages(folder, planned, config.seed)
    figures = figures_of.figures(config, results, reports, data, folder)
    main = f"rl/{config.methods[0]}"
    written = summary.write(folder, run, figures, reports, main)
    report.write_report(folder.path)
  return written


def evaluate(workdir: Path, *, episodes: int, video: bool) -> dict[str, Any]:
  """Evaluates every policy of a finished run with fresh episodes.

  Args:
    workdir: of a finished run.
    episodes: per method.
    video: also film one episode of the first method into the run's report.
  """
  config = run_config(workdir)
  folder = Workdir(Path(workdir).expanduser().resolve())
  results, _ = loop.load_results(folder.path, stages.make_stages(config, config.methods))
  config.rl.eval_episodes = episodes
  seed = stages.EVALUATION_SEED + 1  # not the episodes that the run itself was judged by
  figures = {name: figures_of.evaluate(config, name, results, seed) for name in config.methods}
  if video:
    figures_of.film(config, results, folder)
    report.write_report(folder.path)
  return figures


def run_config(workdir: Path) -> ConfigDict:
  """The configuration of a run in a folder.

  Raises:
    UserError: if there is no run, or one of a version with other keys, naming them.
  """
  return restore(read_config(workdir).get("config"), get_config(), workdir)


def data_directory(config: ConfigDict) -> Path:
  """Where the demonstrations are: `config.data.directory`, or where `jaxskills data` puts them."""
  if config.data.directory:
    return Path(config.data.directory)
  usual = registry.default_directory(f"maze_demos:{config.data.preset}")
  number = config.data.trajectories  # 0 takes the preset's
  return usual.with_name(f"{usual.name}_{number}") if number else usual


def build_data(config: ConfigDict) -> Path:
  """Makes the demonstrations, unless they are there already."""
  directory, name = data_directory(config), f"maze_demos:{config.data.preset}"
  number = config.data.trajectories
  with ProgressReport() as shown:
    shown.note(f"demonstrations: {name} in {directory}")
    changes = {"trajectories": number} if number else {}
    registry.build(name, directory, progress=shown.counter(name, "trajectories"), **changes)
  return directory


def _check(config: ConfigDict) -> None:
  """Refuses what cannot be run before anything is made.

  Raises:
    UserError: naming what is wrong.
  """
  for name in config.methods:
    if name not in methods.METHODS:
      raise UserError(f"no method {name}{nearest(name, list(methods.METHODS))}")
  if not config.methods or len(set(config.methods)) != len(config.methods):
    raise UserError(f"config.methods needs different names, not {list(config.methods)}")
  for group, name, low, high in _RANGES:
    if not low <= config[group][name] <= high:
      raise UserError(f"config.{group}.{name} lies in [{low}, {high}], not {config[group][name]}")
  try:
    spec = methods.make_world(config).spec()
    for modality in config.networks.critic_inputs:
      if modality not in spec.observation:
        raise ValueError(f"no modality {modality!r} among {sorted(spec.observation)}")
    make_skill_prior(methods.skill_prior_config(config), spec)
    for name in config.methods:
      method = methods.METHODS[name]
      steps = config.skill_prior.horizon if method.skills else 1
      off_policy.check(stages.loop_config(config, method, steps))
      sac.check(methods.sac_config(config, method))
  except ValueError as error:
    raise UserError(str(error)) from error
