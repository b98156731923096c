"""Is a bundle the policy that was trained, safe in closed loop, and fast enough? Asked on no JAX.

What the trained networks answered, in float64, was recorded at export in `golden.npz`; everything
here computes from the bundle's files alone. A verification begins by taking an older one away, and
writes its own only when every check has been made: one that is interrupted leaves none. A check
that cannot be made because something is missing on this machine, such as a compiler, or because the
policy raises, such as for an action that is not finite, has failed.
"""

import importlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxskills.deploy import bundle as bundles
from jaxskills.deploy import implementations, latency, safety_checks, verification
from jaxskills.deploy.bundle import Bundle
from jaxskills.deploy.implementations import Answer, Arrays
from jaxskills.deploy.latency import Latency, Timed
from jaxskills.deploy.runtime import difference, read_arrays
from jaxskills.deploy.verification import Check, attempt
from jaxskills.physics.processor import cores

TOLERANCE = 1e-5  # of an output's range, for everything that commands a robot
LEAST_OBSERVATIONS = 10_000  # likewise
SHARE_OF_PERIOD = 0.25  # of a control period that a decision may take, 999 times of 1000
_TURNS = 5  # that calls are timed in
_LATENCY_ROWS = 256  # observations that take turns while calls are timed
_CLOSED_LOOPS = {
  "h1": "jaxskills.deploy.h1.closed_loop",
  "franka": "jaxskills.deploy.franka.closed_loop",
}
_NO_ROBOT = "does not apply: the bundle is for no robot"

Show = Callable[[Check], None]


class Effort(NamedTuple):
  """How much is done.

  Attributes:
    calls: that are timed of each implementation.
    seconds: of the closed loop.
    ticks: of the safety filter's fuzz.
  """

  calls: int = latency.CALLS
  seconds: float = 20.0
  ticks: int = 200_000


FULL = Effort()  # of the command; tests take less


def verify(
  path: str | Path, effort: Effort = FULL, show: Show = lambda check: None
) -> dict[str, Any]:
  """Makes every check and writes `verification.json` beside the bundle.

  Args:
    path: the bundle's folder.
    effort: of the checks.
    show: is handed every check when it is done.

  Returns:
    What was written.

  Raises:
    UserError: if the bundle is not whole, or the disk refuses. No verification is there then.
    ModuleNotFoundError: without the extra `export`.
  """
  path = Path(path).expanduser()
  if (path / bundles.MANIFEST).exists():  # or else it is no bundle, and nothing of it is touched
    verification.remove(path)
  bundle = bundles.read(path)
  checks = []
  for check in run_checks(bundle, effort):
    checks.append(check)
    show(check)
  return verification.write(bundle, checks)


def run_checks(bundle: Bundle, effort: Effort = FULL) -> Iterator[Check]:
  """All checks of a bundle whose bytes are those that were exported."""
  yield _integrity(bundle)
  golden = read_arrays(bundle.files[bundles.GOLDEN])
  with tempfile.TemporaryDirectory() as folder:
    place = Path(folder)
    yield from _parity(bundle, golden, place)
    yield from _in_closed_loop(bundle, effort)
    yield from _safety(bundle, effort, place)
    yield from _latencies(bundle, golden, effort, place)


def _integrity(bundle: Bundle) -> Check:
  size = sum(len(content) for content in bundle.files.values())
  figures = {"files": len(bundle.files), "bytes": size}
  return Check("integrity", True, f"{len(bundle.files)} files, {size:,} bytes as exported", figures)


def _parity(bundle: Bundle, golden: Arrays, place: Path) -> Iterator[Check]:
  """Every implementation against the trained networks."""
  yield _of_training(bundle)
  makers: dict[str, Callable[[], Answer]] = {
    "onnxruntime": lambda: implementations.onnxruntime(bundle),
    "numpy": lambda: implementations.numpy(bundle),
    "c": lambda: implementations.c(bundle, _folder(place, "parity")),
    "torchscript": lambda: implementations.torchscript(bundle),
  }
  for name, make in makers.items():
    title = f"parity {name}"
    if missing := _missing(bundle, name):
      yield missing._replace(name=title)
    else:
      yield attempt(title, lambda make=make, title=title: compare(bundle, golden, make(), title))


def _of_training(bundle: Bundle) -> Check:
  """How far the trained networks in float32, as JAX runs them, are off their float64 selves."""
  parity = bundle.manifest["parity"]
  off, count = parity.get("trained_float32_difference", {}), parity.get("observations", 0)
  allowed = {name: _allowed(bundle, name) for name in off}
  if not off:
    return Check("parity jax", None, "the export recorded nothing of it")
  return _judge("parity jax", off, allowed, f"{count:,} observations, at export")


def compare(bundle: Bundle, golden: Arrays, answer: Answer, title: str) -> Check:
  """Holds an implementation against what the trained networks answered.

  Args:
    bundle: that it is of.
    golden: arrays of its `golden.npz`.
    answer: the implementation.
    title: of the check.
  """
  expected = _part(golden, "expected.")
  found = answer({**_part(golden, "observation."), **expected})
  graph = bundle.manifest["graphs"]["policy"]
  wanted = set(expected) & ({entry["name"] for entry in graph["outputs"]} | set(found))
  scale = bundle.manifest["parity"]["scale"]
  off = {
    name: difference(found[name], expected[name], scale.get(name, 1.0)) if name in found else np.inf
    for name in sorted(wanted)
  }
  count = len(next(iter(expected.values())))
  check = _judge(
    title, off, {name: _allowed(bundle, name) for name in off}, f"{count:,} observations"
  )
  if _is_robot(bundle) and count < LEAST_OBSERVATIONS:
    return check._replace(passed=False, text=f"{check.text}; {LEAST_OBSERVATIONS:,} are needed")
  return check


def _judge(title: str, off: Mapping[str, float], allowed: Mapping[str, float], on: str) -> Check:
  """The output that is worst against what it may be."""
  worst = max(off, key=lambda name: off[name] / allowed[name])
  passed = all(off[name] <= allowed[name] for name in off)
  text = f"{worst} off by {off[worst]:.1e} of its range, at most {allowed[worst]:.0e}; {on}"
  return Check(title, passed, text, {"difference": dict(off), "tolerance": dict(allowed)})


def _allowed(bundle: Bundle, name: str) -> float:
  """A robot's outputs get no exception; others what their export was granted, and why it says."""
  if _is_robot(bundle):
    return TOLERANCE
  return bundle.manifest["parity"]["tolerance"].get(name, TOLERANCE)


def _in_closed_loop(bundle: Bundle, effort: Effort) -> Iterator[Check]:
  """The policy in plain C MuJoCo, from the bundle's files alone."""
  title = "closed loop"
  if not _is_robot(bundle):
    yield Check(title, None, _NO_ROBOT)
    return

  def check() -> Check:
    module = importlib.import_module(_CLOSED_LOOPS[bundle.manifest["robot"]])
    outcome = module.check(bundle, seconds=effort.seconds)
    return Check(title, bool(outcome.passed), "; ".join(outcome.lines), dict(outcome.figures))

  yield attempt(title, check)


def _safety(bundle: Bundle, effort: Effort, place: Path) -> Iterator[Check]:
  """The bundle's limits and its filter, in Python and in C."""
  if not _is_robot(bundle):
    yield Check("safety filter", None, _NO_ROBOT)
  else:
    yield from safety_checks.run(bundle, effort.ticks, _folder(place, "safety"))


def _latencies(bundle: Bundle, golden: Arrays, effort: Effort, place: Path) -> Iterator[Check]:
  """The tail of every implementation against the control period; they take turns.

  What else a machine does comes in bursts of seconds: the median of the turns leaves them out.
  """
  rows = {
    name: value[:: max(1, len(value) // _LATENCY_ROWS)][:_LATENCY_ROWS]
    for name, value in {**_part(golden, "expected."), **_part(golden, "observation.")}.items()
  }
  graphs = [bundle.files[graph["file"]] for graph in bundle.manifest["graphs"].values()]
  makers: dict[str, Callable[[], Timed]] = {
    "runtime": lambda: latency.Runtime(bundle, rows),
    "onnxruntime": lambda: latency.OnnxRuntime(graphs, rows),
    "c": lambda: latency.C(bundle.files, rows["state"], _folder(place, "latency")),
    "torchscript": lambda: latency.TorchScript(bundle.files["policy.pt"], rows["state"]),
  }
  timed, refused = {}, {}
  for name, make in makers.items():
    refusal = _missing(bundle, name)
    try:
      if refusal is None:
        timed[name] = make()
    except verification.FAULTS as error:
      refusal = verification.failure(name, error)
    if refusal is not None:
      refused[name] = refusal
  turns: dict[str, list[Latency]] = {name: [] for name in timed}
  for _ in range(_TURNS):
    for name in [name for name in timed if name not in refused]:
      try:
        turns[name].append(latency.summarize(timed[name].time(effort.calls // _TURNS)))
      except verification.FAULTS as error:
        refused[name] = verification.failure(name, error)
  for name in makers:
    title = f"latency {name}"
    if name in refused:
      yield refused[name]._replace(name=title)
    else:
      yield judge_latency(bundle, latency.medians(turns[name]), title)


def judge_latency(bundle: Bundle, found: Latency, title: str) -> Check:
  """Holds the time of a decision against the control period; TorchScript is for comparison.

  No controller here runs TorchScript, so that being slow, it fails nothing.
  """
  allowed = SHARE_OF_PERIOD * bundle.manifest["control"]["step_seconds"] * 1e6
  figures = {**found._asdict(), "allowed": allowed}
  text = f"{found.text} of {found.calls:,} calls, medians of {_TURNS} turns"
  if title == "latency torchscript":
    return Check(title, None, f"{text}; for comparison", figures)
  text += f"; p99.9 at most {allowed:,.0f}, a quarter of the control period"
  if found.p999 > allowed:
    text += f"; the load here is {os.getloadavg()[0]:.1f} on {cores()} cores"
  return Check(title, found.p999 <= allowed, text, figures)


def _missing(bundle: Bundle, name: str) -> Check | None:
  """Why an implementation cannot be asked, if it cannot."""
  file = {"c": "policy.c", "torchscript": "policy.pt"}.get(name)
  if file is not None and file not in bundle.files:
    is_owed = _is_robot(bundle) and name == "c"
    return Check(name, False if is_owed else None, f"the bundle has no {file}")
  if name == "torchscript" and importlib.util.find_spec("torch") is None:
    return Check(name, None, "torch is not installed here")
  return None


def _folder(place: Path, name: str) -> Path:
  folder = place / name
  folder.mkdir()
  return folder


def _is_robot(bundle: Bundle) -> bool:
  return bundle.manifest["robot"] != "none"


def _part(arrays: Arrays, prefix: str) -> dict[str, np.ndarray]:
  return {
    name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)
  }
