"""What a run is made of, and all that it must remember to go on after a kill.

A run is a list of *stages* (pretraining, a baseline, reinforcement learning), each made from the
results of those before it. A stage brings pure functions of one state pytree; `loop.py` calls them
and nothing else holds state, so a `RunState` is the whole truth about an unfinished stage:
parameters, optimisers, replay, worlds and typed PRNG keys in `state`, the data cursor in `feed`,
and the clocks and counters of the host.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from jaxskills.types import Key, Metrics

State = Any
"""The pytree of arrays that a stage trains."""

Results = Mapping[str, Any]
"""What the finished stages hand on, by stage name."""


def is_key(leaf: Any) -> bool:
  """Whether an array, or the shape of one, is of typed PRNG keys."""
  return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


class Feed(Protocol):
  """Data that arrives from the host, with a position that can be saved."""

  def next(self) -> Any:
    """The next pytree of NumPy arrays; shapes and dtypes never change."""
    ...

  def get_state(self) -> bytes:
    """The position, such that `set_state` makes `next` return what it would have returned."""
    ...

  def set_state(self, state: bytes) -> None:
    """Goes to a position that `get_state` gave."""
    ...


class Stage(NamedTuple):
  """One part of a run, as pure functions.

  Attributes:
    name: also its folder under `checkpoints/`, e.g. `"rl/spirl"`.
    init: `key -> state`; compiled by the loop.
    chunk: `(state, data) -> (state, metrics)`; compiled by the loop, which donates `state`. Random
      numbers come from a key in `state`. `data` is None without a feed. A metric is a scalar, or
      `[n]` for n runs trained as one (several seeds).
    chunks: how many to run.
    per_chunk: how much of `unit` a chunk does, for rates and the progress bar.
    unit: e.g. `"environment steps"`.
    finish: `state -> result`, what later stages and the exporter need; must be traceable.
    counters: `state -> {"env_steps", "updates"}`.
    feed: where `data` comes from.
    evaluate: `state -> metrics`; compiled; called every `evaluate_every` chunks and at the end.
    evaluate_every: in chunks; 0 evaluates at the end only.
    headline: names of the metrics that progress lines show.
    compiler_options: of the functions that the loop compiles, as `jax.jit` takes them.
    shardings: `(mesh, state) -> shardings` for a state spread over several devices; `state` holds
      shapes and `sharding.py` has the parts. Without it the stage runs on the first device.
  """

  name: str
  init: Callable[[Key], State]
  chunk: Callable[[State, Any], tuple[State, Metrics]]
  chunks: int
  per_chunk: int
  unit: str
  finish: Callable[[State], Any]
  counters: Callable[[State], Mapping[str, jax.Array]]
  feed: Feed | None = None
  evaluate: Callable[[State], Metrics] | None = None
  evaluate_every: int = 0
  headline: tuple[str, ...] = ()
  compiler_options: dict[str, bool | str] | None = None
  shardings: Callable[[jax.sharding.Mesh, State], Any] | None = None


BuildStage = Callable[[Results], Stage]


class Progress(NamedTuple):
  """What the host knows of a stage; saved as JSON beside the arrays.

  Attributes:
    chunk: chunks done.
    env_steps: environment steps done.
    updates: gradient steps done.
    wall_seconds: on this stage, over all processes that worked on it; compiling, evaluating and
      saving included.
    chunk_seconds: the part spent in chunks, waiting for data included.
    compile_seconds: the part spent compiling.
    metrics: the latest value of every metric, as in a row of `metrics.jsonl`.
  """

  chunk: int = 0
  env_steps: int = 0
  updates: int = 0
  wall_seconds: float = 0.0
  chunk_seconds: float = 0.0
  compile_seconds: float = 0.0
  metrics: Mapping[str, Any] = {}


class RunState(NamedTuple):
  """Everything that an unfinished stage needs to go on."""

  state: State
  feed: bytes
  progress: Progress


class StageReport(NamedTuple):
  """What a finished stage cost and reached.

  Attributes:
    progress: the final counters, clocks and metrics.
    steps_per_second: of the stage's unit, over `chunk_seconds`.
    parameters_sha256: of the result (`metrics.parameters_sha256`).
  """

  progress: Progress
  steps_per_second: float
  parameters_sha256: str
