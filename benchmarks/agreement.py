"""How far MJX and MuJoCo Warp part from C MuJoCo, in every environment of a robot.

  jaxskills bench agreement --json=agreement.json

Worlds, each with model fields of its own, live for a moment with random actions; then every engine
that is installed plays the same controls from where they are (`physics.agreement`). It fails where
an engine leaves the stated tolerances.
"""

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxskills.benchmarks import robot_facts
from jaxskills.benchmarks.robot_worlds import Target, begin
from jaxskills.physics import agreement
from jaxskills.physics.agreement import TOLERANCES, Row
from jaxskills.physics.engine import make_engine
from jaxskills.physics.state import PhysicsState

ENVIRONMENTS = ("h1/velocity", "panda/reach", "panda/lift_cube")
COLUMNS = {
  "environment": "environment",
  "engine": "engine",
  "physics steps": "steps",
  "position": "qpos",
  "worst world": "qpos_worst",
  "velocity": "qvel",
  "worst": "qvel_worst",
  "overflow": "overflow",
  "within": "within",
}
"""Of the table: m or rad, and m/s or rad/s; of the median world where nothing else is said."""

_WARMUP = 10  # control steps; a robot that is told nothing but noise soon lies on the ground


def measure(
  environments: Sequence[str] = ENVIRONMENTS,
  engines: Sequence[str] | None = None,
  worlds: int = 16,
) -> dict[str, Any]:
  """Compares in all environments.

  Args:
    environments: experiments whose environments are meant.
    engines: that are held against "native"; all that are installed if None.
    worlds: of each environment.
  """
  if engines is None:
    engines = ("mjx", "warp") if importlib.util.find_spec("warp") else ("mjx",)
  rows, faults = [], []
  for name in environments:
    for row in compare_environment(_target(name), engines, worlds):
      limits = {f"{key}_tolerance": limit for key, limit in TOLERANCES[row.steps]._asdict().items()}
      facts = {"environment": name, "worlds": worlds, **row._asdict(), **limits}
      rows.append({**facts, "within": row.within})
      if not row.within:
        faults.append(f"{name} on {row.engine} after {row.steps} physics steps: out of tolerance")
  return {"machine": robot_facts.machine(["native", *engines]), "rows": rows, "faults": faults}


def compare_environment(target: Target, engines: Sequence[str], worlds: int) -> list[Row]:
  """What `agreement.compare` says of an environment's worlds in mid-life.

  Args:
    target: whose environment is meant.
    engines: that are held against "native".
    worlds: of the environment.
  """
  # "native" sets an option of its own that Warp refuses.
  model = target.make_env(target.config, 1, engine="mjx").engine.model
  substeps = target.config.task.substeps
  last = max(agreement.HORIZONS)
  tape = begin(target, worlds, _WARMUP, -(-last // substeps)).tape
  controls = np.swapaxes(tape.controls, 1, 2).reshape(-1, worlds, model.nu)[:last]
  asked = (tape.states.qpos[0], tape.states.qvel[0], controls, dict(tape.parameters))
  asked = jax.tree.map(jnp.asarray, asked)

  def lived(name: str) -> PhysicsState:
    engine = make_engine(name, model, 1, worlds=worlds)
    return agreement.trajectories(engine, *asked)

  return agreement.compare(lived("native"), {name: lived(name) for name in engines})


def _target(name: str) -> Target:
  """An experiment's environment as `quick` has it."""
  experiment = importlib.import_module(f"jaxskills.experiments.{name.replace('/', '.')}")
  return Target(name, experiment.get_config("quick"), experiment.make_env)
