"""Reading runs: half lines, several seeds, several folders."""

import json

import numpy as np

from jaxskills.evaluation import run_records
from tests.evaluation import fake_run


def row(steps, value, stage="rl/spirl", **more):
  return {"stage": stage, "env_steps": steps, "eval/success_rate": value, **more}


def curve(folder, *rows):
  fake_run.write_rows(folder, list(rows))
  return run_records.curve(run_records.find_runs(folder), "rl/spirl", "eval/success_rate")


def test_a_line_cut_short_is_left_out_and_counted(tmp_path):
  fake_run.write_rows(tmp_path, [row(0, 0.0), row(10, 0.5)])
  with open(tmp_path / "metrics.jsonl", "a") as file:
    file.write('[1]\n{"stage": "rl/sp')
  run = run_records.read_run(tmp_path)
  assert len(run.rows) == 2 and run.skipped == 2


def test_an_empty_folder_is_an_empty_run(tmp_path):
  run = run_records.read_run(tmp_path)
  assert (run.rows, run.summary, run.config, run.skipped) == ([], {}, {}, 0)


def test_one_number_a_row_is_one_seed(tmp_path):
  found = curve(tmp_path, row(0, 0.0), row(10, 0.5, **{"eval/episodes": 64.0}), row(5, 0.2))
  np.testing.assert_array_equal(found.x, [0, 5, 10])
  np.testing.assert_array_equal(found.values, [[0.0, 0.2, 0.5]])
  assert np.isnan(found.episodes) or found.episodes == 64.0


def test_a_list_is_one_line_per_seed_and_null_is_unknown(tmp_path):
  found = curve(tmp_path, row(0, [0.0, 0.1, 0.2]), row(10, [0.5, None, 0.7]))
  np.testing.assert_array_equal(found.values, [[0.0, 0.5], [0.1, np.nan], [0.2, 0.7]])


def test_rows_of_other_stages_and_without_the_metric_do_not_count(tmp_path):
  assert curve(tmp_path, row(0, 0.1, stage="rl/sac"), row(1, None), {"stage": "rl/spirl"}) is None


def test_a_point_logged_again_after_a_resume_replaces_the_first(tmp_path):
  found = curve(tmp_path, row(0, 0.0), row(10, 0.5), row(10, 0.6))
  np.testing.assert_array_equal(found.values, [[0.0, 0.6]])


def test_runs_that_differ_only_in_their_seed_are_seeds_of_one_method(tmp_path):
  for seed in (0, 1):
    folder = tmp_path / f"seed_{seed}"
    fake_run.write_rows(folder, [row(0, 0.0), row(10 + 10 * seed, 0.4 + 0.2 * seed)])
    config = {"experiment": "spirl/maze", "seed": seed, "config": {"seed": seed, "lr": 1}}
    (folder / "config.json").write_text(json.dumps(config))
  (method,) = run_records.methods(run_records.find_runs(tmp_path))
  found = run_records.curve(method.runs, method.stage, "eval/success_rate")
  assert method.name == "spirl"
  np.testing.assert_allclose(found.x, [0, 10, 20])
  np.testing.assert_allclose(found.values, [[0.0, 0.4, np.nan], [0.0, 0.3, 0.6]])


def test_runs_of_other_configurations_are_kept_apart(tmp_path):
  for rate in (1, 2):
    folder = tmp_path / f"lr_{rate}"
    fake_run.write_rows(folder, [row(0, 0.0)])
    (folder / "config.json").write_text(json.dumps({"seed": 0, "config": {"lr": rate}}))
  names = [method.name for method in run_records.methods(run_records.find_runs(tmp_path))]
  assert names == ["spirl (lr_1)", "spirl (lr_2)"]


def test_checkpoints_and_reports_are_not_searched_for_runs(tmp_path):
  for name in ("checkpoints", "report", "baselines"):
    fake_run.write_rows(tmp_path / name, [row(0, 0.0)])
  found = [run.folder.name for run in run_records.find_runs(tmp_path)]
  assert found == ["baselines"]
