"""Records of demonstrations: what each is to be, what it holds, and processes that make them.

Imports no world, so that naming a data set does not wait for one.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from jaxskills.crew import Crew
from jaxskills.physics.processor import cores


class Planned(NamedTuple):
  """What a record is to be; whatever else it holds follows from it."""

  task: str
  split: str
  condition: str
  seed: int
  fake: str
  """Kind of failure, or "" for a success."""


def record_of(planned: Planned, made: Any) -> dict[str, Any]:
  """The record of a demonstration, as the builders' `features` describe it.

  Args:
    planned: what it was to be.
    made: the `Demonstration` of a world.
  """
  return {
    **planned._asdict(),
    "success": made.success,
    "scene": made.scene.to_json(),
    "length": len(made.qpos),
    "qpos": made.qpos,
    "qvel": made.qvel,
    "ctrl": made.ctrl,
    "labels": made.labels,
  }


class Recorders:
  """One process a core, started when the first shard wants them."""

  def __init__(self, target: str):
    """Takes what makes a record, as `crew.Crew` does: `module:factory`."""
    self._target = target
    self._crew: Crew | None = None

  def record(self, planned: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Records of what is planned, in its order."""
    if self._crew is None or not self._crew.pids:  # the first shard, or one before was left early
      self._crew = Crew(self._target, processes=cores())
    yield from self._crew.map(planned)
