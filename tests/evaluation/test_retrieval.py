"""Recall at k, counted by hand."""

import numpy as np
import pytest

from jaxskills.evaluation import retrieval


def test_the_same_instant_is_looked_for_among_all_videos():
  # The second video looks like the first, one frame late in view 1.
  first = np.array([[[0.0], [0.1]], [[1.0], [1.1]]])
  second = np.array([[[0.0], [1.0]], [[5.0], [5.0]]])
  found = retrieval.view_recall([first, second], 0, 1, counts=(1, 2))
  # Of queries 0, 1 | 0, 5: frame 0 finds .1, frame 1 finds 1.0 (of the other video) and then 1.1;
  # the second video's 0 finds .1, then 1.0, and 5 finds 5.
  assert found == {1: pytest.approx(2 / 4), 2: 1.0}


def test_an_instant_may_be_missed_by_the_tolerance():
  late = np.stack([np.arange(6.0), np.arange(6.0) + 1], axis=1)[:, :, None]
  assert retrieval.view_recall([late], 0, 1, counts=(1,))[1] == pytest.approx(1 / 6)
  assert retrieval.view_recall([late], 0, 1, counts=(1,), tolerance=1)[1] == 1.0


def test_recall_of_labels_is_a_mean_over_labels_and_counts_those_that_nobody_has():
  queries, labels = np.array([[0.0], [0.1], [0.2], [9.0]]), np.array([0, 0, 0, 1])
  candidates, theirs = np.array([[0.0], [8.0], [9.0]]), np.array([0, 1, 2])
  found = retrieval.label_recall(queries, labels, candidates, theirs, counts=(1, 2))
  assert found == {1: pytest.approx((1 + 0) / 2), 2: 1.0}
  nobody = retrieval.label_recall(queries, labels, candidates[:1], theirs[:1], counts=(1,))
  assert nobody[1] == pytest.approx(0.5)
