"""Rows of metrics, TensorBoard events, and the fingerprint of parameters."""

import hashlib
import json
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.training import metrics


def row(stage: str, chunk: int, **values) -> dict:
  """A row as the loop writes it."""
  steps = {"env_steps": 10 * chunk, "updates": chunk, "wall_seconds": 0.5}
  return {"stage": stage, "chunk": chunk, **steps, **values}


def test_metrics_become_named_numbers():
  found = metrics.flatten({"b": {"x": jnp.float32(2)}, "a": jnp.array([1.0, jnp.inf])})
  assert found == {"a": [1.0, None], "b/x": 2.0}
  assert metrics.mean(found["a"]) == 1.0
  assert metrics.mean([None]) is None


def test_a_metric_of_more_axes_is_refused_by_name():
  with pytest.raises(ValueError, match=r"metric m must be a scalar or \[n\], got shape \[2, 2\]"):
    metrics.flatten({"m": jnp.zeros((2, 2))})


def test_rows_are_one_json_object_a_line(tmp_path):
  path = tmp_path / "metrics.jsonl"
  for chunk in (1, 2):  # a second process appends
    writer = metrics.JsonLines(path)
    writer.write(row("rl", chunk, loss=0.5, bad=None))
    writer.close()
  lines = path.read_text().splitlines()
  assert [json.loads(line)["chunk"] for line in lines] == [1, 2]
  assert json.loads(lines[0]) == row("rl", 1, loss=0.5, bad=None)


def test_rows_after_the_checkpoint_are_forgotten_those_of_other_stages_are_not(tmp_path):
  path = tmp_path / "metrics.jsonl"
  rows = [row("a", 1), row("a", 2), row("b", 1), row("b", 2), row("b", 3)]
  torn = json.dumps(row("b", 4))[:17]
  path.write_text("".join(json.dumps(entry) + "\n" for entry in rows) + torn)
  metrics.forget_rows_after(path, "b", 1)
  assert metrics.read_rows(path) == (rows[:3], 0)
  assert path.read_text().endswith("\n")


def test_lines_that_are_no_rows_are_left_out_and_counted(tmp_path):
  path = tmp_path / "metrics.jsonl"
  assert metrics.read_rows(path) == ([], 0)
  whole = json.dumps(row("a", 1)).encode()
  path.write_bytes(whole + b'\n\n[1]\n{"stage": 3}\n\xff\n{"sta')
  assert metrics.read_rows(path) == ([row("a", 1)], 4)


def events(folder) -> list:
  """Events of all files in a folder, oldest file first, read by another library."""
  event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
  masked_crc32c = pytest.importorskip("tensorboardX.record_writer").masked_crc32c
  found = []
  for path in sorted(folder.iterdir(), key=lambda path: path.name.rsplit(".", 1)[-1]):
    content = path.read_bytes()
    while content:
      length = int.from_bytes(content[:8], "little")
      event, rest = content[12 : 12 + length], content[12 + length :]
      assert int.from_bytes(content[8:12], "little") == masked_crc32c(content[:8])
      assert int.from_bytes(rest[:4], "little") == masked_crc32c(event)
      found.append(event_pb2.Event.FromString(event))
      content = rest[4:]
  return found


def test_tensorboard_gets_every_figure_at_its_step(tmp_path):
  writer = metrics.TensorBoard(tmp_path, since=0)
  writer.write(row("rl", 1, loss=0.5, many=[1.0, 3.0], bad=None))
  writer.close()
  first, *_, event = events(tmp_path)
  assert first.file_version == "brain.Event:2"
  assert event.step == 10
  assert abs(event.wall_time - time.time()) < 60.0
  values = {value.tag: value.simple_value for value in event.summary.value}
  assert values == {"loss": 0.5, "many": 2.0, "many/0": 1.0, "many/1": 3.0}


def test_tensorboard_is_told_where_a_resumed_stage_goes_on(tmp_path):
  metrics.TensorBoard(tmp_path, since=0).close()
  metrics.TensorBoard(tmp_path, since=30).close()
  starts = [event for event in events(tmp_path) if event.HasField("session_log")]
  assert [event.step for event in starts] == [0, 31]  # what has step >= 31 is ignored
  assert {event.session_log.status for event in starts} == {1}  # START


def test_steps_of_a_stage_without_environment_are_updates(tmp_path):
  writer = metrics.TensorBoard(tmp_path, since=0)
  for updates in (4, 3_000_000_000):
    writer.write({**row("pretrain", updates, loss=1.0), "env_steps": 0})
  writer.close()
  assert [event.step for event in events(tmp_path)[-2:]] == [4, 3_000_000_000]


def test_the_fingerprint_is_the_sha256_of_the_bytes_in_order_of_path():
  tree = {"b": jnp.arange(3.0), "a": {"w": jnp.array([[1, 2]], jnp.int8)}}
  expected = hashlib.sha256(
    np.array([[1, 2]], np.int8).tobytes() + np.arange(3, dtype=np.float32).tobytes()
  ).hexdigest()
  assert metrics.parameters_sha256(tree) == expected


def test_the_fingerprint_sees_one_bit_and_negative_zero():
  one, other = {"w": jnp.array([0.0, 1.0])}, {"w": jnp.array([-0.0, 1.0])}
  assert metrics.parameters_sha256(one) != metrics.parameters_sha256(other)
  keys = [metrics.parameters_sha256({"key": jax.random.key(seed)}) for seed in (0, 0, 1)]
  assert keys[0] == keys[1] != keys[2]
  bumped = {"w": jnp.asarray(np.nextafter(np.float32([0.0, 1.0]), np.float32(2.0)))}
  assert metrics.parameters_sha256(one) != metrics.parameters_sha256(bumped)
