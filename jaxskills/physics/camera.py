"""Pictures of simulated worlds as a pure function of their positions, on two renderers.

"native" is C MuJoCo off screen on all cores; "warp" is MuJoCo Warp's ray caster, the default on an
NVIDIA GPU, where frames never leave the device. Both draw the same model with the same cameras;
their pictures are alike, not equal: lights and edges differ a little. What a frame costs is told in
`jaxskills.physics.drawing`.
"""

import importlib.util
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxskills.config import nearest
from jaxskills.errors import UserError
from jaxskills.physics.drawing import DRAWING, Drawing, camera_numbers

BACKENDS = ("native", "warp")


class Camera(NamedTuple):
  """Views of one model; what is fixed in it (sizes, colours, cameras) is the same in all worlds."""

  render: Callable[[Float[Array | np.ndarray, "nq"]], UInt8[Array, "views rows columns 3"]]
  """`qpos -> frames`, pure; under `jax.vmap`, however nested, one batch is drawn. Where a position
  is not finite, "native" draws black and "warp" draws anything."""
  views: tuple[str, ...]
  """Names of the model's cameras, in the order of the axis `views`."""
  rows: int
  columns: int
  backend: str
  """"native" or "warp"."""
  close: Callable[[], None]
  """Ends the processes that draw; the end of this process does so too."""


def make_camera(
  backend: str,
  model: mujoco.MjModel,
  views: Sequence[str],
  rows: int,
  columns: int,
  *,
  drawing: Drawing = DRAWING,
  processes: int | None = None,
) -> Camera:
  """Sets up a camera.

  Args:
    backend: "native", "warp", or "auto" for what suits JAX's default device.
    model: to draw.
    views: names of its cameras.
    rows: height of a picture in pixels.
    columns: its width.
    drawing: how; of these, "warp" obeys `samples` and `groups`.
    processes: of "native"; one a core if None.

  Raises:
    UserError: for a backend that is unknown or not installed, a camera that the model lacks, or
      where nothing draws off screen, saying what to install.
    ValueError: for sizes that are not positive.
  """
  if rows < 1 or columns < 1 or (processes is not None and processes < 1):
    raise ValueError(
      f"rows, columns and processes must be positive: {rows}, {columns}, {processes}"
    )
  backend, views = check_backend(backend), tuple(views)
  camera_numbers(model, views)
  if backend == "warp":
    from jaxskills.physics.camera_warp import make_render

    cast = make_render(model, views, rows, columns, drawing)
    return Camera(cast, views, rows, columns, backend, lambda: None)
  from jaxskills.physics.camera_native import Studio

  studio = Studio(model, views, rows, columns, drawing, processes)
  out = jax.ShapeDtypeStruct((len(views), rows, columns, 3), jnp.uint8)

  def render(qpos: Float[Array | np.ndarray, "nq"]) -> UInt8[Array, "views rows columns 3"]:
    position = jnp.asarray(qpos, jnp.float32)
    return jax.pure_callback(studio.draw, out, position, vmap_method="broadcast_all")

  return Camera(render, views, rows, columns, backend, studio.close)


def check_backend(name: str) -> str:
  """The backend's own name for a name that a user gave.

  Raises:
    UserError: if it is unknown or not installed.
  """
  has_warp = importlib.util.find_spec("warp") is not None
  if name == "auto":
    return "warp" if has_warp and jax.default_backend() in ("gpu", "cuda") else "native"
  if name not in BACKENDS:
    close = nearest(name.lower(), list(BACKENDS))
    raise UserError(f"unknown camera '{name}'{close}; there are {', '.join(BACKENDS)} and auto")
  if name == "warp" and not has_warp:
    raise UserError("camera warp is not installed; run: pip install 'jaxskills[warp]'")
  return name
