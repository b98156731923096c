"""The peers of a robot's benchmark: Brax's PPO, and MuJoCo Playground's way of stepping a model.

Brax trains the same environment on the same engine in a process of its own (`robot_peer_brax`).
Playground's environment of the same robot is taken where package and assets are installed, or the
assets may be downloaded. Elsewhere `robot_peer_playground.stepped` steps our model the way it
does. Both peers do less than ours: a finished world begins anew in the one state in which it
first began, and worlds do not differ in their models in the loop.
"""

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxskills
from jaxskills.benchmarks import measuring, robot_peer_playground
from jaxskills.benchmarks.measuring import Contender
from jaxskills.benchmarks.robot_facts import Meter, contacts_per_world
from jaxskills.benchmarks.robot_stages import Bench
from jaxskills.benchmarks.robot_worlds import Start, Target
from jaxskills.config import to_plain
from jaxskills.envs import playground
from jaxskills.errors import UserError
from jaxskills.experiments import on_policy as experiment
from jaxskills.learners.ppo import make_ppo
from jaxskills.training import runtime

NAMES = ("brax", "playground")
BRAX_FLOOR, PLAYGROUND_FLOOR = 1.2, 2.5  # ours over theirs, on a CPU
INSTALL = (
  "pip install brax==0.14.2 jax==0.9.2 'mujoco==3.17.*' 'mujoco-mjx==3.17.*' flax optax "
  "ml-collections jaxtyping"
)
_MODULE = "jaxskills.benchmarks.robot_peer_brax"


class OpenPeer(NamedTuple):
  """A peer that is ready to race.

  Attributes:
    stage: of ours, that it is compared with.
    contender: as `measuring` races it; it runs `meter`.
    meter: of what went wrong on its side.
    floor: the ratio that we hold ourselves to, on a CPU; None for none.
    facts: for the row.
  """

  stage: str
  contender: Contender
  meter: Meter
  floor: float | None
  facts: Mapping[str, Any]
  contacts: Callable[[], float] | None = None
  """Of a world, in the mean, now; None where it cannot be looked at."""


def check(name: str, python: Path | None, allow_download: bool = False) -> None:
  """Refuses a peer that cannot be had, before anything is measured.

  Raises:
    UserError: saying what to do.
  """
  if name not in NAMES:
    raise UserError(f"unknown peer '{name}'; there are {', '.join(NAMES)}")
  if name == "brax" and (python is None or not os.access(python, os.X_OK)):
    given = "" if python is None else f"; {python} is no program"
    raise UserError(
      "--peer=brax needs --peer-python=PATH, the Python of a virtual environment of its own, "
      f"made with: {INSTALL}{given}"
    )
  if name == "playground" and allow_download:
    playground.package()


@contextmanager
def open_peer(
  name: str,
  python: Path | None,
  target: Target,
  bench: Bench,
  start: Start,
  allow_download: bool = False,
) -> Iterator[OpenPeer]:
  """Sets a peer up, and puts it away afterwards.

  Args:
    name: of `NAMES`.
    python: for "brax".
    target: what is measured.
    bench: ours, on the engine that the peer is to have too.
    start: where worlds begin.
    allow_download: whether Playground may fetch its robots.

  Raises:
    UserError: where it cannot be had.
  """
  if name == "playground":
    yield _playground(target, bench, start, allow_download)
    return
  assert python is not None  # checked before
  with _brax(python, target, bench) as peer:
    yield peer


def _playground(target: Target, bench: Bench, start: Start, allow_download: bool) -> OpenPeer:
  """Its environment on MJX's implementation that fits the engine: Warp's for Warp, else JAX's."""
  impl = "warp" if bench.engine == "warp" else "jax"
  experiment_name = target.name.partition(":")[0]
  facts: dict[str, Any] = {}
  try:
    peer = robot_peer_playground.real(experiment_name, impl, bench.worlds, allow_download)
  except UserError as error:
    if allow_download and not isinstance(error, robot_peer_playground.NoCounterpartError):
      raise
    peer = robot_peer_playground.stepped(experiment_name, impl, bench.physics, start)
    note = f"not Playground's own environment: {error}"
    print(note, file=sys.stderr, flush=True)
    # Where this machine keeps its packages is nobody's business who reads the result.
    facts["peer_note"] = note.replace(sysconfig.get_path("purelib"), "site-packages")
  one = jnp.ones((), jnp.int32)
  shapes = jax.eval_shape(lambda: (peer.state, peer.actions, one))
  options = robot_peer_playground.options(impl)
  compiled, seconds = measuring.compiled(peer.run, *shapes, donate=True, options=options)
  state = jax.tree.map(lambda leaf: leaf.copy(), peer.state)
  actions = jax.device_put(peer.actions)
  steps = jnp.asarray(min(len(peer.actions), _steps_in_a_turn(bench)), jnp.int32)

  def run() -> Mapping[str, float]:
    nonlocal state
    state, figures = compiled(state, actions, steps)
    return {name: float(value) for name, value in figures.items()}

  meter = Meter(run)
  contender = Contender(peer.name, meter, int(steps) * bench.worlds)
  floor = PLAYGROUND_FLOOR if bench.engine == "native" else None
  facts |= {"peer_compile_seconds": seconds, "peer_does": peer.does}
  contacts = lambda: contacts_per_world(peer.model, np.asarray(peer.qpos(state)))  # noqa: E731
  return OpenPeer("environment", contender, meter, floor, facts, contacts)


def _steps_in_a_turn(bench: Bench) -> int:
  """MJX on a CPU makes some thousand control steps a second; a call is to last about a turn."""
  return max(1, round(8192 / bench.worlds)) if jax.default_backend() == "cpu" else 32


def _flags(bench: Bench) -> str:
  """`XLA_FLAGS` by which Brax's programs are compiled as ours are."""
  options = bench.physics.compiler_options or {}
  added = [f"--{name}={str(value).lower()}" for name, value in options.items()]
  return " ".join([os.environ.get("XLA_FLAGS", ""), *added]).strip()


@contextmanager
def _brax(python: Path, target: Target, bench: Bench) -> Iterator[OpenPeer]:
  """A child that trains an iteration whenever it is asked to."""
  config = target.config
  units = bench.worlds * config.rl.unroll
  request = {
    "config": to_plain(config),
    "module": target.make_env.__module__,
    "function": target.make_env.__name__,
    "engine": bench.engine,
    "worlds": bench.worlds,
    "matmul_precision": runtime.MATMUL_PRECISION,
  }
  with tempfile.TemporaryDirectory() as folder:
    # Our source alone, without the packages that lie beside it where it is installed.
    Path(folder, "jaxskills").symlink_to(Path(jaxskills.__file__).resolve().parent)
    errors = Path(folder, "errors.txt")
    with open(errors, "w") as log:
      process = subprocess.Popen(
        [str(python), "-m", _MODULE],
        env={**os.environ, "PYTHONPATH": folder, "XLA_FLAGS": _flags(bench)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
      )  # fmt: skip
    try:
      ready = _ask(process, json.dumps(request), errors)
      learner = make_ppo(experiment.ppo_config(config), bench.env.spec())
      params = jax.eval_shape(learner.init, jax.random.key(0)).params
      ours = sum(leaf.size for leaf in jax.tree.leaves((params.actor, params.critic)))
      if ready["parameters"] != ours:
        raise AssertionError(f"{ours} parameters here, {ready['parameters']} in Brax's networks")
      versions = ready["versions"]
      name = f"Brax {versions['brax']} PPO, jax {versions['jax']}, on {bench.engine}"
      facts = {
        "peer_versions": versions,
        "peer_seconds_to_third_iteration": ready["seconds_before"],
        "parameters": ours,
      }
      meter = Meter(lambda: _ask(process, "again", errors))
      contender = Contender(name, meter, units)
      yield OpenPeer("training", contender, meter, BRAX_FLOOR, facts)
    finally:
      process.kill()
      process.wait()
      for stream in (process.stdin, process.stdout):
        if stream is not None:
          try:
            stream.close()
          except BrokenPipeError:
            pass


def _ask(process: subprocess.Popen, line: str, errors: Path) -> dict[str, Any]:
  """Sends a line and waits for the answer.

  Raises:
    UserError: if the process ended instead, with the last line that it wrote.
  """
  assert process.stdin is not None and process.stdout is not None
  try:
    process.stdin.write(line + "\n")
    process.stdin.flush()
    answer = process.stdout.readline()
  except BrokenPipeError:
    answer = ""
  if not answer:
    said = errors.read_text(errors="replace").strip().splitlines() or ["nothing"]
    raise UserError(
      f"Brax's process ended; it said: {said[-1][:300]}; its environment is made with: {INSTALL}"
    )
  return json.loads(answer)
