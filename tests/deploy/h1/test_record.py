"""Tests of the log: what is written comes back, and no disk stops a robot."""

import errno
import threading

import numpy as np
import pytest

from jaxskills.deploy.h1 import record
from jaxskills.errors import UserError


def frame(kind: np.dtype, name: bytes, number: int) -> np.ndarray:
  made = np.zeros((), kind)
  made["kind"], made["stamp"] = name, number
  return made


def write(path, frames):
  recorder = record.Recorder(path, {"manifest_sha256": "abc"})
  for made in frames:
    recorder.add(made)
  recorder.close()
  return recorder


FRAMES = [frame(record.TICK, b"T", 1), frame(record.DECISION, b"D", 2), frame(record.TICK, b"T", 3)]


def test_frames_come_back_in_order(tmp_path):
  recorder = write(tmp_path / "log", FRAMES)
  assert (recorder.frames, recorder.ended) == (3, "")
  log = record.read_log(tmp_path / "log")
  assert log.header["manifest_sha256"] == "abc"
  *found, end = log.frames()
  assert [made["kind"] for made in found] == [b"T", b"D", b"T"]
  assert [made.tobytes() for made in found] == [made.tobytes() for made in FRAMES]
  assert (end["kind"], end["frames"]) == (b"E", 3)


def test_a_frame_that_a_crash_cut_off_is_left_out(tmp_path):
  write(tmp_path / "log", FRAMES)
  content = (tmp_path / "log").read_bytes()
  (tmp_path / "log").write_bytes(content[: -record.END.itemsize - 1])
  assert len(list(record.read_log(tmp_path / "log").frames())) == 2


def test_damage_among_the_frames_is_told(tmp_path):
  write(tmp_path / "log", FRAMES)
  content = bytearray((tmp_path / "log").read_bytes())
  content[-record.TICK.itemsize - record.END.itemsize] = 0
  (tmp_path / "log").write_bytes(content)
  with pytest.raises(UserError, match="damaged at byte"):
    list(record.read_log(tmp_path / "log").frames())


@pytest.mark.parametrize("content", [b"", b"JSKH1LOG", b"JSKH1LOG\xff\xff\xff\xff", b"x" * 99])
def test_a_file_that_is_no_log_is_refused(tmp_path, content):
  (tmp_path / "log").write_bytes(content)
  with pytest.raises(UserError, match="is no log|damaged header"):
    record.read_log(tmp_path / "log")


def test_a_log_is_never_written_over(tmp_path):
  (tmp_path / "log").write_text("precious")
  with pytest.raises(UserError, match="exists"):
    record.Recorder(tmp_path / "log", {})
  assert (tmp_path / "log").read_text() == "precious"


def test_the_thread_that_waits_for_the_disk_has_no_real_time_priority(tmp_path, monkeypatch):
  lowered = []
  monkeypatch.setattr(
    record.priority, "lower", lambda: lowered.append(threading.current_thread().name)
  )
  write(tmp_path / "log", FRAMES)
  assert lowered == ["log"]


class Full:
  """A disk without room."""

  def write(self, content) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")

  def close(self) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_ends_the_log_and_nothing_else(tmp_path):
  recorder = record.Recorder(tmp_path / "log", {})
  recorder._file = Full()
  for made in FRAMES:
    recorder.add(made)
  recorder.close()
  assert recorder.ended == "No space left on device"
  recorder.add(FRAMES[0])


def test_a_disk_that_does_not_answer_ends_the_log(tmp_path, monkeypatch):
  monkeypatch.setattr(record, "_WAIT_SECONDS", 60.0)
  monkeypatch.setattr(record, "_QUEUE_FRAMES", 2)
  recorder = record.Recorder(tmp_path / "log", {})
  for made in FRAMES:
    recorder.add(made)
  assert recorder.ended == "the disk was too slow"
  recorder.close()
  assert recorder.frames == 2
