"""The walking H1: what it sees, what differs between worlds, delays, pushes, ends."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.assets.h1 import H1
from jaxskills.envs import terms
from jaxskills.envs.h1 import conditions
from jaxskills.envs.h1.conditions import Commands, Disturbances
from jaxskills.envs.h1.make import make_h1_velocity
from jaxskills.envs.h1.velocity import ACTION_LIMIT, H1Velocity, WalkData
from jaxskills.physics import frames

CALM = Disturbances(
  noise=0.0, latency_seconds=0.0, push_speed=0.0, push_seconds=5.0, start_joint=0.0
)
LEGS = slice(0, 10)


@pytest.fixture(scope="module")
def calm() -> H1Velocity:
  """The nominal robot, undisturbed."""
  return make_h1_velocity("native", variation=None, disturbances=CALM)


@pytest.fixture(scope="module")
def varied() -> H1Velocity:
  """As in training, on native threads."""
  return make_h1_velocity("native", worlds=8)


def rolled(env: H1Velocity, worlds: int, steps: int, action: float = 0.0, key: int = 0):
  """The first state of some worlds, and those after each of the steps."""

  @jax.jit
  def run(keys):
    first = jax.vmap(env.reset)(keys)
    actions = jnp.full((worlds, env.action_size), action)

    def step(state, _):
      state = jax.vmap(env.step)(state, actions)
      return state, state

    return first, jax.lax.scan(step, first, length=steps)[1]

  return run(jax.random.split(jax.random.key(key), worlds))


def begun(env: H1Velocity) -> WalkData:
  """A world at its start."""
  return jax.jit(env.reset)(jax.random.key(0)).data


def test_the_actor_sees_what_unitrees_deployment_sees_in_its_order(calm: H1Velocity):
  names = [term.name for term in calm.measurable]
  assert names == [
    "gyro",
    "projected_gravity",
    "command",
    "joint_position",
    "joint_velocity",
    "last_action",
    "clock",
  ]
  assert terms.size(calm.measurable) == 41
  assert all(term.measurable for term in calm.measurable)
  assert not any(term.measurable for term in calm.privileged)
  spec = calm.spec()
  assert spec.observation["state"].shape == (41,)
  assert spec.observation["privileged"].shape == (terms.size(calm.privileged),)
  assert spec.action_size == 10
  assert spec.step_seconds == pytest.approx(0.02)


def test_each_number_is_where_its_declaration_says(calm: H1Velocity):
  _, states = rolled(calm, 2, 5, action=0.3)
  last = jax.tree.map(lambda leaf: leaf[-1, 0], states)
  seen, where = last.obs["state"], terms.slices(calm.measurable)
  physics = last.data.physics
  np.testing.assert_allclose(
    seen[where["joint_position"]],
    physics.qpos[7:17] - np.asarray(H1.default_pose)[LEGS],
    atol=1e-6,
  )
  np.testing.assert_allclose(seen[where["joint_velocity"]], 0.05 * physics.qvel[6:16], atol=1e-5)
  np.testing.assert_allclose(seen[where["last_action"]], 0.3)
  np.testing.assert_allclose(
    seen[where["command"]], last.data.command * np.array([2.0, 2.0, 0.25]), atol=1e-6
  )


def test_the_torsos_sensors_are_turned_into_the_pelvis_frame(calm: H1Velocity):
  """With the waist turned and turning, gyro and gravity are still those of the pelvis."""
  waist = H1.joints.index("torso")
  qpos = np.concatenate([[0.0, 0.0, 2.0], [0.9, 0.2, -0.3, 0.1], np.asarray(H1.default_pose)])
  qpos[3:7] /= np.linalg.norm(qpos[3:7])
  qpos[7 + waist] = 0.8
  qvel = np.zeros(25)
  qvel[3:6], qvel[6 + waist] = [0.5, -1.0, 2.0], 3.0

  @jax.jit
  def look(qpos, qvel):
    physics = calm.engine.start(qpos, qvel, {})
    return terms.measure(calm.measurable, data._replace(physics=physics))

  data = begun(calm)
  seen, where = look(jnp.asarray(qpos), jnp.asarray(qvel)), terms.slices(calm.measurable)
  gravity = frames.rotate_inverse(jnp.asarray(qpos[3:7]), jnp.array(frames.DOWN))
  np.testing.assert_allclose(seen[where["projected_gravity"]], gravity, atol=1e-5)
  np.testing.assert_allclose(seen[where["gyro"]], 0.25 * qvel[3:6], atol=1e-4)

  @jax.jit
  def look_after_a_step(qpos, qvel):
    """The waist is pushed as hard as it can; what is seen is of one instant all the same."""
    physics = calm.engine.start(qpos, qvel, {})
    wild = jnp.zeros((4, 19)).at[:3, waist].set(10.0).at[3, waist].set(-10.0)
    before = calm.engine.step(physics, wild, {})
    seen = terms.measure(calm.measurable, data._replace(physics=before))
    return seen, calm._sensors(before.sensordata, "pelvis_gyro")

  seen, pelvis = look_after_a_step(jnp.asarray(qpos), jnp.asarray(qvel))
  np.testing.assert_allclose(seen[where["gyro"]], 0.25 * pelvis, atol=1e-4)


def test_the_robot_stands_in_its_default_pose(calm: H1Velocity):
  first, states = rolled(calm, 2, 25)
  assert not states.done.any()
  assert np.all(np.abs(states.data.physics.qpos[-1, :, 2] - H1.base_height) < 0.03)
  assert np.all(first.data.physics.qpos[:, 2] == pytest.approx(H1.base_height, abs=1e-3))


def test_a_robot_that_lies_has_fallen(calm: H1Velocity):
  _, states = rolled(calm, 2, 150, action=4.0)
  fell = np.asarray(states.done) > 0
  assert fell.any(axis=0).all()
  first = fell[:, 0].argmax()
  assert states.metrics["fall"][first, 0] == 1.0
  data = jax.tree.map(lambda leaf: leaf[first, 0], states).data
  low = data.physics.qpos[2] < 0.6
  gravity = frames.rotate_inverse(data.physics.qpos[3:7], jnp.array(frames.DOWN))
  assert low or gravity[2] > -0.5


def test_actions_beyond_the_limit_and_targets_beyond_the_joints_are_cut(calm: H1Velocity):
  wild = calm.targets(jnp.full(10, 1e3))
  assert np.all(wild <= np.asarray(H1.upper) + 1e-6)
  state = jax.jit(calm.reset)(jax.random.key(0))
  one = jax.jit(calm.step)(state, jnp.full(10, 1e6))
  other = jax.jit(calm.step)(state, jnp.full(10, ACTION_LIMIT))
  np.testing.assert_array_equal(one.data.physics.qpos, other.data.physics.qpos)


def test_latency_holds_the_old_targets_for_so_many_physics_steps(calm: H1Velocity):
  data = begun(calm)
  before = data._replace(action=jnp.ones(10), latency=jnp.asarray(3))
  rows = calm._controls(before, -jnp.ones(10))
  np.testing.assert_allclose(rows[:3], np.tile(calm.targets(jnp.ones(10)), (3, 1)))
  np.testing.assert_allclose(rows[3:], calm.targets(-jnp.ones(10))[None])


def test_latencies_cover_their_range_in_physics_steps(varied: H1Velocity):
  state = jax.jit(jax.vmap(varied.reset))(jax.random.split(jax.random.key(1), 200))
  assert set(np.asarray(state.data.latency).tolist()) == {0, 1, 2, 3, 4}


def test_every_world_is_another_robot_and_the_same_world_the_same_one(varied: H1Velocity):
  keys = jax.random.split(jax.random.key(2), 8)
  reset = jax.jit(jax.vmap(varied.reset))
  whole = reset(keys).data.parameters
  part = jax.jit(jax.vmap(varied.reset))(keys[2:6]).data.parameters
  for name, values in whole.items():
    np.testing.assert_array_equal(values[2:6], part[name])  # whoever else there is
  for name in ("body_mass", "geom_friction", "actuator_gainprm", "dof_damping"):
    flat = np.asarray(whole[name]).reshape(8, -1)
    assert len(np.unique(flat, axis=0)) == 8, name


def test_a_heavier_robot_sinks_deeper(varied: H1Velocity):
  """Parameters reach the physics, not only the observation."""
  state = jax.jit(varied.reset)(jax.random.key(0))
  heavy = {**state.data.parameters, "body_mass": 1.5 * state.data.parameters["body_mass"]}
  step = jax.jit(varied.step)
  lasts = [state, state.replace(data=state.data._replace(parameters=heavy))]
  for _ in range(10):
    lasts = [step(last, jnp.zeros(10)) for last in lasts]
  light_height, heavy_height = (last.data.physics.qpos[2] for last in lasts)
  assert heavy_height < light_height - 1e-3


def test_pushes_come_as_often_and_as_hard_as_declared():
  hard = CALM._replace(push_speed=0.6, push_seconds=0.2)
  env = make_h1_velocity("native", variation=None, disturbances=hard)
  keys = jax.random.split(jax.random.key(3), 4_000)
  given, seconds = env.disturbances, env.step_seconds
  push = lambda key: conditions.push(given, key, jnp.zeros(25), jnp.ones(()), seconds)  # noqa: E731
  pushed = jax.jit(jax.vmap(push))(keys)
  jolts = np.asarray(pushed)[:, :2]
  sizes = np.linalg.norm(jolts, axis=1)
  assert 0.55 < sizes.max() <= 0.6
  assert np.abs(jolts.mean(axis=0)).max() < 0.01  # from all sides
  assert np.any(jolts != 0, axis=1).mean() == pytest.approx(0.02 / 0.2, abs=0.02)
  np.testing.assert_array_equal(np.asarray(pushed)[:, 2:], 0.0)


def test_commands_are_in_their_ranges_and_some_are_to_stand():
  commands = Commands(forward=(0.2, 1.0), sideways=(-0.1, 0.3), yaw_rate=(-0.5, 0.5))
  env = make_h1_velocity("native", variation=None, disturbances=CALM, commands=commands)
  keys = jax.random.split(jax.random.key(4), 2_000)
  draw = jax.jit(jax.vmap(lambda key: conditions.draw_command(env.commands, key, jnp.ones(()))))
  drawn = np.asarray(draw(keys))
  standing = np.all(drawn == 0.0, axis=1)
  assert standing.mean() == pytest.approx(commands.standing_share, abs=0.03)
  for column, (low, high) in enumerate((commands.forward, commands.sideways, commands.yaw_rate)):
    moving = drawn[~standing, column]
    assert low <= moving.min() and moving.max() <= high
    assert moving.mean() == pytest.approx((low + high) / 2, abs=0.05)


def test_the_clock_runs_whether_walking_or_standing(calm: H1Velocity):
  begins = jax.jit(calm.reset)(jax.random.key(0))
  step = jax.jit(calm.step)
  for command in ([0.5, 0.0, 0.0], [0.0, 0.0, 0.0]):
    data = begins.data._replace(phase=jnp.asarray(0.99), command=jnp.array(command))
    after = step(begins.replace(data=data), jnp.zeros(calm.action_size))
    phase = 0.99 + calm.step_seconds / calm.clock_seconds - 1.0
    assert after.data.phase == pytest.approx(phase, abs=1e-5)
    angle = 2.0 * np.pi * phase
    seen = after.obs["state"][-2:]
    np.testing.assert_allclose(seen, [np.sin(angle), np.cos(angle)], atol=1e-4)


def test_history_is_newest_first():
  env = make_h1_velocity("native", variation=None, disturbances=CALM, history=3)
  first, states = rolled(env, 2, 4, action=0.2)
  rows = np.asarray(states.obs["state"]).reshape(4, 2, 3, 41)
  np.testing.assert_array_equal(rows[3, :, 1], rows[2, :, 0])
  np.testing.assert_array_equal(rows[3, :, 2], rows[1, :, 0])
  begin = np.asarray(first.obs["state"]).reshape(2, 3, 41)
  np.testing.assert_array_equal(begin[:, 0], begin[:, 2])  # nothing older yet


def test_what_the_sensors_said_does_not_change_when_looked_at_again(varied: H1Velocity):
  _, states = rolled(varied, 2, 2)
  data = jax.tree.map(lambda leaf: leaf[-1, 0], states).data
  again = jax.jit(varied.observe)(data)
  np.testing.assert_array_equal(again["state"], states.obs["state"][-1, 0])
  np.testing.assert_allclose(again["privileged"], states.obs["privileged"][-1, 0], atol=1e-5)


def test_a_level_climbs_where_commands_are_followed_and_falls_with_the_robot():
  env = make_h1_velocity(
    "native", variation=None, disturbances=CALM, commands=Commands(first_level=0.3)
  )
  stride = jax.jit(lambda data: env.stride(data))(begun(env))
  good = stride._replace(velocity=jnp.zeros(3), command=jnp.zeros(3))
  half, due = jnp.asarray(0.5), jnp.asarray(True)
  next_level = functools.partial(conditions.next_level, env.commands)
  assert next_level(half, good, due) == pytest.approx(0.6)
  assert next_level(half, good, jnp.asarray(False)) == pytest.approx(0.5)
  assert next_level(half, good._replace(fell=jnp.asarray(True)), due) == pytest.approx(0.4)
  assert next_level(jnp.asarray(0.3), good._replace(fell=jnp.asarray(True)), due) == 0.3


def test_a_latency_longer_than_a_step_is_refused():
  with pytest.raises(ValueError, match="latency of 0.05 s is more than a control step of 0.02 s"):
    make_h1_velocity("native", disturbances=CALM._replace(latency_seconds=0.05))
