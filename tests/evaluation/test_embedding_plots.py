"""Figures of embeddings show what was recorded."""

import numpy as np
import pytest
from matplotlib.colors import same_color

from jaxskills.evaluation import (
  alignment,
  embedding_pictures,
  embedding_plots,
  neighbour_strip,
  projections,
  run_records,
  style,
)
from jaxskills.evaluation.embedding_plots import Points, Rewards
from jaxskills.evaluation.report_record import Report
from tests.evaluation import fake_embeddings


def test_the_matrix_shows_distances_truth_and_where_the_neighbours_are():
  values = fake_embeddings.record().of("asn", 0)
  figure = embedding_plots.alignment_matrices({"ASN": values}, ["front", "left"], 0.5)
  axes = figure.axes[0]
  distance = np.linalg.norm(values[:, None, 0] - values[None, :, 1], axis=-1)
  np.testing.assert_allclose(axes.images[0].get_array(), distance / distance.max(), atol=1e-6)
  truth, found = axes.lines
  np.testing.assert_allclose(truth.get_xdata(), [0, 12])
  np.testing.assert_allclose(found.get_ydata(), (np.arange(24) + 0.5) * 0.5)
  np.testing.assert_allclose(found.get_xdata(), (distance.argmin(axis=1) + 0.5) * 0.5)
  assert axes.texts[0].get_text() == f"error {alignment.same_demonstration_error(values):.3f}"
  assert (axes.get_xlabel(), axes.get_ylabel()) == ("left (s)", "front (s)")


def test_principal_components_hold_the_variance_that_they_say():
  rng = np.random.default_rng(0)
  points = rng.standard_normal((500, 3)) * [3.0, 2.0, 0.0] @ np.linalg.qr(rng.random((3, 3)))[0]
  places, share = projections.principal_components(points)
  assert share == pytest.approx(1.0)
  np.testing.assert_allclose(places.std(axis=0), [3, 2], rtol=0.1)
  distances = [np.linalg.norm(p[:50, None] - p[:50], axis=-1) for p in (points, places)]
  np.testing.assert_allclose(*distances, atol=1e-9)
  thin, share = projections.principal_components(np.arange(4.0)[:, None])
  assert share == 1.0 and not thin[:, 1].any()
  assert projections.principal_components(np.ones((4, 3)))[1] == 0.0


def test_neighbours_stay_neighbours_and_the_picture_repeats():
  rng = np.random.default_rng(0)
  group = np.repeat([0, 1], 30)
  points = rng.standard_normal((60, 8)) + 40 * group[:, None]
  places = projections.neighbour_embedding(points, perplexity=10.0)
  distance = np.linalg.norm(places[:, None] - places, axis=-1) + 1e9 * np.eye(60)
  assert (group[distance.argmin(axis=1)] == group).all()
  np.testing.assert_array_equal(places, projections.neighbour_embedding(points, perplexity=10.0))


def test_points_are_coloured_by_progress_and_marked_by_view(monkeypatch):
  monkeypatch.setattr(projections, "neighbour_embedding", lambda points: points[:, :2])
  rng = np.random.default_rng(0)
  points = Points(rng.random((10, 3)), np.linspace(0, 1, 10), np.tile([0, 1], 5))
  figure = embedding_plots.projected({"ASN": points}, ["front", "left"])
  above, below = figure.axes[:2]
  front, left = below.collections
  np.testing.assert_allclose(front.get_offsets(), points.embeddings[::2, :2])
  np.testing.assert_allclose(left.get_array(), points.progress[1::2])
  assert above.get_xlabel().endswith("of the variance")
  assert [text.get_text() for text in figure.legends[0].get_texts()] == ["front", "left"]


def test_rewards_share_one_scale_that_is_named():
  curves = Rewards([np.array([-4.0, -2.0, 0.0])], [np.array([-4.0, -4.0])], 4.0)
  figure = embedding_plots.rewards({"ASN": curves})
  thin, mean, fake, _, zero = figure.axes[0].lines
  np.testing.assert_allclose(thin.get_ydata(), [-1, -0.5, 0])
  np.testing.assert_allclose(mean.get_ydata()[[0, 50, 100]], [-1, -0.5, 0])
  np.testing.assert_allclose(fake.get_ydata(), [-1, -1])
  assert same_color(thin.get_color(), style.BLUE) and same_color(fake.get_color(), style.VERMILLION)
  assert figure.axes[0].get_title(loc="right") == "1 = 4"
  with pytest.raises(ValueError, match="no reward"):
    embedding_plots.rewards({})


def test_rewards_of_a_record_are_of_another_video_and_camera():
  record = fake_embeddings.record()
  found = embedding_pictures.goal_rewards(record, "asn")
  goal = record.embeddings["asn"][0, 23, 0]
  expected = -np.linalg.norm(record.embeddings["asn"][1, :19, 1] - goal, axis=-1)
  np.testing.assert_allclose(found.good[0], expected, rtol=1e-5)
  assert (len(found.good), len(found.fake)) == (2, 1)
  start = np.linalg.norm(record.embeddings["asn"][0, 0, 1] - goal)
  assert found.unit == pytest.approx(start, rel=1e-5)


def test_the_strip_asks_one_view_and_finds_in_the_others():
  record = fake_embeddings.record()
  asked = [neighbour_strip.Found(0, 12, 0)]
  own = neighbour_strip.nearest_frames(record, "asn", asked, [0])[0]
  assert own.video == 0 and own.view == 1 and abs(own.time - 12) <= 2
  assert neighbour_strip.other_videos(record, 0) == [1, 2]  # the fake is none
  other = neighbour_strip.nearest_frames(record, "asn", asked, [1, 2])[0]
  assert other.video in (1, 2) and other.view == 1
  beyond = neighbour_strip.nearest_frames(record, "asn", [neighbour_strip.Found(0, 23, 0)], [1])[0]
  assert beyond.time < 19  # of a shorter video nothing behind its end


def test_the_strip_shows_frames_and_marks_what_is_off():
  record = fake_embeddings.record()
  figure = neighbour_strip.strip(record, {"asn": "ASN", "pixels": "Pixels"}, instants=3)
  assert len(figure.axes) == 3 * 5
  asked, asn = figure.axes[5], figure.axes[6]
  np.testing.assert_array_equal(asked.images[0].get_array(), record.frames[0, 12, 0])
  assert asked.get_xlabel() == "52%" and not asn.spines["left"].get_visible()
  off = [axes for axes in figure.axes if axes.spines["left"].get_visible()]
  assert off and all(axes.get_subplotspec().colspan.start >= 3 for axes in off)  # pixels' alone


def test_of_many_models_the_pictures_show_a_few_with_the_baselines_among_them(tmp_path):
  record = fake_embeddings.record()
  many = {f"m{at}": record.embeddings["asn"] for at in range(9)} | record.embeddings
  found = embedding_pictures._titles(
    Report(tmp_path, [run_records.read_run(tmp_path)], [], []), record._replace(embeddings=many)
  )
  assert list(found) == ["m0", "m1", "m2", "m3", "asn", "pixels"]
