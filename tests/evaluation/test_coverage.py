"""Coverage and displacement against values counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxskills.evaluation import coverage


def room(size: int = 6) -> np.ndarray:
  walls = np.zeros((size, size), bool)
  walls[[0, -1]] = walls[:, [0, -1]] = True
  return walls


def line(step: tuple[float, float], time: int) -> np.ndarray:
  return (np.array([1.5, 1.5]) + np.arange(time)[:, None] * np.array(step))[None]


def test_positions_are_counted_in_the_cell_that_holds_them():
  positions = np.array([[1.0, 1.0], [1.99, 1.5], [2.0, 1.5], [3.2, 4.7]])
  counts = coverage.visit_counts(positions, room())
  assert counts[1, 1] == 2 and counts[2, 1] == 1 and counts[3, 4] == 1 and counts.sum() == 4


def test_what_is_not_finite_outside_or_in_a_wall_is_not_counted():
  positions = np.array([[np.nan, 1.0], [-0.5, 1.5], [1.5, 99.0], [0.5, 0.5], [1.5, 1.5]])
  assert coverage.visit_counts(positions, room()).sum() == 1


def test_coverage_is_the_share_of_free_cells_seen_by_any_episode():
  positions = np.array([[[1.5, 1.5], [1.5, 2.5]], [[1.5, 1.5], [2.5, 1.5]]])
  covered = coverage.coverage(positions, room())
  assert covered == (3, 16) and covered.fraction == pytest.approx(3 / 16)


@given(st.lists(st.tuples(st.floats(1, 4.99), st.floats(1, 4.99)), min_size=2, max_size=30))
def test_coverage_of_a_whole_is_at_least_that_of_its_parts(points):
  positions = np.array(points)
  parts = [coverage.coverage(half, room()).cells for half in np.array_split(positions, 2)]
  assert max(parts) <= coverage.coverage(positions, room()).cells <= sum(parts)


def test_displacement_is_the_distance_between_the_ends_of_whole_skills():
  moved = coverage.displacement_per_skill(line((0.03, 0.04), 25), horizon=10)
  np.testing.assert_allclose(moved, [0.5, 0.5])  # 5 m/s for 0.1 s; the last 4 steps are no skill


def test_displacement_stops_where_an_episode_ends():
  paths = np.concatenate([line((0.03, 0.04), 31), line((0.0, 0.1), 31)])
  moved = coverage.displacement_per_skill(paths, 10, np.array([31, 15]))
  np.testing.assert_allclose(moved, [0.5, 0.5, 0.5, 1.0])


def test_displacement_of_a_path_that_returns_is_zero():
  there = line((0.1, 0.0), 6)
  path = np.concatenate([there, there[:, -2::-1]], axis=1)
  np.testing.assert_allclose(coverage.displacement_per_skill(path, 10), [0.0], atol=1e-12)


def test_a_horizon_of_nothing_is_refused():
  with pytest.raises(ValueError, match="horizon of 0"):
    coverage.displacement_per_skill(line((0.1, 0.0), 5), 0)


def test_direction_kept_is_the_cosine_between_consecutive_skills():
  corners = np.array([[[0.0, 0], [1, 0], [2, 0], [2, 1], [2, 0], [3, 1]]])
  expected = [1.0, 0.0, -1.0, -np.sqrt(0.5)]
  np.testing.assert_allclose(coverage.direction_kept(corners, 1), expected, atol=1e-12)


def test_skills_that_stand_still_have_no_direction():
  path = np.array([[[0.0, 0], [1, 0], [1, 0], [1, 0.0005], [2, 0.0005], [3, 0.0005]]])
  np.testing.assert_allclose(coverage.direction_kept(path, 1), [1.0])


def test_the_goal_is_reached_within_its_radius_of_the_cells_centre():
  near, far = line((0.0, 0.0), 3) + [0.0, 0.01], line((0.0, 0.0), 3) - [0.0, 0.01]
  assert coverage.goal_reached(np.concatenate([near, far]), np.array([1, 3]), 2.0) == 0.5


def test_a_prior_that_moves_like_the_demonstrations_passes_the_check():
  check = coverage.prior_check(line((0.0, 0.02), 101), room(), 10, line((0.0, 0.025), 101))
  assert check["displacement_ratio"] == pytest.approx(0.8)
  assert check["direction_kept"] == pytest.approx(1.0)
  assert check["cells"] == 3 and check["free_cells"] == 16
  assert "moves like the demonstrations" in coverage.describe_check(check)


def test_a_prior_that_stands_at_a_wall_is_called_stuck():
  check = coverage.prior_check(line((0.0, 0.0), 101), room(), 10, line((0.0, 0.02), 101))
  text = coverage.describe_check(check)
  assert check["displacement_ratio"] == 0.0 and "stuck" in text and "0.20 m" in text
