"""A run of a Panda's task from its configuration to its report; both tasks are run alike."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxskills.config import restore, to_plain
from jaxskills.errors import UserError
from jaxskills.experiments import on_policy as shared
from jaxskills.experiments.panda import results as figures_of
from jaxskills.experiments.panda.worlds import make_env
from jaxskills.training import loop, summary
from jaxskills.training.run_state import BuildStage
from jaxskills.training.workdir import Workdir, open_workdir, read_config


def train(
  experiment: str, config: ConfigDict, workdir: Path, *, preset: str, overwrite: bool
) -> dict[str, Any]:
  """Runs or resumes a task and writes its summary and report.

  Args:
    experiment: name of the task.
    config: of the task, with overrides.
    workdir: the run's folder.
    preset: that the configuration began as.
    overwrite: discard what is in the folder.

  Returns:
    What `summary.json` holds.
  """
  run = {
    "experiment": experiment,
    "preset": preset,
    "seed": config.seed,
    "config": to_plain(config),
  }
  check(config)
  with open_workdir(workdir, run, overwrite=overwrite) as folder:
    results, reports = loop.run_stages(folder, make_stages(config), config.seed)
    figures = figures_of.figures(config, results[shared.STAGE])
    written = summary.write(folder, run, figures, reports, shared.STAGE)
    figures_of.write_report(folder)
  return written


def evaluate(
  get_config: Callable[[], ConfigDict], workdir: Path, *, episodes: int, video: bool
) -> dict[str, Any]:
  """Evaluates the policy of a finished run with fresh episodes.

  Args:
    get_config: of the task.
    workdir: of the run.
    episodes: how many.
    video: refused; there are no films of this robot yet.

  Raises:
    UserError: if there is no run, or one of a version with other keys, or a film is asked for.
  """
  if video:
    raise UserError("there is no film of the Panda's tasks; leave out --video")
  config = restore(read_config(workdir).get("config"), get_config(), workdir)
  folder = Workdir(Path(workdir).expanduser().resolve())
  results, _ = loop.load_results(folder.path, make_stages(config))
  config.rl.eval_episodes = episodes
  seed = figures_of.EVALUATION_SEED + 1  # not the episodes that the run itself was judged by
  return figures_of.evaluate(config, results[shared.STAGE], seed)


def make_stages(config: ConfigDict) -> list[tuple[str, BuildStage]]:
  """The one stage of the run."""

  def build(results: Mapping[str, Any]) -> Any:
    del results
    headline = ("eval/success_rate", "eval/distance_at_end", "step/distance", "episode/return")
    env = make_env(config, config.rl.worlds)
    return shared.make_stage(config, env, figures_of.evaluator(config), headline)

  return [(shared.STAGE, build)]


def check(config: ConfigDict) -> None:
  """Refuses what cannot be run before anything is made.

  Raises:
    UserError: naming what is wrong.
  """
  try:
    shared.check(config, make_env(config, config.rl.worlds))
  except ValueError as error:
    raise UserError(str(error)) from error
