"""Makes a physics engine by name, and says in one line what is wrong with a choice.

"native" is C MuJoCo on the processor's threads and the default there; "mjx" is MuJoCo in JAX, the
default on other accelerators; "warp" is MuJoCo Warp, the default on an NVIDIA GPU. On two cores the
first makes four to twelve times the steps of the second, by robot and number of worlds.
"""

import importlib.util

import jax
import mujoco

from jaxskills.config import nearest
from jaxskills.errors import UserError
from jaxskills.physics.state import Engine

ENGINES = ("native", "mjx", "warp")


def default_engine() -> str:
  """The fastest engine for JAX's default device that is installed."""
  platform = jax.default_backend()
  if platform == "cpu":
    return "native"
  has_warp = importlib.util.find_spec("warp") is not None
  return "warp" if platform in ("gpu", "cuda") and has_warp else "mjx"


def make_engine(
  name: str,
  model: mujoco.MjModel,
  substeps: int,
  *,
  worlds: int = 1,
  threads: int | None = None,
) -> Engine:
  """Prepares an engine for a model.

  Args:
    name: "native", "mjx", "warp", or "auto" for `default_engine`.
    model: to simulate; it is copied where an engine changes options.
    substeps: physics steps in a control step.
    worlds: that are stepped together at most; Warp's buffer of contacts is made for so many.
    threads: of "native"; all cores if None.

  Raises:
    UserError: for an unknown engine, one that is not installed (naming the extra), or a model that
      it cannot simulate.
    ValueError: if `substeps` or `worlds` is not positive.
  """
  name = check_engine(name)
  if substeps < 1 or worlds < 1:
    raise ValueError(f"substeps and worlds must be positive, got {substeps} and {worlds}")
  if name == "native":
    from jaxskills.physics.native import make_native

    return make_native(model, substeps, threads=threads)
  from jaxskills.physics.mjx import make_mjx

  try:
    return make_mjx(name, model, substeps, worlds=worlds)
  except NotImplementedError as error:
    raise UserError(f"engine {name} cannot simulate this model: {error}") from error


def timestep_of(control_hz: float, substeps: int, latency_seconds: float) -> float:
  """The physics step that makes `substeps` a control step, s.

  Args:
    control_hz: control steps a second.
    substeps: physics steps in a control step.
    latency_seconds: greatest delay of what the motors are told; it has to end within the step.

  Raises:
    ValueError: if there is not one substep, or for a latency below 0 or longer than a control step.
  """
  if substeps < 1:
    raise ValueError(f"substeps must be at least 1, not {substeps}")
  if latency_seconds < 0.0:
    raise ValueError(f"a latency cannot be {latency_seconds} s")
  timestep = 1.0 / (control_hz * substeps)
  if latency_seconds > substeps * timestep * (1.0 + 1e-9):  # the product is rounded
    raise ValueError(
      f"a latency of {latency_seconds} s is more than a control step of {substeps * timestep} s"
    )
  return timestep


def check_engine(name: str) -> str:
  """The engine's own name for a name that a user gave.

  Raises:
    UserError: if it is unknown or not installed.
  """
  if name == "auto":
    return default_engine()
  if name not in ENGINES:
    close = nearest(name.lower(), list(ENGINES))
    raise UserError(f"unknown engine '{name}'{close}; there are {', '.join(ENGINES)} and auto")
  if name == "warp" and importlib.util.find_spec("warp") is None:
    raise UserError("engine warp is not installed; run: pip install 'jaxskills[warp]'")
  return name
