"""Latency of one decision on one thread: onnxruntime, C, TorchScript, and the safety filter.

  jaxskills bench deploy      a few minutes

Two networks with random weights: that of a small H1 policy (41-256-128-64-10) and that of
`h1/velocity` (three measurements of 68 numbers, 512-256-128, 19 joints), with the running
normaliser inside and ELU between layers. In every turn each implementation makes 50,000 decisions,
one observation at a time, and every call is timed: onnxruntime and TorchScript from Python, with
inputs prepared, as a controller in Python calls them; C from C, as one in C does. "bound" is
onnxruntime with buffers that it was given once, "no network" a call of it that computes nothing.
The percentiles are medians over five turns. Floors, on the small network: onnxruntime p50 at most
10 and p99 at most 20 microseconds, C at least twice as fast; the safety filter in C p99 at most 5
microseconds.
"""

import importlib.util
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxskills.assets.h1 import H1
from jaxskills.benchmarks import measuring
from jaxskills.benchmarks.measuring import Contender
from jaxskills.deploy import latency, network_c, network_onnx, network_torch, safety, safety_c
from jaxskills.deploy.graph import Graph
from jaxskills.deploy.latency import Latency
from jaxskills.deploy.network import Activation, Affine, Layer, Network, Standardize
from jaxskills.deploy.safety import Command, Limits, Reading

COLUMNS = {
  "name": "name",
  "p50 us": "value",
  "p99 us": "p99",
  "p99.9 us": "p999",
  "peer": "peer",
  "ratio": "ratio",
  "floors": "floors",
  "reached": "reached",
}
NETWORKS: Mapping[str, tuple[int, ...]] = {
  "h1": (41, 256, 128, 64, 10),
  "h1/velocity": (3 * 68, 512, 256, 128, 19),
}
C_FLAGS = {"C -O3 -march=native": ("-O3", "-march=native"), "C -O2": ("-O2",)}
ONNXRUNTIME, BOUND, TORCHSCRIPT = "onnxruntime", "onnxruntime bound", "TorchScript"
NOTHING = "onnxruntime no network"
_ROWS = 256  # observations that take turns
_LEGS = 10  # joints that a walking policy moves
_FILTER_STEPS = 5_000  # of the filter in Python, which is not raced: nothing streams with its tail


class Sizes(NamedTuple):
  """How much is measured.

  Attributes:
    networks: widths of layers by name, the observation's first.
    calls: of each contender in a turn.
    rounds: turns of each.
  """

  networks: Mapping[str, tuple[int, ...]] = NETWORKS
  calls: int = latency.CALLS
  rounds: int = measuring.ROUNDS


SIZES = Sizes()  # of the benchmark; tests take less


class Floor(NamedTuple):
  """What we hold a row to: percentiles in microseconds, and how much faster than its peer."""

  p50: float = np.inf
  p99: float = np.inf
  ratio: float = 0.0

  @property
  def text(self) -> str:
    """For people; "-" where nothing is asked."""
    asked = [f"{name} <= {value:g}" for name, value in self._asdict().items() if value < np.inf]
    return ", ".join(asked[:-1] + ([f"ratio >= {self.ratio:g}"] if self.ratio else [])) or "-"


FLOORS = {
  f"h1 {ONNXRUNTIME}": Floor(p50=10.0, p99=20.0),
  f"h1 {BOUND}": Floor(p50=10.0, p99=20.0),
  "h1 C -O3 -march=native": Floor(ratio=2.0),
  "safety filter C": Floor(p99=5.0),
}


class Timed(NamedTuple):
  """One way to decide.

  Attributes:
    name: of its row.
    peer: name of the row that it is compared with; None for none.
    time: `calls -> nanoseconds [calls]`.
    facts: whatever else belongs to the row.
  """

  name: str
  peer: str | None
  time: Callable[[int], np.ndarray]
  facts: Mapping[str, Any] = {}


def measure(sizes: Sizes = SIZES) -> dict[str, Any]:
  """Measures all rows; see `measuring` for how."""
  has_torch = importlib.util.find_spec("torch") is not None
  facts = measuring.machine("onnxruntime", *(["torch"] if has_torch else []))
  with tempfile.TemporaryDirectory() as folder:
    timed = [
      *(way for name, widths in sizes.networks.items() for way in ways(name, widths, Path(folder))),
      call_alone(),
      *filters(),
    ]
    found = race(timed, sizes)
  return {"machine": facts, "rows": [_row(way, found) for way in timed]}


def ways(name: str, widths: Sequence[int], folder: Path) -> list[Timed]:
  """The implementations of one network, set up.

  Args:
    name: of the network.
    widths: of its layers, the observation's first.
    folder: where C is compiled.
  """
  network = make_network(widths)
  observation = np.random.default_rng(1).normal(size=(_ROWS, widths[0])).astype(np.float32)
  facts = {"network": "-".join(map(str, widths)), "activation": "elu"}
  model = network_onnx.policy_model(network, {}).SerializeToString()
  onnx_name, torch_name = f"{name} {ONNXRUNTIME}", f"{name} {TORCHSCRIPT}"
  script = network_torch.write(network)
  runtime = latency.OnnxRuntime([model], {"state": observation})
  bound = latency.BoundOnnxRuntime(model, {"state": observation})
  peer = None if script is None else torch_name
  found = [
    Timed(onnx_name, peer, runtime.time, facts),
    Timed(f"{name} {BOUND}", peer, bound.time, facts),
  ]
  for compiled, flags in C_FLAGS.items():
    place = Path(tempfile.mkdtemp(dir=folder))
    c = latency.C(network_c.write(network), observation, place, flags)
    found.append(Timed(f"{name} {compiled}", onnx_name, c.time, facts))
  if script is not None:
    found.append(Timed(torch_name, None, latency.TorchScript(script, observation).time, facts))
  return found


def call_alone() -> Timed:
  """What a call of onnxruntime costs that hands its input on."""
  graph = Graph("nothing")
  graph.add_output("action", graph.add_input("state", "float32", [1]), [1])
  model = graph.finish({}).SerializeToString()
  runtime = latency.OnnxRuntime([model], {"state": np.zeros((_ROWS, 1), np.float32)})
  return Timed(NOTHING, None, runtime.time)


def filters() -> list[Timed]:
  """The safety filter of a walking H1 in C, and in Python, where numbers come one at a time."""
  limits = safety.limits_of(
    H1._asdict(),
    controlled=range(_LEGS),
    scale=[0.25] * _LEGS,
    offset=H1.default_pose[:_LEGS],
    action_limit=4.0,
    policy_seconds=1.0 / H1.control_hz,
  )
  facts = {"joints": len(limits.joints)}
  in_c, in_python = "safety filter C", "safety filter Python"
  return [
    Timed(in_c, in_python, lambda calls: 1e9 * safety_c.measure(limits, calls), facts),
    Timed(in_python, None, lambda calls: _time_filter(limits, calls), facts),
  ]


def _time_filter(limits: Limits, calls: int) -> np.ndarray:
  """Nanoseconds `[calls]` of the filter in Python: in RUN, targets that step at 50 Hz."""
  steps = min(calls, _FILTER_STEPS)
  jumps = np.random.default_rng(2).uniform(-0.3, 0.3, (steps, len(limits.joints)))
  hold = round(1.0 / (H1.control_hz * limits.tick))
  still, state = np.zeros(len(limits.joints)), safety.start(limits)

  def step(now: float, target: np.ndarray) -> None:
    nonlocal state
    reading = Reading(now, limits.default_pose, still, 1.0, 1.0)
    state, _ = safety.step(limits, state, now, reading, Command(now, target, True))

  arguments = [
    (limits.tick * number, limits.default_pose + jumps[number // hold]) for number in range(steps)
  ]
  return latency.time_calls(step, arguments, steps, warmup=0)


def make_network(widths: Sequence[int]) -> Network:
  """A network of these widths: a normaliser, and ELU between layers; weights are random."""
  generator = np.random.default_rng(0)
  layers: list[Layer] = [
    Standardize(
      generator.normal(size=widths[0]).astype(np.float32),
      generator.uniform(0.5, 2.0, widths[0]).astype(np.float32),
      10.0,
    )
  ]
  for inputs, outputs in zip(widths, widths[1:], strict=False):
    kernel = generator.normal(0.0, 1.0 / np.sqrt(inputs), (inputs, outputs))
    bias = generator.normal(0.0, 0.1, outputs)
    layers += [Affine(kernel.astype(np.float32), bias.astype(np.float32)), Activation("elu")]
  return Network(widths[0], widths[-1], tuple(layers[:-1]))


def race(timed: Sequence[Timed], sizes: Sizes) -> dict[str, list[Latency]]:
  """Lets all take turns; percentiles of every turn, by name."""
  found: dict[str, list[Latency]] = {way.name: [] for way in timed}

  def contender(way: Timed) -> Contender:
    def run() -> Mapping[str, float]:
      turn = latency.summarize(way.time(sizes.calls))
      found[way.name].append(turn)
      return {"p50": turn.p50}

    return Contender(way.name, run, sizes.calls)

  measuring.race([contender(way) for way in timed], sizes.rounds, seconds=0.0)
  return {name: turns[1:] for name, turns in found.items()}  # the first is not measured


def _row(way: Timed, found: Mapping[str, Sequence[Latency]]) -> dict[str, Any]:
  turns = found[way.name]
  middle = latency.medians(turns)
  row = {
    "name": way.name,
    "value": middle.p50,
    "unit": "us",
    **middle._asdict(),
    "p50_range": [min(turn.p50 for turn in turns), max(turn.p50 for turn in turns)],
    "p99_range": [min(turn.p99 for turn in turns), max(turn.p99 for turn in turns)],
    "turns": len(turns),
    **way.facts,
  }
  if way.peer is not None:
    ratios = [theirs.p50 / mine.p50 for mine, theirs in zip(turns, found[way.peer], strict=True)]
    row |= {"peer": way.peer, "ratio": statistics.median(ratios)}
    row["ratio_range"] = [min(ratios), max(ratios)]
  if floor := FLOORS.get(way.name):
    reached = middle.p50 <= floor.p50 and middle.p99 <= floor.p99
    row |= {"floors": floor.text, "reached": reached and row.get("ratio", 0.0) >= floor.ratio}
  return row
