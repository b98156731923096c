"""What disturbs the walking H1 acts in its steps, and what is a robot's own stays its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.assets.h1 import H1
from jaxskills.envs import terms
from jaxskills.envs.h1.conditions import Commands, Disturbances, push
from jaxskills.envs.h1.make import make_h1_velocity
from jaxskills.envs.wrappers.auto_reset import AutoReset
from jaxskills.envs.wrappers.episode import EpisodeLimit

CALM = Disturbances(
  noise=0.0, latency_seconds=0.0, push_speed=0.0, push_seconds=5.0, start_joint=0.0
)
STILL = jnp.zeros(10)


def made(**disturbances):
  """An H1 that differs from the calm one in what is named."""
  return make_h1_velocity("native", variation=None, disturbances=CALM._replace(**disturbances))


def stepped(env, action=STILL, **changes):
  """A world after one step, with some of its data changed before it."""
  state = jax.jit(env.reset)(jax.random.key(0))
  state = state.replace(data=state.data._replace(**changes))
  return jax.jit(env.step)(state, action)


def test_every_step_is_read_with_noise_of_the_declared_width():
  env = made(noise=1.0)
  clean, where = made(), terms.slices(env.measurable)

  @jax.jit
  def run(keys):
    first = jax.vmap(env.reset)(keys)
    after = jax.vmap(env.step)(first, jnp.zeros((200, 10)))
    truth = jax.vmap(lambda data: terms.measure(clean.measurable, data))
    return [(state.obs["state"], truth(state.data)) for state in (first, after)]

  for seen, true in run(jax.random.split(jax.random.key(0), 200)):
    for term in env.measurable:
      width = term.noise * np.max(term.scale)
      errors = np.asarray(seen - true)[:, where[term.name]] / (width or 1.0)
      assert np.abs(errors).max() <= 1.0 + 1e-3, term.name
      assert np.abs(errors).max() > 0.9 or not width, term.name
      assert not errors.any() or width, term.name


def test_a_push_moves_the_robot_in_the_step_that_it_comes():
  env = made(push_speed=0.6, push_seconds=0.02)
  pushed, calm = stepped(env), stepped(made())
  change = np.asarray(pushed.data.physics.qvel - calm.data.physics.qvel)
  key = jax.random.split(jax.random.fold_in(calm.data.key, 0))[0]
  jolt = push(env.disturbances, key, jnp.zeros(25), jnp.ones(()), env.step_seconds)[:2]
  assert np.linalg.norm(jolt) > 0.1
  np.testing.assert_allclose(change[:2], jolt, atol=0.5 * float(np.linalg.norm(jolt)))


def test_what_comes_a_whole_step_late_does_nothing_in_that_step():
  env = made(latency_seconds=0.02)
  late, other = (
    stepped(env, action, latency=jnp.asarray(4)) for action in (jnp.ones(10), -jnp.ones(10))
  )
  at_once = stepped(env, jnp.ones(10), latency=jnp.asarray(0))
  np.testing.assert_array_equal(late.data.physics.qpos, other.data.physics.qpos)
  assert np.abs(late.data.physics.qpos - at_once.data.physics.qpos).max() > 1e-3


def test_a_new_command_is_seen_at_once_and_judged_from_the_next_step_on():
  env = made()
  told = jnp.array([1.0, 0.0, 0.0])
  due = round(env.commands.seconds / env.step_seconds)
  state = stepped(env, command=told, steps=jnp.asarray(due - 1))
  assert not np.allclose(state.data.command, told)
  seen = state.obs["state"][terms.slices(env.measurable)["command"]]
  np.testing.assert_allclose(seen, state.data.command * np.array([2.0, 2.0, 0.25]), atol=1e-6)
  error = np.linalg.norm(env.stride(state.data).velocity[:2] - told[:2])
  assert state.metrics["velocity_error"] == pytest.approx(error, abs=1e-5)
  before = stepped(env, command=told, steps=jnp.asarray(due - 2))
  np.testing.assert_array_equal(before.data.command, told)


def test_a_robot_stays_the_one_it_was_however_often_it_begins_again():
  env = make_h1_velocity("native", worlds=8, disturbances=CALM)
  worlds = AutoReset(EpisodeLimit(env, 2), pool_size=2)
  first = jax.jit(worlds.reset)(jax.random.split(jax.random.key(0), 8))
  step, state = jax.jit(worlds.step), first
  for _ in range(4):
    state = step(state, jnp.zeros((8, 10)))
  assert np.all(state.info["reset"] == 1.0)
  for name, values in first.data.parameters.items():
    np.testing.assert_array_equal(state.data.parameters[name], values)
  flat = np.asarray(state.data.parameters["body_mass"])
  assert len(np.unique(flat, axis=0)) == 8
  truth = terms.slices(env.privileged)["added_mass"]
  share = flat.sum(axis=1) / env.engine.model.body_mass.sum() - 1.0
  np.testing.assert_allclose(state.obs["privileged"][:, truth][:, 0], 10.0 * share, atol=1e-4)


def test_a_curriculum_goes_on_where_the_last_episode_left_it():
  commands = Commands(forward=(0.5, 1.0), yaw_rate=(0.0, 0.0), standing_share=0.0, first_level=0.2)
  env = make_h1_velocity("native", variation=None, disturbances=CALM, commands=commands)
  worlds = AutoReset(EpisodeLimit(env, 1), pool_size=2)
  state = jax.jit(worlds.reset)(jax.random.split(jax.random.key(0), 4))
  assert state.data.command[:, 0].max() <= 0.2
  state = state.replace(info={**state.info, "level": jnp.full(4, 0.8)})
  state = jax.jit(worlds.step)(state, jnp.zeros((4, 10)))
  forward = np.asarray(state.data.command[:, 0])
  assert np.all((0.4 <= forward) & (forward <= 0.8)), forward
  seen = state.obs["state"][:, terms.slices(env.measurable)["command"]]
  np.testing.assert_allclose(seen[:, 0], 2.0 * forward, atol=1e-5)


@pytest.mark.parametrize(
  ("numbers", "said"),
  [
    ({"substeps": 0}, "substeps must be at least 1"),
    ({"history": 0}, "history must be at least 1"),
    ({"controlled": (25,)}, "from 0 to 18"),
    ({"controlled": ()}, "from 0 to 18"),
    ({"controlled": (1, 1)}, "different numbers"),
    ({"commands": Commands(first_level=0.0)}, "first_level"),
    ({"commands": Commands(seconds=0.01)}, "commands.seconds must last a control step of 0.02 s"),
    ({"clock_seconds": 0.0}, "clock_seconds must last"),
    ({"disturbances": Disturbances(push_seconds=0.0)}, "disturbances.push_seconds must last"),
    ({"disturbances": Disturbances(latency_seconds=-0.01)}, "a latency cannot be -0.01 s"),
  ],
)
def test_numbers_that_no_robot_has_are_refused(numbers: dict, said: str):
  with pytest.raises(ValueError, match=said):
    make_h1_velocity("native", **numbers)


def test_a_robot_that_diverged_does_not_stand():
  env = made()
  data = jax.jit(env.reset)(jax.random.key(0)).data
  broken = data.physics._replace(qpos=jnp.full(7 + len(H1.joints), jnp.nan))
  assert env.stride(data._replace(physics=broken)).fell
  assert not env.stride(data).fell
