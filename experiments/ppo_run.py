"""A run of a PPO experiment, from its configuration to its report; every robot's goes alike.

What differs between experiments is in their `PpoRun`. The worlds and the one stage of such a run
are in `on_policy.py`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from jaxskills.config import describe_run, restore
from jaxskills.errors import UserError
from jaxskills.experiments import on_policy
from jaxskills.learners.ppo import PpoParams
from jaxskills.training import loop, summary
from jaxskills.training.run_state import BuildStage, Stage
from jaxskills.training.workdir import Workdir, open_workdir, read_config
from jaxskills.types import Metrics


class PpoRun(NamedTuple):
  """What an experiment brings to its runs.

  Attributes:
    name: of the experiment, e.g. `h1/velocity`.
    get_config: its configuration, of the first preset.
    make_env: `(config, worlds) -> environment` with an `engine` that is ready for so many.
    evaluator: `config -> (parameters -> metrics)`, traceable, for evaluations in training.
    evaluate: `(config, parameters, seed) -> figures` of fresh episodes.
    figures: `(config, parameters, folder) -> figures` that the summary holds; what the report shows
      besides goes into the folder.
    write_report: of the run in a folder.
    headline: metrics that progress lines show.
  """

  name: str
  get_config: Callable[[], ConfigDict]
  make_env: Callable[[ConfigDict, int], Any]
  evaluator: Callable[[ConfigDict], Callable[[PpoParams], Metrics]]
  evaluate: Callable[[ConfigDict, PpoParams, int], dict[str, Any]]
  figures: Callable[[ConfigDict, PpoParams, Workdir], dict[str, Any]]
  write_report: Callable[[Workdir], Path]
  headline: tuple[str, ...]


def train(
  run: PpoRun, config: ConfigDict, workdir: Path, *, preset: str, overwrite: bool
) -> dict[str, Any]:
  """Runs or resumes the experiment and writes its summary and report.

  Args:
    run: the experiment's.
    config: from its `get_config`, with overrides.
    workdir: the run's folder.
    preset: that the configuration began as.
    overwrite: discard what is in the folder.

  Returns:
    What `summary.json` holds.
  """
  described = describe_run(run.name, preset, config)
  check(run, config)
  with open_workdir(workdir, described, overwrite=overwrite) as folder:
    results, reports = loop.run_stages(folder, make_stages(run, config), config.seed)
    figures = run.figures(config, results[on_policy.STAGE], folder)
    written = summary.write(folder, described, figures, reports, on_policy.STAGE)
    run.write_report(folder)
  return written


def evaluate(
  run: PpoRun,
  workdir: Path,
  *,
  episodes: int,
  film: Callable[[ConfigDict, PpoParams, Workdir], Any] | None = None,
) -> dict[str, Any]:
  """Evaluates the policy of a finished run with fresh episodes.

  Args:
    run: the experiment's.
    workdir: of the finished run.
    episodes: how many.
    film: records what the run's report shows, which is then written anew; nothing if None.

  Raises:
    UserError: if there is no run, or one of a version with other keys, or for more episodes than
      fit into memory.
  """
  config = restored_config(run, workdir)
  on_policy.check_episodes(config, run.make_env(config, 1), episodes)
  folder = Workdir(Path(workdir).expanduser().resolve())
  results, _ = loop.load_results(folder.path, make_stages(run, config))
  params = results[on_policy.STAGE]
  config.rl.eval_episodes = episodes
  seed = on_policy.EVALUATION_SEED + 1  # not the episodes that the run itself was judged by
  figures = run.evaluate(config, params, seed)
  if film is not None:
    film(config, params, folder)
    run.write_report(folder)
  return figures


def make_stages(run: PpoRun, config: ConfigDict) -> list[tuple[str, BuildStage]]:
  """The one stage of the run."""

  def build(results: Mapping[str, Any]) -> Stage:
    del results
    env = run.make_env(config, config.rl.worlds)
    return on_policy.make_stage(config, env, run.evaluator(config), run.headline)

  return [(on_policy.STAGE, build)]


def restored_config(run: PpoRun, workdir: Path) -> ConfigDict:
  """The configuration of a run in a folder.

  Raises:
    UserError: if there is no run, or one of a version with other keys, naming them.
  """
  return restore(read_config(workdir).get("config"), run.get_config(), workdir)


def check(run: PpoRun, config: ConfigDict) -> None:
  """Refuses what cannot be run before anything is made.

  Raises:
    UserError: naming what is wrong.
  """
  try:
    on_policy.check_sizes(config)
    on_policy.check(config, run.make_env(config, config.rl.worlds))
  except ValueError as error:
    raise UserError(str(error)) from error
