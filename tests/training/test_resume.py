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
import numpy as np
import pytest

from jaxskills.training import metrics
from jaxskills.training.loop import load_results
from jaxskills.training.run_state import Stage
from tests.training.toy_run import (
  TOY_RUN,
  Crash,
  Outcome,
  crash_at,
  hashes,
  rows_without_clocks,
  run_toy,
  toy_stages,
)


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
  rows, _ = metrics.read_rows(tmp_path / "metrics.jsonl")
  chunk = rows[-1]["chunk"]
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
