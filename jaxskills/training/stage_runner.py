"""One stage from wherever it is to its end: chunks, evaluations, checkpoints, result.

Per chunk it makes one compiled call with donated state and brings the metrics to the host;
evaluation and saving happen between chunks. A finished stage leaves `checkpoints/<stage>/result`.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxskills.errors import Interrupted
from jaxskills.training import checkpoint, metrics, sharding
from jaxskills.training.progress import ProgressReport, clock_time
from jaxskills.training.run_state import Progress, RunState, Stage, StageReport
from jaxskills.training.signals import StopRequest
from jaxskills.training.workdir import Workdir


class SavePolicy(NamedTuple):
  """When to save a checkpoint.

  Attributes:
    every_seconds: not more often than this.
    share: nor so often that saving takes more than this part of the time.
  """

  every_seconds: float = 60.0
  share: float = 0.05

  def pause(self, cost_seconds: float) -> float:
    """Seconds to work between two savings that take `cost_seconds` each."""
    return max(self.every_seconds, cost_seconds * (1.0 / self.share - 1.0))


class StageRunner:
  """Takes one stage from wherever it is to its end."""

  def __init__(
    self,
    workdir: Workdir,
    stage: Stage,
    mesh: jax.sharding.Mesh,
    save_policy: SavePolicy,
    shown: ProgressReport,
    stop: StopRequest,
  ) -> None:
    """Prepares a stage; nothing is read or compiled yet.

    Args:
      workdir: held by this process.
      stage: to run.
      mesh: of all devices; a stage without shardings uses the first.
      save_policy: when to save.
      shown: where to tell about it.
      stop: whether somebody asked the run to stop.
    """
    self._began = time.perf_counter()
    if stage.shardings is None:
      mesh = sharding.make_mesh(list(mesh.devices.flat)[:1])
    self._workdir, self._stage, self._mesh = workdir, stage, mesh
    self._save_policy, self._shown, self._stop = save_policy, shown, stop
    self._checkpoints = checkpoint.Checkpoints(workdir.checkpoints / stage.name, shown.note)
    shapes = jax.eval_shape(stage.init, jax.random.key(0))
    self._shardings = (stage.shardings or sharding.replicate)(mesh, shapes)
    self._like = sharding.placed(shapes, self._shardings)

  def finished(self) -> tuple[Any, StageReport] | None:
    """The result, if an earlier process got that far and its files are whole."""
    folder = _result_folder(self._workdir, self._stage)
    if not folder.exists():
      return None
    try:
      result, report = load_result(self._workdir, self._stage)
    except checkpoint.Damaged as damage:
      self._shown.note(f"{folder} is damaged ({damage}); making it again")
      return None
    self._checkpoints.clear()
    self._shown.note(f"{self._stage.name}: finished before")
    return result, report

  def run(self, key: jax.Array, *, tensorboard: bool) -> tuple[Any, StageReport]:
    """Does the chunks that are left, and keeps the result."""
    stage, run = self._stage, self._resumed() or self._fresh(key)
    progress = run.progress
    metrics.forget_rows_after(self._workdir.metrics, stage.name, progress.chunk)
    total = stage.chunks * stage.per_chunk
    self._shown.start(stage.name, stage.unit, done=self._units(progress), total=total)
    with ExitStack() as opened:
      writers: list[metrics.Writer] = [metrics.JsonLines(self._workdir.metrics)]
      opened.callback(writers[0].close)
      if tensorboard:
        since = progress.env_steps or progress.updates
        folder = self._workdir.tensorboard / stage.name
        writers.append(metrics.TensorBoard(folder, since=since))
        opened.callback(writers[1].close)
      state, progress = self._work(run, writers)
    return self._keep_result(state, progress)

  def _resumed(self) -> RunState | None:
    """The newest whole checkpoint."""
    saved = self._checkpoints.newest(self._like)
    if saved is None:
      return None
    progress = Progress(**saved.record["progress"])
    if self._stage.feed is not None:
      self._stage.feed.set_state(saved.feed)
    self._began -= progress.wall_seconds
    done = f"{self._units(progress):,} {self._stage.unit}"
    self._shown.note(f"{self._stage.name}: going on from the checkpoint at {done}")
    return RunState(saved.tree, saved.feed, progress)

  def _fresh(self, key: jax.Array) -> RunState:
    key = jax.device_put(key, sharding.replicate(self._mesh, key))
    init, seconds = self._compile(self._stage.init, key, out_shardings=self._shardings)
    return RunState(init(key), b"", Progress(compile_seconds=seconds))

  def _work(self, run: RunState, writers: list[metrics.Writer]) -> tuple[Any, Progress]:
    """Does what is left, the evaluation at the end included."""
    evaluate = None
    if self._stage.evaluate is not None:
      evaluate, seconds = self._compile(self._stage.evaluate, self._like)
      run = _compiled_in(run, seconds)
    if run.progress.chunk < self._stage.chunks:
      run = self._train(run, evaluate, writers)
    progress = run.progress
    if evaluate is not None:
      values = metrics.flatten(evaluate(run.state))
      progress = self._record(run.state, progress, values, writers)
    return run.state, progress

  def _train(
    self,
    run: RunState,
    evaluate: Callable[[Any], Any] | None,
    writers: list[metrics.Writer],
  ) -> RunState:
    """Runs chunks until the last one, or until asked to stop."""
    stage, data = self._stage, self._next_data()
    chunk, seconds = self._compile_chunk(data)
    self._shown.note(f"{stage.name}: compiled in {seconds:.0f} s")
    state, feed, progress = _compiled_in(run, seconds)
    saved_at, pause = time.perf_counter(), self._save_policy.pause(0.0)
    while progress.chunk < stage.chunks:
      if self._stop:  # asked for while compiling: nothing is new
        raise self._interrupted(progress)
      began = time.perf_counter()
      state, values = chunk(state, data)
      progress = progress._replace(chunk=progress.chunk + 1)
      if stage.feed is not None:
        feed = stage.feed.get_state()
        if progress.chunk < stage.chunks:
          data = self._next_data()  # while the device works
      values = metrics.flatten(values)
      chunk_seconds = progress.chunk_seconds + time.perf_counter() - began
      progress = progress._replace(chunk_seconds=chunk_seconds)
      progress = self._record(state, progress, values, writers)
      if evaluate is not None and self._is_evaluation_due(progress.chunk):
        progress = self._record(state, progress, metrics.flatten(evaluate(state)), writers)
      began, stopping = time.perf_counter(), bool(self._stop)
      if stopping or began - saved_at >= pause:
        self._save(RunState(state, feed, progress), writers)
        saved_at = time.perf_counter()
        pause = self._save_policy.pause(saved_at - began)
      if stopping:
        raise self._interrupted(progress)
    return RunState(state, feed, progress)

  def _lower(self, function: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
    """Traces a function of the stage, under the mesh for engines that XLA cannot split."""
    with jax.set_mesh(self._mesh) if self._mesh.size > 1 else nullcontext():
      options = self._stage.compiler_options
      return jax.jit(function, compiler_options=options, **settings).lower(*arguments)

  def _compile(
    self, function: Callable[..., Any], *arguments: Any, **settings: Any
  ) -> tuple[Callable[..., Any], float]:
    """Compiles ahead of time and says how many seconds that took."""
    began = time.perf_counter()
    compiled = self._lower(function, *arguments, **settings).compile()
    return compiled, time.perf_counter() - began

  def _compile_chunk(self, data: Any) -> tuple[Callable[..., Any], float]:
    """Compiles the chunk, which takes its state's memory over.

    Raises:
      ValueError: if the state would come back in another form, naming the first leaf.
    """
    out = (self._shardings, None)
    began = time.perf_counter()
    lowered = self._lower(self._stage.chunk, self._like, data, donate_argnums=0, out_shardings=out)
    before, after = checkpoint.describe(self._like), checkpoint.describe(lowered.out_info[0])
    if difference := checkpoint.first_difference(before, after):
      name, was, is_now = difference
      raise ValueError(f"the chunk of {self._stage.name} turns {name} from {was} into {is_now}")
    return lowered.compile(), time.perf_counter() - began

  def _next_data(self) -> Any:
    """The next data on the devices.

    It is copied first, since a feed may use its arrays again: on a CPU `jax.device_put` shares the
    memory of aligned NumPy arrays, even with `may_alias=False` (jax 0.10.2).
    """
    if self._stage.feed is None:
      return None
    data = jax.tree.map(np.array, self._stage.feed.next())
    return jax.device_put(data, sharding.replicate(self._mesh, data))

  def _is_evaluation_due(self, chunk: int) -> bool:
    """Between the first and the last chunk; the one at the end is not optional."""
    every = self._stage.evaluate_every
    return every > 0 and chunk % every == 0 and chunk < self._stage.chunks

  def _record(
    self,
    state: Any,
    progress: Progress,
    values: Mapping[str, metrics.Figure],
    writers: list[metrics.Writer],
  ) -> Progress:
    """Writes a row, shows it, and returns the progress with it."""
    stage, counters = self._stage, jax.device_get(self._stage.counters(state))
    progress = progress._replace(
      env_steps=int(counters["env_steps"]),
      updates=int(counters["updates"]),
      wall_seconds=time.perf_counter() - self._began,
      metrics={**progress.metrics, **values},
    )
    row = {
      "stage": stage.name,
      "chunk": progress.chunk,
      "env_steps": progress.env_steps,
      "updates": progress.updates,
      "wall_seconds": round(progress.wall_seconds, 3),
      **values,
    }
    for writer in writers:
      writer.write(row)
    latest = progress.metrics
    shown = {name: metrics.mean(latest[name]) for name in stage.headline if name in latest}
    self._shown.update(self._units(progress), shown)
    return progress

  def _save(self, run: RunState, writers: list[metrics.Writer]) -> None:
    for writer in writers:
      writer.flush()
    record = {"progress": run.progress._asdict()}
    self._checkpoints.save(run.progress.chunk, run.state, record, run.feed)

  def _interrupted(self, progress: Progress) -> Interrupted:
    done = f"{self._units(progress):,} {self._stage.unit} of {self._stage.name}"
    return Interrupted(
      f"stopped by {self._stop.signal} after {done}; all is saved in {self._workdir.path}, "
      "run the same command again to go on."
    )

  def _keep_result(self, state: Any, progress: Progress) -> tuple[Any, StageReport]:
    """Saves the result and drops the checkpoints, which nobody needs any more."""
    stage, result = self._stage, sharding.on_any_device(self._stage.finish(state))
    progress = progress._replace(wall_seconds=time.perf_counter() - self._began)
    work = stage.chunks * stage.per_chunk
    rate = work / progress.chunk_seconds if progress.chunk_seconds else 0.0
    report = StageReport(progress, rate, metrics.parameters_sha256(result))
    record = {**report._asdict(), "progress": progress._asdict()}
    checkpoint.save(_result_folder(self._workdir, stage), result, record)
    self._checkpoints.clear()
    took = f"{work:,} {stage.unit} in {clock_time(progress.wall_seconds)}"
    parts = f"{rate:,.0f}/s while training, {progress.compile_seconds:.1f} s compiling"
    self._shown.finish(f"{took} ({parts})")
    return result, report

  def _units(self, progress: Progress) -> int:
    return progress.chunk * self._stage.per_chunk


def _result_folder(workdir: Workdir, stage: Stage) -> Path:
  return workdir.checkpoints / stage.name / "result"


def load_result(workdir: Workdir, stage: Stage) -> tuple[Any, StageReport]:
  """Reads the result of a finished stage.

  Raises:
    Damaged: if its files are not whole.
  """
  shapes = jax.eval_shape(lambda key: stage.finish(stage.init(key)), jax.random.key(0))
  device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  like = sharding.placed(shapes, jax.tree.map(lambda _: device, shapes))
  saved = checkpoint.load(_result_folder(workdir, stage), like)
  fields = {**saved.record, "progress": Progress(**saved.record["progress"])}
  return sharding.on_any_device(saved.tree), StageReport(**fields)


def _compiled_in(run: RunState, seconds: float) -> RunState:
  compile_seconds = run.progress.compile_seconds + seconds
  return run._replace(progress=run.progress._replace(compile_seconds=compile_seconds))
