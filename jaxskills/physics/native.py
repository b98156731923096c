"""C MuJoCo on the processor's threads, called from inside jitted code.

`mujoco.batch` steps many worlds on a thread pool of its own, each with its own values of model
fields, and keeps controls, warm start and warnings apart per world. A callback brings the state in,
steps, and takes it out again; the batch is scratch space only, so that the function stays pure. On
two cores it makes 129,000 physics steps a second of the H1 with per-world models, where
`mujoco.rollout` over a list of models makes 109,000, since there every world drags a whole model
through the caches (`benchmarks/README.md`).
"""

import copy
import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import mujoco.batch
import numpy as np
from jaxtyping import Array, Float

from jaxskills.physics.processor import cores
from jaxskills.physics.quiet import BAD, FULL, quiet
from jaxskills.physics.state import Engine, Parameters, PhysicsState

_Fields = tuple[tuple[str, tuple[int, ...]], ...]  # name and shape of a world's own parameters

_BATCHES = 8  # sizes that are kept; a run uses two or three
# The volumes by which whole bodies are passed over lie in the frame of the inertia: where worlds
# have centres of mass of their own, they would hide contacts.
_DISABLED = int(mujoco.mjtDisableBit.mjDSBL_AUTORESET | mujoco.mjtDisableBit.mjDSBL_MIDPHASE)


def make_native(model: mujoco.MjModel, substeps: int, *, threads: int | None = None) -> Engine:
  """Prepares C MuJoCo for a model.

  A world that diverges comes back as NaN; MuJoCo alone would put it back to its start unasked. So
  does one for which MuJoCo has no memory to compute on, with `overflow`; one that has only lost
  contacts or constraints goes on without them.

  Args:
    model: to simulate.
    substeps: physics steps in a control step.
    threads: all cores that this process may use, if None.
  """
  stepper = _Stepper(model, substeps, threads or cores())
  sizes = (model.nq, model.nv, model.na, 1, model.nv)
  ends = np.cumsum(sizes)
  out = jax.ShapeDtypeStruct((int(ends[-1]) + model.nsensordata + 1,), jnp.float32)

  def call(
    function: Callable[..., np.ndarray],
    state: Sequence[Array],
    controls: Float[Array, "substeps nu"],
    parameters: Parameters,
  ) -> PhysicsState:
    """Hands everything over as one array: every further one would cost 0.05 ms and more."""
    fields = tuple((name, parameters[name].shape) for name in sorted(parameters))
    parts = (*state, controls, *(parameters[name] for name, _ in fields))
    row = jnp.concatenate([part.reshape(-1).astype(jnp.float32) for part in parts])
    host = functools.partial(function, fields)
    return unpack(jax.pure_callback(host, out, row, vmap_method="broadcast_all"))

  def unpack(values: Float[Array, "size"]) -> PhysicsState:
    qpos, qvel, act, time, warmstart, rest = jnp.split(values, ends)
    overflow = rest[-1].astype(jnp.int32)
    return PhysicsState(qpos, qvel, act, time[0], warmstart, rest[:-1], overflow)

  def start(
    qpos: Float[Array, "nq"], qvel: Float[Array, "nv"], parameters: Parameters
  ) -> PhysicsState:
    rest = jnp.zeros(model.na + 1 + model.nv)
    controls = jnp.zeros((substeps, model.nu))
    return call(stepper.forward, (qpos, qvel, rest), controls, parameters)

  def step(
    state: PhysicsState, controls: Float[Array, "substeps nu"], parameters: Parameters
  ) -> PhysicsState:
    parts = (state.qpos, state.qvel, state.act, state.time, state.warmstart)
    return call(stepper.step, parts, controls, parameters)

  return Engine("native", stepper.model, substeps, start, step)


class _Stepper:
  """The host's side: batches of scratch worlds by their number, and a lock around them.

  The lock lets two callbacks at once (two devices, two programs) take turns; who waits for it has
  let go of Python's own lock, so neither can keep the other from ending.
  """

  def __init__(self, model: mujoco.MjModel, substeps: int, threads: int):
    self.model = copy.copy(model)
    self.model.opt.disableflags |= _DISABLED
    self._substeps, self._threads = substeps, threads
    self._batches: OrderedDict[tuple[int, _Fields], _Scratch] = OrderedDict()
    self._lock = threading.Lock()

  def forward(self, fields: _Fields, values: Any) -> np.ndarray:
    """Fills in sensors, `[..., row]` in and `[..., size + nsensordata + 1]` out."""
    values = np.asarray(values)
    rows = values.reshape(-1, values.shape[-1])
    with self._lock:
      scratch = self._load(fields, rows)
      with quiet():  # what warnings say comes back as NaN or `overflow`
        scratch.forward()
      return scratch.result(values.shape[:-1])

  def step(self, fields: _Fields, values: Any) -> np.ndarray:
    """One control step."""
    values = np.asarray(values)
    rows = values.reshape(-1, values.shape[-1])
    with self._lock:
      scratch = self._load(fields, rows)
      with quiet():
        scratch.step(rows)
      return scratch.result(values.shape[:-1])

  def _load(self, fields: _Fields, rows: np.ndarray) -> "_Scratch":
    """Scratch worlds with this state, these controls and these parameters."""
    key = (len(rows), fields)
    if key not in self._batches:
      self._batches[key] = _Scratch(self.model, len(rows), self._threads, self._substeps, fields)
      if len(self._batches) > _BATCHES:
        self._batches.popitem(last=False)
    self._batches.move_to_end(key)
    scratch = self._batches[key]
    scratch.load(rows)
    return scratch


class _Scratch:
  """A batch of worlds in C, and views of the parts of its state."""

  def __init__(
    self, model: mujoco.MjModel, worlds: int, threads: int, substeps: int, fields: _Fields
  ):
    self.batch = mujoco.batch.Batch(model, worlds, min(threads, worlds))
    self._inputs = np.zeros((worlds, substeps, model.nu))
    names = ("qpos", "qvel", "act", "time", "qacc_warmstart")
    views = [self.batch.bind(name).reshape(worlds, -1) for name in names]
    parts = _slices([view.shape[1] for view in views])
    self._views = list(zip(parts, views, strict=True))
    self._size = parts[-1].stop
    self._controls = slice(self._size, self._size + self._inputs[0].size)
    arrays = [self.batch.expand(name) for name, _ in fields]
    parts = _slices([array[0].size for array in arrays])
    self._fields = list(zip(parts, arrays, strict=True))
    self._loaded = np.full((worlds, parts[-1].stop if parts else 0), np.nan, np.float32)
    self._sensors = self.batch.bind("sensordata")
    self._failed = np.zeros(worlds, bool)

  def load(self, rows: np.ndarray) -> None:
    """Writes state, controls, and where they are not there already, parameters."""
    self._failed[:] = False
    for part, view in self._views:
      view[:] = rows[:, part]
    self._inputs.reshape(len(rows), -1)[:] = rows[:, self._controls]
    given = rows[:, self._controls.stop :]
    changed = np.flatnonzero((given != self._loaded).any(axis=1))
    if not len(changed):
      return
    self._loaded[changed] = given[changed]
    for part, field in self._fields:
      field[changed] = given[changed, part].reshape(len(changed), *field.shape[1:])

  def forward(self) -> None:
    """Fills in sensors, with controls of 0."""
    self.batch.bind("ctrl")[:] = 0.0
    self._attempt(self.batch.forward)

  def step(self, rows: np.ndarray) -> None:
    """One control step from what was loaded, which is `rows`.

    `rollout` leaves a world where a warning came. One that only lost contacts or constraints has to
    get on as it does on the other engines, so it is taken from its start once more, step by step.
    """
    substeps = self._inputs.shape[1]
    self._attempt(self.batch.rollout, substeps, self._inputs, record=())
    warnings = self.batch.warning[..., 1]
    is_left = warnings.any(axis=1) & ~warnings[:, BAD].any(axis=1) & ~self._failed
    if substeps == 1 or not is_left.any():
      return
    left = np.flatnonzero(is_left)
    for part, view in self._views:
      view[left] = rows[left, part]
    for substep in range(substeps):
      self.batch.bind("ctrl")[left] = self._inputs[left, substep]
      self._attempt(self.batch.step, ids=left)

  def _attempt(self, function: Callable[..., Any], *args: Any, **options: Any) -> None:
    """Calls a function of the batch; worlds in which MuJoCo raises do not stop the others."""
    try:
      function(*args, **options)
    except mujoco.batch.SimulationError as error:
      self._failed[error.ids] = True

  def result(self, shape: tuple[int, ...]) -> np.ndarray:
    """State, sensors and overflow of all worlds, `[*shape, size]` float32."""
    warnings = self.batch.warning[..., 1]  # column 0 is what the last warning was about
    out = np.empty((len(self._sensors), self._size + self._sensors.shape[1] + 1), np.float32)
    for part, view in self._views:
      out[:, part] = view
    out[:, self._size : -1] = self._sensors
    out[:, -1] = warnings[:, FULL].any(axis=1) | self._failed
    out[warnings[:, BAD].any(axis=1) | self._failed, :-1] = np.nan
    if warnings.any():
      warnings[:] = 0
    return out.reshape(*shape, -1)


def _slices(sizes: Sequence[int]) -> list[slice]:
  """Where parts of these sizes lie when one follows the other."""
  ends = np.cumsum([0, *sizes])
  return [slice(int(begin), int(end)) for begin, end in zip(ends[:-1], ends[1:], strict=True)]
