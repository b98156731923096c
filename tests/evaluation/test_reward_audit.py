"""Audits of rewards whose answer is known."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxskills.evaluation import reward_audit, reward_scores
from tests.evaluation import fake_videos


def curve(*values) -> np.ndarray:
  return np.array(values, float)[:, None]


def test_rewards_are_minus_euclidean_distances():
  embeddings = np.array([[3.0, 4.0], [0.0, 0.0]])
  np.testing.assert_allclose(reward_audit.goal_reward(embeddings, np.zeros(2)), [-5, 0])
  demonstration = np.array([[3.0, 0.0], [0.0, 1.0]])
  np.testing.assert_allclose(reward_audit.tracking_reward(embeddings, demonstration), [-4, -1])


def test_past_its_end_a_demonstrations_last_frame_counts():
  reward = reward_audit.tracking_reward(curve(0, 1, 2, 3), curve(0, 1))
  np.testing.assert_allclose(reward, [0, 0, -1, -2])


def test_a_demonstration_is_stretched_between_its_ends():
  np.testing.assert_allclose(reward_audit.stretch(curve(0, 1, 2, 3, 4), 3)[:, 0], [0, 2, 4])
  np.testing.assert_allclose(reward_audit.stretch(curve(0, 1), 4)[:, 0], [0, 0, 1, 1])


def test_progress_is_a_rank_correlation_with_time():
  rising = np.array([0.0, 0.1, 5.0, 100.0])
  assert reward_audit.progress_correlation(rising) == pytest.approx(1.0)
  assert reward_audit.progress_correlation(-rising) == pytest.approx(-1.0)
  assert reward_audit.progress_correlation(np.zeros(4)) == 0.0


def test_the_area_counts_pairs_with_ties_half():
  area = reward_audit.area_under_roc(np.array([1.0, 2.0]), np.array([1.0, 0.0, 3.0]))
  # 1 against 1, 0, 3: half, whole, none; 2 against them: whole, whole, none.
  assert area == pytest.approx((0.5 + 1 + 0 + 1 + 1 + 0) / 6)
  assert reward_audit.area_under_roc(np.ones(3), np.ones(4)) == 0.5
  assert np.isnan(reward_audit.area_under_roc(np.ones(0), np.ones(4)))


scores = st.lists(st.integers(-3, 3), min_size=1, max_size=8).map(lambda xs: np.array(xs, float))


@given(scores, scores)
def test_the_area_is_the_chance_of_a_pair_and_mirrors(positive, negative):
  pairs = np.sign(positive[:, None] - negative) / 2 + 0.5
  area = reward_audit.area_under_roc(positive, negative)
  assert area == pytest.approx(pairs.mean())
  assert area + reward_audit.area_under_roc(negative, positive) == pytest.approx(1.0)


def test_an_attempt_like_the_demonstration_earns_more_than_one_backwards_or_at_rest():
  found = reward_audit.audit(curve(0, 1, 2, 3), curve(0, 3 / 2, 3))
  assert found.goal_progress == pytest.approx(1.0)
  assert found.tracking > found.tracking_frozen > found.tracking_reversed
  assert found.goal_end == 0.0
  # The demonstration is stretched to frames 0, 1.5, 1.5, 3.
  assert found.tracking == pytest.approx(-(0 + 0.5 + 0.5 + 0) / 4)
  assert found.tracking_reversed == pytest.approx(-(3 + 0.5 + 0.5 + 3) / 4)
  assert found.tracking_frozen == pytest.approx(-(0 + 1.5 + 1.5 + 3) / 4)


def test_an_embedding_of_progress_passes_every_audit():
  found = reward_scores.reward_scores(fake_videos.videos(6, fakes=4, noise=0.005))
  assert found["reward_progress"].shape == (6,) and found["success_auroc_goal"].shape == (1,)
  assert found["reward_progress"].min() > 0.9
  assert found["reward_progress_across"].min() > 0.9
  assert found["success_auroc_goal"].min() == 1.0
  assert found["success_auroc_tracking"].min() > 0.7  # at their own pace successes fall behind too
  assert found["reward_over_reversed"].min() == found["reward_over_frozen"].min() == 1.0


def test_an_embedding_of_nothing_passes_none():
  videos = [
    video._replace(embeddings=np.zeros_like(video.embeddings))
    for video in fake_videos.videos(4, fakes=4)
  ]
  found = reward_scores.reward_scores(videos)
  for name in ("success_auroc_goal", "success_auroc_tracking"):
    np.testing.assert_array_equal(found[name], 0.5)
  for name in ("reward_over_reversed", "reward_over_frozen"):
    np.testing.assert_array_equal(found[name], 0.5)
  np.testing.assert_array_equal(found["reward_progress"], 0.0)


def of_task(task, videos):
  return [video._replace(task=task) for video in videos]


def test_demonstrations_that_reward_the_same_attempts_are_one_value_of_their_task():
  first = fake_videos.videos(5, fakes=3, noise=0.3)
  second = of_task("B", fake_videos.videos(4, fakes=2, noise=0.3, seed=1))
  apart = [reward_scores.other_scores(some, demonstrations=9) for some in (first, second)]
  both = reward_scores.other_scores([*second, *first], demonstrations=9)
  assert set(both) == {"reward_progress_across", "success_auroc_goal", "success_auroc_tracking"}
  for name, values in both.items():
    np.testing.assert_allclose(values, [found[name][0] for found in apart], err_msg=name)


def test_a_tasks_value_is_the_mean_over_its_demonstrations_and_pairs_of_views():
  videos = fake_videos.videos(3, fakes=2, noise=0.3)
  areas = []
  for index, a, b in itertools.product(range(3), (0, 1), (0, 1)):
    if a != b:
      end = videos[index].embeddings[-1, a]
      rewards = [-np.linalg.norm(video.embeddings[-1, b] - end) for video in videos]
      good = [rewards[other] for other in range(3) if other != index]
      areas.append(np.mean([one > fake for one in good for fake in rewards[3:]]))
  found = reward_scores.other_scores(videos)["success_auroc_goal"]
  assert 0.0 < np.std(areas) and found == pytest.approx([np.mean(areas)])


def test_without_fakes_success_is_not_told_apart():
  found = reward_scores.reward_scores(fake_videos.videos(3))
  assert "reward_progress_across" in found and "success_auroc_goal" not in found
  assert set(reward_scores.reward_scores(fake_videos.videos(1))) == {
    "reward_progress", "reward_over_reversed", "reward_over_frozen"
  }  # fmt: skip


def test_rewards_are_always_of_another_view():
  # Views that are far apart and stand still: only a reward of the same view would be zero.
  video = fake_videos.videos(1)[0]
  embeddings = np.zeros_like(video.embeddings)
  embeddings[:, 1] = 7.0
  a, b = reward_scores._views(video)
  assert (a, b) == ((0, 1), (1, 0))
  found = reward_scores._audit(video._replace(embeddings=embeddings), video, 0, 1)
  assert found.goal_end < -5
