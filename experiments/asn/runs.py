"""What all runs of embeddings share: videos of recorded demonstrations, and the order of a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxskills.config import describe_run
from jaxskills.data import render
from jaxskills.data.video_store import VideoStore
from jaxskills.data_builders import registry
from jaxskills.experiments.asn import methods, results, stages
from jaxskills.training import loop, summary
from jaxskills.training.progress import ProgressReport
from jaxskills.training.workdir import Workdir, open_workdir

Figures = Callable[[ConfigDict, dict[str, Any], VideoStore, Workdir], dict[str, Any]]
"""Of configuration, results, videos and folder to the final figures; see `results.figures`."""


def train(
  experiment: str,
  config: ConfigDict,
  workdir: Path,
  *,
  preset: str,
  overwrite: bool,
  build_videos: Callable[[ConfigDict], VideoStore],
  figures: Figures = results.figures,
) -> dict[str, Any]:
  """Runs or resumes an experiment whose configuration was checked; writes summary and report.

  Args:
    experiment: its name.
    config: of the run.
    workdir: the run's folder.
    preset: that the configuration began as.
    overwrite: discard what is in the folder.
    build_videos: opens the videos, or makes them first.
    figures: what is scored.

  Returns:
    What `summary.json` holds.
  """
  run = describe_run(experiment, preset, config)
  if (weights := methods.image_weights(config)) is not None:
    run["weights_sha256"] = weights.sha256  # another file under the same name is another run
  with open_workdir(workdir, run, overwrite=overwrite) as folder:
    store = build_videos(config)
    drawn_from = stages.training_store(config, store)
    found, reports = loop.run_stages(folder, stages.make_stages(config, drawn_from), config.seed)
    made = figures(config, found, store, folder)
    written = summary.write(folder, run, made, reports, main_stage(config))
    results.write_report(folder)
  return written


def record_videos(config: ConfigDict, data_set: str) -> VideoStore:
  """Records and draws what is missing of the demonstrations of `data_set:<config.data.preset>`."""
  name = f"{data_set}:{config.data.preset}"
  given = config.data.directory
  directory = Path(given) if given else registry.default_directory(name)
  unseen = config.data.unseen_view
  views = (*config.data.views, *((unseen,) if unseen else ()))
  with ProgressReport() as shown:
    shown.note(f"demonstrations: {name} in {directory}")
    registry.build(name, directory, progress=shown.counter(name, "demonstrations"))
    return render.render_videos(
      directory,
      tasks=stages.all_tasks(config),
      views=views,
      rows=config.data.rows,
      columns=config.data.columns,
      progress=shown.counter("drawing", "videos"),
    )


def main_stage(config: ConfigDict) -> str:
  """The stage whose rate and parameters are the run's: the last method's first embedding."""
  train = stages.training_sets(config)[-1]
  return stages.stage_name(stages.able_methods(config, train)[-1], train, config.seed)
