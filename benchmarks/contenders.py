"""What benchmarks let race: updates over given batches, whole stages, and a PyTorch re-host.

Each is made a `Contender` as it would run for real: ours compiled ahead and with donated state, a
stage with its own feed, the re-host on as many threads as serve it best.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from jaxskills.benchmarks import measuring, rehost_updates
from jaxskills.benchmarks.measuring import Contender
from jaxskills.physics import processor
from jaxskills.training.run_state import Stage


def update_contender(
  name: str, run: Any, carry: Any, batches: Any, units: float
) -> tuple[Contender, float]:
  """Training on and on, over the same batches; and the seconds to compile it.

  Args:
    name: of the contender.
    run: `(carry, batches) -> (carry, metrics)`, with a figure per batch in each metric.
    carry: to begin with.
    batches: stacked along a leading axis.
    units: as in `Contender`.
  """
  program, seconds = measuring.compiled(run, carry, batches, donate=True)
  carry = jax.tree.map(lambda leaf: leaf.copy(), carry)  # the call overwrites it

  def again() -> Mapping[str, float]:
    nonlocal carry
    carry, metrics = program(carry, batches)
    return {name: float(value[-1]) for name, value in metrics.items()}

  return Contender(name, again, units), seconds


def stage_contender(name: str, stage: Stage, factor: float) -> tuple[Contender, float]:
  """A stage of an experiment, run as `training.loop` runs it; and the seconds to compile it.

  Args:
    name: of the contender.
    stage: as the experiment builds it.
    factor: what is counted, per `stage.unit`.
  """
  state = jax.jit(stage.init)(jax.random.key(0))
  feed = stage.feed
  chunk, seconds = measuring.compiled(
    stage.chunk, state, None if feed is None else feed.next(), donate=True
  )

  def run() -> Mapping[str, float]:
    nonlocal state
    state, metrics = chunk(state, None if feed is None else feed.next())
    return floats(metrics)

  return Contender(name, run, factor * stage.per_chunk), seconds


def peer_contender(
  name: str, run: Callable[[], Mapping[str, float]], units: float, seconds: float = 1.0
) -> tuple[Contender, int]:
  """The re-host on one core or on all, whichever is faster, and which it is.

  Args:
    name: of the contender.
    run: as in `Contender`.
    units: likewise.
    seconds: that each number of threads is tried.
  """

  def on(threads: int) -> Contender:
    def again() -> Mapping[str, float]:
      rehost_updates.use_threads(threads)
      return run()

    return Contender(name, again, units)

  tried = {
    threads: measuring.race((on(threads),), rounds=1, seconds=seconds)[name][0]
    for threads in sorted({1, processor.cores()})
  }
  best = max(tried, key=lambda threads: tried[threads])
  return on(best), best


def rehost_facts() -> dict[str, Any]:
  """Facts of the machine for a race against a re-host, and what both sides run on."""
  return {
    **measuring.machine("torch"),
    "threads": f"ours {processor.cores()}; the peer as each row says, 1 or as many",
    "peer": "PyTorch re-host, eager, fused Adam; a re-host, not the released code",
  }


def floats(metrics: Mapping[str, Any]) -> dict[str, float]:
  """Figures on the host: what a contender returns, since its work is then done."""
  return {name: float(value) for name, value in metrics.items()}
