"""The film shows the recorded walk, and a machine that cannot draw says what it lacks."""

import os
import subprocess
import sys

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from jaxskills.evaluation import robot_film, walk_record
from tests.evaluation import fake_walk, films

SIDES = (robot_film.WIDTH, robot_film.HEIGHT + robot_film.CAPTION)


def short_walk():
  """Two seconds forward, shoved at once, its right foot in the air at the end."""
  record = fake_walk.walk(((100, (1.0, 0.0, 0.0)),))
  record.push[0] = (0.0, -0.6)
  record.contact[-10:] = (True, False)
  return record


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
  """A folder with a film and a filmstrip; skips where nothing draws off screen."""
  folder = tmp_path_factory.mktemp("film")
  recording = walk_record.save(folder / "walk.npz", short_walk())
  before = dict(os.environ)
  try:
    robot_film.film_walk(recording, folder / "walk.mp4", folder / "strip.png")
  except RuntimeError as error:
    if "no OpenGL" in str(error):
      pytest.skip(str(error))
    raise
  assert dict(os.environ) == before
  return folder


@pytest.fixture(scope="module")
def frames(filmed):
  """Its frames as numbers."""
  return films.frames(filmed / "walk.mp4", *SIDES).astype(np.int16)


def test_the_film_lasts_as_long_as_the_walk(filmed):
  number, seconds = imageio_ffmpeg.count_frames_and_secs(str(filmed / "walk.mp4"))
  assert number == 50 and seconds == pytest.approx(2.0, abs=0.05)
  assert {path.name for path in filmed.iterdir()} == {"walk.npz", "walk.mp4", "strip.png"}


def test_the_film_shows_the_robot_in_the_middle_moving_its_legs(frames):
  picture = frames[:, : robot_film.HEIGHT]
  sky = picture[:, 20:60, :40].mean(axis=(1, 2))
  centre = picture[:, 60:400, 300:340].mean(axis=(1, 2))
  assert np.abs(centre - sky).max(axis=1).min() > 40  # always there
  left, right, legs = (
    picture[:, 250:400, :80],
    picture[:, 250:400, -80:],
    picture[:, 250:400, 240:400],
  )
  change = [np.abs(part[10] - part[5]).mean() for part in (left, right, legs)]
  assert change[2] > change[0] and change[2] > change[1]


def test_the_discs_are_filled_for_feet_on_the_ground(frames):
  rows = robot_film.shown(short_walk())
  caption = frames[:, robot_film.HEIGHT :, -80:]
  for foot, color in enumerate(((0, 114, 178), (213, 94, 0))):
    near = np.abs(caption - np.array(color)).max(axis=-1) < 60
    filled = near.sum(axis=(1, 2))
    contact = short_walk().contact[rows, foot]
    assert contact.any() and (~contact).any()
    assert filled[contact].min() > 1.2 * filled[~contact].max()


def test_the_filmstrip_is_as_wide_as_its_stills(filmed):
  with Image.open(filmed / "strip.png") as strip:
    height = robot_film.STILL_HEIGHT + robot_film.STILL_CAPTION
    assert strip.size == (robot_film.STILLS * robot_film.STILL_WIDTH, height)
    stills = np.split(np.asarray(strip.convert("RGB"), float), robot_film.STILLS, axis=1)
  assert all(np.abs(one - two).mean() > 1.0 for one, two in zip(stills, stills[1:], strict=False))


def test_a_recording_that_cannot_be_read_is_told_in_one_line(filmed, tmp_path):
  (tmp_path / "walk.npz").write_bytes(b"PK\x03\x04 not really")
  with pytest.raises(RuntimeError, match=r"^\S*walk\.npz is damaged") as caught:
    robot_film.film_walk(tmp_path / "walk.npz", tmp_path / "walk.mp4")
  assert "\n" not in str(caught.value)
  assert [path.name for path in tmp_path.iterdir()] == ["walk.npz"]


def test_without_opengl_it_says_what_to_install(tmp_path, monkeypatch):
  monkeypatch.setenv("MUJOCO_GL", "nothing")
  recording = walk_record.save(tmp_path / "walk.npz", short_walk())
  with pytest.raises(RuntimeError, match=r"no OpenGL .*\(nothing tried\); .*libegl1"):
    robot_film.film_walk(recording, tmp_path / "walk.mp4")
  assert not (tmp_path / "walk.mp4").exists()


def test_egl_comes_first_then_osmesa_and_a_choice_is_kept(tmp_path, monkeypatch):
  tried = []

  def run(command, env, **options):
    tried.append(env["MUJOCO_GL"])
    return subprocess.CompletedProcess(command, 0 if env["MUJOCO_GL"] == "osmesa" else -6, "", "")

  monkeypatch.setattr(subprocess, "run", run)
  monkeypatch.delenv("MUJOCO_GL", raising=False)
  robot_film.film_walk(tmp_path / "walk.npz", tmp_path / "walk.mp4")
  assert tried == ["egl", "osmesa"]
  monkeypatch.setenv("MUJOCO_GL", "glfw")
  with pytest.raises(RuntimeError, match="glfw tried"):
    robot_film.film_walk(tmp_path / "walk.npz", tmp_path / "walk.mp4")
  assert tried == ["egl", "osmesa", "glfw"]


def test_a_driver_that_hangs_is_given_up(tmp_path, monkeypatch):
  def run(command, timeout, **options):
    robot_film.encoding.partial(tmp_path / "walk.mp4").write_bytes(b"half")
    raise subprocess.TimeoutExpired(command, timeout)

  monkeypatch.setattr(subprocess, "run", run)
  with pytest.raises(RuntimeError, match="took more than"):
    robot_film.film_walk(tmp_path / "walk.npz", tmp_path / "walk.mp4")
  assert not list(tmp_path.iterdir())


def test_importing_the_report_sets_no_environment_variable():
  program = "import os; before = dict(os.environ); import jaxskills.evaluation.robot_film"
  program += "; assert dict(os.environ) == before"
  environment = {name: value for name, value in os.environ.items() if name != "MUJOCO_GL"}
  subprocess.run([sys.executable, "-c", program], check=True, timeout=120, env=environment)


def test_the_cycle_is_a_whole_turn_of_the_clock_at_the_fastest_straight_command():
  fast, turning = (150, (1.0, 0.0, 0.0)), (150, (1.0, 0.0, 0.5))
  record = fake_walk.walk(((150, (0.5, 0.0, 0.0)), fast, turning))
  rows = robot_film.cycle(record)
  assert len(rows) == robot_film.STILLS and 150 < rows[0] and rows[-1] < 300
  np.testing.assert_allclose(record.phase[rows], np.arange(8) / 8)
  assert (np.diff(rows) == fake_walk.PERIOD // 8).all()


def test_without_a_whole_turn_there_is_no_cycle():
  for record in (fake_walk.walk(((60, (0.0, 0.0, 0.0)),)), fake_walk.fallen(120)):
    with pytest.raises(ValueError, match="no whole cycle"):
      robot_film.cycle(record)


def test_pushes_are_told_for_a_while_and_falls_for_ever():
  record = fake_walk.pushed()
  assert robot_film.event(record, 39) == ""
  assert robot_film.event(record, 45) == "pushed from the right, 0.6 m/s"
  assert robot_film.event(record, 75) == ""
  assert robot_film.event(record, 80) == "pushed from the back, 0.6 m/s"
  fallen = fake_walk.fallen(300)
  assert robot_film.event(fallen, 299) == "" and robot_film.event(fallen, 340) == "fell"


def test_long_walks_are_shown_from_begin_to_end():
  record = fake_walk.walk()
  rows = robot_film.shown(record)
  assert rows[0] == 0 and rows[-1] >= len(record.qpos) - 2 and len(rows) == 175
  assert (np.diff(rows) == 2).all()
