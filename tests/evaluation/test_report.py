"""The report: complete from a whole run, honest from a broken one."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from jaxskills.errors import UserError
from jaxskills.evaluation import recordings, report, style, video
from tests.evaluation import fake_run


@pytest.fixture(scope="module", autouse=True)
def coarse_pictures():
  """Fewer dots, less waiting."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(style, "PIXELS_PER_INCH", 50)
    yield


@pytest.fixture(autouse=True)
def short_film(monkeypatch):
  """Films cost seconds each; the whole run has a real one."""
  monkeypatch.setattr(
    video, "film_rollout", lambda path, *args, **kwargs: Path(path).write_bytes(b"film")
  )


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory, coarse_pictures):
  """A report of a complete run: its folder and its page."""
  folder = fake_run.write_run(tmp_path_factory.mktemp("run") / "maze")
  return folder, report.write_report(folder).read_text()


def cells(html: str) -> list[list[str]]:
  """The rows of the first table."""
  table = html[html.index("<tbody>") : html.index("</tbody>")]
  return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.split("<tr")[1:]]


def test_a_whole_run_gets_every_picture_and_no_remarks(whole_run):
  folder, html = whole_run
  made = {path.name for path in (folder / "report").iterdir()}
  assert made == {
    "data",
    "index.html",
    "learning_curves.png",
    "exploration.png",
    "displacement.png",
    "skill_prior.png",
    "reinforcement.png",
    "rollout.png",
    "rollout.mp4",
  }
  assert 'class="note"' not in html


def test_the_page_links_only_to_files_beside_it(whole_run):
  folder, html = whole_run
  links = set(re.findall(r'(?:src|href)="([^"]+)"', html))
  assert links == {
    "learning_curves.png",
    "exploration.png",
    "displacement.png",
    "skill_prior.png",
    "reinforcement.png",
    "rollout.png",
    "rollout.mp4",
  }
  assert "http" not in html and "<script" not in html and str(folder) not in html


def test_the_table_gives_inputs_rates_and_intervals_of_all_methods(whole_run):
  rows = cells(whole_run[1])
  assert rows == [
    ["SPiRL", "view", "state", "20,000", "0.97", "0.94 to 0.99", "256", "40"],
    ["SAC", "view", "state", "20,000", "0.00", "0.00 to 0.02", "256", "40"],
    ["Flat Prior", "view", "state", "20,000", "0.02", "0.00 to 0.05", "256", "40"],
  ]


def test_the_page_states_layout_distance_and_number_of_episodes(whole_run):
  html = whole_run[1]
  for fact in (
    "fake 9x9",
    "13 cells",
    "(2, 2) to (8, 9)",
    "300 control steps",
    "256",
    "SPiRL reaches the goal in 97 %",
    "sampled policy",
    "Cells seen by prior rollouts",
  ):
    assert fact in html


def test_a_report_can_be_written_again(whole_run):
  folder, html = whole_run
  assert report.write_report(folder).read_text() == html


def test_an_empty_folder_gets_a_page_that_says_what_is_missing(tmp_path):
  html = report.write_report(tmp_path).read_text()
  assert "There is no summary.json" in html
  for name in ("Methods", "Learning curves", "Rollout", "Exploration", "Skill prior"):
    assert f"<li>{name}: left out" in html
  assert f"<h1>{tmp_path.name}</h1>" in html


def test_a_run_without_summary_reports_its_last_evaluation_as_such(tmp_path):
  folder = fake_run.write_run(tmp_path / "run")
  (folder / "summary.json").unlink()
  html = report.write_report(folder).read_text()
  rows = cells(html)
  assert rows[0][0] == "SPiRL" and rows[0][4] == "0.90*" and rows[0][5] == "0.83 to 0.94"
  assert "at the last evaluation during training" in html


def test_several_seeds_are_drawn_with_their_number(tmp_path):
  html = report.write_report(fake_run.write_run(tmp_path / "run", seeds=3)).read_text()
  assert "mean of 3 seeds" in html and "256 (3 seeds)" in html and 'class="note"' not in html


def test_runs_below_a_folder_are_reported_together(tmp_path):
  for seed in range(2):
    fake_run.write_run(tmp_path / f"seed_{seed}", seed=seed)
  html = report.write_report(tmp_path).read_text()
  assert "mean of 2 seeds" in html and [row[0] for row in cells(html)][0] == "SPiRL"


def break_lines(folder):
  with open(folder / "metrics.jsonl", "a") as file:
    file.write('{"stage": "rl/sp')


def break_figures(folder):
  lines = [
    {"stage": "rl/spirl", "env_steps": "many", "eval/success_rate": "all"},
    {"stage": 3},
    {"stage": "rl/sac", "env_steps": 0, "eval/success_rate": [[1.0]]},
  ]
  fake_run.write_rows(folder, lines)


def break_summary(folder):
  (folder / "summary.json").write_text(
    json.dumps(
      {
        "experiment": 3,
        "metrics": {
          "success_rate": None,
          "inputs": [],
          "task": "none",
          "baselines": {"sac": None, "ssp": {"inputs": {"actor": 1}}},
        },
        "versions": [],
        "wall_seconds": "long",
        "device": {"kind": "cpu"},
      }
    )
  )


def break_json(folder):
  (folder / "summary.json").write_text('{"metrics": ')
  (folder / "config.json").write_text("[]")


def break_recordings(folder):
  for name in (recordings.EXPLORATION, recordings.ROLLOUT):
    (folder / "report" / "data" / name).write_bytes(b"PK\x03\x04 not really")


def break_positions(folder):
  data = folder / "report" / "data"
  recorded = recordings.load_exploration(data)
  positions = {"skill_prior": np.full((2, 5, 2), np.nan), "odd": np.zeros((0, 4, 2))}
  recordings.save_exploration(data, recorded._replace(positions=positions, demonstrations=None))


@pytest.mark.parametrize(
  "breakage",
  [break_lines, break_figures, break_summary, break_json, break_recordings, break_positions],
)
def test_whatever_is_damaged_there_is_a_page_with_a_remark(tmp_path, breakage):
  folder = fake_run.write_run(tmp_path / "run")
  breakage(folder)
  html = report.write_report(folder).read_text()
  assert "<h2>Run</h2>" in html
  assert 'class="note"' in html or breakage is break_summary


def test_the_first_row_is_the_method_whose_figures_the_summary_leads_with(tmp_path):
  folder = fake_run.write_run(tmp_path / "run")
  summary = fake_run.summary()  # the run is about SAC, SPiRL is its baseline
  baselines = summary["metrics"]["baselines"]
  baselines["spirl"] = {**baselines.pop("sac"), "success_rate": 0.5}
  (folder / "summary.json").write_text(json.dumps(summary))
  rates = {row[0]: row[4] for row in cells(report.write_report(folder).read_text())}
  assert list(rates.items())[:2] == [("SAC", "0.97"), ("Flat Prior", "0.02")]
  assert rates["SPiRL"] == "0.50"


def test_a_film_that_cannot_be_made_is_noted_and_the_map_kept(tmp_path, monkeypatch):
  def fail(*args, **kwargs):
    raise RuntimeError("no ffmpeg here")

  monkeypatch.setattr(video, "film_rollout", fail)
  html = report.write_report(fake_run.write_run(tmp_path / "run")).read_text()
  assert "Rollout: no film, no ffmpeg here" in html and "rollout.png" in html
  assert "rollout.mp4" not in html


def test_what_a_run_says_cannot_become_markup(tmp_path):
  folder = fake_run.write_run(tmp_path / "run")
  summary = fake_run.summary()
  summary["metrics"]["task"]["layout"] = "<script>alert('x')</script>"
  summary["metrics"]["baselines"]["<b>sac</b>"] = summary["metrics"]["baselines"].pop("sac")
  (folder / "summary.json").write_text(json.dumps(summary))
  html = report.write_report(folder).read_text()
  assert "<script" not in html and "<b>sac" not in html and "&lt;b&gt;sac" in html


def test_an_interrupted_report_leaves_nothing_half_written(tmp_path, monkeypatch):
  def interrupt(told):
    raise KeyboardInterrupt

  monkeypatch.setitem(report.SECTIONS, next(iter(report.SECTIONS)), interrupt)
  with pytest.raises(KeyboardInterrupt):
    report.write_report(tmp_path)
  assert not list((tmp_path / "report").iterdir())


def test_no_folder_is_one_clear_line(tmp_path):
  with pytest.raises(UserError, match="is no run folder; give the --workdir"):
    report.write_report(tmp_path / "nowhere")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_one_clear_line(tmp_path):
  tmp_path.chmod(0o500)
  with pytest.raises(UserError, match="cannot write the report to"):
    report.write_report(tmp_path)


def test_a_report_folder_that_is_a_file_is_one_clear_line(tmp_path):
  (tmp_path / "report").write_text("")
  with pytest.raises(UserError, match="cannot write the report to"):
    report.write_report(tmp_path)
