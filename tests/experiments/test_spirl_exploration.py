"""What the exploration before reinforcement learning leaves behind, and what if that is damaged."""

import numpy as np
import pytest

from jaxskills.evaluation import recordings
from jaxskills.experiments.spirl import exploration, maze
from tests.evaluation import fake_run


@pytest.fixture
def recorded(monkeypatch) -> list:
  """Stands in for the rollouts; how often they were made."""
  calls = []

  def explore(config, world, models, data):
    calls.append(data)
    return recordings.Exploration(
      fake_run.walls(),
      np.array([2, 2]),
      np.array([8, 9]),
      {"skill_prior": fake_run.walks(3, 50)},
      demonstrations=fake_run.walks(2, 50, seed=1),
    )

  monkeypatch.setattr(exploration, "_explore", explore)
  return calls


def test_rollouts_are_recorded_once_and_read_from_then_on(recorded, tmp_path, capsys):
  first = exploration.record(maze.get_config(), {}, tmp_path, tmp_path)
  assert exploration.record(maze.get_config(), {}, tmp_path, tmp_path) == first
  assert len(recorded) == 1
  assert capsys.readouterr().err == ""


def test_a_damaged_recording_is_made_anew_and_that_is_said_in_one_line(recorded, tmp_path, capsys):
  first = exploration.record(maze.get_config(), {}, tmp_path, tmp_path)
  path = tmp_path / recordings.EXPLORATION
  whole = path.read_bytes()
  path.write_bytes(whole[: len(whole) // 2])
  assert exploration.record(maze.get_config(), {}, tmp_path, tmp_path) == first
  assert len(recorded) == 2
  assert capsys.readouterr().err == f"{path} is damaged; recording it anew\n"
  assert recordings.load_exploration(tmp_path).positions["skill_prior"].shape == (3, 50, 2)
