"""`summary.json`: the final figures of a run and what it took to get them.

Other tools read it; its keys are an interface.
"""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

import jaxskills
from jaxskills import disk
from jaxskills.training import storage
from jaxskills.training.run_state import StageReport
from jaxskills.training.workdir import Workdir

_PACKAGES = (
  "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "flashbax", "grain", "numpy", "mujoco",
  "mujoco-mjx", "warp-lang",
)  # fmt: skip


def write(
  workdir: Workdir,
  run: Mapping[str, Any],
  figures: Mapping[str, Any],
  reports: Mapping[str, StageReport],
  main: str,
) -> dict[str, Any]:
  """Writes the summary of a finished run.

  Args:
    workdir: of the run.
    run: as given to `open_workdir`; `experiment`, `preset` and `seed` are copied.
    figures: the final metrics, as JSON values.
    reports: of all stages. Seconds are summed over them.
    main: the stage whose steps, updates, rate and parameters are the run's.

  Returns:
    What was written.
  """
  done = [report.progress for report in reports.values()]
  summary = {
    "experiment": run["experiment"],
    "preset": run["preset"],
    "seed": run["seed"],
    "metrics": dict(figures),
    "env_steps": reports[main].progress.env_steps,
    "updates": reports[main].progress.updates,
    "wall_seconds": round(sum(progress.wall_seconds for progress in done), 3),
    "steps_per_second": round(reports[main].steps_per_second, 3),
    "compile_seconds": round(sum(progress.compile_seconds for progress in done), 3),
    "device": describe_device(),
    "versions": versions(),
    "git": git_commit(),
    "parameters_sha256": reports[main].parameters_sha256,
  }
  with storage.disk_faults(f"write {workdir.summary}"):
    disk.write_atomically(workdir.summary, (json.dumps(summary, indent=2) + "\n").encode())
  return summary


def describe_device() -> str:
  """Kind and number of devices and the precision of products, e.g. `cpu x 1, ...`."""
  devices = jax.devices()
  settings: Any = jax.config
  precision = settings.jax_default_matmul_precision or "default"
  cores = f"{os.cpu_count()} cores" if devices[0].platform == "cpu" else devices[0].platform
  return f"{devices[0].device_kind} x {len(devices)} ({cores}), matmul precision {precision}"


def versions() -> dict[str, str]:
  """Versions of Python, of jaxskills, and of what it computes with."""
  found = {"python": platform.python_version(), "jaxskills": jaxskills.__version__}
  for name in _PACKAGES:
    try:
      found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
      continue
  return found


def git_commit() -> str | None:
  """The commit that this package is at, `-dirty` if files differ from it; None if installed."""
  here = Path(__file__).resolve()
  if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
    return None
  commit = _git(here.parent, "rev-parse", "HEAD")
  changes = _git(here.parent, "status", "--porcelain", "--untracked-files=no")
  return f"{commit}-dirty" if commit and changes else commit


def _git(folder: Path, *arguments: str) -> str | None:
  try:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
  except (OSError, subprocess.SubprocessError):
    return None
  return done.stdout.strip()
