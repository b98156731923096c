"""Checkpoints: what goes in comes out, whole or not at all."""

import json
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxskills.errors import UserError
from jaxskills.training import checkpoint, sharding


class Moments(NamedTuple):
  """A named tuple inside a state."""

  mean: jax.Array
  count: jax.Array


def example() -> dict:
  """One of every kind of leaf that a state has."""
  return {
    "moments": Moments(jnp.arange(6.0).reshape(2, 3), jnp.int32(7)),
    "half": jnp.array([1.5, -2.5], jnp.bfloat16),
    "bytes": jnp.arange(256, dtype=jnp.uint8),
    "flag": jnp.array(True),
    "empty": jnp.zeros((0, 3), jnp.float16),
    "key": jax.random.key(3),
    "keys": jax.random.split(jax.random.key(4, impl="rbg"), 5),
    "no_keys": jax.random.split(jax.random.key(4), 5)[:0],
    "nothing": (),
  }


def bits(leaf: jax.Array) -> np.ndarray:
  """A leaf as bytes, so that NaN equals NaN and 0 does not equal -0."""
  if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
    leaf = jax.random.key_data(leaf)
  return np.frombuffer(np.asarray(leaf).tobytes(), np.uint8)


def assert_same(one, other) -> None:
  """Equal structure, shapes, dtypes and bits."""
  assert jax.tree.structure(one) == jax.tree.structure(other)
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
    assert a.dtype == b.dtype and a.shape == b.shape
    np.testing.assert_array_equal(bits(a), bits(b))


def test_every_kind_of_leaf_survives_bit_for_bit(tmp_path):
  tree = example()
  checkpoint.save(tmp_path / "one", tree, {"progress": {"chunk": 3}}, b"\x00cursor")
  saved = checkpoint.load(tmp_path / "one", jax.eval_shape(lambda: example()))
  assert_same(saved.tree, tree)
  assert saved.record == {"progress": {"chunk": 3}}
  assert saved.feed == b"\x00cursor"
  drawn = [jax.random.normal(state["keys"][2]) for state in (saved.tree, tree)]
  assert drawn[0] == drawn[1]


def test_a_state_without_elements_can_be_saved(tmp_path):
  tree = {"empty": jnp.zeros((0,))}
  checkpoint.save(tmp_path / "one", tree, {})
  assert_same(checkpoint.load(tmp_path / "one", tree).tree, tree)


def test_arrays_go_where_the_loader_says(tmp_path):
  mesh = sharding.make_mesh()
  split, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("worlds",), ()))
  tree = {"worlds": jnp.arange(8.0), "keys": jax.random.split(jax.random.key(0), 8)}
  checkpoint.save(tmp_path / "one", tree, {})
  for places in ({"worlds": split, "keys": split}, {"worlds": whole, "keys": whole}):
    like = jax.tree.map(
      lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
      jax.eval_shape(lambda: tree),
      places,
    )
    loaded = checkpoint.load(tmp_path / "one", like).tree
    for name, place in places.items():
      assert loaded[name].sharding.is_equivalent_to(place, loaded[name].ndim)
    assert_same(loaded, tree)


def test_saved_arrays_may_be_donated_at_once(tmp_path):
  tree = {"replay": jnp.arange(100_000, dtype=jnp.uint8)}
  expected = np.array(tree["replay"])
  checkpoint.save(tmp_path / "one", tree, {})
  overwrite = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf * 0, state), donate_argnums=0)
  jax.block_until_ready(overwrite(tree))
  assert tree["replay"].is_deleted()
  like = {"replay": jax.ShapeDtypeStruct((100_000,), jnp.uint8)}
  np.testing.assert_array_equal(checkpoint.load(tmp_path / "one", like).tree["replay"], expected)


def test_other_shapes_are_refused_by_the_name_of_the_leaf(tmp_path):
  checkpoint.save(tmp_path / "one", {"policy": {"w": jnp.zeros((2, 3))}}, {})
  with pytest.raises(UserError, match=r"policy.w is float32\[2, 3\] there and float32\[4\] here"):
    checkpoint.load(tmp_path / "one", {"policy": {"w": jnp.zeros(4)}})
  with pytest.raises(UserError, match=r"policy.b is absent there and float32\[\] here"):
    checkpoint.load(tmp_path / "one", {"policy": {"w": jnp.zeros((2, 3)), "b": jnp.zeros(())}})


def test_every_single_file_is_verified(tmp_path):
  checkpoint.save(tmp_path / "one", {"w": jnp.arange(10.0)}, {"a": 1}, b"feed")
  files = [path for path in (tmp_path / "one").rglob("*") if path.is_file()]
  assert len(files) > 5
  for path in files:
    content = path.read_bytes()
    path.write_bytes(content + b"x")
    with pytest.raises(checkpoint.Damaged):
      checkpoint.verify(tmp_path / "one")
    path.write_bytes(content)
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(checkpoint.Damaged):
      checkpoint.verify(tmp_path / "one")
    path.with_name("elsewhere").rename(path)
  checkpoint.verify(tmp_path / "one")


def test_nothing_is_pickled(tmp_path):
  checkpoint.save(tmp_path / "one", {"w": jnp.arange(10.0)}, {})
  for path in (tmp_path / "one").rglob("*"):
    assert path.suffix not in (".pkl", ".pickle")
    assert not path.is_file() or not path.read_bytes().startswith(b"\x80")


def test_the_two_newest_are_kept_and_leftovers_of_a_kill_are_cleared(tmp_path):
  notes = []
  (tmp_path / ".tmp-00000009").mkdir()
  kept = checkpoint.Checkpoints(tmp_path, notes.append)
  assert not list(tmp_path.glob(".tmp-*"))
  for number in (1, 2, 3):
    kept.save(number, {"w": jnp.float32(number)}, {})
  assert kept.numbers() == [2, 3]
  saved = kept.newest({"w": jnp.float32(0)})
  assert saved is not None and saved.tree["w"] == 3.0
  assert notes == []


def test_a_damaged_checkpoint_does_not_count_as_one_of_the_two(tmp_path):
  notes = []
  kept = checkpoint.Checkpoints(tmp_path, notes.append)
  for number in (1, 2):
    kept.save(number, {"w": jnp.float32(number)}, {})
  (kept.path(2) / "record.json").write_text("{}")
  saved = kept.newest({"w": jnp.float32(0)})
  assert saved is not None and saved.tree["w"] == 1.0
  assert len(notes) == 1 and "00000002 is damaged (record.json differs" in notes[0]
  kept.save(4, {"w": jnp.float32(4)}, {})
  assert kept.numbers() == [1, 4]


def test_a_damaged_checkpoint_is_replaced_when_the_run_comes_there_again(tmp_path):
  kept = checkpoint.Checkpoints(tmp_path, lambda note: None)
  for number in (1, 2):
    kept.save(number, {"w": jnp.float32(number)}, {})
  (kept.path(2) / "record.json").write_text("{}")
  kept.newest({"w": jnp.float32(0)})
  kept.save(2, {"w": jnp.float32(2.5)}, {})
  assert kept.numbers() == [1, 2]
  saved = kept.newest({"w": jnp.float32(0)})
  assert saved is not None and saved.tree["w"] == 2.5


def test_the_manifest_has_the_sha256_of_every_file(tmp_path):
  import hashlib

  checkpoint.save(tmp_path / "one", {"w": jnp.arange(3.0)}, {})
  manifest = json.loads((tmp_path / "one/manifest.json").read_text())
  for name, digest in manifest.items():
    assert hashlib.sha256((tmp_path / "one" / name).read_bytes()).hexdigest() == digest
