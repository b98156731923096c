"""What `jaxskills doctor --model=FILE` says of an MJCF that a user has."""

import time
from pathlib import Path

import mujoco
import numpy as np

from jaxskills.errors import UserError
from jaxskills.physics.capacity import capacity_of
from jaxskills.physics.engine import make_engine
from jaxskills.physics.model_file import load_model
from jaxskills.physics.quiet import BAD, FULL, quiet

_STEPS, _SECONDS = 100, 5


def describe(path: Path) -> list[str]:
  """Sizes of a model, and which engines take it.

  Args:
    path: of the file; it is checked as `physics.model_file` does before MuJoCo reads it.

  Raises:
    UserError: if it cannot be loaded, saying why.
  """
  model = load_model(path)
  room = capacity_of(model)
  return [
    f"{path}: {model.nbody - 1} bodies, {model.njnt} joints, {model.nu} actuators, "
    f"{model.nsensor} sensors, {np.sum(model.body_mass):.3f} kg",
    f"steps of {1e3 * model.opt.timestep:g} ms, room for {room.contacts} contacts and "
    f"{room.constraints} constraint rows a world",
    f"native: {_lives(model)}",
    f"mjx: {_accepted(model, 'mjx')}",
    f"warp: {_accepted(model, 'warp')}",
  ]


def _lives(model: mujoco.MjModel) -> str:
  """Whether C MuJoCo steps it from its own start without diverging."""
  data = mujoco.MjData(model)
  mujoco.mj_resetData(model, data)
  until = time.monotonic() + _SECONDS
  try:
    with quiet():
      for number in range(_STEPS):
        mujoco.mj_step(model, data)
        if time.monotonic() > until:
          return f"steps it, slowly: {number + 1} in {_SECONDS} s"
  except mujoco.FatalError as error:
    return f"no; {' '.join(str(error).split())}"
  came = {kind for kind in (*BAD, *FULL) if data.warning[kind].number}
  if came.intersection(BAD):
    return f"diverges within {_STEPS} steps from its start"
  return "steps it, but drops contacts for want of <size memory>" if came else "steps it"


def _accepted(model: mujoco.MjModel, engine: str) -> str:
  """Whether an engine takes it, or why not."""
  try:
    make_engine(engine, model, substeps=1)
  except (UserError, NotImplementedError, ValueError) as error:
    return f"no; {' '.join(str(error).split())}"
  return "takes it"
