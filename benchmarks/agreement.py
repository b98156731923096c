"""How far MJX and MuJoCo Warp part from C MuJoCo, in every environment of a robot.

  jaxskills bench agreement --json=agreement.json

Worlds, each with model fields of its own, live for a moment with random actions; then every engine
that is installed plays the same controls from where they are (`physics.agreement`): once with the
solver as training has it, and once with the solver run out, which says whether engines compute the
same physics. Rows of "native" hold C MuJoCo as trained against itself run out: what stopping early
does on one engine. It fails where an engine leaves the stated tolerances.
"""

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from jaxskills.benchmarks import robot_facts
from jaxskills.benchmarks.robot_worlds import Target, begin
from jaxskills.physics import agreement
from jaxskills.physics.agreement import SHAKEN, STOPPED_EARLY, Row, Tolerance
from jaxskills.physics.engine import make_engine
from jaxskills.physics.state import PhysicsState

ENVIRONMENTS = ("h1/velocity", "panda/reach", "panda/lift_cube")
COLUMNS = {
  "environment": "environment",
  "engine": "engine",
  "solver": "solver",
  "physics steps": "steps",
  "position": "qpos",
  "worst world": "qpos_worst",
  "velocity": "qvel",
  "worst": "qvel_worst",
  "overflow": "overflow",
  "within": "within",
}
"""Of the table: m or rad, and m/s or rad/s; of the median world where nothing else is said."""

_ENOUGH = 5  # iterations of the solver, after which what is left over is rounding

_SCALE = 0.5  # of an untrained actor's actions, which throw a robot down
_WARMUP = 10  # control steps; a robot that is told nothing but noise soon lies on the ground


def measure(
  environments: Sequence[str] = ENVIRONMENTS,
  engines: Sequence[str] | None = None,
  worlds: int = 64,
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
    for solver, (tolerances, found) in compare_environment(_target(name), engines, worlds).items():
      for row in found:
        facts = {"environment": name, "worlds": worlds, "solver": solver, **row._asdict()}
        if tolerances:
          limits = tolerances[row.steps]._asdict()
          facts |= {f"{key}_tolerance": limit for key, limit in limits.items()}
          facts["within"] = row.within(tolerances)
          if not facts["within"]:
            where = f"{name} on {row.engine}, solver {solver}, after {row.steps} physics steps"
            faults.append(f"{where}: out of tolerance")
        rows.append(facts)
  return {"machine": robot_facts.machine(["native", *engines]), "rows": rows, "faults": faults}


def compare_environment(
  target: Target, engines: Sequence[str], worlds: int
) -> dict[str, tuple[Mapping[int, Tolerance], list[Row]]]:
  """What is tolerated of an environment's worlds in mid-life, and what was found, by solver.

  "as trained" and "run out" are engines against C MuJoCo with that solver, "as trained to run out"
  is C MuJoCo against itself, of which anything is tolerated.

  Args:
    target: whose environment is meant.
    engines: that are held against "native".
    worlds: of the environment.
  """
  # "native" sets an option of its own that Warp refuses.
  model = target.make_env(target.config, 1, engine="mjx").engine.model
  substeps = target.config.task.substeps
  last = max(agreement.HORIZONS)
  tape = begin(target, worlds, _WARMUP, -(-last // substeps), scale=_SCALE).tape
  controls = np.swapaxes(tape.controls, 1, 2).reshape(-1, worlds, model.nu)[:last]
  asked = (tape.states.qpos[0], tape.states.qvel[0], controls, dict(tape.parameters))
  asked = jax.tree.map(jnp.asarray, asked)

  def lived(name: str, model: mujoco.MjModel) -> PhysicsState:
    engine = make_engine(name, model, 1, worlds=worlds)
    return agreement.trajectories(engine, *asked)

  models = {"as trained": model, "run out": agreement.with_solver_run_out(model)}
  references = {solver: lived("native", model) for solver, model in models.items()}
  found = {}
  for solver, model in models.items():
    tolerances = SHAKEN if model.opt.iterations >= _ENOUGH else STOPPED_EARLY
    others = {name: lived(name, model) for name in engines}
    found[solver] = (tolerances, agreement.compare(references[solver], others))
  stopped = agreement.compare(references["run out"], {"native": references["as trained"]})
  return {**found, "as trained to run out": ({}, stopped)}


def _target(name: str) -> Target:
  """An experiment's environment as `quick` has it."""
  experiment = importlib.import_module(f"jaxskills.experiments.{name.replace('/', '.')}")
  return Target(name, experiment.get_config("quick"), experiment.make_env)
