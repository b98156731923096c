"""Scores as figures of a summary, and what their intervals allow to say."""

import json

import numpy as np
import pytest
from scipy import stats

from jaxskills.evaluation import embedding_table, intervals
from tests.evaluation import fake_embeddings


def test_figures_keep_each_seed_and_the_interval_over_seeds_and_videos():
  seeds = [{"alignment": np.array([0.1, 0.3])}, {"alignment": np.array([0.2, 0.4])}]
  found = embedding_table.summarize(seeds)["alignment"]
  assert found["by_seed"] == [pytest.approx(0.2), pytest.approx(0.3)]
  assert (found["mean"], found["videos"]) == (pytest.approx(0.25), 2)
  expected = intervals.score_interval([[0.1, 0.3], [0.2, 0.4]])
  assert (found["low"], found["high"]) == pytest.approx(tuple(expected))


def test_what_is_unknown_is_null_and_what_a_seed_lacks_is_left_out():
  seeds = [{"alignment": np.array([0.1]), "kendalls_tau": np.array([0.5])}]
  found = embedding_table.summarize(seeds)
  assert found["alignment"]["low"] is None and json.dumps(found)
  two = embedding_table.summarize([*seeds, {"alignment": np.array([0.2])}])
  assert set(two) == {"alignment"} and two["alignment"]["low"] is not None


def test_figures_lie_by_score_model_and_column():
  figures = fake_embeddings.figures()
  assert set(figures["alignment"]["asn"]["AB->C"]) == {"mean", "low", "high", "by_seed", "videos"}
  assert embedding_table.models(figures, "alignment") == [
    "asn", "tcn_lifted", "chance", "middle", "pixels"
  ]  # fmt: skip
  assert embedding_table.learned(figures, "alignment") == ["asn", "tcn_lifted"]
  assert embedding_table.columns(figures, "alignment") == ["C->C", "AB->C"]


def test_better_means_beyond_both_intervals_in_the_right_direction():
  figures = fake_embeddings.figures()

  def better(score, model, other):
    return embedding_table.is_better(figures, score, model, other, "AB->C")

  assert better("alignment", "asn", "pixels") is True
  assert better("alignment", "pixels", "asn") is False
  assert better("alignment", "asn", "tcn_lifted") is None
  assert better("alignment", "asn", "middle") is True
  assert better("kendalls_tau", "asn", "pixels") is True
  assert better("alignment", "asn", "nobody") is None


def test_the_table_has_a_row_for_each_model_and_bounds():
  html = embedding_table.score_table(fake_embeddings.figures(), "alignment", "about")
  rows = html[html.index("<tbody>") :].split("<tr>")[1:]
  assert [row.split("<td>")[1].split("</td>")[0] for row in rows] == [
    "ASN", "TCN (lifted)", "Chance", "Always the middle", "Raw pixels"
  ]  # fmt: skip
  assert "0.250 [0.250, 0.250]" in rows[3] and "C \u2192 C" in html
  with pytest.raises(ValueError, match="no model has phase"):
    embedding_table.score_table({}, "phase")


def test_scores_of_one_column_stand_beside_each_other_with_their_direction():
  html = embedding_table.model_table(
    fake_embeddings.figures(), "AB->C", ["kendalls_tau", "phase_error", "progress_r2"]
  )
  assert "Kendall&#x27;s tau \u2191" in html and "error by neighbours \u2193" in html
  assert "R\u00b2" not in html and "Chance" not in html  # nobody has the one, nothing of the other
  with pytest.raises(ValueError, match="no scores of A->B"):
    embedding_table.model_table(fake_embeddings.figures(), "A->B", ["kendalls_tau"])


def test_a_difference_that_all_videos_agree_on_is_seen_through_their_spread():
  rng = np.random.default_rng(0)
  hard = rng.uniform(0, 0.4, 10)  # how hard each video is, for everybody
  a, b = (
    [{"alignment": hard + level + 1e-3 * rng.standard_normal(10)} for _ in range(3)]
    for level in (0.10, 0.12)
  )
  figures: dict = {}
  for name, scores in (("a", a), ("b", b)):
    embedding_table.add(figures, name, "x", scores)
  assert embedding_table.is_better(figures, "alignment", "a", "b", "x") is None
  found = embedding_table.difference(a, b, "alignment")
  assert found["mean"] == pytest.approx(-0.02, abs=2e-3)
  assert found["low"] < -0.015 and found["high"] < -0.01


def test_a_difference_is_as_uncertain_as_the_seeds():
  a = [{"alignment": np.full(50, level)} for level in (0.1, 0.2, 0.3)]
  b = [{"alignment": np.full(50, level)} for level in (0.15, 0.25)]
  found = embedding_table.difference(a, b, "alignment")
  welch = stats.ttest_ind([0.1, 0.2, 0.3], [0.15, 0.25], equal_var=False).confidence_interval(0.95)
  assert (found["low"], found["high"]) == pytest.approx((welch.low, welch.high))
  alone = embedding_table.difference(a[:1], b[:1], "alignment")
  assert (alone["low"], alone["high"]) == pytest.approx((-0.05, -0.05))  # all videos agree
