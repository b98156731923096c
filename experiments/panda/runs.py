"""What both of the Panda's tasks bring to their runs; `ppo_run.py` has how a run goes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxskills.errors import UserError
from jaxskills.experiments import ppo_run
from jaxskills.experiments.panda import results
from jaxskills.experiments.panda.worlds import make_env
from jaxskills.experiments.ppo_run import PpoRun


def make_run(name: str, get_config: Callable[[], ConfigDict]) -> PpoRun:
  """What differs from another robot's runs.

  Args:
    name: of the task's experiment.
    get_config: of the task.
  """
  return PpoRun(
    name=name,
    get_config=get_config,
    make_env=make_env,
    evaluator=results.evaluator,
    evaluate=results.evaluate,
    figures=lambda config, params, folder: results.figures(config, params),
    write_report=results.write_report,
    headline=("eval/success_rate", "eval/distance_at_end", "step/distance", "episode/return"),
  )


def evaluate(run: PpoRun, workdir: Path, *, episodes: int, video: bool) -> dict[str, Any]:
  """Evaluates the policy of a finished run with fresh episodes.

  Args:
    run: of the task.
    workdir: of the finished run.
    episodes: how many.
    video: refused; there are no films of this robot yet.

  Raises:
    UserError: if there is no run, or one of a version with other keys, or a film is asked for.
  """
  if video:
    raise UserError("there is no film of the Panda's tasks; leave out --video")
  return ppo_run.evaluate(run, workdir, episodes=episodes)
