"""Runs that are killed, stopped or damaged end with the same bits as one that was left alone."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxskills.training import metrics
from jaxskills.training.loop import load_results
from jaxskills.training.run_state import Stage
from jaxskills.training.stage_runner import SavePolicy
from tests.training.toy_run import (
  TOY_RUN,
  Outcome,
  hashes,
  rows_without_clocks,
  run_toy,
  toy_stages,
)


class Crash(Exception):
  """Stands for a kill in this process: nothing is saved on the way out."""


def crash_at(cursor_of_death: int):
  """Dies when the feed is asked for the batch after this many."""

  def before(cursor: int) -> None:
    if cursor == cursor_of_death:
      raise Crash

  return before


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
  """A run that nothing happens to, and that never saves before the end."""
  return run_toy(tmp_path_factory.mktemp("undisturbed"), every=3600.0)


def start_toy(workdir: Path, *arguments: str) -> subprocess.Popen:
  """The run in a process of its own."""
  command = [sys.executable, str(TOY_RUN), str(workdir), *arguments]
  environment = {**os.environ, "PYTHONPATH": str(TOY_RUN.parents[2])}
  pipe = subprocess.PIPE
  return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def rows_in(workdir: Path) -> int:
  """Rows written so far."""
  path = workdir / "metrics.jsonl"
  return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for_rows(process: subprocess.Popen, workdir: Path, count: int) -> None:
  """Returns once the run has written `count` rows or has ended."""
  deadline = time.monotonic() + 300.0
  while rows_in(workdir) < count and process.poll() is None:
    assert time.monotonic() < deadline, "the run stands still"
    time.sleep(0.005)


def finish(process: subprocess.Popen) -> dict[str, str]:
  """Hashes that a run printed at its end."""
  out, err = process.communicate(timeout=500)
  assert process.returncode == 0, err
  return json.loads(out)


def killed_and_resumed(workdir: Path, kills: int, seed: int) -> dict[str, str]:
  """Kills the run at random points, each beyond the last, and lets it end."""
  chance = random.Random(seed)
  total = 2 * 12 + 3  # rows of the whole run: chunks, and evaluations of the first stage
  for rows in sorted(chance.sample(range(1, total - 2), kills)):
    process = start_toy(workdir)
    wait_for_rows(process, workdir, rows)
    time.sleep(chance.uniform(0.0, 0.1))
    process.send_signal(signal.SIGKILL)
    process.communicate()
  return finish(start_toy(workdir))


def test_a_run_killed_at_random_points_ends_with_the_same_bits(tmp_path, undisturbed):
  assert killed_and_resumed(tmp_path, kills=3, seed=0) == hashes(undisturbed)
  assert rows_without_clocks(tmp_path) == undisturbed.rows  # none twice, none missing
  assert not list(tmp_path.rglob(".tmp-*"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_a_run_killed_ten_times_ends_with_the_same_bits(tmp_path, undisturbed, seed):
  assert killed_and_resumed(tmp_path, kills=10, seed=seed) == hashes(undisturbed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_chunk_saves_and_exits_with_the_line_that_resumes(
  tmp_path, undisturbed, number
):
  process = start_toy(tmp_path, "--pause=0.2")
  wait_for_rows(process, tmp_path, 3)
  process.send_signal(number)
  out, err = process.communicate(timeout=300)
  assert process.returncode == 0
  assert "Traceback" not in err
  assert number.name in out and "run the same command again" in out
  chunk = metrics.read_rows(tmp_path / "metrics.jsonl")[-1]["chunk"]
  assert (tmp_path / f"checkpoints/pretrain/toy/{chunk:08d}/manifest.json").exists()
  outcome = run_toy(tmp_path)
  assert hashes(outcome) == hashes(undisturbed)
  assert f"going on from the checkpoint at {chunk * 16} samples" in outcome.said


def test_a_crash_between_checkpoints_repeats_only_what_was_lost(tmp_path, undisturbed):
  with pytest.raises(Crash):
    run_toy(tmp_path, before=crash_at(8))
  outcome = run_toy(tmp_path)
  assert hashes(outcome) == hashes(undisturbed)
  assert "going on from the checkpoint at 112 samples" in outcome.said  # 7 chunks of 16
  before, after = outcome.reports["pretrain/toy"], undisturbed.reports["pretrain/toy"]
  assert before.progress.metrics == after.progress.metrics


@pytest.mark.parametrize("damage", ["flip", "truncate", "no manifest", "no record"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before_and_says_so(
  tmp_path, undisturbed, damage
):
  with pytest.raises(Crash):
    run_toy(tmp_path, before=crash_at(6))
  newest = tmp_path / "checkpoints/pretrain/toy/00000005"
  apply_damage(newest, damage)
  outcome = run_toy(tmp_path)
  assert f"{newest} is damaged" in outcome.said
  assert "going on from the checkpoint at 64 samples" in outcome.said
  assert hashes(outcome) == hashes(undisturbed)


def apply_damage(folder: Path, damage: str) -> None:
  """Does to a checkpoint what disks and people do."""
  files = [path for path in (folder / "state").rglob("*") if path.is_file()]
  arrays = max(files, key=lambda path: path.stat().st_size)
  content = arrays.read_bytes()
  if damage == "flip":
    middle = len(content) // 2
    arrays.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
  elif damage == "truncate":
    arrays.write_bytes(content[:-1])
  else:
    (folder / damage.replace("no ", "")).with_suffix(".json").unlink()


def test_without_a_whole_checkpoint_the_stage_begins_anew_with_the_same_bits(tmp_path, undisturbed):
  with pytest.raises(Crash):
    run_toy(tmp_path, before=crash_at(6))
  for folder in (tmp_path / "checkpoints/pretrain/toy").iterdir():
    apply_damage(folder, "truncate")
  outcome = run_toy(tmp_path)
  assert outcome.said.count("is damaged") == 2
  assert "going on" not in outcome.said
  assert hashes(outcome) == hashes(undisturbed)
  assert rows_without_clocks(tmp_path) == undisturbed.rows


def test_a_finished_stage_is_not_run_again(tmp_path, undisturbed):
  run_toy(tmp_path, stages=toy_stages()[:1])

  def never(cursor: int) -> None:
    raise AssertionError("a finished stage asked for data")

  outcome = run_toy(tmp_path, before=never)
  assert "pretrain/toy: finished before" in outcome.said
  assert hashes(outcome) == hashes(undisturbed)
  assert outcome.reports["pretrain/toy"].progress.updates == 12


def test_a_damaged_result_is_made_again(tmp_path, undisturbed):
  run_toy(tmp_path)
  apply_damage(tmp_path / "checkpoints/pretrain/toy/result", "truncate")
  outcome = run_toy(tmp_path)
  assert "result is damaged" in outcome.said
  assert hashes(outcome) == hashes(undisturbed)
  assert sorted(row["chunk"] for row in rows_without_clocks(tmp_path) if "norm" in row) == [
    5,
    10,
    12,
  ]


def test_load_results_gives_what_the_run_gave_and_names_what_is_missing(tmp_path, undisturbed):
  outcome = run_toy(tmp_path)
  results, reports = load_results(tmp_path, toy_stages())
  jax.tree.map(np.testing.assert_array_equal, results, outcome.results)
  assert reports == outcome.reports
  apply_damage(tmp_path / "checkpoints/rl/toy/result", "no manifest")
  with pytest.raises(Exception, match=r"no whole result of rl/toy .*'jaxskills train'"):
    load_results(tmp_path, toy_stages())


def test_one_device_equals_two(tmp_path, undisturbed):
  assert jax.device_count() == 2
  one = run_toy(tmp_path, devices=jax.devices()[:1])
  assert hashes(one) == hashes(undisturbed)


def test_a_run_resumes_on_another_number_of_devices(tmp_path, undisturbed):
  path = tmp_path / "checkpoints/rl/toy"
  stages = toy_stages()
  short = [stages[0], ("rl/toy", lambda results: stop_early(stages[1][1](results), 5))]
  with pytest.raises(Crash):
    run_toy(tmp_path, stages=short)
  assert (path / "00000005").exists()
  one = run_toy(tmp_path, devices=jax.devices()[:1])
  assert "going on from the checkpoint at 40 environment steps" in one.said
  assert hashes(one) == hashes(undisturbed)


def stop_early(stage: Stage, chunks: int) -> Stage:
  """Crashes after some chunks, when the stage would be finished."""

  def finish(state):
    if not isinstance(state.step, jax.core.Tracer):
      raise Crash
    return stage.finish(state)

  return stage._replace(chunks=chunks, finish=finish)


@given(every=st.floats(0.0, 1e4), share=st.floats(0.001, 1.0), cost=st.floats(0.0, 1e4))
def test_saving_never_takes_more_than_its_share_nor_comes_more_often_than_told(every, share, cost):
  pause = SavePolicy(every, share).pause(cost)
  assert pause >= every
  assert cost <= share * (cost + pause) * (1 + 1e-9)


def test_checkpoints_wait_for_their_time(tmp_path):
  with pytest.raises(Crash):
    run_toy(tmp_path, before=crash_at(6), every=3600.0)
  assert not list((tmp_path / "checkpoints").rglob("manifest.json"))


def counting(chunks: int, **fields) -> Stage:
  """The least that a stage can be."""

  def chunk(state, data):
    del data
    return {"count": state["count"] + 1, "twin": state["twin"] + 1}, {"count": state["count"]}

  def init(key):
    del key
    zero = jnp.zeros((), jnp.int32)
    return {"count": zero, "twin": zero}

  stage = Stage(
    name="count",
    init=init,
    chunk=chunk,
    chunks=chunks,
    per_chunk=1,
    unit="steps",
    finish=lambda state: state,
    counters=lambda state: {"env_steps": state["count"], "updates": state["twin"]},
  )
  return stage._replace(**fields)


def run_one(path: Path, stage: Stage) -> Outcome:
  """Runs one stage alone."""
  return run_toy(path, stages=[(stage.name, lambda results: stage)])


def test_evaluations_come_every_so_many_chunks_and_once_at_the_end(tmp_path):
  stage = counting(5, evaluate=lambda state: {"seen": state["count"]}, evaluate_every=2)
  run_one(tmp_path, stage)
  seen = [row["seen"] for row in rows_without_clocks(tmp_path) if "seen" in row]
  assert seen == [2, 4, 5]


def test_a_stage_without_chunks_is_only_evaluated(tmp_path):
  outcome = run_one(tmp_path, counting(0, evaluate=lambda state: {"seen": state["count"]}))
  assert [row["seen"] for row in rows_without_clocks(tmp_path)] == [0]
  assert outcome.reports["count"].progress.metrics == {"seen": 0.0}


def test_a_chunk_that_changes_its_state_is_refused_by_the_name_of_the_leaf(tmp_path):
  def chunk(state, data):
    return {**state, "count": state["count"] + 1.5}, {}

  with pytest.raises(ValueError, match=r"turns count from int32\[\] into float32\[\]"):
    run_one(tmp_path, counting(2, chunk=chunk))


def test_the_key_of_a_stage_depends_on_seed_and_name_alone(tmp_path):
  draws = {}
  for name, folder in [("one", "a"), ("two", "b"), ("one", "c")]:
    stage = counting(0, name=name, finish=lambda state: state, init=draw_once)
    before = [] if folder == "a" else [("first", lambda results: counting(1, name="first"))]
    stages = [*before, (name, lambda results, stage=stage: stage)]
    outcome = run_toy(tmp_path / folder, stages=stages)
    draws[folder] = float(outcome.results[name]["count"])
  assert draws["a"] == draws["c"] != draws["b"]


def draw_once(key):
  """A state that shows its key."""
  return {"count": jax.random.uniform(key), "twin": jnp.zeros((), jnp.int32)}


class ReusingFeed:
  """Counts in one array that it uses again, aligned such that JAX would share its memory."""

  def __init__(self) -> None:
    """Starts at zero."""
    memory = np.zeros(128, np.uint8)
    start = -memory.ctypes.data % 64
    self.array = memory[start : start + 64].view(np.float32)

  def next(self) -> np.ndarray:
    """One more than before."""
    self.array += 1.0
    return self.array

  def get_state(self) -> bytes:
    """The count."""
    return self.array.tobytes()

  def set_state(self, state: bytes) -> None:
    """Goes there."""
    self.array[:] = np.frombuffer(state, np.float32)


def test_a_feed_may_use_its_arrays_again(tmp_path):
  def chunk(state, data):  # long enough that the next data arrive before these are read
    slow = jax.lax.fori_loop(0, 100, lambda _, x: jnp.tanh(x @ x), jnp.ones((256, 256)))
    return jax.tree.map(lambda leaf: leaf + 1, state), {"seen": data[0] + 0.0 * slow[0, 0]}

  run_one(tmp_path, counting(4, chunk=chunk, feed=ReusingFeed()))
  assert [row["seen"] for row in rows_without_clocks(tmp_path)] == [1.0, 2.0, 3.0, 4.0]


def test_several_seeds_as_one_give_rows_of_lists(tmp_path):
  def chunk(state, data):
    return jax.tree.map(lambda leaf: leaf + 1, state), {"loss": jnp.array([1.0, jnp.nan, 3.0])}

  run_one(tmp_path, counting(1, chunk=chunk))
  assert rows_without_clocks(tmp_path)[0]["loss"] == [1.0, None, 3.0]
