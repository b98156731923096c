"""A run of reaching in miniature, its figures and its report, and what both tasks refuse."""

import json

import jax
import jax.numpy as jnp
import pytest

from jaxskills.cli import catalog
from jaxskills.config import to_plain
from jaxskills.envs.panda.lift_cube import PandaLiftCube
from jaxskills.errors import UserError
from jaxskills.experiments import on_policy
from jaxskills.experiments.panda import lift_cube, reach, results, worlds


def miniature(module):
  """Minutes become seconds: tiny networks, few of everything, the engine that compiles at once."""
  config = module.get_config("quick")
  config.engine = "native"
  config.task.randomize = False  # most of what there is to compile
  config.ppo.update(hidden=(16,), epochs=1, minibatches=2)
  config.rl.update(worlds=4, unroll=4, iterations_per_chunk=2, env_steps=64, episode_steps=8)
  config.rl.update(reset_pool=4, reset_refresh=2, evaluate_every_steps=32)
  config.rl.update(eval_episodes=3, eval_steps=4)
  return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  """A finished run: its configuration, folder and summary."""
  config = miniature(reach)
  folder = tmp_path_factory.mktemp("runs") / "reach"
  return config, folder, reach.train(config, folder, preset="quick")


def test_a_run_leaves_what_it_promises(finished):
  config, folder, summary = finished
  assert summary == json.loads((folder / "summary.json").read_text())
  figures = summary["metrics"]
  assert figures["episodes"] == 3 and figures["episode_seconds"] == pytest.approx(0.2)
  assert 0.0 <= figures["success_at_end"] <= figures["success_rate"] <= 1.0
  assert figures["overflow"] == 0.0 and 0.0 < figures["limits/velocity"] < 1.0
  assert set(figures) - {"undisturbed", "inputs"} == set(figures["undisturbed"])
  assert "grasp_rate" not in figures
  assert summary["env_steps"] == 64 and summary["updates"] == 8
  assert (summary["experiment"], summary["preset"]) == ("panda/reach", "quick")
  rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
  judged = [row for row in rows if "eval/success_rate" in row]
  assert [row["env_steps"] for row in judged] == [32, 64]
  assert json.loads((folder / "config.json").read_text())["config"] == to_plain(config)


def test_its_report_shows_learning_limits_and_rewards(finished):
  _, folder, summary = finished
  page = (folder / "report" / "index.html").read_text()
  for name in ("learning.png", "reward_terms.png"):
    assert (folder / "report" / name).stat().st_size > 0 and name in page
  share = summary["metrics"]["limits/torque"]
  assert "panda/reach:quick" in page and "left out" not in page and "Joint jerk" in page
  assert f"{share:.0%}" in page


def test_a_finished_run_is_evaluated_from_its_folder_alone(finished):
  _, folder, summary = finished
  figures = reach.evaluate(folder, episodes=2, video=False)
  assert figures["episodes"] == 2
  assert figures["return"] != summary["metrics"]["return"]  # other episodes
  with pytest.raises(UserError, match="there is no film"):
    reach.evaluate(folder, episodes=2, video=True)
  with pytest.raises(UserError, match="another version of jaxskills"):
    lift_cube.evaluate(folder, episodes=2, video=False)


def test_programs_are_compiled_as_the_engine_wants_them(finished, monkeypatch):
  config, folder, _ = finished

  def make_env(*arguments, **settings):
    env = worlds.make_env(*arguments, **settings)
    env.engine = env.engine._replace(compiler_options={"no_such_option": True})
    return env

  stage = on_policy.make_stage(config, make_env(config, 4), lambda params: {}, ())
  assert stage.compiler_options == {"no_such_option": True}
  monkeypatch.setattr(results, "make_env", make_env)
  with pytest.raises(jax.errors.JaxRuntimeError, match="no_such_option"):
    reach.evaluate(folder, episodes=2, video=False)


def test_a_grasp_and_a_cube_half_way_up_are_counted():
  rows = {
    "success": [[0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1]],
    "grasped": [[0, 1, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]],
    "height": [[0.0, 0.2, 0.2], [0.0, 0.05, 0.2], [0.0, 0.2, 0.2], [0.0, 0.09, 0.2]],
    "distance": [[0.3, 0.0, 0.1], [0.3, 0.3, 0.3], [0.3, 0.3, 0.2], [0.3, 0.1, 0.0]],
    "overflow": [[0, 0, 0]] * 4,
    "limits/torque": [[0.1, 0.9, 0.2], [0.1, 0.2, 0.3], [0.1, 0.1, 0.1], [0.5, 0.2, 0.1]],
  }
  metrics = {name: jnp.array(values, jnp.float32) for name, values in rows.items()}
  scores = results.summarize(metrics, jnp.ones((4, 3)), jnp.full(4, 0.2))
  found = {name.removeprefix("eval/"): float(value) for name, value in scores.items()}
  assert found == pytest.approx(
    {
      "success_rate": 0.5,
      "success_at_end": 0.25,
      "distance_at_end": 0.15,
      "return": 3.0,
      "episodes": 4.0,
      "overflow": 0.0,
      "grasp_rate": 0.75,
      "lift_rate": 0.5,
      "limits/torque": (0.9 + 0.3 + 0.1 + 0.5) / 4,
    }
  )


def test_undisturbed_leaves_only_start_and_goal_to_chance():
  config = miniature(lift_cube)
  config.task.randomize = True
  calm = results.undisturbed(config)
  assert config.disturbances.noise > 0.0 and config.task.randomize
  assert (calm.disturbances.noise, calm.disturbances.latency_seconds) == (0.0, 0.0)
  assert jax.eval_shape(worlds.make_env(calm, 2).reset, jax.random.key(0)).data.parameters == {}


def test_the_configuration_reaches_the_world():
  config = miniature(lift_cube)
  config.control.mode, config.task.reward = "joint_velocity", "sparse"
  config.task.cube_is_tracked = False
  config.cubes.tolerance = 0.05
  env = worlds.make_env(config, 2)
  assert isinstance(env, PandaLiftCube) and env.cubes.tolerance == 0.05
  assert env.arm.is_velocity and env.action_size == 8
  assert "cube_position" not in {term.name for term in env.measurable}
  state = jax.eval_shape(env.reset, jax.random.key(0))
  assert {name for name in state.metrics if name.startswith("reward/")} == {"reward/success"}


@pytest.mark.parametrize("module", [reach, lift_cube])
@pytest.mark.parametrize("preset", ["quick", "full"])
def test_every_preset_describes_a_world_that_can_be_made(module, preset):
  config = module.get_config(preset)
  config.engine = "native"
  env = module.make_env(config, config.rl.worlds)
  assert env.step_seconds == pytest.approx(0.05)
  assert config.rl.unroll % config.ppo.minibatches == 0


def test_both_tasks_are_listed_with_their_presets():
  found = catalog.experiments()
  for name in ("panda/reach", "panda/lift_cube"):
    assert list(found[name].presets) == ["quick", "full"]


@pytest.mark.parametrize(
  ("key", "value", "said"),
  [
    ("task.reward", "spare", "config.task.reward is 'spare'; there are dense, sparse"),
    ("control.mode", "joint_velocty", "did you mean joint_velocity"),
    ("control.speed", 2.0, r"speed must lie in \(0, 1\]"),
    ("disturbances.latency_seconds", 0.2, "a latency of 0.2 s is more than a control step"),
    ("task.substeps", 0, "substeps must be at least 1"),
    ("engine", "wrap", "unknown engine 'wrap'"),
    ("rl.worlds", 0, r"rl\.worlds must be at least 1"),
    ("rl.eval_episodes", 0, r"rl\.eval_episodes must be at least 1"),
    ("ppo.minibatches", 3, "a number that divides config.rl.unroll"),
  ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_made(tmp_path, key, value, said):
  config = miniature(reach)
  config.update_from_flattened_dict({key: value})
  with pytest.raises(UserError, match=said):
    reach.train(config, tmp_path / "run", preset="quick")
  assert not (tmp_path / "run").exists()


def test_an_unknown_preset_is_refused():
  for module in (reach, lift_cube):
    with pytest.raises(ValueError, match="no preset 'quik'"):
      module.get_config("quik")
