"""The reaching Panda: what it sees, when it succeeds, what it keeps to."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.assets.panda import PANDA
from jaxskills.envs import terms
from jaxskills.envs.panda.arm import Disturbances
from jaxskills.envs.panda.control import Control
from jaxskills.envs.panda.make import make_panda_reach
from jaxskills.envs.panda.reach import Targets
from jaxskills.envs.panda.rewards import REACH_WEIGHTS, SPARSE_WEIGHTS
from jaxskills.errors import UserError

WORLDS = 6
CALM = Disturbances(noise=0.0, latency_seconds=0.0, start_joint=0.0)
KEYS = jax.random.split(jax.random.key(0), WORLDS)


@functools.cache
def make(**changes):
  """An environment on C MuJoCo; the same one for the same changes."""
  return make_panda_reach("native", worlds=WORLDS, threads=1, **changes)


@functools.cache
def compiled(env):
  """Batched `reset` and a batched, jitted `step`."""
  return jax.jit(jax.vmap(env.reset)), jax.jit(jax.vmap(env.step))


def rollout(env, actions, keys=KEYS):
  """The last state, and states after every step, leaves `[steps, worlds, ...]`."""
  reset, _ = compiled(env)

  @jax.jit
  def run(state, actions):
    def step(state, action):
      state = jax.vmap(env.step)(state, action)
      return state, state

    return jax.lax.scan(step, state, actions)

  return run(reset(keys), jnp.asarray(actions, jnp.float32))


@functools.cache
def wild():
  """A rollout of 200 steps under uniformly random actions, randomised."""
  env = make()
  actions = jax.random.uniform(jax.random.key(1), (200, WORLDS, 7), minval=-1.0)
  return env, rollout(env, actions)[1]


def test_observations_are_as_large_as_declared_and_named_once():
  env = make()
  state = compiled(env)[0](KEYS)
  assert state.obs["state"].shape == (WORLDS, terms.size(env.measurable))
  assert state.obs["privileged"].shape == (WORLDS, terms.size(env.privileged))
  assert env.observation_size == {"privileged": (22,), "state": (41,)}
  assert all(leaf.dtype == jnp.float32 for leaf in state.obs.values())


def test_what_the_policy_sees_is_measurable_and_nothing_else():
  env = make()
  assert all(term.measurable for term in env.measurable)
  assert not any(term.measurable for term in env.privileged)
  names = [term.name for term in env.measurable]
  assert names == [
    "joint_position",
    "joint_velocity",
    "commanded_velocity",
    "gripper_position",
    "joint_target",
    "last_action",
    "target",
  ]


def test_the_policy_does_not_see_what_only_a_simulator_knows():
  env = make()
  state = jax.tree.map(lambda leaf: leaf[0], compiled(env)[0](KEYS))
  mass = state.data.parameters["body_mass"]
  other = state.data._replace(parameters={**state.data.parameters, "body_mass": 2.0 * mass})
  seen, now = env.observe(state.data), env.observe(other._replace(latency=jnp.asarray(9)))
  np.testing.assert_array_equal(now["state"], seen["state"])
  where = terms.slices(env.privileged)
  changed = np.flatnonzero(np.asarray(now["privileged"] != seen["privileged"]))
  assert set(changed) == {where["mass"].start, where["latency"].start}


def test_measurements_are_true_without_noise_and_off_by_no_more_than_declared_with_it():
  calm, noisy = make(disturbances=CALM), make(disturbances=CALM._replace(noise=1.0))
  (state, after), (_, heard) = (rollout(env, np.full((1, WORLDS, 7), 0.3)) for env in (calm, noisy))
  where, data = terms.slices(calm.measurable), state.data
  read = lambda name: after.obs["state"][0][:, where[name]]  # noqa: E731
  np.testing.assert_allclose(read("gripper_position"), 2.0 * data.gripper.position, atol=1e-6)
  np.testing.assert_allclose(read("target"), 2.0 * data.goal, atol=1e-6)
  position = data.physics.qpos[:, :7] - jnp.array(PANDA.default_pose)
  np.testing.assert_allclose(read("joint_position"), position, atol=1e-6)
  np.testing.assert_allclose(read("last_action"), 0.3)
  error = heard.obs["state"][0] - after.obs["state"][0]
  for term in calm.measurable:
    off = np.abs(error[:, where[term.name]]) / np.max(term.scale)
    assert off.max() <= term.noise + 1e-6
    assert term.noise == 0.0 or off.max() > 0.2 * term.noise


def test_nothing_that_a_policy_does_breaks_a_limit():
  env, states = wild()
  command, physics = states.data.command, states.data.physics
  lower, upper, speed = (np.array(x) for x in (PANDA.lower, PANDA.upper, PANDA.velocity_limit))
  acceleration = np.diff(command.end, axis=0) / env.step_seconds
  assert (np.abs(command.end) <= 0.5 * speed + 1e-5).all()
  assert (np.abs(acceleration) <= 0.5 * np.array(PANDA.acceleration_limit) + 1e-3).all()
  # A blow on the table is no command: only worlds that stayed above it tell of the servos.
  free = np.asarray(states.data.gripper.position[..., 2]).min(axis=0) > 0.12
  assert free.sum() >= 3
  qpos, qvel = np.asarray(physics.qpos[:, free, :7]), np.asarray(physics.qvel[:, free, :7])
  assert (qpos >= lower).all() and (qpos <= upper).all()
  assert (np.abs(qvel) <= speed).all()
  assert np.abs(qvel).max() > 0.3 * speed.min()
  reported = np.asarray(states.metrics["limits/velocity"])[:, free]
  np.testing.assert_allclose(reported, (np.abs(qvel) / speed).max(axis=-1), rtol=1e-4)


def test_accelerations_jerks_and_torques_are_reported_as_differences_of_what_happened():
  env, states = wild()
  qvel = np.asarray(states.data.physics.qvel[..., :7])
  acceleration = np.diff(qvel, axis=0) / env.step_seconds
  jerk = np.diff(acceleration, axis=0) / env.step_seconds
  for name, values, limit in (
    ("acceleration", acceleration, PANDA.acceleration_limit),
    ("jerk", jerk, PANDA.jerk_limit),
  ):
    used = (np.abs(values) / np.array(limit)).max(axis=-1)
    np.testing.assert_allclose(states.metrics[f"limits/{name}"][-len(used) :], used, rtol=2e-3)
  torque = np.asarray(states.metrics["limits/torque"])
  assert torque.max() <= 1.0 + 1e-6 and torque.min() >= 0.0


def test_success_is_within_two_centimetres():
  env = make(disturbances=CALM)
  data = jax.tree.map(lambda leaf: leaf[0], compiled(env)[0](KEYS)).data
  for distance, expected in ((0.019, 1.0), (0.021, 0.0)):
    offset = distance * jnp.array([0.6, 0.0, -0.8])
    metrics = env.judge(data._replace(goal=data.gripper.position + offset))[1]
    assert float(metrics["success"]) == expected
    assert float(metrics["distance"]) == pytest.approx(distance, rel=1e-4)


def test_nothing_ends_an_episode():
  _, states = wild()
  assert not np.any(states.done)


def towards(data):
  """The obvious controller of the gripper."""
  return jnp.clip((data.goal - data.gripper.position) * 5.0 / 0.4, -1.0, 1.0)


def test_every_target_can_be_reached_upright_and_a_sparse_reward_says_when():
  worlds = 32
  dense, sparse = (
    make_panda_reach(
      "native",
      worlds=worlds,
      threads=1,
      control=Control(mode="end_effector"),
      reward_weights=weights,
    )
    for weights in (REACH_WEIGHTS, SPARSE_WEIGHTS)
  )

  def step(state, _):
    state = jax.vmap(dense.step)(state, jax.vmap(towards)(state.data))
    return state, (state.metrics, state.reward, jax.vmap(sparse.judge)(state.data))

  keys = jax.random.split(jax.random.key(3), worlds)
  run = jax.jit(lambda keys: jax.lax.scan(step, jax.vmap(dense.reset)(keys), length=60)[1])
  metrics, reward, (plain_reward, plain) = run(keys)
  np.testing.assert_array_equal(metrics["success"][-1], 1.0)
  np.testing.assert_array_equal(plain["success"], metrics["success"])
  np.testing.assert_allclose(plain_reward, 0.05 * metrics["success"])
  parts = [value for name, value in metrics.items() if name.startswith("reward/")]
  np.testing.assert_allclose(reward, sum(parts), atol=1e-6)
  assert not np.any(metrics["success"][0]) and np.all(reward[-1] > reward[0] + 0.05)


def test_a_late_command_moves_nothing_before_it_arrives():
  late = make(disturbances=CALM._replace(latency_seconds=0.05), variation=None)
  push, _ = rollout(late, np.ones((1, WORLDS, 7)))
  rest, _ = rollout(late, np.zeros((1, WORLDS, 7)))
  moved = np.abs(np.asarray(push.data.physics.qvel - rest.data.physics.qvel)).max(axis=1)
  latency = np.asarray(push.data.latency)
  assert latency.max() <= 10 and len(set(latency.tolist())) > 2
  # The servos' own delay makes the last few steps of a late push small.
  order = np.argsort(latency)
  assert (np.diff(moved[order]) <= 1e-6).all() and moved[order[0]] > 2.0 * moved[order[-1]]


def test_the_same_key_gives_the_same_life():
  env, states = wild()
  actions = jax.random.uniform(jax.random.key(1), (200, WORLDS, 7), minval=-1.0)
  again = rollout(env, actions)[1]
  np.testing.assert_array_equal(again.data.physics.qpos, states.data.physics.qpos)
  np.testing.assert_array_equal(again.obs["state"], states.obs["state"])
  goals = np.asarray(states.data.goal[0])
  assert len(np.unique(goals, axis=0)) == WORLDS


def test_targets_lie_where_they_are_declared():
  targets = Targets()
  env = make()
  goals = jax.vmap(lambda key: env.begin(key, {})[1])(jax.random.split(jax.random.key(2), 200))
  assert (goals >= jnp.array(targets.low)).all() and (goals <= jnp.array(targets.high)).all()
  spread = np.asarray(goals).max(axis=0) - np.asarray(goals).min(axis=0)
  np.testing.assert_allclose(spread, np.subtract(targets.high, targets.low), rtol=0.05)


def test_every_world_has_its_own_arm():
  _, states = wild()
  for name, value in states.data.parameters.items():
    first = np.asarray(value[0])
    assert np.isfinite(first).all()
    assert len(np.unique(first.reshape(WORLDS, -1), axis=0)) == WORLDS, name


def test_velocity_mode_tells_the_servos_velocities():
  env = make(control=Control(mode="joint_velocity"), disturbances=CALM, variation=None)
  assert [term.name for term in env.measurable].count("joint_target") == 0
  state, _ = rollout(env, np.tile([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], (12, WORLDS, 1)))
  speed = np.asarray(state.data.physics.qvel)[:, :7]
  np.testing.assert_allclose(speed[:, 0], 0.5 * PANDA.velocity_limit[0], rtol=0.05)
  assert np.abs(speed[:, 1:]).max() < 0.05


def test_numbers_that_do_not_fit_together_are_refused():
  with pytest.raises(ValueError, match="a latency of 0.1 s is more than a control step of 0.05 s"):
    make_panda_reach("native", disturbances=Disturbances(latency_seconds=0.1))
  with pytest.raises(ValueError, match="substeps must be at least 1"):
    make_panda_reach("native", substeps=0)
  with pytest.raises(ValueError, match="unknown control"):
    make_panda_reach("native", control=Control(mode="joints"))
  with pytest.raises(UserError, match="unknown engine"):
    make_panda_reach("natve")
