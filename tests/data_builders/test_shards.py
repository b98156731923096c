"""Building, resuming, damaging and reading shards, with a data set that takes no time to make."""

import functools
import hashlib
import os
import resource
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxskills.data_builders import manifest, shards
from jaxskills.errors import UserError
from jaxskills.training.progress import ProgressReport
from tests.data_builders.numbered import records, small_set


def hashes(directory):
  return {
    path.name: hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(directory.glob("*array_record*"))
  }


def leftovers(directory):
  return [path.name for path in directory.iterdir() if path.name.startswith(manifest.TEMPORARY)]


def stop_in(shard, error):
  """Records that raise in the middle of a shard."""

  def examples(number):
    for count, record in enumerate(records(number)):
      if number == shard and count == 1:
        raise error
      yield record

  return examples


def test_tfds_reads_what_was_built_in_order(tmp_path):
  shards.build(small_set(), tmp_path)
  builder = tfds.builder_from_directory(tmp_path)
  assert builder.info.splits["train"].num_examples == 8
  assert builder.info.splits["train"].shard_lengths == [3, 3, 2]
  source = builder.as_data_source(split="train")
  wanted = [record for shard in range(3) for record in records(shard)]
  assert [record["number"] for record in source] == [record["number"] for record in wanted]
  for found, record in zip(source, wanted, strict=True):
    np.testing.assert_array_equal(found["series"], record["series"])


def test_a_shard_with_too_few_records_is_no_shard(tmp_path):
  short = small_set(lambda shard: list(records(shard))[: 2 if shard == 1 else None])
  with pytest.raises(RuntimeError, match="shard 1 of numbers:few got 2 records, not 3"):
    shards.build(short, tmp_path)
  assert len(hashes(tmp_path)) == 1 and not leftovers(tmp_path)


def test_tensorflow_is_never_imported_to_build_or_read(tmp_path):
  program = f"""
import sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from tests.data_builders import numbered
from jaxskills.data_builders import shards
shards.build(numbered.small_set(), Path({str(tmp_path)!r}))
assert len(shards.read_records(Path({str(tmp_path)!r}))[7]["series"]) == 401
assert "tensorflow" not in sys.modules
"""
  subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_the_same_recipe_gives_the_same_bytes(tmp_path):
  first = shards.build(small_set(), tmp_path / "a")
  second = shards.build(small_set(), tmp_path / "b")
  assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
  assert first.fingerprint == second.fingerprint
  other = shards.build(small_set(functools.partial(records, rows=401)), tmp_path / "c")
  assert other.fingerprint != first.fingerprint


def test_the_manifest_holds_the_sha256_of_every_file(tmp_path):
  held = shards.build(small_set(), tmp_path)
  on_disk = {path.name for path in tmp_path.iterdir()} - {manifest.MANIFEST}
  assert set(held.files) == on_disk
  assert {name: file.sha256 for name, file in held.shards.items()} == hashes(tmp_path)
  assert held.records == 8
  assert manifest.verify(tmp_path) == held


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), ValueError("bad record")])
def test_an_interrupted_build_leaves_whole_shards_and_goes_on_from_them(tmp_path, stop):
  with pytest.raises(type(stop)):
    shards.build(small_set(stop_in(1, stop)), tmp_path)
  assert len(hashes(tmp_path)) == 1 and not leftovers(tmp_path)
  with pytest.raises(UserError, match="numbers:few in .* is not complete; run 'jaxskills data bui"):
    manifest.verify(tmp_path)

  built = []
  shards.build(small_set(lambda shard: built.append(shard) or records(shard)), tmp_path)
  assert built == [1, 2]
  shards.build(small_set(), tmp_path / "whole")
  assert hashes(tmp_path) == hashes(tmp_path / "whole")


def test_a_killed_build_goes_on_and_clears_up(tmp_path):
  program = f"""
import os, signal, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from tests.data_builders import numbered
from jaxskills.data_builders import shards
def examples(shard):
  for record in numbered.records(shard):
    if shard == 2:
      os.kill(os.getpid(), signal.SIGKILL)
    yield record
shards.build(numbered.small_set(examples), Path({str(tmp_path)!r}))
"""
  killed = subprocess.run([sys.executable, "-c", program], timeout=120)
  assert killed.returncode == -signal.SIGKILL
  assert leftovers(tmp_path)
  built = []
  shards.build(small_set(lambda shard: built.append(shard) or records(shard)), tmp_path)
  assert built == [2] and not leftovers(tmp_path)
  shards.build(small_set(), tmp_path / "whole")
  assert hashes(tmp_path) == hashes(tmp_path / "whole")


def test_building_again_builds_nothing(tmp_path):
  held = shards.build(small_set(), tmp_path)
  before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}

  def never(shard):
    raise AssertionError(f"shard {shard} was whole")

  assert shards.build(small_set(never), tmp_path) == held
  assert before == {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


def truncate(path):
  path.write_bytes(path.read_bytes()[:-1])


def tamper(path):
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)


@pytest.mark.parametrize(
  ("harm", "complaint"),
  [
    (truncate, "is damaged .* bytes instead of"),
    (tamper, "is damaged .sha256 differs"),
    (Path.unlink, "is missing"),
  ],
)
def test_a_damaged_shard_is_named_and_alone_rebuilt(tmp_path, harm, complaint):
  held = shards.build(small_set(), tmp_path)
  victim = tmp_path / list(held.shards)[1]
  harm(victim)
  with pytest.raises(UserError, match=f"^shard 1 of numbers:few {complaint}") as refusal:
    manifest.verify(tmp_path)
  command = f"'jaxskills data build numbers:few --directory={tmp_path}'"
  assert f"delete {victim} and run {command} again" in str(refusal.value)
  assert "\n" not in str(refusal.value)

  built = []
  shards.build(small_set(lambda shard: built.append(shard) or records(shard)), tmp_path)
  assert built == [1]
  assert manifest.verify(tmp_path).files == held.files


def test_a_folder_whose_repair_is_interrupted_is_not_complete(tmp_path):
  held = shards.build(small_set(), tmp_path)
  (tmp_path / list(held.shards)[1]).unlink()
  with pytest.raises(KeyboardInterrupt):
    shards.build(small_set(stop_in(1, KeyboardInterrupt())), tmp_path)
  with pytest.raises(UserError, match="numbers:few in .* is not complete"):
    manifest.verify(tmp_path)
  shards.build(small_set(), tmp_path)
  assert manifest.verify(tmp_path).files == held.files


def test_damaged_metadata_is_refused_and_written_anew(tmp_path):
  held = shards.build(small_set(), tmp_path)
  tamper(tmp_path / "features.json")
  with pytest.raises(UserError, match=r"^features.json of numbers:few .* to write it anew"):
    manifest.verify(tmp_path)
  shards.build(small_set(lambda shard: pytest.fail("shards are whole")), tmp_path)
  assert manifest.verify(tmp_path) == held


@pytest.mark.parametrize("content", ["{", "[]", '{"files": {}}', '{"files": {"a": {}}}', "\xff"])
def test_an_unreadable_manifest_is_refused_in_one_line(tmp_path, content):
  (tmp_path / manifest.MANIFEST).write_bytes(content.encode("latin-1"))
  with pytest.raises(UserError, match="manifest.json is damaged; delete it and run"):
    manifest.verify(tmp_path)


def test_a_folder_without_a_data_set_says_how_to_build_one(tmp_path):
  with pytest.raises(UserError, match="there is no data set in .* build one with 'jaxskills data"):
    manifest.verify(tmp_path / "nowhere")


def test_a_folder_of_another_recipe_is_refused_naming_what_differs(tmp_path):
  shards.build(small_set(), tmp_path)
  before = hashes(tmp_path)
  with pytest.raises(UserError, match="differ in more, seed.*choose another folder"):
    shards.build(small_set(seed=1, more=2), tmp_path)
  assert hashes(tmp_path) == before


def test_a_full_disk_is_one_line_and_keeps_finished_shards(tmp_path):
  size = sum(file.size for file in shards.build(small_set(), tmp_path / "a").shards.values()) // 3

  def examples(shard):
    return records(shard, rows=400 if shard == 0 else 100_000)

  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (4 * size, hard))
  try:
    with pytest.raises(UserError, match="cannot write numbers:few to .*File too large") as refusal:
      shards.build(small_set(examples), tmp_path / "b")
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
  assert "\n" not in str(refusal.value)
  assert len(hashes(tmp_path / "b")) == 1 and not leftovers(tmp_path / "b")


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
  (tmp_path / "file").write_text("in the way")
  with pytest.raises(UserError, match="cannot write numbers:few to .*Not a directory"):
    shards.build(small_set(), tmp_path / "file" / "data")


def test_an_error_of_the_recipe_itself_is_not_blamed_on_the_disk(tmp_path):
  with pytest.raises(RuntimeError, match="device lost"):
    shards.build(small_set(stop_in(0, RuntimeError("device lost"))), tmp_path)


def test_progress_counts_every_record_once(tmp_path):
  said = []
  shards.build(small_set(), tmp_path, lambda done, total: said.append((done, total)))
  assert {total for _, total in said} == {8}
  assert [done for done, _ in said] == list(range(9))


def test_progress_begins_with_what_is_there_undamaged(tmp_path):
  held = shards.build(small_set(), tmp_path)
  (tmp_path / list(held.shards)[1]).unlink()
  said = []
  shards.build(small_set(), tmp_path, lambda done, total: said.append(done))
  assert said == [5, 6, 7, 8]
  shards.build(small_set(), tmp_path, lambda done, total: said.append((done, total)))
  assert said[4:] == [(8, 8)]


def test_a_build_says_how_much_there_is_to_do_and_nothing_of_the_kind_when_it_is_done(tmp_path):
  for said in ("numbers: 8 records to go", "numbers: all 8 records are there, undamaged"):
    stream = StringIO()
    with ProgressReport(stream) as report:
      shards.build(small_set(), tmp_path, report.counter("numbers", "records"))
    assert stream.getvalue().splitlines() == [said]


def test_a_second_builder_waits_for_the_first(tmp_path):
  held = []

  def examples(shard):
    if shard == 0:
      with pytest.raises(BlockingIOError):
        import fcntl

        handle = os.open(tmp_path, os.O_RDONLY)
        held.append(handle)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    yield from records(shard)

  shards.build(small_set(examples), tmp_path)
  os.close(held[0])
