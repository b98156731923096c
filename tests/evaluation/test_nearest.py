"""Nearest neighbours against plain differences, with ties and groups."""

import numpy as np
import pytest

from jaxskills.evaluation import nearest


def test_distances_are_those_of_plain_differences_far_from_zero():
  rng = np.random.default_rng(0)
  a, b = rng.standard_normal((2, 7, 5)) + 1000.0
  expected = ((a[:, None] - b) ** 2).sum(axis=-1)
  np.testing.assert_allclose(nearest.squared_distances(a, b), expected, rtol=1e-9)


def test_all_that_are_equally_near_are_marked_and_the_first_is_taken():
  queries = np.array([[0.0], [3.0]])
  candidates = np.array([[9.0], [1.0], [-1.0], [1.0]])
  mask = nearest.nearest_mask(queries, candidates)
  np.testing.assert_array_equal(mask, [[0, 1, 1, 1], [0, 1, 0, 1]])
  np.testing.assert_array_equal(nearest.nearest(queries, candidates), [1, 1])


def test_what_float32_cannot_tell_apart_is_a_tie_and_what_it_can_is_not():
  rng = np.random.default_rng(0)
  point = np.full((1, 32), 0.3, np.float32)
  collapsed = np.repeat(point, 9, axis=0) * (1 + 1e-7 * rng.standard_normal((9, 1))).astype("f4")
  assert nearest.nearest_mask(collapsed, collapsed).all()
  apart = point + 1e-4 * np.arange(9, dtype=np.float32)[:, None]
  np.testing.assert_array_equal(nearest.nearest_mask(apart, apart), np.eye(9, dtype=bool))


@pytest.mark.parametrize("chunk", [2, 2048])
def test_neighbours_elsewhere_are_those_of_a_full_sort(monkeypatch, chunk):
  monkeypatch.setattr(nearest, "_CHUNK", chunk)
  rng = np.random.default_rng(1)
  points, group = rng.standard_normal((15, 3)), np.repeat([0, 1, 2], 5)
  found = nearest.nearest_elsewhere(points, points, group, group, 4)
  distance = ((points[:, None] - points) ** 2).sum(axis=-1)
  distance[group[:, None] == group] = np.inf
  np.testing.assert_array_equal(found, np.argsort(distance, axis=1)[:, :4])


def test_a_query_without_enough_others_says_so():
  points, group = np.arange(4.0)[:, None], np.array([0, 0, 0, 1])
  found = nearest.nearest_elsewhere(points, points, group, group, 3)
  np.testing.assert_array_equal(found, [[3, -1, -1]] * 3 + [[2, 1, 0]])
