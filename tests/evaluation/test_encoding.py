"""Films are whole or not there."""

import imageio_ffmpeg
import numpy as np
import pytest

from jaxskills.evaluation import encoding
from tests.evaluation import films


def test_frames_come_back_in_order_at_their_rate(tmp_path):
  shades = (0, 120, 240)
  frames = (np.full((32, 48, 3), shade, np.uint8) for shade in shades)
  path = encoding.encode(tmp_path / "film.mp4", frames, 48, 32, fps=5)
  shown = films.frames(path, 48, 32)
  np.testing.assert_allclose(shown.mean(axis=(1, 2, 3)), shades, atol=6)
  assert imageio_ffmpeg.count_frames_and_secs(str(path)) == (3, pytest.approx(0.6, abs=0.05))
  assert [file.name for file in tmp_path.iterdir()] == ["film.mp4"]


def test_odd_sides_are_refused_by_their_numbers(tmp_path):
  with pytest.raises(ValueError, match="got 47 x 32"):
    encoding.encode(tmp_path / "film.mp4", [], 47, 32, 25)


def test_a_frame_of_another_size_is_refused_and_nothing_is_left(tmp_path):
  frames = [np.zeros((32, 48, 3), np.uint8), np.zeros((32, 46, 3), np.uint8)]
  with pytest.raises(ValueError, match=r"\(32, 46, 3\), not \(32, 48, 3\)"):
    encoding.encode(tmp_path / "film.mp4", frames, 48, 32, 25)
  assert not list(tmp_path.iterdir())


def test_frames_that_fail_leave_the_film_of_before(tmp_path):
  def failing():
    yield np.zeros((32, 48, 3), np.uint8)
    raise ZeroDivisionError

  (tmp_path / "film.mp4").write_bytes(b"before")
  with pytest.raises(ZeroDivisionError):
    encoding.encode(tmp_path / "film.mp4", failing(), 48, 32, 25)
  assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"before"]
