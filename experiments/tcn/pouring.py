"""TCN on videos of pouring: embeddings that know what hand, vessel and liquid are doing.

  jaxskills train tcn/pouring:quick
  jaxskills train tcn/pouring:paper

Sermanet et al. 2018, section IV-A, tables I, II and IV. A simulated hand pours beads from one
vessel into another, or fails to, before four cameras; vessels of test videos are clear. Methods
learn from videos of it and are told nothing else. They are judged by nearest neighbours in the
embedding: how well two cameras' videos of one demonstration align (ASN's equation 7); how well
videos of two demonstrations do by TCN's four key frames (column "Across": the alignment error of
table I, in lengths of the video, as its 28 % of random frames must be read); and how often
neighbours in other videos disagree about each of the five attributes of table II. An attribute's
error is the mean over its classes, so that chance and always the commonest class have 1 - 1 /
classes alike. Intervals of attributes are over seeds alone: a test video's frames have their
neighbours in the other test videos.

The attributes are those of the simulator's state (`envs.pouring.attributes`), not people's
judgement, and the videos are ours: figures compare methods with one another and with the baselines
beside them, not with the papers'. Models are what the last update left; the paper takes the best
of validation. As in `asn/blocks`, a small network is trained from random weights on pictures of
64 x 64; `--config.embedder.weights` begins with published ones, and adds the row "ImageNet
features". Measured joints are the hand's, and measured objects the two vessels: neither knows where
beads are.

`quick` has 60 pourings and 12 failures to learn from, 20 and 5 to be judged by. `paper` has the
paper's 133 and 30 with failures beside them, and all rows of its tables.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from jaxskills.config import restore
from jaxskills.data.video_store import VideoStore
from jaxskills.data_builders import registry
from jaxskills.data_builders.multiview_pouring import builder
from jaxskills.envs.pouring.attributes import ATTRIBUTES
from jaxskills.errors import UserError
from jaxskills.evaluation import classification, embedding_table
from jaxskills.experiments.asn import blocks, checks, methods, results, runs, stages
from jaxskills.experiments.asn.stages import Column
from jaxskills.training import loop
from jaxskills.training.workdir import Workdir, read_config

EXPERIMENT = "tcn/pouring"
PRESETS = {
  "quick": "five methods, five seeds each, 72 videos to learn from; 2 CPU cores",
  "paper": "tables I, II and IV on as many videos as the paper has; wants an accelerator",
}
MEAN = "attributes_error"
"""The score that is the mean of the five attributes' errors: the "classif. error" of table I."""
_ERRORS = tuple(f"{name}_error" for name in ATTRIBUTES)
_HEADS = {
  "Alignment": "alignment",
  "Across": "across_by_video",
  "Attributes": MEAN,
  "Contact": "contact_error",
  "Distance": "distance_error",
  "Angle": "angle_error",
  "Flowing": "flowing_error",
  "Has liquid": "has_liquid_error",
}
_WITH_INTERVALS = ("Alignment", "Across", "Attributes")  # of eight, a line has no room
_JUDGED_BY = ("looks", "test")  # by `evaluate`: the first split that has videos


def get_config(preset: str = "quick") -> ConfigDict:
  """The configuration of a preset: that of `asn/blocks:quick` but for what stands here.

  Raises:
    ValueError: if there is no such preset.
  """
  if preset not in PRESETS:
    raise ValueError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
  config = blocks.get_config("quick")
  config.unlock()
  del config.asn, config.skills  # an adversary tells two tasks apart, and pouring is one
  del config.data.store  # films tell nothing of attributes; `asn/blocks` takes them
  config.methods = ("tcn_lifted", "tcn_triplet", "tcn_npairs", "single_view", "shuffle_and_learn")
  config.columns = (f"{builder.TASK}->{builder.TASK}",)
  # A pour takes 3 to 8 s, where a block's task takes longer: eight instants at twice the distance
  # would not go into one.
  config.pairs.margin_seconds = 0.25
  config.training.updates = 2_000
  if preset == "paper":
    config.data.preset = "paper"
    config.training.updates = 20_000
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

  Raises:
    UserError: for names or numbers that cannot be run, before anything is made.
  """
  checks.check(config, None, (builder.TASK,))
  if wrong := [name for name in config.methods if methods.METHODS[name].kind == "asn"]:
    raise UserError(f"{wrong[0]} learns from two tasks or more, and pouring is one; leave it out")
  registry.describe(f"{builder.NAME}:{config.data.preset}")  # refuses a preset that is none
  return runs.train(
    EXPERIMENT,
    config,
    workdir,
    preset=preset,
    overwrite=overwrite,
    build_videos=build_videos,
    figures=figures,
  )


def evaluate(workdir: Path, *, episodes: int, video: bool) -> dict[str, Any]:
  """Scores every embedding of a finished run amid textures and colours unlike those of training.

  Args:
    workdir: of a finished run.
    episodes: at most so many videos.
    video: refused; the run's report has its pictures already.

  Returns:
    By split ("looks"; "test" where there is none), then as in the run's summary, the scores of
    `table` alone.
  """
  if video:
    raise UserError("there is no film of tcn/pouring; leave out --video")
  config = run_config(workdir)
  store = build_videos(config)
  split = next(name for name in _JUDGED_BY if len(store.select(splits=(name,))))
  folder = Path(workdir).expanduser().resolve()
  found, _ = loop.load_results(folder, stages.make_stages(config, None))
  made = figures(config, found, store, None, split=split, most=episodes)
  return {split: {score: made[score] for score in _HEADS.values() if score in made}}


def table(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
  """Rows of the paper's tables I and II: errors of alignment and attributes, baselines below.

  Alignment and the attributes' mean have 95 % intervals.
  """
  order = embedding_table.ordered(
    name for score in _HEADS.values() for name in embedding_table.models(metrics, score)
  )
  column = next(iter(embedding_table.columns(metrics, "alignment")), "")
  rows = []
  for name in order:
    row = {"Model": embedding_table.label(metrics, name)}
    for head, score in _HEADS.items():
      cell = embedding_table.cell(metrics, score, name, column)
      if cell is not None and head not in _WITH_INTERVALS:
        cell = cell._replace(low=np.nan, high=np.nan)
      row[head] = embedding_table.written(cell)
    rows.append(row)
  return rows


def figures(
  config: ConfigDict,
  found: Mapping[str, Any],
  store: VideoStore,
  folder: Workdir | None,
  *,
  split: str = "test",
  most: int | None = None,
) -> dict[str, Any]:
  """Figures of `results.figures`, with the attributes' mean and what the commonest class has."""
  made = results.figures(config, found, store, folder, split=split, most=most)
  for column in stages.columns(config):
    rows = [store.rows_of(int(n)) for n in results.judged_by(store, column, split, most)]
    blindly = {
      f"{name}_error": np.array([majority_error(np.concatenate([labels[at] for at in rows]))])
      for name, labels in store.labels.items()
      if name in ATTRIBUTES and f"{name}_error" in made
    }
    embedding_table.add(made, "majority", column.name, [blindly])
    _add_mean(made, column)
  return made


def majority_error(labels: np.ndarray) -> float:
  """Mean over classes of the error of always saying the commonest of `labels` `[frame]`."""
  _, truth, frames = np.unique(labels, return_inverse=True, return_counts=True)
  return classification.class_errors(np.full(len(truth), frames.argmax()), truth).mean


def run_config(workdir: Path) -> ConfigDict:
  """The configuration of a run in a folder.

  Raises:
    UserError: if there is no run, or one of a version with other keys, naming them.
  """
  return restore(read_config(workdir).get("config"), get_config(), workdir)


def build_videos(config: ConfigDict) -> VideoStore:
  """Records and draws what is missing of the demonstrations."""
  return runs.record_videos(config, builder.NAME)


def _add_mean(made: dict[str, Any], column: Column) -> None:
  """Adds `MEAN` of every model that has all five attributes, seed by seed."""
  if not all(score in made for score in _ERRORS):
    return  # videos that show a single class of some attribute
  for model in made[_ERRORS[0]]:
    by_seed = np.mean([made[score][model][column.name]["by_seed"] for score in _ERRORS], axis=0)
    embedding_table.add(made, model, column.name, [{MEAN: np.array([mean])} for mean in by_seed])
