"""Videos on disk: what is written is read, and what is not whole is never read."""

import errno
import multiprocessing
import os

import numpy as np
import pytest

from jaxskills.data import rows_file
from jaxskills.data.video_store import MANIFEST, UNFINISHED, make_index, open_store
from jaxskills.data.video_writer import StoreWriter
from jaxskills.errors import UserError
from tests.data import numbered_videos as numbered


def test_what_is_written_is_what_is_read(tmp_path):
  numbered.write(tmp_path)
  store = open_store(tmp_path, verify=True)
  for video in range(len(numbered.LENGTHS)):
    rows = store.rows_of(video)
    np.testing.assert_array_equal(store.frames[rows], numbered.frames(video))
    for name, values in numbered.labels(video).items():
      np.testing.assert_array_equal(store.labels[name][rows], values)
  assert store.names == ("a", "b", "c", "d", "e") and store.views == ("front", "left", "high")
  assert store.recipe == {"seed": 3} and store.index.length.tolist() == list(numbered.LENGTHS)
  assert not store.frames.flags.writeable
  assert not (tmp_path / UNFINISHED).exists()


def test_select_is_the_meeting_of_all_that_is_asked(tmp_path):
  store = numbered.write(tmp_path)
  assert store.select().tolist() == [0, 1, 2, 3, 4]
  assert store.select(tasks=["push"]).tolist() == [1, 3, 4]
  assert store.select(tasks=["push"], splits=["train"], success=True).tolist() == [1]
  assert store.select(success=False).tolist() == [3]
  assert store.select(tasks=["stack"], splits=["shapes"]).tolist() == []
  with pytest.raises(UserError, match="no task pull .* stack, push"):
    store.select(tasks=["pull"])


def test_the_fingerprint_is_of_the_content_and_not_of_the_way_it_was_made(tmp_path):
  one = numbered.write(tmp_path / "one")
  with StoreWriter(tmp_path / "two", numbered.plan(recipe={"seed": 4})) as writer:
    for video in (4, 2, 0, 1, 3):
      pieces = iter(np.array_split(numbered.frames(video), 3))
      writer.write(video, pieces, numbered.labels(video))
    two = writer.finish()
  assert one.fingerprint == two.fingerprint
  with StoreWriter(tmp_path / "two", numbered.plan(recipe={"seed": 4})) as writer:
    writer.write(1, 1 + numbered.frames(1), numbered.labels(1))
    assert writer.finish().fingerprint != one.fingerprint


def test_writing_goes_on_where_it_stopped_and_until_then_nothing_can_be_read(tmp_path):
  with StoreWriter(tmp_path, numbered.plan()) as writer:
    writer.write(2, numbered.frames(2), numbered.labels(2))
    with pytest.raises(ValueError, match="4 videos are missing, the first is a"):
      writer.finish()
  with pytest.raises(UserError, match="are not complete; run what makes them again"):
    open_store(tmp_path)
  with StoreWriter(tmp_path, numbered.plan()) as writer:
    assert writer.missing() == [0, 1, 3, 4]
  assert numbered.write(tmp_path).names == ("a", "b", "c", "d", "e")


def test_a_complete_store_stays_complete_while_a_writer_only_looks(tmp_path):
  numbered.write(tmp_path)
  with StoreWriter(tmp_path, numbered.plan()) as writer:
    assert writer.missing() == []
    open_store(tmp_path)
    writer.finish()
  open_store(tmp_path, verify=True)


def test_a_video_that_fails_half_way_is_not_there_even_if_it_was_before(tmp_path):
  numbered.write(tmp_path)

  def failing():
    yield numbered.frames(1)[:10]
    raise KeyboardInterrupt

  with StoreWriter(tmp_path, numbered.plan()) as writer:
    with pytest.raises(KeyboardInterrupt):
      writer.write(1, failing(), numbered.labels(1))
    assert writer.missing() == [1]
  with pytest.raises(UserError, match="not complete"):
    open_store(tmp_path)


def test_a_line_that_a_crash_cut_short_counts_for_nothing(tmp_path):
  with StoreWriter(tmp_path, numbered.plan()) as writer:
    writer.write(0, numbered.frames(0), numbered.labels(0))
    with open(tmp_path / UNFINISHED, "a") as file:
      file.write("3 0123456789")
    assert writer.missing() == [1, 2, 3, 4]
    writer.write(1, numbered.frames(1), numbered.labels(1))
    assert writer.missing() == [2, 3, 4]


def test_a_folder_of_another_plan_is_refused_and_says_how_it_differs(tmp_path):
  numbered.write(tmp_path)
  with pytest.raises(UserError, match=r"differ in recipe, shape"):
    StoreWriter(tmp_path, numbered.plan(rows=5, recipe={"seed": 4}))
  open_store(tmp_path, verify=True)
  (tmp_path / MANIFEST).unlink()
  with pytest.raises(UserError, match="frames of nobody knows what"):
    StoreWriter(tmp_path, numbered.plan())


def _write_some(directory, videos):
  with StoreWriter(directory, numbered.plan()) as writer:
    for video in videos:
      writer.write(video, numbered.frames(video), numbered.labels(video))


def test_several_processes_write_one_store(tmp_path):
  context = multiprocessing.get_context("spawn")
  shares = [(0, 3), (1, 2)]
  processes = [context.Process(target=_write_some, args=(tmp_path, share)) for share in shares]
  for process in processes:
    process.start()
  _write_some(tmp_path, [4])
  for process in processes:
    process.join()
  with StoreWriter(tmp_path, numbered.plan()) as writer:
    assert writer.missing(verify=True) == []
    writer.finish()


def test_damage_is_found_named_and_only_that_video_written_anew(tmp_path):
  store = numbered.write(tmp_path)
  with open(tmp_path / "frames.npy", "r+b") as file:
    file.seek(-1, os.SEEK_END)
    file.write(b"\xff")
  open_store(tmp_path)
  with pytest.raises(UserError, match="differs from what was written in video e"):
    open_store(tmp_path, verify=True)
  with StoreWriter(tmp_path, numbered.plan()) as writer:
    assert writer.missing() == [] and writer.missing(verify=True) == [4]
    writer.write(4, numbered.frames(4), numbered.labels(4))
    assert writer.finish().fingerprint == store.fingerprint
  open_store(tmp_path, verify=True)


@pytest.mark.parametrize(
  ("name", "damage", "message"),
  [
    ("frames.npy", lambda path: os.truncate(path, 1000), "frames.npy is cut short"),
    ("frames.npy", lambda path: path.write_bytes(b""), "frames.npy is cut short"),
    ("frames.npy", lambda path: path.write_bytes(b"PK\3\4"), "frames.npy is cut short"),
    ("frames.npy", lambda path: path.unlink(), "frames.npy is missing"),
    ("label_joints.npy", lambda path: path.unlink(), "label_joints.npy is missing"),
    ("label_progress.npy", lambda path: np.save(path, np.zeros(3)), "instead of float32"),
    ("index.npz", lambda path: os.truncate(path, 100), "index.npz differs"),
    ("index.npz", lambda path: path.unlink(), "index.npz is missing"),
    ("manifest.json", lambda path: path.write_text("{"), "manifest.json cannot be read"),
    ("manifest.json", lambda path: path.write_text('{"format": 1}'), "lacks 'index_sha256'"),
    ("manifest.json", lambda path: path.write_text('{"format": 9}'), "is of format 9"),
    (
      "manifest.json",
      lambda path: path.write_text(path.read_text().replace('"front"', '"rear"')),
      "contradicts itself",
    ),
  ],
)
def test_every_cheap_damage_is_one_line_on_opening(tmp_path, name, damage, message):
  numbered.write(tmp_path)
  damage(tmp_path / name)
  with pytest.raises(UserError, match=message) as caught:
    open_store(tmp_path)
  assert "\n" not in str(caught.value)


def test_a_file_that_went_missing_makes_all_its_videos_missing(tmp_path):
  numbered.write(tmp_path)
  (tmp_path / "label_joints.npy").unlink()
  with StoreWriter(tmp_path, numbered.plan()) as writer:
    assert writer.missing() == [0, 1, 2, 3, 4]


def test_a_folder_without_videos_is_one_line(tmp_path):
  with pytest.raises(UserError, match="there are no videos in"):
    open_store(tmp_path)


def test_a_disk_too_small_leaves_no_file_and_one_line(tmp_path, monkeypatch):
  def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  monkeypatch.setattr(rows_file.os, "posix_fallocate", full, raising=False)
  with pytest.raises(UserError, match="No space left on device"):
    StoreWriter(tmp_path, numbered.plan())
  assert not (tmp_path / "frames.npy").exists()
  monkeypatch.undo()
  numbered.write(tmp_path)


def test_a_disk_that_fills_up_keeps_what_was_finished(tmp_path, monkeypatch):
  with StoreWriter(tmp_path, numbered.plan()) as writer:
    writer.write(0, numbered.frames(0), numbered.labels(0))

    def full(*_):
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(rows_file.os, "pwrite", full)
    with pytest.raises(UserError, match="finished videos are kept"):
      writer.write(1, numbered.frames(1), numbered.labels(1))
    monkeypatch.undo()
    assert writer.missing(verify=True) == [1, 2, 3, 4]


@pytest.mark.parametrize(
  ("frames", "labels", "message"),
  [
    (numbered.frames(0)[:6], numbered.labels(0), "a has 6 frames instead of 7"),
    (numbered.frames(2), numbered.labels(0), "a has 12 frames instead of 7"),
    (numbered.frames(0, views=2), numbered.labels(0), "a brings uint8"),
    (numbered.frames(0).astype(float), numbered.labels(0), "a brings float64"),
    (numbered.frames(0), {}, "a comes with labels"),
    (numbered.frames(0), numbered.labels(2), "a has 12 frames instead of 7"),
  ],
)
def test_what_does_not_fit_the_plan_is_refused_and_spoils_nothing(
  tmp_path, frames, labels, message
):
  with StoreWriter(tmp_path, numbered.plan()) as writer:
    writer.write(1, numbered.frames(1), numbered.labels(1))
    with pytest.raises(ValueError, match=message):
      writer.write(0, frames, labels)
    assert writer.missing(verify=True) == [0, 2, 3, 4]


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"names": ("a", "a", "c", "d", "e")}, "as many different names, got 4"),
    ({"tasks": ("stack",)}, "task 1 has no name"),
    ({"views": ("front", "front")}, "views need different names"),
    ({"rows": 0}, "0 x 6 pixels"),
    ({"labels": {"../x": ("float32", ())}}, "cannot be the name of a label"),
  ],
)
def test_a_plan_that_contradicts_itself_is_refused(tmp_path, changes, message):
  with pytest.raises(ValueError, match=message):
    StoreWriter(tmp_path / "store", numbered.plan(**changes))
  assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ({"length": [3, 0]}, "one or more frames"),
    ({"length": []}, "one or more videos"),
    ({"length": [3], "seconds_per_frame": float("nan")}, "must be positive"),
    ({"length": [3], "task": [0, 1]}, "task has shape"),
    ({"length": [3], "split": 5}, "split counts train"),
  ],
)
def test_an_index_that_means_nothing_is_refused(arguments, message):
  with pytest.raises(ValueError, match=message):
    make_index(**{"seconds_per_frame": 0.1, **arguments})
