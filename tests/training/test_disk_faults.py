"""A full, limited or read-only disk gives one clear line and loses nothing."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills import disk
from jaxskills.errors import UserError
from jaxskills.training import checkpoint, storage
from jaxskills.training.workdir import open_workdir
from tests.training.toy_run import CONFIG, hashes, run_toy

BIG = jnp.asarray(np.random.default_rng(0).integers(0, 256, 4_000_000, dtype=np.uint8))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
  """A file system of 2 MB; only root can make one."""
  folder = tmp_path / "small"
  folder.mkdir()
  command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
  if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
    pytest.skip("mounting needs root")
  yield folder
  subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
  """No file of this process may grow beyond this many bytes."""
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def assert_one_line(error: UserError, *parts: str) -> None:
  """A message for the user: one line, with these parts, that ends in what to do."""
  assert "\n" not in str(error)
  for part in parts:
    assert part in str(error)
  assert "run the same command again" in str(error)


def only_the_first_is_left(kept: checkpoint.Checkpoints, folder: Path) -> None:
  """Checkpoint 1 is whole, and of the failed one nothing is there."""
  assert kept.numbers() == [1]
  assert [path.name for path in folder.iterdir()] == ["00000001"]
  saved = kept.newest({"w": jnp.float32(0)})
  assert saved is not None and saved.tree["w"] == 1.0


def test_a_full_disk_keeps_the_checkpoint_before(small_disk, caplog):
  kept = checkpoint.Checkpoints(small_disk, print)
  kept.save(1, {"w": jnp.float32(1)}, {})
  with pytest.raises(UserError) as caught:
    kept.save(2, {"w": BIG}, {})
  assert_one_line(caught.value, "00000002", "no space left on device", "free some space")
  only_the_first_is_left(kept, small_disk)
  assert not caplog.records  # Orbax would log the traceback


def test_a_file_size_limit_keeps_the_checkpoint_before(tmp_path, caplog):
  kept = checkpoint.Checkpoints(tmp_path, print)
  kept.save(1, {"w": jnp.float32(1)}, {})
  with file_size_limit(100_000), pytest.raises(UserError) as caught:
    kept.save(2, {"w": BIG}, {})
  assert_one_line(caught.value, "00000002", "file too large", "ulimit -f")
  only_the_first_is_left(kept, tmp_path)
  assert not caplog.records  # Orbax would log the traceback


def test_what_tensorstore_says_after_a_failed_write_is_not_printed(tmp_path):
  said = []
  before, sys.unraisablehook = sys.unraisablehook, lambda unraisable: said.append(unraisable)
  try:
    with file_size_limit(100_000), pytest.raises(UserError):
      checkpoint.save(tmp_path / "one", {"w": BIG}, {})
    for message in ("Event loop is closed", "something else"):
      sys.unraisablehook(SimpleNamespace(exc_value=RuntimeError(message)))
    assert [str(unraisable.exc_value) for unraisable in said] == ["something else"]
    checkpoint.save(tmp_path / "one", {"w": jnp.zeros(3)}, {})
  finally:
    sys.unraisablehook = before


def test_a_disk_that_fills_up_in_the_middle_loses_nothing(small_disk, tmp_path):
  filler = small_disk / "filler"

  def fill(cursor: int) -> None:
    if cursor == 6 and not filler.exists():
      with open(filler, "wb", buffering=0) as file:
        try:
          while True:
            file.write(bytes(65536))
        except OSError:
          pass

  with pytest.raises(UserError) as caught:
    run_toy(small_disk / "run", before=fill)
  assert_one_line(caught.value, "no space left on device")
  filler.unlink()
  outcome = run_toy(small_disk / "run")
  assert "going on from the checkpoint" in outcome.said
  assert hashes(outcome) == hashes(run_toy(tmp_path / "undisturbed", every=3600.0))


def test_a_read_only_workdir_is_one_line(small_disk):
  subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
  with pytest.raises(UserError) as caught:
    run_toy(small_disk / "run")
  assert_one_line(caught.value, str(small_disk / "run"), "read-only file system", "--workdir")


def test_a_workdir_of_somebody_else_is_one_line(tmp_path):
  if os.geteuid() == 0:
    pytest.skip("root may write everywhere")
  tmp_path.chmod(0o500)
  with pytest.raises(UserError) as caught, open_workdir(tmp_path / "run", CONFIG):
    pass
  assert_one_line(caught.value, "permission denied", "--workdir")


def test_a_workdir_below_a_file_is_one_line(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(UserError) as caught, open_workdir(tmp_path / "file" / "run", CONFIG):
    pass
  assert_one_line(caught.value, "not a directory")


def test_an_atomic_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
  path = tmp_path / "summary.json"
  disk.write_atomically(path, b"old")

  def fail(descriptor: int) -> None:
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(os, "fsync", fail)
  with pytest.raises(OSError):
    disk.write_atomically(path, b"new and longer")
  assert path.read_bytes() == b"old"
  assert [entry.name for entry in tmp_path.iterdir()] == ["summary.json"]


def test_faults_that_are_not_of_the_disk_keep_their_traceback():
  with pytest.raises(ZeroDivisionError), storage.disk_faults("write"):
    raise ZeroDivisionError
  with pytest.raises(FileNotFoundError), storage.disk_faults("write"):
    raise FileNotFoundError(2, "No such file or directory")
