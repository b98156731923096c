"""Makes one record of `multiview_pouring`, in a process that imports no more than the world."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxskills.envs.pouring.demonstration import demonstrate

TASK = "pouring"


class Planned(NamedTuple):
  """What a record is to be; whatever else it holds follows from it."""

  split: str
  condition: str
  seed: int
  fake: str
  """Kind of failure, or "" for a success."""


def make_recorder() -> Callable[[Planned], dict[str, Any]]:
  """The work of a process; see `record`."""
  return record


def record(planned: Planned) -> dict[str, Any]:
  """The record, as `builder.features` describes it."""
  made = demonstrate(planned.seed, condition=planned.condition, fake=planned.fake or None)
  return {
    "task": TASK,
    **planned._asdict(),
    "success": made.success,
    "scene": made.scene.to_json(),
    "length": len(made.qpos),
    "qpos": made.qpos,
    "qvel": made.qvel,
    "ctrl": made.ctrl,
    "labels": made.labels,
  }
