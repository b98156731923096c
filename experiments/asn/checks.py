"""What a run of embeddings is refused for, before anything is made or drawn."""

from collections.abc import Sequence
from typing import get_args

import numpy as np
from ml_collections import ConfigDict

from jaxskills.config import nearest
from jaxskills.data.video_store import VideoStore
from jaxskills.envs.tabletop.looks import CAMERAS
from jaxskills.envs.tabletop.tasks import TASKS
from jaxskills.errors import UserError
from jaxskills.experiments.asn import methods, stages
from jaxskills.experiments.asn.task_sets import tasks_in
from jaxskills.networks import inception
from jaxskills.networks.embedder import Backbone, BnMode

_SAME_RATE = 0.01  # as the importer of films has it


def check(
  config: ConfigDict, store: VideoStore | None, tasks: Sequence[str] = tuple(TASKS)
) -> None:
  """Refuses what cannot be run.

  Args:
    config: of the run.
    store: the user's own videos; None if they are to be recorded and drawn.
    tasks: that can be recorded; `tabletop.looks` has the cameras of all of them.

  Raises:
    UserError: naming what is wrong.
  """
  for name in config.methods:
    if name not in methods.METHODS:
      raise UserError(f"no method {name}{nearest(name, list(methods.METHODS))}")
  if not config.methods or len(set(config.methods)) != len(config.methods):
    raise UserError(f"config.methods needs different names, not {list(config.methods)}")
  for name in ("updates", "updates_per_chunk"):
    if config.training[name] < 1:
      raise UserError(f"config.training.{name} must be at least 1, not {config.training[name]}")
  if config.num_seeds < 1:
    raise UserError(f"config.num_seeds must be at least 1, not {config.num_seeds}")
  where = "" if store is None else f" in {store.directory}"
  try:
    _check_tasks(config, tasks if store is None else store.tasks, where)
    _check_views(config, CAMERAS if store is None else store.views, where)
    _check_embedder(config)
    for train, names in _trained(config):
      spec = methods.make_spec(config, train)
      for name in names:
        methods.make_learner(config, methods.METHODS[name], spec)
    if store is not None:
      _check_store(config, store)
  except ValueError as error:
    raise UserError(str(error)) from error


def _check_tasks(config: ConfigDict, known: Sequence[str], where: str) -> None:
  for task in stages.all_tasks(config):
    if task not in known:
      raise ValueError(f"no task {task!r}{where}; there are {', '.join(known)}")
  if not stages.columns(config):
    raise ValueError("config.columns names no tasks to train on; AB->C is a column")
  for train, names in _trained(config):
    if not names:
      raise ValueError(f"no method of {list(config.methods)} learns from task {train} alone")


def _check_views(config: ConfigDict, known: Sequence[str], where: str) -> None:
  views, unseen = list(config.data.views), config.data.unseen_view
  for key, names in (("views", views), ("unseen_view", [unseen] if unseen else [])):
    for name in names:
      if name not in known:
        raise ValueError(f"no view {name!r}{where} for config.data.{key}; there are {_list(known)}")
  if len(set(views)) != len(views) or unseen in views:
    raise ValueError(
      f"config.data.views {_list(views)} and config.data.unseen_view {unseen} must all differ"
    )
  if len(views) < 2:
    raise ValueError(f"videos are aligned between two of config.data.views or more, not {views}")


def _check_embedder(config: ConfigDict) -> None:
  group, sides = config.embedder, (config.data.rows, config.data.columns)
  for key, names in (("backbone", get_args(Backbone)), ("bn_mode", get_args(BnMode))):
    if group[key] not in names:
      raise ValueError(f"config.embedder.{key} is one of {_list(names)}, not {group[key]!r}")
  if group.backbone == "inception" and min(sides) < inception.SMALLEST:
    raise ValueError(
      f"inception takes pictures of {inception.SMALLEST} pixels a side or more, not"
      f" {sides[0]} x {sides[1]}"
    )
  if group.weights and group.backbone == "small":
    raise ValueError(
      "config.embedder.weights are of resnet18 or inception; say by config.embedder.backbone which"
    )
  if group.cache and not (group.weights and group.freeze_trunk and group.bn_mode == "frozen"):
    raise ValueError(
      "config.embedder.cache keeps what a trunk makes of pictures that never changes: it needs"
      " config.embedder.weights, freeze_trunk and bn_mode=frozen"
    )
  if config.pairs.across_videos and "tcn_tcc" in config.methods:
    raise ValueError(
      "tcn_tcc goes by the order of instants, which config.pairs.across_videos mixes with those of"
      " other videos"
    )


def _check_store(config: ConfigDict, store: VideoStore) -> None:
  """Refuses videos that cannot be trained on and judged by."""
  needed = {"train": [column.train for column in stages.columns(config)]}
  needed["test"] = [column.test for column in stages.columns(config)]
  for split, sets in needed.items():
    for task in sorted({task for written in sets for task in tasks_in(written)}):
      if not len(store.select(tasks=[task], splits=(split,))):
        raise ValueError(
          f"no video of task {task!r} in {store.directory} is in split {split!r}; sort the films"
          " into folders train and test, or say so in labels.csv, and import them again"
        )
  rates = store.index.seconds_per_frame
  if np.ptp(rates) > _SAME_RATE * rates.min() and any(
    methods.input_frames(methods.METHODS[name]) > 1 for name in config.methods
  ):
    raise ValueError(
      f"videos in {store.directory} differ in frames a second, and a method of several frames"
      " takes them in one stride; import them with --fps"
    )
  for train, names in _trained(config):
    for name in names:
      methods.make_sampler(config, methods.METHODS[name], store, train)


def _trained(config: ConfigDict) -> list[tuple[str, list[str]]]:
  """Sets of tasks, and the methods that can learn from each."""
  return [(train, stages.able_methods(config, train)) for train in stages.training_sets(config)]


def _list(names: Sequence[str]) -> str:
  return ", ".join(names)
