"""Draws a model with C MuJoCo off screen, in the process that calls it. It never imports JAX.

What a picture costs without a GPU, measured for the Panda at 64 x 64 on one core with Mesa's
llvmpipe (ms): .55 as `DRAWING` has it, 2.8 with MuJoCo's own 28 slices and 16 stacks, .9 more for
four samples, 4.4 more for an infinite plane, which is cut into many pieces. The number of pixels
counts for little: .5 more at 128 x 128, 1.2 more at 299 x 299.
"""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import mujoco
import numpy as np

from jaxskills.errors import UserError

_MOST_GEOMS = 2000  # in a scene, lights and decorations included


class Drawing(NamedTuple):
  """How a model is drawn: one setting for all its views. Shadows, reflections and haze never are.

  Attributes:
    samples: per pixel and view, against jagged edges; 0 for none.
    slices: pieces that make up what is round, around its axis.
    stacks: pieces along its axis.
    quads: pieces along an edge of what is flat; lights shine on corners only.
    groups: of geoms, that are drawn: MuJoCo's own choice, where 0 and 1 are the scene and 2 is
      looks. Keep what only physics needs in 3 to 5, an infinite floor plane above all.
  """

  samples: int = 0
  slices: int = 10
  stacks: int = 5
  quads: int = 2
  groups: tuple[int, ...] = (0, 1, 2)


DRAWING = Drawing()
"""What pictures are drawn with where nobody says otherwise."""


class Painter:
  """Draws models with OpenGL; `MUJOCO_GL` has chosen it when MuJoCo was imported.

  What only `qpos` moves is drawn: no tendons, flexes, skins or sites.
  """

  def __init__(self, rows: int, columns: int, drawing: Drawing = DRAWING):
    """Takes an OpenGL context; whatever a broken driver raises or does comes from here.

    Args:
      rows: height of a picture in pixels.
      columns: its width.
      drawing: how.
    """
    from mujoco.rendering.classic import gl_context

    self._drawing = drawing
    self._option = mujoco.MjvOption()
    self._option.geomgroup[:] = [group in drawing.groups for group in range(6)]
    self._option.sitegroup[:] = 0
    self._rectangle = mujoco.MjrRect(0, 0, columns, rows)
    self._upside_down = np.empty((rows, columns, 3), np.uint8)
    self._model = self._data = self._scene = self._context = None
    self._gl: Any = gl_context.GLContext(columns, rows)

  def __enter__(self) -> "Painter":
    """The painter itself."""
    return self

  def __exit__(self, *error: object) -> None:
    """Gives the OpenGL context back."""
    self.close()

  def load(self, model: mujoco.MjModel, views: Sequence[str]) -> None:
    """Takes a model, in the place of the one before.

    Args:
      model: to draw; copied.
      views: names of its cameras.

    Raises:
      UserError: if it has no such camera.
    """
    self._cameras = [_fixed(number) for number in camera_numbers(model, views)]
    self._model = copy.copy(model)
    _apply(self._drawing, self._model, self._rectangle)
    self._data = mujoco.MjData(self._model)
    self._scene = mujoco.MjvScene(self._model, _MOST_GEOMS)
    for flag in ("SHADOW", "REFLECTION", "HAZE", "FOG"):
      self._scene.flags[getattr(mujoco.mjtRndFlag, f"mjRND_{flag}")] = False
    self._gl.make_current()
    if self._context is not None:
      self._context.free()
    self._context = mujoco.MjrContext(self._model, int(mujoco.mjtFontScale.mjFONTSCALE_50))
    mujoco.mjr_setBuffer(int(mujoco.mjtFramebuffer.mjFB_OFFSCREEN), self._context)

  def draw(self, qpos: np.ndarray, out: np.ndarray) -> None:
    """Draws one world.

    Args:
      qpos: `[nq]`; where it is not finite, the frames are black.
      out: uint8 `[views, rows, columns, 3]` to draw into.
    """
    if not np.isfinite(qpos).all():
      out[:] = 0
      return
    model, data, scene = self._model, self._data, self._scene
    assert model is not None and data is not None and scene is not None
    self._gl.make_current()
    data.qpos[:] = qpos
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_camlight(model, data)
    everything = int(mujoco.mjtCatBit.mjCAT_ALL)
    for camera, picture in zip(self._cameras, out, strict=True):
      # The headlight goes with the camera, so a scene is made anew for each (.01 ms).
      mujoco.mjv_updateScene(model, data, self._option, None, camera, everything, scene)
      mujoco.mjr_render(self._rectangle, scene, self._context)
      mujoco.mjr_readPixels(self._upside_down, None, self._rectangle, self._context)
      picture[:] = self._upside_down[::-1]

  def close(self) -> None:
    """Gives the OpenGL context back; calling it twice is fine."""
    if self._gl is None:
      return
    self._gl.make_current()
    if self._context is not None:
      self._context.free()
    self._gl.free()
    self._context = self._gl = None


def camera_numbers(model: mujoco.MjModel, views: Sequence[str]) -> list[int]:
  """Which of the model's cameras these are.

  Raises:
    UserError: if there is no such camera, naming those that there are, or no view is asked for.
  """
  names = [model.camera(number).name for number in range(model.ncam)]
  if missing := [view for view in views if view not in names]:
    raise UserError(f"no camera '{missing[0]}' in the model; there are: {', '.join(names)}")
  if not views:
    raise UserError(f"a camera needs at least one view of: {', '.join(names)}")
  return [names.index(view) for view in views]


def _fixed(number: int) -> mujoco.MjvCamera:
  camera = mujoco.MjvCamera()
  camera.type = int(mujoco.mjtCamera.mjCAMERA_FIXED)
  camera.fixedcamid = number
  return camera


def _apply(drawing: Drawing, model: mujoco.MjModel, size: mujoco.MjrRect) -> None:
  """Writes the settings into the model, from where MuJoCo's context takes them."""
  model.vis.global_.offheight, model.vis.global_.offwidth = size.height, size.width
  quality = model.vis.quality
  quality.offsamples, quality.shadowsize = drawing.samples, 0
  quality.numslices, quality.numstacks = drawing.slices, drawing.stacks
  quality.numquads = drawing.quads
