"""Recordings come back as they were saved, and damaged ones are refused by name."""

import resource

import numpy as np
import pytest

from jaxskills.errors import UserError
from jaxskills.evaluation import recordings
from tests.evaluation import fake_run


def exploration() -> recordings.Exploration:
  paths = {"skill_prior": fake_run.walks(2, 5), "random_actions": fake_run.walks(3, 4)}
  return recordings.Exploration(
    fake_run.walls(), np.array([2, 2]), np.array([8, 9]), paths, 7, 1.5, fake_run.walks(1, 6)
  )


def assert_same(found, saved):
  for one, other in zip(found, saved, strict=True):
    if isinstance(one, dict):
      assert list(one) == list(other)
      assert_same(one.values(), other.values())
    else:
      np.testing.assert_array_equal(one, other)


def test_exploration_comes_back_as_saved(tmp_path):
  recordings.save_exploration(tmp_path, exploration())
  assert_same(recordings.load_exploration(tmp_path), exploration())
  assert [path.name for path in tmp_path.iterdir()] == ["exploration.npz"]


def test_exploration_without_demonstrations_says_so(tmp_path):
  recordings.save_exploration(tmp_path, exploration()._replace(demonstrations=None))
  assert recordings.load_exploration(tmp_path).demonstrations is None


def test_a_rollout_of_states_alone_takes_its_layout_from_the_exploration(tmp_path):
  recordings.save_exploration(tmp_path, exploration())
  np.savez(tmp_path / "rollout.npz", states=fake_run.path_to_goal(20))
  rollout = recordings.load_rollout(tmp_path)
  np.testing.assert_array_equal(rollout.walls, fake_run.walls())
  assert rollout.goal_radius == 1.5


def test_a_truncated_recording_is_refused_by_name(tmp_path):
  path = recordings.save_exploration(tmp_path, exploration())
  path.write_bytes(path.read_bytes()[:-40])
  with pytest.raises(UserError, match=r"exploration\.npz is damaged"):
    recordings.load_exploration(tmp_path)


@pytest.mark.parametrize("place", [0.0, 0.2, 0.4, 0.6, 0.8])
@pytest.mark.parametrize("seed", range(4))
def test_a_recording_with_a_lost_block_is_refused_whatever_the_block_held(tmp_path, place, seed):
  path = recordings.save_exploration(tmp_path, exploration())
  content = bytearray(path.read_bytes())
  first = int(place * len(content)) + seed * 16
  content[first : first + 64] = bytes(64)
  path.write_bytes(content)
  with pytest.raises(UserError, match=r"exploration\.npz is damaged"):
    recordings.load_exploration(tmp_path)


def test_a_disk_without_room_keeps_the_recording_of_before_and_no_part_of_the_new_one(tmp_path):
  path = recordings.save_exploration(tmp_path, exploration())
  before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
  try:
    with pytest.raises(UserError, match=r"cannot write .*exploration\.npz: file too large"):
      recordings.save_exploration(tmp_path, exploration())
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_pickles_are_refused(tmp_path):
  np.savez(tmp_path / "rollout.npz", states=np.array([{"a": 1}], dtype=object))
  with pytest.raises(UserError, match=r"rollout\.npz is damaged"):
    recordings.load_rollout(tmp_path)


def test_a_missing_array_is_named(tmp_path):
  np.savez(tmp_path / "exploration.npz", walls=fake_run.walls(), start=[2, 2])
  with pytest.raises(UserError, match="lacks goal, names"):
    recordings.load_exploration(tmp_path)


def test_a_rollout_is_cut_after_the_goal_and_whole_without_it():
  rollout = recordings.Rollout(
    fake_run.path_to_goal(301), fake_run.walls(), np.array([2, 2]), np.array([8, 9])
  )
  first = int(np.flatnonzero(rollout.goal_distance <= 2.0)[0])
  assert rollout.goal_distance[first] <= 2.0 < rollout.goal_distance[first - 1]
  assert len(rollout.until_goal(0.1).states) == first + 1 + 10
  assert rollout.until_goal(100.0).states.shape == rollout.states.shape
  elsewhere = rollout._replace(goal=np.array([8, 1]))
  assert elsewhere.until_goal(0.1).states.shape == rollout.states.shape
