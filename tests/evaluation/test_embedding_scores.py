"""All scores of an embedding, from a store and from numbers: good, blind and collapsed ones."""

import numpy as np
import pytest

from jaxskills.evaluation import alignment, embedded_videos, embedding_scores, video_baselines
from jaxskills.evaluation.score_sampling import ScoreConfig, partners
from tests.evaluation import fake_videos


@pytest.fixture(scope="module")
def good():
  others = fake_videos.videos(3, seed=1)
  return embedding_scores.score_videos(fake_videos.videos(6, fakes=3), other_kinds=others)


def test_every_score_is_there_and_described(good):
  assert set(good) == {*embedding_scores.SCORES, "grasped_error"} - {"alignment_unseen_view"}
  assert all(np.isfinite(values).all() and values.ndim == 1 for values in good.values())
  assert len(good["alignment"]) == 9 and len(good["kendalls_tau"]) == 6


def test_an_embedding_of_progress_scores_well(good):
  for name in ("alignment", "across_by_video", "phase_error", "linear_phase_error_100"):
    assert good[name].mean() < 0.12, name
  for name in ("kendalls_tau", "progress_r2", "kind_recall_1", "success_auroc_goal"):
    assert good[name].mean() > 0.88, name


def test_a_collapsed_embedding_scores_like_chance_and_never_better():
  videos = [
    video._replace(embeddings=np.ones_like(video.embeddings))
    for video in fake_videos.videos(6, fakes=3)
  ]
  found, blind = (
    of(videos) for of in (embedding_scores.score_videos, embedding_scores.blind_scores)
  )
  for name in ("alignment", "across_by_segment", "across_by_video", "success_auroc_goal"):
    np.testing.assert_allclose(found[name].mean(), blind["chance"][name].mean(), err_msg=name)
  assert found["kendalls_tau"].mean() == 0 and found["progress_r2"].mean() <= 0
  assert found["phase_error"].mean() >= 0.7
  assert found["view_recall_1"].mean() < 0.2


def test_blind_rows_need_no_embedding():
  videos = fake_videos.videos(4, fakes=2)
  blind = embedding_scores.blind_scores(videos)
  assert list(blind) == ["chance", "middle", "first"]
  lengths = [len(video.embeddings) for video in videos]
  expected = [alignment.middle_error(length) for length in lengths]
  np.testing.assert_allclose(blind["middle"]["alignment"], expected)
  assert blind["chance"]["phase_error"] == pytest.approx(3 / 4)
  assert blind["chance"]["grasped_error"] == pytest.approx(1 / 2)
  assert (
    blind["chance"]["across_by_segment"].mean() > blind["middle"]["across_by_segment"].mean() > 0.5
  )
  without = [video._replace(embeddings=np.zeros((length, 2, 1)))
             for video, length in zip(videos, lengths, strict=True)]  # fmt: skip
  again = embedding_scores.blind_scores(without)
  np.testing.assert_array_equal(
    again["chance"]["across_by_video"], blind["chance"]["across_by_video"]
  )


def test_partners_are_other_successes_of_the_task_and_always_the_same():
  videos = fake_videos.videos(5, fakes=3)
  videos[4] = videos[4]._replace(task="B")
  pairs = partners(videos, ScoreConfig(partners=2))
  assert [source.name for source, _ in pairs] == ["v0", "v1", "v2", "v3"]
  for source, chosen in pairs:
    names = {other.name for other in chosen}
    assert len(names) == 2 and names <= {"v0", "v1", "v2", "v3"} - {source.name}
  again = partners(videos, ScoreConfig(partners=2))
  assert [[o.name for o in c] for _, c in again] == [[o.name for o in c] for _, c in pairs]


def test_videos_without_labels_or_partners_have_what_needs_neither():
  bare = [video._replace(labels={}) for video in fake_videos.videos(2)]
  found = embedding_scores.score_videos(bare)
  assert "kendalls_tau" in found and not {"phase_error", "progress_r2"} & set(found)
  alone = embedding_scores.score_videos(bare[:1])
  assert set(alone) == {
    "alignment", "view_recall_1", "view_recall_5",
    "reward_progress", "reward_over_reversed", "reward_over_frozen",
  }  # fmt: skip


def test_a_users_own_attribute_is_scored_and_named():
  videos = [
    video._replace(labels={**video.labels, "is_pouring": video.labels["grasped"]})
    for video in fake_videos.videos(3)
  ]
  found = embedding_scores.score_videos(videos)
  assert found["is_pouring_error"] == found["grasped_error"]
  told = embedding_scores.describe("is_pouring_error")
  assert told == ("Is pouring, error by neighbours", True, "frames")
  assert embedding_scores.describe("episodes") is None


def test_an_attribute_that_never_changes_is_left_out():
  videos = [
    video._replace(labels={**video.labels, "in_zone": np.zeros(len(video.embeddings), int)})
    for video in fake_videos.videos(3)
  ]
  assert "in_zone_error" not in embedding_scores.score_videos(videos)
  assert "in_zone_error" not in embedding_scores.blind_scores(videos)["chance"]


def test_videos_from_a_store_have_all_scores(tmp_path):
  store = fake_videos.store(tmp_path / "store")
  test, shapes = store.select(splits=["test"]), store.select(splits=["shapes"])
  embedded, others = (
    embedded_videos.embed_videos(
      lambda frames: video_baselines.pixels(frames, 4), store, some, [0, 1]
    )
    for some in (test, shapes)
  )
  found = embedding_scores.score_videos(embedded, other_kinds=others)
  assert len(found["alignment"]) == len(test) == 5
  expected = [alignment.same_demonstration_error(video.embeddings) for video in embedded]
  np.testing.assert_array_equal(found["alignment"], expected)
  assert "kind_recall_1" in found and "success_auroc_tracking" in found
  state = embedded_videos.measure_videos("state", store, test, [0, 1])
  assert embedding_scores.score_videos(state)["alignment"].mean() < 0.1
