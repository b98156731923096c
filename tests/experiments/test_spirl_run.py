"""A whole SPiRL run in miniature: pretraining, two methods, two seeds at once, report."""

import json

import jax
import numpy as np
import pytest

from jaxskills.config import to_plain
from jaxskills.errors import UserError
from jaxskills.experiments.spirl import maze, prior_reuse, stages
from jaxskills.training import loop
from jaxskills.training.workdir import open_workdir


@pytest.fixture(scope="module")
def config(tmp_path_factory):
  """Minutes become seconds: tiny networks, few of everything."""
  config = maze.get_config("quick")
  config.num_seeds = 2
  config.methods = ("spirl", "flat_prior")
  config.data.directory = str(tmp_path_factory.mktemp("data") / "demos")
  config.data.trajectories = 40
  config.task.episode_steps = 40
  config.skill_prior.update(width=8, hidden=(16,), updates=4, updates_per_chunk=2, batch_size=8)
  config.skill_prior.trajectories_per_chunk = 16
  config.action_prior.update(updates=2, updates_per_chunk=2, batch_size=8)
  config.action_prior.trajectories_per_chunk = 16
  config.exploration.episodes = 2
  config.rl.update(env_steps=320, worlds=4, env_steps_per_chunk=80, warmup_env_steps=80)
  config.rl.update(
    env_steps_per_update=4,
    flat_env_steps_per_update=4,
    batch_size=16,
    replay_capacity=1_000,
    reset_pool=4,
  )
  config.rl.update(eval_episodes=2, final_eval_episodes=3, evaluate_every_steps=160)
  return config


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
  """A finished run: its folder and its summary."""
  folder = tmp_path_factory.mktemp("runs") / "mini"
  return folder, maze.train(config, folder, preset="quick")


def test_a_run_leaves_what_it_promises(config, finished):
  folder, summary = finished
  assert summary == json.loads((folder / "summary.json").read_text())
  figures = summary["metrics"]
  assert figures["episodes"] == 3 and figures["seeds"] == 2
  for name in ("success_rate", "success_rate_deterministic"):
    assert len(figures[f"{name}_by_seed"]) == 2
    assert np.mean(figures[f"{name}_by_seed"]) == pytest.approx(figures[name])
  assert figures["inputs"]["actor"] == ["view"] and figures["inputs"]["critic"] == ["state"]
  assert figures["inputs"] == figures["baselines"]["flat_prior"]["inputs"]
  assert figures["task"]["shortest_path_cells"] == 22
  assert figures["env_steps"] == figures["baselines"]["flat_prior"]["env_steps"] == 320
  assert figures["updates"] == figures["baselines"]["flat_prior"]["updates"] == (320 - 80) / 4
  for name in ("index.html", "exploration.png", "learning_curves.png", "rollout.mp4"):
    assert (folder / "report" / name).stat().st_size > 0
  rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
  assert {row["stage"] for row in rows} == {
    "pretrain/skill_prior",
    "pretrain/action_prior",
    "rl/spirl",
    "rl/flat_prior",
  }
  assert json.loads((folder / "config.json").read_text())["config"] == to_plain(config)


def test_the_same_command_again_changes_nothing(config, finished):
  folder, summary = finished
  again = maze.train(config, folder, preset="quick")
  assert again["parameters_sha256"] == summary["parameters_sha256"]
  assert again["metrics"]["success_rate"] == summary["metrics"]["success_rate"]


def test_another_configuration_is_refused(config, finished):
  other = config.copy_and_resolve_references()
  other.rl.batch_size = 32
  with pytest.raises(UserError, match=r"config\.rl\.batch_size is 16 there and 32 here"):
    maze.train(other, finished[0], preset="quick")


def test_a_finished_run_is_evaluated_from_its_folder_alone(finished):
  figures = maze.evaluate(finished[0], episodes=4, video=False)
  assert set(figures) == {"spirl", "flat_prior"}
  assert figures["spirl"]["episodes"] == 4
  rates = np.array(figures["spirl"]["success_rate_by_seed"]) * 4
  np.testing.assert_allclose(rates, np.round(rates), atol=1e-6)


def test_another_task_takes_the_models_of_a_finished_run(config, finished, tmp_path):
  source = finished[0]
  other = config.copy_and_resolve_references()
  other.methods, other.num_seeds, other.prior_from = ("spirl",), 1, str(source)
  other.task.layout, other.seed = "task_east", 3
  maze.train(other, tmp_path / "east", preset="quick")
  rows = [json.loads(line) for line in (tmp_path / "east" / "metrics.jsonl").open()]
  assert {row["stage"] for row in rows} == {"rl/spirl"}
  theirs, _ = loop.load_results(source, stages.make_stages(config, ()))
  mine, _ = loop.load_results(tmp_path / "east", stages.make_stages(other, ()))
  jax.tree.map(np.testing.assert_array_equal, mine, theirs)


@pytest.mark.parametrize(
  ("key", "value", "said"),
  [
    ("rl.replay_capacity", 5, "replay of 5 cannot hold"),
    ("rl.flat_env_steps_per_update", 0, "at least 1, not 0"),
    ("rl.eval_episodes", 0, r"rl\.eval_episodes lies in \[1, "),
    ("sac.gamma", 2.0, "gamma must lie in"),
    ("skill_prior.loss_scaling", "sums", "'sums' is none of"),
    ("networks.actor_inputs", ("sate",), "no modality 'sate'"),
    ("networks.critic_inputs", ("sate",), "no modality 'sate'"),
    ("data.fraction_random", 2.0, "fraction_random lies in"),
    ("prior_from", "nowhere", "nowhere holds no run"),
  ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_made(config, tmp_path, key, value, said):
  other = config.copy_and_resolve_references()
  with other.ignore_type():
    other.update_from_flattened_dict({key: value})
  with pytest.raises(UserError, match=said):
    maze.train(other, tmp_path / "run", preset="quick")
  assert not (tmp_path / "run").exists()


def test_a_damaged_copy_of_adopted_models_is_copied_again(config, finished, tmp_path):
  other = config.copy_and_resolve_references()
  other.prior_from, other.seed = str(finished[0]), 3
  with open_workdir(tmp_path / "run", {"seed": 3}) as folder:
    prior_reuse.adopt(other, folder)
    manifest = folder.checkpoints / stages.SKILL_PRIOR / "result" / "record.json"
    manifest.write_text("{}")
    prior_reuse.adopt(other, folder)
  mine, _ = loop.load_results(tmp_path / "run", stages.make_stages(other, ()))
  theirs, _ = loop.load_results(finished[0], stages.make_stages(config, ()))
  jax.tree.map(np.testing.assert_array_equal, mine, theirs)


def test_models_of_another_description_are_refused(config, finished, tmp_path):
  other = config.copy_and_resolve_references()
  other.prior_from, other.skill_prior.horizon = str(finished[0]), 5
  with pytest.raises(UserError, match=r"skill_prior\.horizon is 10 there and 5 here"):
    maze.train(other, tmp_path / "run", preset="quick")


def test_the_two_seeds_differ(config, finished):
  results, _ = loop.load_results(finished[0], stages.make_stages(config, config.methods))
  policy = results["rl/spirl"]["policy"]["params"]
  assert all(leaf.shape[0] == 2 for leaf in jax.tree.leaves(policy))
  assert not np.array_equal(*policy["head"]["dense"]["kernel"])
