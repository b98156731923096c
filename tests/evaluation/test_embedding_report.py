"""The report of embeddings: complete from a whole run, honest from a broken one."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxskills.evaluation import embedding_report, neighbour_strip, projections, side_by_side, style
from tests.evaluation import fake_embeddings


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """A report of a complete run: its folder and its page."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(style, "PIXELS_PER_INCH", 40)
    patch.setattr(projections, "neighbour_embedding", lambda points: np.asarray(points)[:, :2])
    patch.setattr(neighbour_strip, "INSTANTS", 2)
    patch.setattr(side_by_side, "film_beside", lambda path, *a, **k: Path(path).write_bytes(b""))
    folder = fake_embeddings.write_run(tmp_path_factory.mktemp("run"))
    yield folder, embedding_report.write_report(folder).read_text()


def test_a_whole_run_gets_every_picture_and_no_remarks(whole):
  folder, html = whole
  made = {path.name for path in (folder / "report").iterdir()}
  kinds = ("alignment", "projections", "neighbours", "rewards")
  pictures = {f"{kind}_AB_to_C.png" for kind in kinds}
  assert made == pictures | {"data", "index.html", "imitation_C.mp4", "training_AB.png"}
  assert 'class="note"' not in html
  for heading in embedding_report.SECTIONS:
    assert f"<h2>{heading}</h2>" in html


def test_the_head_and_the_words_below_the_table_say_what_the_intervals_allow(whole):
  _, html = whole
  assert "aligns AB \u2192 C with an error of 0.1" in html
  assert "always the middle 0.250, raw pixels 0.2" in html
  assert "AB \u2192 C: ASN is better than always the middle." in html
  assert "AB \u2192 C: TCN (lifted) is better than raw pixels." in html
  assert "AB \u2192 C: ASN and TCN (lifted) are not told apart" in html
  assert "the error of ASN less that of TCN (lifted) is" in html


def test_the_two_definitions_of_alignment_stand_in_two_tables(whole):
  _, html = whole
  views, across = html.index("<h2>Alignment</h2>"), html.index("<h2>Across demonstrations</h2>")
  assert "Alignment error, per video" not in html[views:across]
  assert "Alignment error, per video" in html[across:]
  assert "not comparable with the table above" in html[across:]


def test_what_is_missing_is_left_out_and_said(tmp_path):
  (tmp_path / "config.json").write_text(json.dumps({"experiment": "asn/blocks"}))
  html = embedding_report.write_report(tmp_path).read_text()
  assert "The run has not finished" in html or "the run has not finished" in html
  assert "Alignment: left out, no model has alignment" in html
  assert "Nearest neighbours: left out, no videos were recorded" in html
  assert "Imitation" not in html


def test_an_unseen_camera_has_a_table_of_its_own(tmp_path):
  figures = fake_embeddings.figures()
  figures["alignment_unseen_view"] = {"asn": {"AB->C": {**figures["alignment"]["asn"]["AB->C"],
                                                        "mean": 0.4321}}}  # fmt: skip
  (tmp_path / "summary.json").write_text(json.dumps({"metrics": figures}))
  html = embedding_report.write_report(tmp_path).read_text()
  alignment = html[html.index("<h2>Alignment</h2>") : html.index("<h2>Across")]
  assert alignment.count("<table>") == 2 and "0.432" in alignment
