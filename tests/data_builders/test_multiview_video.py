"""Importing films: which files belong together, what is stored, and what is refused, by name."""

import itertools
import shutil
import time

import numpy as np
import pytest

from jaxskills.data.video_store import open_store
from jaxskills.data_builders.multiview_video import decoding, names, synchrony
from jaxskills.data_builders.multiview_video.decoding import Limits, decode, probe
from jaxskills.data_builders.multiview_video.importer import ImportSettings, import_films
from jaxskills.errors import UserError
from tests.data_builders import films

SMALL = ImportSettings(rows=24, columns=32)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
  """A folder with two demonstrations from two views, 12 frames at 10 a second."""
  folder = tmp_path_factory.mktemp("films")
  films.pair(folder, "pour_1")
  films.pair(folder, "pour_fake", seed=1)
  return folder


@pytest.fixture
def copied(two, tmp_path):
  """A copy that a test may spoil."""
  return shutil.copytree(two, tmp_path / "films")


def refusal(folder, directory, settings=SMALL):
  """The one line that an import ends with; it must have written nothing."""
  with pytest.raises(UserError) as caught:
    import_films(folder, directory / "store", settings)
  assert not (directory / "store").exists() and "\n" not in str(caught.value)
  return str(caught.value)


def test_films_become_a_store_of_synchronised_views(two, tmp_path):
  counted = []
  import_films(two, tmp_path, SMALL, progress=lambda *both: counted.append(both))
  store = open_store(tmp_path, verify=True)
  assert store.names == ("pour_1", "pour_fake") and store.views == ("view0", "view1")
  assert store.tasks == ("unnamed",) and store.index.is_success.tolist() == [True, False]
  assert store.index.length.tolist() == [12, 12]
  np.testing.assert_allclose(store.index.seconds_per_frame, 0.1)
  assert counted == [(done, 4) for done in range(5)]
  for video, view in itertools.product((0, 1), (0, 1)):
    filmed = films.scene(12, view=view, seed=video).astype(float)
    small = filmed.reshape(12, 24, 2, 32, 2, 3).mean(axis=(2, 4))
    stored = store.frames[store.rows_of(video), view]
    assert np.abs(stored - small).mean() < 6  # of 255; what H.264 and its half colours cost


def test_an_import_goes_on_where_it_was_stopped_and_ends_the_same(two, tmp_path):
  whole = import_films(two, tmp_path / "whole", SMALL)

  class Stop(Exception):
    pass

  def stop(done, total):
    if done == 3:
      raise Stop

  with pytest.raises(Stop):
    import_films(two, tmp_path / "parts", SMALL, progress=stop)
  counted = []
  parts = import_films(
    two, tmp_path / "parts", SMALL, progress=lambda done, _: counted.append(done)
  )
  assert counted == [0, 1, 2, 4] and parts.fingerprint == whole.fingerprint


def test_a_film_that_lost_nothing_is_stored_bit_by_bit(tmp_path):
  pictures = films.scene(5)
  for view in (0, 1):
    films.write(tmp_path / f"a_cam{view}.avi", pictures, codec="rawvideo")
  settings = ImportSettings(rows=films.ROWS, columns=films.COLUMNS)
  store = import_films(tmp_path, tmp_path / "store", settings)
  np.testing.assert_array_equal(store.frames[:, 0], pictures)
  np.testing.assert_array_equal(store.frames[:, 1], pictures)


def test_a_picture_of_another_shape_is_cut_in_the_middle(tmp_path):
  pictures = np.zeros((3, 48, 64, 3), np.uint8)
  pictures[:, :, 8:56] = 200
  pictures[:, :, 31:33] = 100
  path = films.write(tmp_path / "a.avi", pictures, codec="rawvideo")
  frames = np.stack(
    list(decode(path, rows=48, columns=48, frames_per_second=10.0, limits=Limits()))
  )
  np.testing.assert_array_equal(frames, pictures[:, :, 8:56])


def test_a_rate_takes_the_frames_that_are_nearest_in_time(tmp_path):
  pictures = np.repeat(np.arange(20, dtype=np.uint8), 48 * 64 * 3).reshape(20, 48, 64, 3) * 10
  path = films.write(tmp_path / "a.avi", pictures, codec="rawvideo", fps=20)
  frames = [
    int(frame[0, 0, 0]) // 10
    for frame in decode(path, rows=2, columns=2, frames_per_second=5.0, limits=Limits())
  ]
  assert len(frames) == 5
  assert np.abs(np.array(frames) - 4 * np.arange(5)).max() <= 2


def test_the_folders_of_tcn_become_splits(two, tmp_path):
  for split in ("train", "val", "test"):
    place = tmp_path / "pouring" / "videos" / split
    place.mkdir(parents=True)
    for view in (0, 1):
      shutil.copy(two / f"pour_1_view{view}.mp4", place / f"pour_1_view{view}.MOV")
  found, views = names.find_films(tmp_path / "pouring")
  assert [one.name for one in found] == ["test/pour_1", "train/pour_1", "val/pour_1"]
  assert [one.split for one in found] == [2, 0, 1] and views == ("view0", "view1")


def test_labels_say_task_outcome_and_split(copied, tmp_path):
  (copied / "labels.csv").write_text(
    "name, task, success, split\npour_1, pouring, no, val\npour_fake, stirring, 1,\n"
  )
  store = import_films(copied, tmp_path / "store", SMALL)
  assert store.tasks == ("pouring", "stirring") and store.index.task.tolist() == [0, 1]
  assert store.index.is_success.tolist() == [False, True] and store.index.split.tolist() == [1, 0]


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("name,colour\npour_1,red\n", "has columns name, colour; known are name, task"),
    ("name,task\npour_2,a\n", "line 2 of .* is of no film: 'pour_2'"),
    ("name,success\npour_1,maybe\n", "success of pour_1 in labels.csv is 1 or 0, not 'maybe'"),
    ("name,split\npour_1,dev\n", "split of pour_1 in labels.csv is 'dev'"),
    ("name,task\npour_1,a,b,c\n", "is of no film"),
  ],
)
def test_labels_that_mean_nothing_are_refused(copied, tmp_path, text, message):
  (copied / "labels.csv").write_text(text)
  with pytest.raises(UserError, match=message):
    names.find_films(copied)


def _remove(folder):
  (folder / "pour_1_view1.mp4").unlink()


def _rename(folder):
  (folder / "pour_1_view1.mp4").rename(folder / "pour_1_right.mp4")


def _leap(folder):
  for name in ("pour_1", "pour_fake"):
    (folder / f"{name}_view1.mp4").rename(folder / f"{name}_view3.mp4")


def _double(folder):
  shutil.copy(folder / "pour_1_view1.mp4", folder / "pour_1_cam01.mov")


def _empty(folder):
  for path in folder.iterdir():
    path.unlink()


@pytest.mark.parametrize(
  ("spoil", "message"),
  [
    (_remove, "pour_1 in .* lacks view 1, which others have"),
    (_rename, "pour_1_right.mp4 does not say which view it is of"),
    (_leap, "no film in .* is of view 1, though there is view 3"),
    (_double, "pour_1_view1.mp4 and pour_1_cam01.mov are both view 1 of pour_1"),
    (_empty, "no films in .* named <name>_view<k> and end in .mp4, .mov, .avi"),
  ],
)
def test_names_that_do_not_add_up_are_refused(copied, spoil, message):
  spoil(copied)
  with pytest.raises(UserError, match=message):
    names.find_films(copied)


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
  with pytest.raises(UserError, match="there is no folder"):
    names.find_films(tmp_path / "nowhere")


def test_a_film_that_was_cut_off_is_named_and_nothing_is_written(copied, tmp_path):
  path = copied / "pour_fake_view1.mp4"
  path.write_bytes(path.read_bytes()[:-400])
  assert "pour_fake_view1.mp4 is damaged after" in refusal(copied, tmp_path)
  path.write_bytes(path.read_bytes()[:200])
  assert "pour_fake_view1.mp4 is damaged or no film" in refusal(copied, tmp_path)
  left_out = []
  store = import_films(
    copied, tmp_path / "store", SMALL._replace(skip_bad=True), note=left_out.append
  )
  assert store.names == ("pour_1",) and left_out[0].startswith("left out pour_fake: ")


def test_a_playlist_under_the_name_of_a_film_opens_nothing(copied, tmp_path):
  (copied / "pour_1_view0.mp4").write_text("ffconcat version 1.0\nfile pour_fake_view0.mp4\n")
  assert "pour_1_view0.mp4 is damaged or no film" in refusal(copied, tmp_path)


def test_a_longer_view_is_cut_within_the_tolerance_and_refused_beyond(copied, tmp_path):
  films.write(copied / "pour_1_view1.mp4", films.scene(15, view=1))
  notes = []
  store = import_films(copied, tmp_path / "cut", SMALL, note=notes.append)
  assert store.index.length.tolist() == [12, 12]
  assert notes == ["pour_1: the longest view is 3 frames longer; cut to 12"]
  said = refusal(copied, tmp_path, SMALL._replace(tolerance_seconds=0.2))
  assert "views of pour_1 differ in length (view0 12, view1 15 frames at 10 a second)" in said


def test_a_view_that_lags_is_told_in_frames_and_refused_beyond_the_limit(tmp_path):
  films.write(tmp_path / "a_view0.mp4", films.scene(45))
  films.write(tmp_path / "a_view1.mp4", films.scene(45, view=1, delay=4))
  said = refusal(tmp_path, tmp_path)
  assert "view1 of a is 4 frames behind view0, as their motion tells (correlation" in said
  notes = []
  forgiving = SMALL._replace(max_offset_seconds=0.4)
  import_films(tmp_path, tmp_path / "store", forgiving, note=notes.append)
  assert notes == ["view1 of a is 4 frames behind view0, as their motion tells"]


@pytest.mark.parametrize("delay", [-3, 0, 5])
def test_the_offset_is_the_delay_of_the_motion(delay):
  one = synchrony.motion(films.scene(60)[..., 0])
  two = synchrony.motion(films.scene(60, view=1, delay=delay)[..., 1])
  found = synchrony.offset(one, two, most=10)
  assert found.frames == delay and found.correlation > 0.9
  assert found.is_clear == (delay != 0)


def test_still_or_short_films_tell_no_offset():
  still = np.zeros(60)
  assert not synchrony.offset(still, still, most=10).is_clear
  noise = np.random.default_rng(0).random((2, 20))
  assert synchrony.offset(*noise, most=10).frames == 0
  assert synchrony.offset(np.zeros(0), np.zeros(0), most=10) == (0, 0.0, 0.0)


def test_views_of_different_rates_need_one_to_be_chosen(copied, tmp_path):
  films.write(copied / "pour_1_view1.mp4", films.scene(24, view=1), fps=20)
  said = refusal(copied, tmp_path)
  assert "views of pour_1 differ in frames a second (view0 10, view1 20); choose one" in said
  store = import_films(
    copied, tmp_path / "store", SMALL._replace(frames_per_second=5.0, max_offset_seconds=9.0)
  )
  assert store.index.length.tolist() == [6, 6]


def test_films_beyond_the_limits_are_refused(copied, tmp_path):
  for limits, message in [
    (Limits(max_pixels=1000), "pictures of 64 x 48 pixels; at most 1,000"),
    (Limits(max_seconds=0.5), "longer than 0.5 s"),
  ]:
    assert message in refusal(copied, tmp_path, SMALL._replace(limits=limits))
  path = copied / "pour_1_view0.mp4"
  assert probe(path, Limits()) == (48, 64, 10.0)
  frames = decode(path, rows=2, columns=2, frames_per_second=10.0, limits=Limits(max_pixels=1000))
  with pytest.raises(UserError, match="is damaged after 0 frames: .*exceeds"):
    next(frames)


def test_a_decoder_that_takes_too_long_is_ended(two, monkeypatch):
  monkeypatch.setattr(decoding, "_input", lambda path, limits: ["sh", "-c", "exec sleep 60"])
  began = time.monotonic()
  path, limits = two / "pour_1_view0.mp4", Limits(timeout_seconds=0.2)
  with pytest.raises(UserError, match="takes longer than 0.2 s to decode"):
    next(decode(path, rows=2, columns=2, frames_per_second=10.0, limits=limits))
  with pytest.raises(UserError, match="takes longer than 0.2 s to open"):
    probe(path, limits)
  assert time.monotonic() - began < 20


def test_frames_of_no_size_or_rate_are_refused(two, tmp_path):
  assert "1 x 32 pixels" in refusal(two, tmp_path, SMALL._replace(rows=1))
  assert "0.0 frames a second" in refusal(two, tmp_path, SMALL._replace(frames_per_second=0.0))
