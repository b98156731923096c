"""Makes one record of `multiview_pouring`, in a process that imports no more than the world."""

from collections.abc import Callable
from typing import Any

from jaxskills.data_builders.recorders import Planned, record_of
from jaxskills.envs.pouring.demonstration import demonstrate


def make_recorder() -> Callable[[Planned], dict[str, Any]]:
  """The work of a process; see `record`."""
  return record


def record(planned: Planned) -> dict[str, Any]:
  """The record, as `builder.features` describes it."""
  made = demonstrate(planned.seed, condition=planned.condition, fake=planned.fake or None)
  return record_of(planned, made)
