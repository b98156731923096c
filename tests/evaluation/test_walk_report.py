"""The report of a walking run: complete from a whole run, honest from a broken one."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxskills.errors import UserError
from jaxskills.evaluation import robot_film, style, walk_record, walk_report, walk_setting
from tests.evaluation import fake_walk

PICTURES = {
  "filmstrip.png",
  "tracking.png",
  "gait.png",
  "joints.png",
  "pushed.png",
  "learning_steps.png",
  "learning_minutes.png",
  "reward_terms.png",
}
FILMS = {"walk.mp4", "pushed.mp4"}


@pytest.fixture(scope="module", autouse=True)
def coarse_pictures():
  """Fewer dots, less waiting."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(style, "PIXELS_PER_INCH", 40)
    yield


@pytest.fixture(scope="module", autouse=True)
def short_film(coarse_pictures):
  """Films cost seconds each, and OpenGL; `test_robot_film.py` makes real ones."""

  def film(recording, film, strip=None):
    walk_record.load(recording)
    Path(film).write_bytes(b"film")
    if strip is not None:
      Image.new("RGB", (1920, 444)).save(strip)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(robot_film, "film_walk", film)
    yield


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory, short_film):
  """A report of a complete run: its folder and its page."""
  folder = fake_walk.write_run(tmp_path_factory.mktemp("run") / "h1")
  return folder, walk_report.write_report(folder).read_text()


@pytest.fixture
def undrawn(monkeypatch):
  """Pictures are made, but not drawn; the whole run has drawn ones."""

  def save(figure, path):
    Image.new("RGB", (4, 2)).save(path)
    return path

  monkeypatch.setattr(style, "save", save)


@pytest.fixture
def few_sections(monkeypatch):
  """Only those that a test of a detail looks at."""
  kept = ("The walk", "Pushes", "Run")
  monkeypatch.setattr(walk_report, "SECTIONS", {name: walk_report.SECTIONS[name] for name in kept})


def test_a_whole_run_gets_every_picture_and_no_remarks(whole_run):
  folder, html = whole_run
  made = {path.name for path in (folder / "report").iterdir()}
  assert made == PICTURES | FILMS | {"data", "index.html"}
  assert 'class="note"' not in html
  for name in walk_report.SECTIONS:
    assert f"<h2>{name}</h2>" in html


def test_the_page_links_only_to_files_beside_it(whole_run):
  folder, html = whole_run
  assert set(re.findall(r'(?:src|href)="([^"]+)"', html)) == PICTURES | FILMS
  assert "http" not in html and "<script" not in html and str(folder) not in html


def test_the_headline_says_how_often_it_falls_and_how_well_it_follows(whole_run):
  html = whole_run[1]
  headline = re.search(r'<p class="headline">(.*?)</p>', html)
  assert headline is not None
  text = re.sub("<.*?>", "", headline[1])
  assert text == (
    "Falls in 2.0 % of 100 episodes (95 % interval 0.6 to 7.0 %), mean velocity error 0.12 m/s."
  )
  assert "<title>h1/velocity:quick</title>" in html
  for fact in ("0.0 %", "0.08 m/s", "2, no fall", "5 min 1 s", "2.50"):
    assert fact in html


def test_commands_and_what_came_of_them_are_in_a_table(whole_run):
  rows = re.findall(r"<tr>(.*?)</tr>", whole_run[1])
  cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]
  assert ["forward 0.5 m/s", "0.50", "0.00", "0.00"] in cells
  assert ["Friction of the soles", "0.4 to 1.25", "once for every world"] in cells
  assert any(row[0] == "rl/ppo" for row in cells if row)


def test_a_report_can_be_written_again(whole_run):
  folder, html = whole_run
  assert walk_report.write_report(folder).read_text() == html


def test_without_opengl_there_is_one_remark_and_everything_else(tmp_path, monkeypatch, undrawn):
  def film(*arguments):
    raise RuntimeError("no OpenGL draws off screen (egl, osmesa tried); install it")

  monkeypatch.setattr(robot_film, "film_walk", film)
  html = walk_report.write_report(fake_walk.write_run(tmp_path / "run")).read_text()
  assert re.findall(r"<li>(.*?)</li>", html) == [
    "No film: no OpenGL draws off screen (egl, osmesa tried); install it"
  ]
  links = set(re.findall(r'(?:src|href)="([^"]+)"', html))
  assert links == PICTURES - {"filmstrip.png"}


def test_an_empty_folder_gets_a_page_that_says_what_is_missing(tmp_path):
  html = walk_report.write_report(tmp_path).read_text()
  assert "There is no summary.json" in html
  assert "The walk: left out, there is no walk.npz" in html
  assert "Pushes: left out, there is no pushed.npz" in html
  for name in ("Following commands", "Gait", "Learning curves", "Reward"):
    assert f"<li>{name}: left out" in html
  assert f"<h1>{tmp_path.name}</h1>" in html


def test_a_run_without_summary_reports_its_last_evaluation_as_such(tmp_path, few_sections):
  folder = fake_walk.write_run(tmp_path / "run")
  (folder / "summary.json").unlink()
  html = re.sub("<.*?>", "", walk_report.write_report(folder).read_text())
  expected = "Falls in 0.0 % of episodes, mean velocity error 0.15 m/s, at the last evaluation"
  assert expected in html


def test_a_walk_that_falls_says_so_and_needs_no_filmstrip(tmp_path, undrawn):
  folder = fake_walk.write_run(tmp_path / "run")
  walk_record.save(folder / "report" / "data" / walk_record.WALK, fake_walk.fallen(60))
  html = walk_report.write_report(folder).read_text()
  assert "It falls." in html and "walk.mp4" in html and "filmstrip.png" not in html
  assert "No filmstrip: no whole cycle of the gait was walked" in html


@pytest.mark.parametrize(("at", "said"), [(30, "it falls before it is pushed"), (60, "it falls.")])
def test_a_fall_is_laid_to_a_push_only_if_one_came_before(
  tmp_path, undrawn, few_sections, at, said
):
  folder, record = fake_walk.write_run(tmp_path / "run"), fake_walk.pushed()
  record.fell[at:] = True
  walk_record.save(folder / "report" / "data" / walk_record.PUSHED, record)
  assert f"Shoved as hard as in training: {said}" in walk_report.write_report(folder).read_text()


def break_recording(folder):
  (folder / "report" / "data" / walk_record.WALK).write_bytes(b"PK\x03\x04 not really")


def break_rows(folder):
  lines = ['{"stage": "rl/ppo", "env_steps": "many", "eval/fall_rate": "all"}', '{"stage": 3}']
  (folder / "metrics.jsonl").write_text("\n".join([*lines, '{"stage": "rl/p']))


def break_summary(folder):
  wrong = {
    "experiment": 3,
    "metrics": {
      "fall_rate": "often",
      "velocity_error": None,
      "fall_rate_ci": [1],
      "undisturbed": [],
      "pushed": {"pushes": "many"},
    },
    "versions": [],
    "wall_seconds": "long",
    "device": {"kind": "cpu"},
  }
  (folder / "summary.json").write_text(json.dumps(wrong))


def break_json(folder):
  (folder / "summary.json").write_text('{"metrics": ')
  (folder / "config.json").write_text("[]")


def break_config(folder):
  config = {
    "task": 3,
    "commands": [1],
    "variation": {"new": {"a": 1}},
    "disturbances": {"noise": ""},
  }
  (folder / "config.json").write_text(json.dumps({"config": config}))


@pytest.mark.parametrize(
  "breakage", [break_recording, break_rows, break_summary, break_json, break_config]
)
def test_whatever_is_damaged_there_is_a_page(tmp_path, breakage, undrawn):
  folder = fake_walk.write_run(tmp_path / "run")
  breakage(folder)
  html = walk_report.write_report(folder).read_text()
  assert "<h2>Run</h2>" in html
  assert 'class="note"' in html or breakage in (break_summary, break_config)


def test_what_a_run_says_cannot_become_markup(tmp_path, few_sections):
  folder = fake_walk.write_run(tmp_path / "run")
  summary = fake_walk.summary() | {"device": "<script>alert('x')</script>", "preset": "<b>"}
  (folder / "summary.json").write_text(json.dumps(summary))
  html = walk_report.write_report(folder).read_text()
  assert "<script" not in html and "&lt;script" in html and "h1/velocity:&lt;b&gt;" in html


def test_no_folder_is_one_clear_line(tmp_path):
  with pytest.raises(UserError, match="is no run folder; give the --workdir"):
    walk_report.write_report(tmp_path / "nowhere")


def test_a_report_folder_that_is_a_file_is_one_clear_line(tmp_path):
  (tmp_path / "report").write_text("")
  with pytest.raises(UserError, match="cannot write the report to"):
    walk_report.write_report(tmp_path)


def test_an_interrupted_report_leaves_nothing_half_written(tmp_path, monkeypatch):
  def interrupt(report):
    raise KeyboardInterrupt

  monkeypatch.setattr(walk_report, "SECTIONS", {"The walk": interrupt})
  with pytest.raises(KeyboardInterrupt):
    walk_report.write_report(tmp_path)
  assert not list((tmp_path / "report").iterdir())


def test_the_table_of_chance_leaves_out_what_is_switched_off():
  config = fake_walk.config()
  names = [row[0] for row in walk_setting.rows(config)]
  assert "Commanded sideways velocity" not in names and "Mass added to the torso" in names
  assert ("Pushes of the base", "up to 0.6 m/s, in any direction", "every 5 s, on average") in (
    walk_setting.rows(config)
  )
  config["task"]["randomize"], config["disturbances"]["push_speed"] = False, 0.0
  names = [row[0] for row in walk_setting.rows(config)]
  assert "Mass added to the torso" not in names and "Pushes of the base" not in names
  assert "Latency" in names


def test_a_variation_without_words_is_shown_bare():
  config = fake_walk.config()
  config["variation"]["foot_size"] = [0.9, 1.1]
  assert ("foot size", "0.9 to 1.1", "once for every world") in walk_setting.rows(config)
  assert np.all([len(row) == 3 for row in walk_setting.rows(config)])
