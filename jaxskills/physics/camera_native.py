"""C MuJoCo off screen on all cores, called from inside jitted code.

MuJoCo's renderer keeps Python's lock while it draws: with two threads on two cores it made .9 to
1.0 times the frames of one, with two processes 1.9 times. So every core has a process of its own
(`jaxskills.crew`), which shares the memory that positions come in and frames go out by. OpenGL's
own threads are switched off in them (`LP_NUM_THREADS`): they would only fight over the same cores.
"""

import math
import mmap
import os
import sys
import tempfile
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np

from jaxskills.crew import Crew, CrewError
from jaxskills.errors import UserError
from jaxskills.physics.drawing import Drawing, Painter
from jaxskills.physics.processor import cores

INSTALL = (
  "to draw without a screen, install libegl1 and libgl1-mesa-dri, or libosmesa6 (Debian's names)"
)
_CHUNKS = 4  # that a batch is cut into for each process, so that none waits long for another
_OFF = ("disable", "disabled", "off", "false", "0")

Job = tuple[int, int, int]
"""Worlds that the memory has room for, and the first and last but one to draw."""


def drawing_crew(target: str, *setup: Any, processes: int, descriptors: Sequence[int] = ()) -> Crew:
  """A crew whose processes can draw: with EGL, else with OSMesa, or only with what MUJOCO_GL says.

  A factory has to draw or take a context, so that a driver that does not work shows itself; one
  that aborts the process takes nothing else with it.

  Args:
    target: see `Crew`.
    *setup: arguments of the factory.
    processes: how many.
    descriptors: open files that they inherit.

  Raises:
    UserError: if nothing draws, saying what to install, or if the factory refused.
  """
  chosen = os.environ.get("MUJOCO_GL", "").lower().strip()
  if chosen in _OFF:
    raise UserError(f"MUJOCO_GL={chosen} switches drawing off; unset it")
  choices = [chosen] if chosen else ["egl", "osmesa"] if sys.platform == "linux" else ["cgl"]
  reasons = []
  for choice in choices:
    environment = {"MUJOCO_GL": choice, "LP_NUM_THREADS": "0"}
    if choice in ("egl", "osmesa"):
      environment["PYOPENGL_PLATFORM"] = choice
    try:
      return Crew(
        target, *setup, processes=processes, environment=environment, descriptors=descriptors
      )
    except CrewError as error:
      reasons.append(f"{choice}: {str(error).splitlines()[-1]}")
  raise UserError(f"no OpenGL draws off screen ({'; '.join(reasons)}); {INSTALL}")


class Studio:
  """Draws batches of worlds in processes; the host's side of a camera."""

  def __init__(
    self,
    model: mujoco.MjModel,
    views: Sequence[str],
    rows: int,
    columns: int,
    drawing: Drawing,
    processes: int | None,
  ):
    """Starts the processes.

    Args:
      model: to draw.
      views: names of its cameras.
      rows: height of a picture in pixels.
      columns: its width.
      drawing: how.
      processes: one a core if None.

    Raises:
      UserError: if nothing draws, saying what to install.
    """
    self._nq, self._shape = model.nq, (len(views), rows, columns, 3)
    self._lock = threading.Lock()
    self._room, self._memory = 0, None
    self._file = _anonymous_file()
    setup = (self._file, model, tuple(views), rows, columns, drawing)
    try:
      self._crew = drawing_crew(
        "jaxskills.physics.camera_native:make_worker",
        *setup,
        processes=processes or cores(),
        descriptors=(self._file,),
      )
    except BaseException:
      os.close(self._file)
      raise
    self._end = weakref.finalize(self, os.close, self._file)

  @property
  def pids(self) -> tuple[int, ...]:
    """Numbers of the processes; none once it is closed."""
    return self._crew.pids

  def draw(self, qpos: Any) -> np.ndarray:
    """Draws `[..., nq]` float32; returns uint8 `[..., views, rows, columns, 3]`."""
    qpos = np.asarray(qpos, np.float32)
    rows = qpos.reshape(-1, self._nq)
    with self._lock:
      if not self._end.alive:
        raise CrewError("the camera is closed")
      if len(rows) > self._room:
        self._make_room(len(rows))
      positions, frames = _views(self._memory, self._room, self._nq, self._shape)
      positions[: len(rows)] = rows
      step = max(1, math.ceil(len(rows) / (_CHUNKS * max(1, len(self._crew.pids)))))
      jobs = [
        (self._room, first, min(first + step, len(rows))) for first in range(0, len(rows), step)
      ]
      for _ in self._crew.map(jobs):
        pass
      return frames[: len(rows)].reshape(*qpos.shape[:-1], *self._shape).copy()

  def close(self) -> None:
    """Ends the processes; calling it twice is fine."""
    self._crew.close()
    self._end()

  def _make_room(self, worlds: int) -> None:
    os.ftruncate(self._file, _size(worlds, self._nq, self._shape))
    self._room, self._memory = worlds, mmap.mmap(self._file, 0)


def make_worker(
  file: int,
  model: mujoco.MjModel,
  views: tuple[str, ...],
  rows: int,
  columns: int,
  drawing: Drawing,
) -> Any:
  """What a process of a studio does with a `Job`: draws those worlds into the shared memory."""
  painter = Painter(rows, columns, drawing)
  painter.load(model, views)
  shape, memory, room = (len(views), rows, columns, 3), None, 0
  painter.draw(model.qpos0, np.empty(shape, np.uint8))

  def work(job: Job) -> None:
    nonlocal memory, room
    worlds, first, stop = job
    if memory is None or worlds != room:
      memory, room = mmap.mmap(file, 0), worlds
    positions, frames = _views(memory, worlds, model.nq, shape)
    for world in range(first, stop):
      painter.draw(positions[world], frames[world])

  return work


def _size(worlds: int, nq: int, shape: tuple[int, ...]) -> int:
  return worlds * (4 * nq + math.prod(shape))


def _views(
  memory: Any, worlds: int, nq: int, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
  """Positions float32 `[worlds, nq]`, and frames uint8 `[worlds, *shape]` behind them."""
  positions = np.frombuffer(memory, np.float32, worlds * nq).reshape(worlds, nq)
  frames = np.frombuffer(memory, np.uint8, worlds * math.prod(shape), offset=4 * worlds * nq)
  return positions, frames.reshape(worlds, *shape)


def _anonymous_file() -> int:
  """A file without a name, so that nothing is left of it however the process ends."""
  if hasattr(os, "memfd_create"):
    return os.memfd_create("jaxskills-camera")
  with tempfile.TemporaryFile() as file:
    return os.dup(file.fileno())
