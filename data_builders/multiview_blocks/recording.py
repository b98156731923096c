"""Makes one record of `multiview_blocks`, in a process that imports no more than the world."""

from collections.abc import Callable
from typing import Any

from jaxskills.data_builders.recorders import Planned, record_of
from jaxskills.envs.tabletop.demonstration import demonstrate

_SEEDS = 3  # that are tried for one record
_NEXT_SEED = 500_000  # from one of them to the next: more than a task has records


def make_recorder() -> Callable[[Planned], dict[str, Any]]:
  """The work of a process; see `record`."""
  return record


def record(planned: Planned) -> dict[str, Any]:
  """The record, as `builder.features` describes it.

  Raises:
    RuntimeError: if no scene of several seeds ended as it should.
  """
  failures = []
  for number in range(_SEEDS):
    seed = planned.seed + number * _NEXT_SEED
    try:
      made = demonstrate(planned.task, seed, condition=planned.condition, fake=planned.fake or None)
    except RuntimeError as error:
      failures.append(str(error))
      continue
    return record_of(planned._replace(seed=seed), made)
  raise RuntimeError("; ".join(failures))
