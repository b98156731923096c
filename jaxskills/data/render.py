"""Videos of recorded demonstrations: drawn once, on all cores, kept in the user's cache folder.

The folder's name is a hash of all that decides the pixels: the records, which of them, the views,
the settings, and the code that draws. So a change of any of them draws anew beside what was there,
and what is there never has to be doubted. A run that is interrupted or killed goes on with the
first video that is missing.
"""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxskills import disk
from jaxskills.data.recorded_worlds import WORLDS, RecordedWorld
from jaxskills.data.render_worker import Job
from jaxskills.data.video_plan import StorePlan
from jaxskills.data.video_store import SPLITS, VideoStore, make_index
from jaxskills.data.video_writer import StoreWriter
from jaxskills.data_builders import manifest, shards
from jaxskills.envs.tabletop.looks import CAMERAS
from jaxskills.errors import UserError
from jaxskills.physics.camera_native import drawing_crew
from jaxskills.physics.drawing import DRAWING, Drawing
from jaxskills.physics.processor import cores

Progress = Callable[[int, int], None]
"""Called as `progress(videos so far, videos in all)`, first with what is there."""


def render_videos(
  records: str | Path,
  *,
  tasks: Sequence[str] | None = None,
  views: Sequence[str] = CAMERAS,
  rows: int = 64,
  columns: int = 64,
  drawing: Drawing = DRAWING,
  directory: str | Path | None = None,
  processes: int | None = None,
  progress: Progress | None = None,
) -> VideoStore:
  """Draws what is missing of the videos of a data set; returns at once if nothing is.

  Another process that draws the same is waited for, after which nothing is missing.

  Args:
    records: folder of one of the data sets that `recorded_worlds.WORLDS` names, built.
    tasks: names of those wanted; all that there are if None.
    views: names of cameras, of `looks.CAMERAS`.
    rows: height of a picture in pixels.
    columns: its width.
    drawing: how.
    directory: for the store; one under the user's cache folder if None.
    processes: one a core if None.
    progress: told what is there, and then about every video.

  Raises:
    UserError: if the data set is missing, damaged or another one, has no such task, if there is no
      such camera, nothing draws off screen, or the disk is full: finished videos are kept.
  """
  records = Path(records)
  held = manifest.verify(records)
  world = WORLDS.get(held.title.partition(":")[0])
  if world is None:
    raise UserError(f"{records} holds {held.title}, not {' or '.join(WORLDS)}")
  _check(views, rows, columns, processes)
  source = shards.read_records(records)
  chosen, plan = _plan(source, world, tasks, tuple(views), rows, columns)
  plan = dataclasses.replace(plan, recipe=_recipe(held.fingerprint, world, drawing))
  folder = Path(directory) if directory is not None else default_directory(held.title, plan)
  tell = progress or (lambda done, total: None)
  with contextlib.ExitStack() as held_until_drawn:
    try:
      folder.parent.mkdir(parents=True, exist_ok=True)
      held_until_drawn.enter_context(disk.alone_in(folder.parent))
    except OSError as error:
      raise UserError(f"cannot write videos to {folder} ({error.strerror or error})") from error
    with StoreWriter(folder, plan) as writer:
      _draw(source, chosen, writer, (world, drawing), processes or cores(), tell)
      return writer.finish()


def default_directory(title: str, plan: StorePlan) -> Path:
  """Where a store lies if nobody says otherwise: under the user's cache folder.

  Args:
    title: of the data set, `name:preset`.
    plan: all that decides its pixels.
  """
  name, _, preset = title.partition(":")
  cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
  content = json.dumps(plan.describe(), sort_keys=True)
  digest = hashlib.sha256(content.encode()).hexdigest()[:16]
  return Path(cache) / "jaxskills" / "video" / name / preset / digest


def _draw(
  source: Sequence[Mapping[str, Any]],
  chosen: Sequence[int],
  writer: StoreWriter,
  how: tuple[RecordedWorld, Drawing],
  processes: int,
  tell: Progress,
) -> None:
  """Draws every video that is missing."""
  missing = writer.missing()
  done = len(chosen) - len(missing)
  tell(done, len(chosen))
  if not missing:
    return

  def jobs() -> Iterator[Job]:
    for video in missing:
      record = source[chosen[video]]
      labels = {name: np.asarray(values) for name, values in record["labels"].items()}
      yield Job(video, _text(record["scene"]), np.asarray(record["qpos"]), labels)

  target = "jaxskills.data.render_worker:make_worker"
  setup = (writer.directory, writer.plan, *how)
  with drawing_crew(target, *setup, processes=min(processes, len(missing))) as crew:
    for count, _ in enumerate(crew.map(jobs()), start=1):
      tell(done + count, len(chosen))


class _Fact(NamedTuple):
  """What a plan needs of a record."""

  number: int
  task: str
  split: str
  fake: str
  seed: int
  success: bool
  frames: int
  positions: int

  @property
  def name(self) -> str:
    """Of its video."""
    return "_".join(filter(None, (self.task, self.split, str(self.seed), self.fake)))


def _facts(source: Sequence[Mapping[str, Any]]) -> list[_Fact]:
  """Of every record, in order."""
  facts = []
  for number in range(len(source)):
    record = source[number]
    task, split, fake = (_text(record[key]) for key in ("task", "split", "fake"))
    seed, success = int(record["seed"]), bool(record["success"])
    facts.append(_Fact(number, task, split, fake, seed, success, *record["qpos"].shape))
  return facts


def _plan(
  source: Sequence[Mapping[str, Any]],
  world: RecordedWorld,
  tasks: Sequence[str] | None,
  views: tuple[str, ...],
  rows: int,
  columns: int,
) -> tuple[list[int], StorePlan]:
  """Which records are wanted, and the store that will hold them."""
  facts = _facts(source)
  there = [task for task in world.tasks if any(fact.task == task for fact in facts)]
  wanted = tuple(there if tasks is None else tasks)
  if missing := [task for task in wanted if task not in there]:
    raise UserError(f"no task {missing[0]} among these records; there are {', '.join(there)}")
  facts = [fact for fact in facts if fact.task in wanted]
  index = make_index(
    [fact.frames for fact in facts],
    seconds_per_frame=1.0 / world.load().FRAMES_PER_SECOND,
    task=[wanted.index(fact.task) for fact in facts],
    is_success=[fact.success for fact in facts],
    split=[SPLITS.index(fact.split) for fact in facts],
  )
  first = source[facts[0].number]["labels"]
  labels: dict[str, tuple[str, tuple[int, ...]]] = {
    name: (np.asarray(values).dtype.str, ()) for name, values in sorted(first.items())
  }
  begin, end = world.objects
  labels["joints"] = ("<f4", (world.joints,))
  labels["objects"] = ("<f4", ((end or max(fact.positions for fact in facts)) - begin,))
  names = tuple(fact.name for fact in facts)
  plan = StorePlan(index, names, wanted, views, rows, columns, labels)
  return [fact.number for fact in facts], plan


def _recipe(fingerprint: str, world: RecordedWorld, drawing: Drawing) -> dict[str, Any]:
  """All that decides the pixels and is not in the plan; of the machine, only MuJoCo's version."""
  return {
    "records": fingerprint,
    "drawing": {**drawing._asdict(), "groups": list(drawing.groups)},
    "code": hashlib.sha256(world.code_bytes()).hexdigest(),
    "mujoco": importlib.metadata.version("mujoco"),
  }


def _check(views: Sequence[str], rows: int, columns: int, processes: int | None) -> None:
  if unknown := [view for view in views if view not in CAMERAS]:
    raise UserError(f"no camera {unknown[0]}; there are {', '.join(CAMERAS)}")
  if rows < 1 or columns < 1 or (processes is not None and processes < 1):
    raise ValueError(
      f"rows, columns and processes must be positive: {rows}, {columns}, {processes}"
    )


def _text(value: str | bytes) -> str:
  return value.decode() if isinstance(value, bytes) else str(value)
