"""TCN and ASN on videos of block tasks: an embedding that tells time in a task it has not seen.

  jaxskills train asn/blocks:quick
  jaxskills train asn/blocks:paper
  jaxskills train asn/blocks:imitation

Sermanet et al. 2018 and Mees et al. 2020, tables I to III. A simulated Panda stacks (A), pushes to
colours (B), stacks by colours (C), separates and stacks (D) blocks before four cameras; methods
learn from videos of some tasks, and are judged by how well they align two cameras' videos of
another one. No method is told what happens when; ASN is told which videos are failures, and how
many tasks there are. The videos are ours and synthetic: figures compare methods with one another
and with the baselines beside them, not with the papers'.

`quick` trains TCN-lifted and ASN on A and B with five seeds each and tests on C. `paper` has 300
demonstrations of each task and all rows and columns of ASN's three tables (but for real videos).
`imitation` trains what the policies of `asn/imitate:quick` see through.

Both train a small network from random weights on pictures of 64 x 64, where the papers train a head
on a frozen Inception with ImageNet's. What goes with that is ours, in `paper` too: 2 videos of 8
instants for 4 of 4, no flips, a rate that falls along a cosine, and of ASN the KL's mean over
skills and latent entries and an alpha of 1. The papers' are `--config.pairs.videos=4
--config.pairs.times=4 --config.augment.flip=.5 --config.asn.kl_reduction=sum
--config.asn.alpha=.1`; for their network see `embedder`. Network, pairs and flips were compared on
videos of A and B that are neither trained on nor reported (the split "val").

Your own films take the place of ours by `--config.data.store`, the folder that `jaxskills data
import` wrote; then `columns`, `data.views` and `data.unseen_view` name its tasks and views.
`--config.embedder.weights` begins with a file of published ImageNet weights, and `cache` computes
what they make of each frame once: fast, but no picture is augmented then.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxskills.config import restore
from jaxskills.data.video_store import VideoStore, open_store
from jaxskills.errors import UserError
from jaxskills.evaluation import embedding_table
from jaxskills.experiments.asn import checks, methods, results, runs, stages
from jaxskills.training import loop
from jaxskills.training.workdir import Workdir, read_config

EXPERIMENT = "asn/blocks"
PRESETS = {
  "quick": "TCN and ASN on stacking and pushing, tested on unseen stacking by colours; 2 CPU cores",
  "imitation": "25 TCNs of pushing and stacking by colours, for asn/imitate; 2 CPU cores",
  "paper": "tables I to III: all methods, ablations and task combinations; wants an accelerator",
}
_SHIFTS = ("shapes", "looks")


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
      "num_seeds": 5,
      "methods": ("tcn_lifted", "asn"),
      "columns": ("AB->C",),
      "data": {
        "preset": "quick",
        "directory": "",
        "store": "",  # a folder of imported films, whose pictures have their own size
        "rows": 64,
        "columns": 64,
        "views": ("front", "left", "right"),
        "unseen_view": "high",  # "" for none
      },
      "embedder": {
        "embedding_dim": 32,
        "backbone": "small",
        "weights": "",  # a file of Keras or torchvision, of resnet18 or inception
        "freeze_trunk": False,
        "cache": False,  # of a frozen trunk's features, not augmented
        "bn_mode": "frozen",
        "channels": (16, 32, 64),
        "strides": (2, 2, 1),
        "kernel": 3,
      },
      "augment": {
        "crop_area": (0.9, 1.0),
        "brightness": 0.3,
        "contrast": 0.3,
        "saturation": 0.3,
        "flip": 0.0,  # with .5 the error on validation videos was .17, not .15
        "jitter_per": "image",
        "eval_area": 1.0,
        "normalization": "signed",
      },
      "pairs": {
        "videos": 2,  # 4 of 4 instants, as the papers have it: .19 on validation videos, not .15
        "times": 8,
        "margin_seconds": 0.5,
        "views_per": "video",
        "across_videos": False,  # whether instants of other videos are negatives too
      },
      "skills": {"clips": 8},
      "metric": {"bound": "hinge", "threshold": 1.2},
      "asn": {
        # The paper's .1 is for a frozen trunk: with one that is trained, the game then holds all
        # embeddings in one point (H_cond is greatest there) and nothing is learned.
        "alpha": 1.0,
        "beta": 1.0,
        "kl_reduction": "mean",
        "classes": 0,
        "game": "alternating",
      },
      "training": {
        "updates": 4_000,
        "updates_per_chunk": 50,
        "learning_rate": 1e-3,
        "final_learning_rate": 0.0,
      },
    }
  )
  if preset == "imitation":
    config.num_seeds = 25  # five for each of five policies
    config.methods, config.columns = ("tcn_lifted",), ("BC->A",)
  if preset == "paper":
    config.methods = tuple(name for name in methods.METHODS if name not in methods.IN_NO_TABLE)
    config.columns = ("C->C", "ABC->ABC", "ABC->C", "AB->C", "ABD->C")
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
  """
  own = open_store(_folder(config.data.store)) if config.data.store else None
  if own is not None:
    config = _with_size(config, own)
  checks.check(config, own)
  return runs.train(
    EXPERIMENT, config, workdir, preset=preset, overwrite=overwrite, build_videos=build_videos
  )


def evaluate(workdir: Path, *, episodes: int, video: bool) -> dict[str, Any]:
  """Scores every embedding of a finished run on videos of two shifts that its table leaves out.

  Args:
    workdir: of a finished run.
    episodes: at most so many videos of each shift.
    video: refused; the run's report has its pictures already.

  Returns:
    By shift ("shapes": cylinders for blocks; "looks": other sizes, textures and backgrounds), then
    as in the run's summary. Imported films have those that their splits name.
  """
  if video:
    raise UserError("there is no film of asn/blocks; leave out --video")
  config = run_config(workdir)
  store = build_videos(config)
  shifts = [
    shift
    for shift in _SHIFTS
    if all(
      len(store.select(tasks=column.test_tasks, splits=(shift,)))
      for column in stages.columns(config)
    )
  ]
  if not shifts:
    raise UserError(
      f"the run has scored all test videos in {store.directory}; beyond them evaluation looks for"
      f" splits {' and '.join(_SHIFTS)}, and there are none"
    )
  folder = Workdir(Path(workdir).expanduser().resolve())
  found, _ = loop.load_results(folder.path, stages.make_stages(config, None))
  return {
    shift: results.alignment_of(config, found, store, split=shift, most=episodes)
    for shift in shifts
  }


def table(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
  """Rows of the papers' table I: alignment errors with 95 % intervals, baselines below."""
  return embedding_table.score_rows(metrics, "alignment")


def run_config(workdir: Path) -> ConfigDict:
  """The configuration of a run in a folder.

  Raises:
    UserError: if there is no run, or one of a version with other keys, naming them.
  """
  return restore(read_config(workdir).get("config"), get_config(), workdir)


def build_videos(config: ConfigDict) -> VideoStore:
  """Opens the run's own videos, or records and draws what is missing of the demonstrations."""
  if config.data.store:
    return open_store(_folder(config.data.store))
  return runs.record_videos(config, "multiview_blocks")


def _folder(written: str) -> Path:
  return Path(written).expanduser()


def _with_size(config: ConfigDict, store: VideoStore) -> ConfigDict:
  """The configuration with the size of the pictures that there are."""
  sized = copy.deepcopy(config)
  sized.data.rows, sized.data.columns = map(int, store.frames.shape[2:4])
  return sized
