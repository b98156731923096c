"""A whole run: its stages in order, skipping those that an earlier process finished.

All randomness is in the stages' states and feeds, both saved, so that a run that was killed at any
moment and resumed ends with the same bits as one that was not. `stage_runner.py` has the loop over
the chunks of one stage.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from jaxskills.errors import Interrupted, UserError
from jaxskills.training import checkpoint, sharding
from jaxskills.training.progress import ProgressReport
from jaxskills.training.run_state import BuildStage, StageReport
from jaxskills.training.signals import stop_requests
from jaxskills.training.stage_runner import SavePolicy, StageRunner, load_result
from jaxskills.training.workdir import Workdir


def run_stages(
  workdir: Workdir,
  stages: Sequence[tuple[str, BuildStage]],
  seed: int,
  *,
  save_policy: SavePolicy | None = None,
  progress: ProgressReport | None = None,
  devices: Sequence[Any] | None = None,
  tensorboard: bool = True,
) -> tuple[dict[str, Any], dict[str, StageReport]]:
  """Runs every stage to its end, or resumes.

  Args:
    workdir: held by `workdir.open_workdir`.
    stages: names and builders in order; a builder is called with the results so far.
    seed: each stage's key is this seed's folded with the stage's name, so that adding a stage
      changes no other.
    save_policy: when to save.
    progress: where to tell about it; the standard error stream if None.
    devices: JAX devices to run on; all if None.
    tensorboard: whether to write TensorBoard events.

  Returns:
    Results and reports by stage name.

  Raises:
    Interrupted: if SIGTERM or SIGINT stopped a stage; everything is saved. While a stage is built,
      which changes no file that counts, signals do what they do to the caller.
    UserError: if the disk fails; the checkpoint before is whole.
  """
  names = [name for name, _ in stages]
  if len(set(names)) != len(names):
    raise ValueError(f"stages need different names, got {names}")
  results: dict[str, Any] = {}
  reports: dict[str, StageReport] = {}
  mesh = sharding.make_mesh(devices)
  with progress or ProgressReport() as shown:
    for name, build in stages:
      stage = build(results)  # a signal ends this at once: there is nothing to save
      if stage.name != name:
        raise ValueError(f"the builder of stage {name!r} made one called {stage.name!r}")
      with stop_requests() as stop:
        runner = StageRunner(workdir, stage, mesh, save_policy or SavePolicy(), shown, stop)
        finished = runner.finished()
        if finished is None:
          finished = runner.run(_stage_key(seed, name), tensorboard=tensorboard)
        results[name], reports[name] = finished
      if stop:
        raise Interrupted(
          f"stopped by {stop.signal} after {name}; all is saved in {workdir.path}, "
          "run the same command again to go on."
        )
  return results, reports


def load_results(
  path: Path, stages: Sequence[tuple[str, BuildStage]]
) -> tuple[dict[str, Any], dict[str, StageReport]]:
  """Reads the results of a finished run without running or locking anything.

  Args:
    path: the run's folder.
    stages: as given to `run_stages`.

  Raises:
    UserError: if a stage has no whole result yet, naming it.
  """
  results: dict[str, Any] = {}
  reports: dict[str, StageReport] = {}
  folder = Workdir(path.expanduser().resolve())
  for name, build in stages:
    stage = build(results)
    try:
      results[name], reports[name] = load_result(folder, stage)
    except checkpoint.Damaged as damage:
      raise UserError(
        f"{path} has no whole result of {name} ({damage}); "
        "run its 'jaxskills train' command again to finish it."
      ) from damage
  return results, reports


def _stage_key(seed: int, name: str) -> jax.Array:
  return jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))
