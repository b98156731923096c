"""Control steps per second of a robot's environment on each physics engine, stage by stage.

  jaxskills bench h1/velocity --engines=native,mjx --envs=64,512,4096 --peer=brax ...

Four stages (`robot_stages`): the engine alone, the environment on it, with the policy, with all of
training. Each is a fraction of the first, its ceiling, on the same worlds and the same controls.
Then the engines are compared with each other, and with peers: MuJoCo Playground's way of stepping
the same model, Brax's PPO on the same environment. Two that are compared take turns (`measuring`),
five pairs or more, and the median ratio counts. The compilation cache is off, so that seconds to
compile mean something. A world that stops being finite, or in which the engine drops a contact,
fails the benchmark once everything is printed. What was found with it: `benchmarks/README.md`.
"""

import gc
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxskills.benchmarks import measuring, robot_facts, robot_figure, robot_peers
from jaxskills.benchmarks.robot_stages import STAGES, Bench, Cell
from jaxskills.benchmarks.robot_worlds import Start, Target, begin, check_room
from jaxskills.errors import UserError
from jaxskills.physics import engine as physics_engine

TARGETS = ("h1/velocity", "panda/reach", "panda/lift_cube")
"""Experiments that can be measured: those with `get_config(preset)`, `make_env(config, worlds,
engine=name)` (see `robot_worlds.Target`) and the groups of `experiments.on_policy`."""

TABLES = {
  "rows": {
    "engine": "engine",
    "envs": "envs",
    "stage": "stage",
    "control steps/s": "control_steps_per_second",
    "range": "range",
    "physics steps/s": "physics_steps_per_second",
    "of ceiling": "fraction_of_ceiling",
    "compile s": "compile_seconds",
    "MiB": "peak_memory_mib",
    "contacts": "contacts_per_world",
    "cores": "cpu_utilisation",
    "overflow": "overflow",
  },
  "comparisons": {
    "compared": "name",
    "envs": "envs",
    "ours/s": "value",
    "peer": "peer",
    "peer/s": "peer_value",
    "ratio": "ratio",
    "range": "ratio_range",
    "floor": "floor",
  },
}
"""Columns of the tables, from heading to key, by the part of the result that they show."""

CEILING_FLOOR = 0.70  # of the engine alone, that an environment keeps
ENGINE_FLOORS = {"environment": 2.5, "training": 2.0}  # native over mjx, on a CPU
_UNIT = "control steps/s"


class Settings(NamedTuple):
  """How much is measured.

  Attributes:
    stages: of `STAGES`.
    rounds: turns of each contender.
    seconds: of a turn, at least.
    warmup: control steps that worlds live before anything is measured.
    steps: control steps on tape, and in a call at most.
  """

  stages: Sequence[str] = STAGES
  rounds: int = measuring.ROUNDS
  seconds: float = 2.0
  warmup: int = 100
  steps: int = 32


class Peer(NamedTuple):
  """Whom to measure against.

  Attributes:
    name: "brax" or "playground".
    python: of an environment with Brax's trainer, for "brax".
    worlds: of either side; None takes the experiment's own number.
    allow_download: whether "playground" may fetch its robots.
  """

  name: str
  python: Path | None = None
  worlds: int | None = None
  allow_download: bool = False


def measure(
  target: Target,
  engines: Sequence[str] = ("auto",),
  envs: Sequence[int] = (64, 512, 4096),
  peer: Peer | None = None,
  settings: Settings | None = None,
  keep: Callable[[dict[str, Any]], None] = lambda result: None,
) -> dict[str, Any]:
  """Measures everything.

  Args:
    target: of an experiment of `TARGETS`.
    engines: by name.
    envs: numbers of worlds.
    peer: whom to compare with.
    settings: how much is measured.
    keep: called with what there is after every number of worlds, for it takes minutes each.

  Returns:
    `rows`, one for each engine, number of worlds and stage; `comparisons`, rows with a peer;
    `refused`, what did not fit into memory; `faults`, why the benchmark failed, if it did.

  Raises:
    UserError: for an engine or a stage that there is not, or a peer that cannot be had.
  """
  settings = settings or Settings()
  names = list(dict.fromkeys(physics_engine.check_engine(name) for name in engines))
  for stage in settings.stages:
    if stage not in STAGES:
      raise UserError(f"unknown stage '{stage}'; there are {', '.join(STAGES)}")
  if peer is not None:
    robot_peers.check(peer.name, peer.python, peer.allow_download)
  jax.config.update("jax_compilation_cache_dir", None)  # pyright: ignore
  result: dict[str, Any] = {"target": target.name, "machine": robot_facts.machine(names)}
  result |= {"rows": [], "comparisons": [], "refused": [], "faults": []}
  _check_graphs(result, target, names)
  for worlds in envs:
    _measure_worlds(result, target, names, worlds, settings)
    if result["rows"]:
      keep(result)
  if peer is not None:
    try:
      _measure_peer(result, target, names, peer, settings)
    except UserError as error:  # what was measured before stays
      result["faults"].append(str(error))
  result["machine"]["load_average_at_end"] = [round(load, 2) for load in os.getloadavg()]
  return result


def draw(result: dict[str, Any], path: Path) -> None:
  """Writes the picture of a result as PNG."""
  robot_figure.draw(result, path)


def _measure_worlds(
  result: dict[str, Any],
  target: Target,
  engines: Sequence[str],
  worlds: int,
  settings: Settings,
) -> None:
  """All engines with one number of worlds, then each with each."""
  fitting = [name for name in engines if _fits(result, target, name, worlds)]
  if not fitting or not _fits(result, target, "native", worlds):
    return
  start = begin(target, worlds, settings.warmup, settings.steps)
  benches = {name: Bench(target, name, start, settings.seconds) for name in fitting}
  cells: dict[str, dict[str, Cell]] = {}
  for name, bench in benches.items():
    _say(f"{name}, {worlds} worlds: compiling")
    cells[name] = {stage: bench.cell(stage) for stage in STAGES if stage in settings.stages}
    for cell in cells[name].values():
      cell.meter.forget()
    _say(f"{name}, {worlds} worlds: measuring")
    contenders = [cell.contender for cell in cells[name].values()]
    graphs = robot_facts.captured_graphs()
    rates = measuring.race(contenders, settings.rounds, settings.seconds)
    captured = len(robot_facts.captured_graphs() - graphs)
    if captured > 2 * len(contenders):  # not as buffers settle, but turn after turn
      result["faults"].append(f"{name}, {worlds} worlds: warp captured {captured} graphs anew")
    for stage, cell in cells[name].items():
      row = _row(bench, stage, cell, cells[name], rates)
      result["rows"].append(row | ({"graphs_captured": captured} if name == "warp" else {}))
  for other in fitting[1:]:
    _compare(result, cells, fitting[0], other, worlds, settings)
  for name in fitting:
    for stage, cell in cells[name].items():
      _note_faults(result, f"{name} {stage}, {worlds} worlds", cell.meter)
  del start, benches, cells
  gc.collect()


def _row(
  bench: Bench,
  stage: str,
  cell: Cell,
  cells: dict[str, Cell],
  rates: dict[str, list[float]],
) -> dict[str, Any]:
  """What there is to say of a cell."""
  name = cell.contender.name
  facts: dict[str, Any] = {
    "engine": bench.engine,
    "envs": bench.worlds,
    "stage": stage,
    "unroll": cell.unroll,
    "compile_seconds": cell.compile_seconds,
    "peak_memory_mib": cell.peak_memory_mib,
    "contacts_per_world": robot_facts.contacts_per_world(bench.physics.model, cell.qpos()),
    "cpu_utilisation": cell.meter.cpu_utilisation,
    **cell.meter.faults,
  }
  ceiling = cells["engine"].contender.name if "engine" in cells else name
  floor = CEILING_FLOOR if stage == "environment" and ceiling != name else None
  title = f"{bench.engine}_{bench.worlds}_{stage}"
  row = measuring.row(title, _UNIT, rates, name, ceiling, floor, **facts)
  row["control_steps_per_second"] = row["value"]
  row["physics_steps_per_second"] = row["value"] * bench.physics.substeps
  row["fraction_of_ceiling"] = row["ratio"] if "engine" in cells else None
  row["range"] = [min(rates[name]), max(rates[name])]
  return row


def _compare(
  result: dict[str, Any],
  cells: dict[str, dict[str, Cell]],
  ours: str,
  other: str,
  worlds: int,
  settings: Settings,
) -> None:
  """The same stage on two engines, turn by turn."""
  for stage, cell in cells[ours].items():
    if stage not in ENGINE_FLOORS:
      continue
    theirs = cells[other][stage]
    if stage == "training" and cell.unroll != theirs.unroll:
      result["machine"].setdefault("notes", []).append(
        f"training is not compared, {ours} to {other}, with {worlds} worlds: {other} is so slow "
        f"that it was given rollouts of {theirs.unroll} steps and not {cell.unroll}"
      )
      continue
    _say(f"{ours} to {other}, {worlds} worlds: {stage}")
    pair = (cell.contender, theirs.contender)
    rates = measuring.race(pair, settings.rounds, settings.seconds)
    is_claim = (ours, other) == ("native", "mjx") and jax.default_backend() == "cpu"
    floor = ENGINE_FLOORS.get(stage) if is_claim else None
    result["comparisons"].append(
      measuring.row(
        f"{stage}, {ours} to {other}", _UNIT, rates, pair[0].name, pair[1].name, floor,
        engine=ours, envs=worlds, stage=stage,
      )
    )  # fmt: skip


def _measure_peer(
  result: dict[str, Any],
  target: Target,
  engines: Sequence[str],
  peer: Peer,
  settings: Settings,
) -> None:
  """Our environment or training against a peer's."""
  worlds = peer.worlds or target.config.rl.worlds
  if not all(_fits(result, target, name, worlds) for name in {*engines, "native"}):
    return
  start: Start = begin(target, worlds, settings.warmup, settings.steps)
  for name in engines if peer.name == "playground" else engines[:1]:
    bench = Bench(target, name, start, settings.seconds)
    _say(f"{peer.name} and ours on {name}, {worlds} worlds: compiling")
    opened = robot_peers.open_peer(
      peer.name, peer.python, target, bench, start, peer.allow_download
    )
    with opened as theirs:
      cell = bench.cell(theirs.stage)
      _say(f"{peer.name} and ours on {name}, {worlds} worlds: measuring")
      pair = (cell.contender, theirs.contender)
      rates = measuring.race(pair, settings.rounds, settings.seconds)
      contacts = {
        "contacts_per_world": robot_facts.contacts_per_world(bench.physics.model, cell.qpos()),
        "peer_contacts_per_world": theirs.contacts and theirs.contacts(),
      }
    floor = theirs.floor if jax.default_backend() == "cpu" else None
    result["comparisons"].append(
      measuring.row(
        f"{theirs.stage}, {name} to {peer.name}", _UNIT, rates, pair[0].name, pair[1].name, floor,
        engine=name, envs=worlds, stage=theirs.stage, unroll=cell.unroll,
        compile_seconds=cell.compile_seconds, **theirs.facts, **contacts,
      )
    )  # fmt: skip
    _note_faults(result, f"{name} {theirs.stage}, {worlds} worlds", cell.meter)
    _note_faults(result, f"{theirs.contender.name}, {worlds} worlds", theirs.meter)


def _fits(result: dict[str, Any], target: Target, engine: str, worlds: int) -> bool:
  """Whether the worlds fit into memory; if not, it is written down with the number that does."""
  try:
    check_room(target, engine, worlds)
  except UserError as error:
    refusal = {"engine": engine, "envs": worlds, "reason": str(error)}
    if refusal not in result["refused"]:
      result["refused"].append(refusal)
    return False
  return True


def _note_faults(result: dict[str, Any], where: str, meter: robot_facts.Meter) -> None:
  for name, count in meter.faults.items():
    if count:
      result["faults"].append(f"{where}: {name} {count}")


def _check_graphs(result: dict[str, Any], target: Target, engines: Sequence[str]) -> None:
  """On a GPU, Warp without captured graphs fails the benchmark."""
  if "warp" not in engines:
    return
  env = target.make_env(target.config, 1, engine="warp")
  facts = robot_facts.warp_facts(env.engine.model)
  result["machine"] |= facts
  if "graph_fault" in facts:
    result["faults"].append(facts["graph_fault"])


def _say(line: str) -> None:
  """Progress, for whoever waits."""
  print(line, file=sys.stderr, flush=True)
