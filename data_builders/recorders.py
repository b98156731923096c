"""Processes that make the records of a data set, on all cores."""

from collections.abc import Iterable, Iterator
from typing import Any

from jaxskills.crew import Crew
from jaxskills.physics.processor import cores


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
