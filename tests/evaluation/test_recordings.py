"""Recordings come back as they were saved, and damaged ones are refused by name."""

import numpy as np
import pytest

from jaxskills.errors import UserError
from jaxskills.evaluation import recordings
from tests.evaluation import fake_run


def exploration() -> recordings.Exploration:
  paths = {"prior": fake_run.walks(2, 5), "random_actions": fake_run.walks(3, 4)}
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
  assert not list(tmp_path.glob("*.partial"))


def test_exploration_without_demonstrations_says_so(tmp_path):
  recordings.save_exploration(tmp_path, exploration()._replace(demonstrations=None))
  assert recordings.load_exploration(tmp_path).demonstrations is None


def test_reuse_comes_back_as_saved(tmp_path):
  names = ("one", "two")
  saved = recordings.Reuse(
    fake_run.walls(),
    np.array([2, 2]),
    {name: np.array([8, 9]) for name in names},
    {name: fake_run.walks(3, 4) for name in names},
    {name: np.arange(3) for name in names},
  )
  recordings.save_reuse(tmp_path, saved)
  assert_same(recordings.load_reuse(tmp_path), saved)


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
