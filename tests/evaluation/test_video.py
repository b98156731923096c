"""The film shows the recorded states, and nothing half-written is left behind."""

import imageio_ffmpeg
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.envs.maze.view import egocentric_view
from jaxskills.evaluation import recordings, video
from tests.evaluation import fake_run


def rollout(time: int = 300) -> recordings.Rollout:
  return recordings.Rollout(
    fake_run.path_to_goal(time), fake_run.walls(), np.array([2, 2]), np.array([8, 9])
  )


def on_map(frame: np.ndarray, position) -> np.ndarray:
  """The pixel of a frame at a place in the maze."""
  scale = 640 // 11
  row, column = (int(round(value * scale)) for value in position)
  return frame[20 + 24 + row, 20 + column]


def test_frames_have_the_announced_size_with_even_sides():
  for size in (7, 11, 42):
    assert all(side % 2 == 0 for side in video.frame_size(np.ones((size, size), bool)))
  width, height = video.frame_size(fake_run.walls())
  frame = next(video.frames(rollout()))
  assert frame.shape == (height, width, 3) and frame.dtype == np.uint8


def test_the_ball_is_drawn_where_it_was_and_leaves_a_trail():
  shot = list(video.frames(rollout()))
  states = rollout().until_goal(2.0).states
  for index in (10, len(shot) - 1):
    at = min(4 * index, len(states) - 1)
    np.testing.assert_array_equal(on_map(shot[index], states[at, :2]), [0, 114, 178])
  between = states[40, :2]
  np.testing.assert_array_equal(on_map(shot[0], between), [255, 255, 255])
  np.testing.assert_array_equal(on_map(shot[-1], between), [96, 168, 212])
  np.testing.assert_array_equal(on_map(shot[-1], (5.5, 2.5)), [55, 65, 81])  # a wall stays


def test_the_view_beside_the_map_is_the_policys():
  shot = next(video.frames(rollout()))
  left = 11 * (640 // 11) + 2 * 20
  tile = shot[44 : 44 + 256, left : left + 256][4::8, 4::8].astype(float)
  seen = np.asarray(egocentric_view(jnp.asarray(fake_run.walls()), jnp.array([2.5, 2.5]))) / 255
  expected = 255 + seen * (55 - 255)
  outside_the_ball = np.ones((32, 32), bool)
  outside_the_ball[14:18, 14:18] = False
  np.testing.assert_allclose(tile[..., 0][outside_the_ball], expected[outside_the_ball], atol=1.0)


def test_the_film_runs_in_real_time_until_shortly_after_the_goal(tmp_path):
  recorded = rollout(500)
  path = video.film_rollout(tmp_path / "rollout.mp4", recorded, hold_seconds=0.4)
  frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
  lasting = (len(recorded.until_goal(0.4).states) - 1) * 0.01
  assert lasting < 4.6 and seconds == pytest.approx(lasting, abs=0.08)
  assert frames == pytest.approx(25 * lasting, abs=2)
  assert [file.name for file in tmp_path.iterdir()] == ["rollout.mp4"]


def test_twice_the_speed_takes_half_the_frames():
  normal, fast = (len(list(video.frames(rollout(), speed=speed))) for speed in (1.0, 2.0))
  assert fast == pytest.approx(normal / 2, abs=1)


def test_a_single_state_is_no_film(tmp_path):
  with pytest.raises(ValueError, match="got 1"):
    video.film_rollout(tmp_path / "rollout.mp4", rollout()._replace(states=np.zeros((1, 4))))
  assert not list(tmp_path.iterdir())


def test_a_failing_ffmpeg_says_why_and_leaves_nothing(tmp_path):
  with pytest.raises(RuntimeError, match="ffmpeg failed: .*No such file"):
    video.film_rollout(tmp_path / "nowhere" / "rollout.mp4", rollout(40))
