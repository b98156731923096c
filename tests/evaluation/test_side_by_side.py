"""A rollout beside its demonstration: both play, the shorter one waits, rewards grow."""

import numpy as np
import pytest

from jaxskills.evaluation import side_by_side
from tests.evaluation import films


def video(length: int, level: int) -> np.ndarray:
  """Frames that brighten."""
  frames = np.zeros((length, 6, 8, 3), np.uint8)
  frames[:] = (level + 10 * np.arange(length))[:, None, None, None]
  return frames


def drawn(rewards, demonstration=3, rollout=5, hold_seconds=0.0):
  return list(
    side_by_side.frames(
      video(demonstration, 0), video(rollout, 100), 0.1, ("Demonstration", "Policy"), rewards,
      hold_seconds,
    )
  )  # fmt: skip


def tiles(frame: np.ndarray) -> tuple[int, int]:
  """The colours of the middle of both pictures."""
  tall, wide = side_by_side._tile(6, 8)
  middle = side_by_side._HEAD + tall // 2
  left = side_by_side._MARGIN + wide // 2
  return int(frame[middle, left, 0]), int(frame[middle, left + wide + side_by_side._MARGIN, 0])


def test_both_play_and_the_shorter_one_waits_on_its_last_frame():
  frames = drawn({})
  assert [tiles(frame) for frame in frames] == [
    (0, 100), (10, 110), (20, 120), (20, 130), (20, 140)
  ]  # fmt: skip
  assert len(drawn({}, hold_seconds=0.3)) == 8


def test_the_reward_is_drawn_up_to_now():
  rewards = {"reward": np.linspace(0, 1, 5)}
  frames = drawn(rewards)
  width, height = side_by_side.frame_size(6, 8, has_plot=True)
  blue = [
    int((np.abs(frame.astype(int) - side_by_side._COLORS[0]).sum(axis=-1) < 30).sum())
    for frame in frames
  ]
  assert blue == sorted(blue) and blue[-1] > 2 * blue[0]
  assert frames[0].shape == (height, width, 3)


def test_the_film_is_written_at_the_videos_own_rate(tmp_path):
  path = side_by_side.film_beside(
    tmp_path / "film.mp4", video(3, 0), video(4, 100), seconds_per_frame=0.1, hold_seconds=0.0,
    rewards={"reward": np.zeros(4)},
  )  # fmt: skip
  width, height = side_by_side.frame_size(6, 8, has_plot=True)
  found = films.frames(path, width, height)
  assert len(found) == 4
  assert tiles(found[3]) == pytest.approx((20, 130), abs=6)


@pytest.mark.parametrize(
  ("arguments", "reason"),
  [
    ((video(0, 0), video(2, 0)), "needs frames of both"),
    ((video(2, 0)[:, :5], video(2, 0)), "beside"),
  ],
)
def test_what_does_not_fit_is_refused(tmp_path, arguments, reason):
  with pytest.raises(ValueError, match=reason):
    side_by_side.film_beside(tmp_path / "film.mp4", *arguments, seconds_per_frame=0.1)


def test_a_reward_of_another_length_is_refused_by_name(tmp_path):
  with pytest.raises(ValueError, match="distance has"):
    side_by_side.film_beside(
      tmp_path / "film.mp4", video(2, 0), video(2, 0), seconds_per_frame=0.1,
      rewards={"distance": np.zeros(3)},
    )  # fmt: skip
