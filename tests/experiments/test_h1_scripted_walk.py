"""The scripted walk is the environment's own, told its commands one after the other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.envs import terms
from jaxskills.evaluation import walk_gait, walk_record
from jaxskills.experiments import on_policy as shared
from jaxskills.experiments.h1 import results, scripted_walk, velocity
from jaxskills.experiments.h1.scripted_walk import Script
from jaxskills.learners.ppo import make_ppo
from jaxskills.training.workdir import Workdir


@pytest.fixture(scope="module")
def config():
  config = velocity.get_config()
  config.engine = "native"
  config.ppo.hidden = (8, 8)
  config.rl.update(eval_episodes=3, eval_steps=4)
  return config


@pytest.fixture(scope="module")
def env(config):
  return scripted_walk.scripted_env(config)


@pytest.fixture(scope="module")
def params(config, env):
  learner = make_ppo(shared.ppo_config(config), env.spec())
  return learner.init(jax.random.key(0)).params


@pytest.fixture(scope="module")
def script():
  """Stands, then is told to walk; shoved once, to the left and back."""
  commands = np.repeat([[0.0, 0.0, 0.0], [0.7, 0.0, 0.2]], 6, axis=0)
  pushes = np.zeros((12, 2))
  pushes[3] = (-0.5, 0.3)
  return Script(commands, pushes)


@pytest.fixture(scope="module")
def played(config, params, env, script):
  return scripted_walk.play(config, params, env, script)


def test_programs_are_compiled_as_the_engine_wants_them(config, params, script, monkeypatch):
  def wanting(env):
    env.engine = env.engine._replace(compiler_options={"no_such_option": True})
    return env

  refused = pytest.raises(jax.errors.JaxRuntimeError, match="no_such_option")
  with refused:
    scripted_walk.play(config, params, wanting(scripted_walk.scripted_env(config)), script)
  make_env = results.make_env
  monkeypatch.setattr(results, "make_env", lambda *given, **more: wanting(make_env(*given, **more)))
  with refused:
    results.evaluate(config, params)


def test_each_step_has_the_command_of_the_script(played, env, script):
  np.testing.assert_allclose(played.command, script.commands, atol=1e-6)
  np.testing.assert_array_equal(played.push, script.pushes)
  np.testing.assert_array_equal(played.is_moving, np.arange(12) >= 6)
  turns = np.arange(1, 13) * played.step_seconds / env.clock_seconds
  np.testing.assert_allclose(played.phase, turns % 1.0, atol=1e-6)
  assert played.stance[:6].all() and len(played.qpos) == 12 and not played.fell.any()


def test_a_push_changes_the_velocity_in_the_heading_frame(config, params, env, script, played):
  calm = scripted_walk.play(config, params, env, script._replace(pushes=np.zeros((12, 2))))
  np.testing.assert_array_equal(calm.qpos[:3], played.qpos[:3])
  change = played.velocity[3, :2] - calm.velocity[3, :2]
  np.testing.assert_allclose(change, [-0.5, 0.3], atol=0.12)  # 20 ms later, feet on the ground


def test_rewards_are_the_environments_own(played):
  names = [str(name) for name in played.reward_names]
  tracking = played.rewards[:, names.index("tracking_velocity")]
  error = np.sum((played.velocity[:, :2] - played.command[:, :2]) ** 2, axis=1)
  np.testing.assert_allclose(tracking, 0.02 * 2.0 * np.exp(-error / 0.15), rtol=1e-4)
  assert "fall" in names


def test_joints_and_torques_are_the_robots(played, env):
  assert [str(name) for name in played.joints[:2]] == ["left_hip_yaw", "left_hip_roll"]
  assert (np.abs(played.torque) <= played.torque_limit + 1e-3).all()
  # Held joints: kp (default - q) - kd dq, with the waist's 300 and 3.
  waist = 10
  expected = -300 * played.joint_position[:, waist] - 3 * played.qvel[:, 6 + waist]
  np.testing.assert_allclose(played.torque[:, waist], expected, atol=1e-2)


def test_the_same_script_gives_the_same_walk(config, params, env, script, played):
  again = scripted_walk.play(config, params, env, script)
  for name in played._fields:
    np.testing.assert_array_equal(getattr(again, name), getattr(played, name))


def test_what_is_told_is_seen_at_once_and_nothing_else_changes(env):
  state = jax.jit(env.reset)(jax.random.key(1))
  state = jax.jit(env.step)(state, jnp.full(env.action_size, 0.1))
  told = scripted_walk.tell(env, state, jnp.array([0.6, 0.0, -0.2]))
  places = terms.slices(env.measurable)
  seen, before = told.obs["state"], state.obs["state"]
  np.testing.assert_allclose(seen[places["command"]], [1.2, 0.0, -0.05], atol=1e-6)
  for name in ("gyro", "projected_gravity", "joint_position", "joint_velocity", "last_action"):
    np.testing.assert_array_equal(seen[places[name]], before[places[name]])


def test_at_the_start_the_past_was_told_too_but_later_only_the_present(config):
  config = config.copy_and_resolve_references()
  config.task.history = 3
  env = scripted_walk.scripted_env(config)
  place, size = terms.slices(env.measurable)["command"], terms.size(env.measurable)
  state = scripted_walk.tell(env, jax.jit(env.reset)(jax.random.key(1)), jnp.array([0.5, 0, 0]))
  past = np.asarray(state.obs["state"]).reshape(3, size)[:, place]
  np.testing.assert_allclose(past[:, 0], [1.0, 1.0, 1.0])
  state = jax.jit(env.step)(state, jnp.zeros(env.action_size))
  state = scripted_walk.tell(env, state, jnp.array([0.25, 0, 0]))
  past = np.asarray(state.obs["state"]).reshape(3, size)[:, place]
  np.testing.assert_allclose(past[:, 0], [0.5, 1.0, 1.0])


def test_a_robot_that_falls_is_shown_for_a_moment_more(config, env, params):
  script = Script(np.zeros((150, 3)), np.zeros((150, 2)))
  script.pushes[2] = (3.0, 0.0)
  record = scripted_walk.play(config, params, env, script)
  first = int(np.argmax(record.fell))
  assert record.fell.any() and len(record.qpos) == min(150, first + 1 + 15)
  assert np.isfinite(record.qpos).all() and len(record.push) == len(record.qpos)


def test_the_script_lasts_twenty_seconds_and_stays_in_the_trained_ranges(config):
  script = scripted_walk.walk_script(config, 0.02)
  assert len(script.commands) == 1000 and not script.pushes.any()
  assert script.commands[:, 0].max() == 1.0 and not script.commands[[0, -1]].any()
  assert set(script.commands[:, 2]) == {0.0, 0.5, -0.5}
  narrow = config.copy_and_resolve_references()
  narrow.commands.update(forward=(0.2, 0.6), sideways=(-0.1, 0.2), yaw_rate=(-0.3, 0.3))
  script = scripted_walk.walk_script(narrow, 0.02)
  assert script.commands[:, 0].max() == 0.6 and script.commands[:, 2].max() == 0.3
  assert script.commands[:, 1].max() == 0.2 and script.commands[:, 1].min() == -0.1
  assert not script.commands[[0, -1]].any()  # standing is always possible


def test_pushes_are_as_hard_as_in_training(config):
  script = scripted_walk.push_script(config, 0.02)
  norms = np.linalg.norm(script.pushes, axis=1)
  assert set(norms) == {0.0, config.disturbances.push_speed} and (norms > 0).sum() == 3


def test_figures_tell_of_falls_gait_and_calm_and_leave_recordings(config, params, tmp_path):
  short = (0.2, (0.5, 0.0, 0.0))
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(scripted_walk, "_WALK", (short,))
    patch.setattr(scripted_walk, "_PUSHED", ((2.5, (0.5, 0.0, 0.0)),))
    patch.setattr(scripted_walk, "_PUSHES", ((0.1, (0.0, 1.0)),))
    found = results.figures(config, params, Workdir(tmp_path))
  assert found["episodes"] == 3 and 0 <= found["fall_rate"] <= 1
  assert set(found["undisturbed"]) >= {"fall_rate", "velocity_error"}
  assert found["pushed"]["pushes"] == 1 and found["pushed"]["push_speed"] == 0.6
  data = tmp_path / "report" / "data"
  assert found["gait"] == walk_gait.diagnose(walk_record.load(data / walk_record.WALK))
  assert walk_record.load(data / walk_record.PUSHED).push.any()


def test_undisturbed_means_none_of_it_and_the_run_stays_as_it_was(config):
  calm = results.undisturbed(config)
  assert not calm.task.randomize and config.task.randomize
  assert calm.disturbances.noise == calm.disturbances.latency_seconds == 0.0
  assert calm.disturbances.push_speed == 0.0 and config.disturbances.push_speed == 0.6


def test_without_pushes_in_training_none_are_recorded(config, params, tmp_path):
  calm = results.undisturbed(config)
  data = tmp_path / "report" / "data"
  data.mkdir(parents=True)
  (data / walk_record.PUSHED).write_bytes(b"of an earlier run")
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(scripted_walk, "_WALK", ((0.1, (0.5, 0.0, 0.0)),))
    walks = results.record(calm, params, Workdir(tmp_path))
  assert list(walks) == [walk_record.WALK]
  assert [path.name for path in data.iterdir()] == [walk_record.WALK]
