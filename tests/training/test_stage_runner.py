"""One stage by itself: when it saves and evaluates, what it is given, and what it refuses."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxskills.training.run_state import Stage
from jaxskills.training.stage_runner import SavePolicy
from tests.training.toy_run import Crash, Outcome, crash_at, rows_without_clocks, run_toy


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


def test_a_stage_says_how_it_is_compiled(tmp_path):
  stage = counting(1)._replace(compiler_options={"no_such_option": True})
  with pytest.raises(jax.errors.JaxRuntimeError, match="no_such_option"):
    run_one(tmp_path, stage)


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
