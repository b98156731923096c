"""Labels read from embeddings, against hand counts and closed forms."""

import numpy as np
import pytest

from jaxskills.evaluation import classification
from jaxskills.evaluation.classification import LabelledVideo


def points(*values) -> np.ndarray:
  return np.array(values, float)[:, None]


def test_errors_are_means_over_classes_not_frames():
  found = classification.class_errors(np.array([0, 0, 0, 0, 0]), np.array([0, 0, 0, 0, 1]))
  np.testing.assert_array_equal(found.errors, [0.0, 1.0])
  np.testing.assert_array_equal(found.frames, [4, 1])
  assert found.mean == 0.5


def test_neighbours_come_from_other_videos_only():
  # Each frame's nearest frame has its label, but is of its own video.
  embeddings = [points(0.0, 0.1), points(5.0, 5.1)]
  labels = {"side": [np.array([0, 0]), np.array([1, 1])]}
  assert classification.neighbour_errors(embeddings, labels)["side"].mean == 1.0
  both = [points(0.0, 5.0), points(0.1, 5.1)]
  labels = {"side": [np.array([0, 1]), np.array([0, 1])]}
  assert classification.neighbour_errors(both, labels)["side"].mean == 0.0


def test_a_class_that_is_never_matched_counts_as_wrong():
  # Class 2 is in one video alone: the released code would leave it out and report no error.
  embeddings = [points(0.0, 5.0, 9.0), points(0.1, 5.1, 5.2)]
  labels = {"phase": [np.array([0, 1, 2]), np.array([0, 1, 1])]}
  found = classification.neighbour_errors(embeddings, labels)["phase"]
  np.testing.assert_array_equal(found.classes, [0, 1, 2])
  np.testing.assert_array_equal(found.errors, [0.0, 0.0, 1.0])
  assert found.mean == pytest.approx(1 / 3)


def test_the_majority_decides_and_the_nearest_a_tie():
  embeddings = [points(0.0), points(0.1, 0.2, 0.3)]
  labels = {"of three": [np.array([1]), np.array([0, 1, 1])]}
  errors = {
    neighbours: classification.neighbour_errors(embeddings, labels, neighbours=neighbours)
    for neighbours in (1, 2, 3)
  }
  # The query of class 1 finds 0, then 1, then 1; those of class 1 in the second video find it.
  assert [errors[k]["of three"].errors[1] for k in (1, 2, 3)] == [
    pytest.approx(1 / 3), pytest.approx(1 / 3), 0.0
  ]  # fmt: skip


def test_a_tie_is_not_decided_by_the_number_of_the_class():
  embeddings = [points(0.0), points(0.1, 0.2)]
  labels = {"two": [np.array([1]), np.array([1, 0])]}
  found = classification.neighbour_errors(embeddings, labels, neighbours=2)["two"]
  assert found.errors[1] == 0.0


def test_chance_is_one_less_the_classes_share():
  rng = np.random.default_rng(0)
  labels = {"rare": [(rng.random(400) < 0.1).astype(int) for _ in range(4)]}
  found = classification.neighbour_errors(list(rng.standard_normal((4, 400, 2))), labels)
  assert found["rare"].mean == pytest.approx(0.5, abs=0.05)


def test_one_video_has_no_neighbours():
  with pytest.raises(ValueError, match="got 1"):
    classification.neighbour_errors([points(0.0)], {"phase": [np.array([0])]})


def separable(count: int, seed: int) -> list[LabelledVideo]:
  """Videos whose class is which of three directions an embedding lies in."""
  rng, made = np.random.default_rng(seed), []
  for _ in range(count):
    labels = rng.integers(0, 3, 30)
    made.append(LabelledVideo(4 * np.eye(3)[labels] + 0.3 * rng.standard_normal((30, 3)), labels))
  return made


def test_a_linear_map_finds_what_is_linearly_there():
  assert classification.linear_errors(separable(3, 0), separable(2, 1)).mean < 0.02


def test_a_linear_map_of_noise_is_at_chance():
  rng = np.random.default_rng(0)
  videos = [LabelledVideo(rng.standard_normal((300, 4)), rng.integers(0, 3, 300)) for _ in range(4)]
  assert classification.linear_errors(videos[:2], videos[2:]).mean == pytest.approx(2 / 3, abs=0.06)


def test_a_class_that_only_the_judged_videos_have_counts_as_wrong():
  train = [LabelledVideo(points(0, 0.1, 5, 5.1), np.array([0, 0, 1, 1]))]
  test = [LabelledVideo(points(0, 5, 9), np.array([0, 1, 2]))]
  np.testing.assert_array_equal(classification.linear_errors(train, test).errors, [0, 0, 1])
  alone = [LabelledVideo(points(0, 1), np.array([1, 1]))]
  np.testing.assert_array_equal(classification.linear_errors(alone, test).errors, [1, 0, 1])


def test_shares_count_videos_and_small_ones_are_drawn_anew():
  train, test = separable(10, 0), separable(2, 1)
  rng = np.random.default_rng(2)
  bad = [LabelledVideo(video.embeddings, rng.integers(0, 3, 30)) for video in train[1:]]
  found = classification.linear_errors_by_share([train[0], *bad], test, draws=4)
  assert {share: len(errors) for share, errors in found.items()} == {0.1: 4, 0.5: 4, 1.0: 1}
  one = found[0.1]  # the only video with true labels is drawn or not
  assert len(set(one.round(6))) > 1


def test_wide_features_are_reduced_to_their_principal_components():
  narrow = separable(3, 0)
  mix = np.random.default_rng(3).standard_normal((3, 200))
  wide = [LabelledVideo(video.embeddings @ mix, video.labels) for video in narrow]
  kept, _ = classification._standardised(wide, wide)
  assert kept.shape[1] == classification.COMPONENTS
  assert classification.linear_errors(wide[:2], wide[2:]).mean < 0.02


def test_progress_that_is_linear_is_explained_and_noise_explains_nothing():
  rng = np.random.default_rng(0)
  progress = [np.linspace(0, 1, 200) for _ in range(4)]
  good = [LabelledVideo(np.stack([3 * p, -p, 1 + 0 * p], axis=1), p) for p in progress]
  assert classification.progress_r2(good[:2], good[2:]) == pytest.approx(1.0, abs=1e-4)
  noise = [LabelledVideo(rng.standard_normal((200, 3)), p) for p in progress]
  assert classification.progress_r2(noise[:2], noise[2:]) == pytest.approx(0.0, abs=0.05)


def test_r2_is_one_less_the_unexplained_share():
  # Constant features predict the mean of `train` (.5); `test` has mean .25.
  train = [LabelledVideo(np.ones((2, 1)), np.array([0.0, 1.0]))]
  test = [LabelledVideo(np.ones((2, 1)), np.array([0.0, 0.5]))]
  assert classification.progress_r2(train, test) == pytest.approx(1 - 0.25 / 0.125)
  still = [LabelledVideo(np.ones((2, 1)), np.array([0.5, 0.5]))]
  assert np.isnan(classification.progress_r2(train, still))
