"""The lifting Panda: what it sees, what counts as grasp and success, and that it can lift."""

import functools
import importlib.util

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxskills.envs import terms
from jaxskills.envs.panda.arm import Disturbances
from jaxskills.envs.panda.control import Control
from jaxskills.envs.panda.lift_cube import EDGE, Cubes
from jaxskills.envs.panda.make import CubeVariation, cube_edge, cube_model, make_panda_lift_cube
from jaxskills.envs.wrappers.auto_reset import AutoReset
from jaxskills.envs.wrappers.episode import EpisodeLimit
from jaxskills.physics.engine import make_engine
from jaxskills.physics.sensors import Sensors

WORLDS = 8
CALM = Disturbances(noise=0.0, latency_seconds=0.0, start_joint=0.0)
KEYS = jax.random.split(jax.random.key(0), WORLDS)
GRIPPER = Control(mode="end_effector")


@functools.cache
def make(**changes):
  """An environment on C MuJoCo; the same one for the same changes."""
  return make_panda_lift_cube("native", worlds=WORLDS, threads=1, control=GRIPPER, **changes)


@functools.cache
def starts(env):
  """Reset states of all worlds."""
  return jax.jit(jax.vmap(env.reset))(KEYS)


def script(env, data):
  """Over the cube, down, close, and to the goal."""
  cube, place = env.cube(data), data.gripper.position
  is_over = jnp.linalg.norm((place - cube)[:2]) < 0.015
  is_closing = (data.opening < 0.039) | (jnp.linalg.norm(place - cube) < 0.012)
  is_held = data.opening < 0.021
  wanted = jnp.where(is_over | is_closing, cube, cube + jnp.array([0.0, 0.0, 0.08]))
  wanted = jnp.where(is_held, place + data.goal - cube, wanted)
  move = jnp.clip((wanted - place) * 6.0 / GRIPPER.gripper_speed, -1.0, 1.0)
  return jnp.append(move, jnp.where(is_closing, -1.0, 1.0))


@functools.cache
def runner():
  """The randomised environment, and a jitted run of the script in it."""
  env = make()

  def step(state, _):
    state = jax.vmap(env.step)(state, jax.vmap(lambda data: script(env, data))(state.data))
    return state, state

  return env, jax.jit(lambda state: jax.lax.scan(step, state, length=90)[1])


@functools.cache
def scripted():
  """States after every step of the script."""
  env, run = runner()
  return env, run(starts(env))


def test_every_cube_can_be_lifted_whatever_its_size_mass_friction_and_yaw():
  env, states = scripted()
  metrics = states.metrics
  np.testing.assert_array_equal(metrics["success"][-1], 1.0)
  np.testing.assert_array_equal(metrics["grasped"][-1], 1.0)
  assert not np.any(metrics["success"][:20]) and not np.any(metrics["overflow"])
  height = jax.vmap(env.half_edge)(jax.tree.map(lambda leaf: leaf[-1], states.data.parameters))
  goal = states.data.goal[-1, :, 2]
  np.testing.assert_allclose(metrics["height"][-1], goal - height, atol=0.025)
  edges = 2.0 * np.asarray(height)
  assert len(set(edges.tolist())) == WORLDS and edges.min() >= 0.04 and edges.max() <= EDGE


def test_what_leads_to_success_pays_ever_more():
  _, states = scripted()
  metrics = states.metrics
  reward = np.asarray(states.reward)
  assert (reward[-1] > reward[0] + 0.2).all()
  for name in ("near_cube", "grasp", "lift", "place", "success"):
    part = np.asarray(metrics[f"reward/{name}"])
    assert (part[-1] > part[0]).all(), name
  parts = [value for name, value in metrics.items() if name.startswith("reward/")]
  np.testing.assert_allclose(reward, sum(parts), atol=1e-6)


def test_a_cube_begins_at_rest_on_the_table_where_it_is_declared():
  env, cubes = make(), Cubes()
  physics = starts(env).data.physics
  place, height = np.asarray(physics.qpos[:, 9:11]), np.asarray(physics.qpos[:, 11])
  assert (place >= cubes.low).all() and (place <= cubes.high).all()
  half = jax.vmap(env.half_edge)(starts(env).data.parameters)
  np.testing.assert_allclose(height, half - 1e-4, atol=1e-7)  # in single precision too a touch
  _, states = scripted()
  early = np.asarray(states.data.physics.qpos[:10, :, 9:12])
  np.testing.assert_allclose(early, np.broadcast_to(early[0], early.shape), atol=1e-3)


@pytest.mark.parametrize("is_tracked", [True, False])
def test_the_cube_is_measurable_only_with_a_tracker(is_tracked):
  env = make(cube_is_tracked=is_tracked)
  seen = {term.name for term in env.measurable if term.name.startswith("cube")}
  assert seen == ({"cube_position", "cube_yaw"} if is_tracked else set())
  known = {term.name for term in env.privileged}
  assert known >= {"true_cube_position", "true_cube_yaw", "cube_to_goal", "touch"}
  assert all(term.measurable for term in env.measurable)
  assert not any(term.measurable for term in env.privileged)
  sizes = {"state": (45,) if is_tracked else (40,), "privileged": (39,)}
  assert env.observation_size == sizes
  state = jax.tree.map(lambda leaf: leaf[0], starts(env))
  elsewhere = state.data.physics.qpos.at[9].add(0.05)
  moved = state.data._replace(physics=state.data.physics._replace(qpos=elsewhere))
  now = terms.measure(env.measurable, moved), terms.measure(env.measurable, state.data)
  assert bool(jnp.any(now[0] != now[1])) == is_tracked


def test_the_trackers_noise_is_as_declared():
  env = make()
  state = starts(env)
  where = terms.slices(env.measurable)
  for term in env.measurable:
    if not term.name.startswith("cube"):
      continue
    true = jax.vmap(term.read)(state.data)
    off = np.abs(state.obs["state"][:, where[term.name]] / term.scale - true)
    assert 0.2 * term.noise < off.max() <= term.noise + 1e-6


def grasping(env, *, distance=0.0, touch=(5.0, 5.0), to_goal=0.0):
  """Whether a cube so far from gripper and goal, so touched, counts as grasped and as success."""
  data = jax.tree.map(lambda leaf: leaf[0], starts(env)).data
  place = data.gripper.position + jnp.array([distance, 0.0, 0.0])
  sensordata, begin = np.array(data.physics.sensordata), 0
  sensors = Sensors(env.engine.model)
  for side, force in zip(("left", "right"), touch, strict=True):
    begin = sensors._slices[f"{side}_tip_contact"].start
    sensordata[begin] = force
  qpos = data.physics.qpos.at[9:12].set(place)
  physics = data.physics._replace(qpos=qpos, sensordata=jnp.asarray(sensordata))
  data = data._replace(physics=physics, goal=place + jnp.array([0.0, to_goal, 0.0]))
  step = env.lifting(data)
  return bool(step.is_grasped), bool(step.success)


def test_a_grasp_is_both_fingers_pressing_on_a_cube_between_them():
  env = make()
  assert grasping(env) == (True, True)
  assert grasping(env, touch=(5.0, 0.0)) == (False, False)
  assert grasping(env, touch=(0.3, 5.0)) == (False, False)
  assert grasping(env, distance=0.04) == (False, False)  # pressing on the table beside it


def test_success_is_a_grasped_cube_near_its_goal():
  env = make()
  assert grasping(env, to_goal=0.024) == (True, True)
  assert grasping(env, to_goal=0.026) == (True, False)


def test_a_cubes_yaw_is_the_same_after_every_quarter_turn():
  env = make()
  data = jax.tree.map(lambda leaf: leaf[0], starts(env)).data

  def yaw(angle):
    turn = jnp.array([jnp.cos(angle / 2), 0.0, 0.0, jnp.sin(angle / 2)])
    qpos = data.physics.qpos.at[12:16].set(turn)
    return env.cube_yaw(data._replace(physics=data.physics._replace(qpos=qpos)))

  np.testing.assert_allclose(yaw(0.3), [np.sin(1.2), np.cos(1.2)], atol=1e-5)
  for quarter in range(1, 4):
    np.testing.assert_allclose(yaw(0.3 + quarter * np.pi / 2), yaw(0.3), atol=1e-5)


def test_the_gripper_has_an_action_of_its_own():
  env, states = scripted()
  assert env.action_size == 4
  opening = np.asarray(states.data.opening)
  assert np.abs(np.diff(opening, axis=0)).max() <= 0.05 * 0.05 + 1e-6  # 5 cm/s
  assert opening.max() <= 0.04 and opening.min() >= 0.0
  width = np.asarray(states.data.physics.qpos[-1, :, 7:9]).sum(axis=1)
  edge = 2.0 * jax.vmap(env.half_edge)(jax.tree.map(lambda x: x[-1], states.data.parameters))
  # Rubber gives a little; a cube at an angle is wider than its edge.
  assert (width > 0.9 * edge).all() and (width < 1.45 * edge).all()


def test_the_same_start_gives_the_same_life():
  (env, states), (_, run) = scripted(), runner()
  again = run(starts(env))
  np.testing.assert_array_equal(again.data.physics.qpos, states.data.physics.qpos)


def test_a_cube_larger_than_engines_have_room_for_is_refused():
  with pytest.raises(ValueError, match=r"edge lies in \(0, 0.045\] m, got 0.04 to 0.05"):
    make_panda_lift_cube("native", cube_variation=CubeVariation(edge=(0.04, 0.05)))
  with pytest.raises(ValueError, match="edge lies in"):
    cube_edge((0.0, 0.04))


def test_arm_and_cube_stay_the_same_when_a_world_begins_again():
  env = make(disturbances=CALM)
  worlds = AutoReset(EpisodeLimit(env, 1), pool_size=2)
  first = jax.jit(worlds.reset)(KEYS)
  after = jax.jit(worlds.step)(first, jnp.zeros((WORLDS, env.action_size)))
  assert np.all(after.info["reset"] == 1.0)
  for name, values in first.data.parameters.items():
    np.testing.assert_array_equal(after.data.parameters[name], values)
  heights = jax.vmap(env.cube)(after.data)[:, 2]
  half = jax.vmap(env.half_edge)(first.data.parameters)
  np.testing.assert_allclose(heights, half - 1e-4, atol=1e-6)
  assert len(np.unique(heights)) == WORLDS
  seen = after.obs["state"][:, terms.slices(env.measurable)["cube_position"]]
  again = jax.vmap(lambda data: terms.measure(env.measurable, data))(after.data)
  np.testing.assert_allclose(
    seen, again[:, terms.slices(env.measurable)["cube_position"]], atol=1e-6
  )


def test_a_cube_of_any_mass_falls_as_others_do():
  """C MuJoCo reads the inertia of a body that it treats as simple from a derived constant."""
  env = make()
  own = jax.jit(env.reset)(jax.random.key(0)).data.parameters
  mass = own["body_mass"].at[env.engine.model.body("cube").id].set(0.2)
  qpos = jnp.asarray(env.engine.model.qpos0).at[11].set(1.0)

  @jax.jit
  def fall(parameters):
    physics = env.engine.start(qpos, jnp.zeros(env.engine.model.nv), parameters)
    controls = jnp.zeros((env.engine.substeps, env.engine.model.nu))
    return env.engine.step(physics, controls, parameters).qvel[11]

  speed = -9.81 * env.step_seconds
  assert fall({**own, "body_mass": mass}) == pytest.approx(speed, rel=1e-4)


def test_a_smaller_cube_has_less_inertia_at_the_same_mass():
  model = cube_model("position", 0.005)
  own = cube_edge((0.04, 0.04))(jax.random.key(0), model, {})
  body = model.body("cube").id
  np.testing.assert_allclose(own["geom_size"][model.geom("cube").id], 0.02)
  expected = model.body_mass[body] * 0.04**2 / 6.0
  np.testing.assert_allclose(own["body_inertia"][body], expected, rtol=1e-5)
  others = np.arange(model.nbody) != body
  np.testing.assert_allclose(own["body_inertia"][others], model.body_inertia[others], rtol=1e-6)


def squeezed() -> np.ndarray:
  """Positions with a cube on the table between the fingers: all that may touch touches."""
  model = cube_model("position", 0.005)
  data = mujoco.MjData(model)
  env = make(disturbances=CALM, variation=None)
  data.qpos[:] = starts(env).data.physics.qpos[0]
  # Down to the table by the arm's own kinematics, 3 mm at a time.
  for _ in range(300):
    mujoco.mj_forward(model, data)
    site = model.site("gripper").id
    gap = np.append(np.array([0.5, 0.0, EDGE / 2]) - data.site_xpos[site], np.zeros(3))
    linear, angular = np.zeros((3, model.nv)), np.zeros((3, model.nv))
    mujoco.mj_jacSite(model, data, linear, angular, site)
    jacobian = np.concatenate([linear, angular])[:, :7]
    data.qpos[:7] += np.linalg.pinv(jacobian) @ np.clip(gap, -0.003, 0.003)
  data.qpos[7:9] = EDGE / 2
  data.qpos[9:16] = 0.5, 0.0, EDGE / 2, 1.0, 0.0, 0.0, 0.0
  return data.qpos.astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mjx", "warp"])
def test_engines_have_room_for_a_grasp_and_agree_on_it(name):
  if name == "warp" and importlib.util.find_spec("warp") is None:
    pytest.skip("needs the extra warp")
  model, qpos = cube_model("position", 0.005), squeezed()
  controls = jnp.tile(jnp.append(qpos[:7], 0.0), (10, 1))
  found = {}
  for engine in (make_engine(which, model, 10, worlds=2) for which in ("native", name)):

    def run(qpos, engine=engine):
      def step(state, _):
        state = engine.step(state, controls, {})
        return state, state

      return jax.lax.scan(step, engine.start(qpos, jnp.zeros(model.nv), {}), length=4)[1]

    found[engine.name] = jax.jit(jax.vmap(run))(jnp.stack([qpos, qpos]))
  ours, theirs = found["native"], found[name]
  assert not np.any(ours.overflow) and not np.any(theirs.overflow)
  np.testing.assert_allclose(theirs.qpos, ours.qpos, atol=2e-3)
  sensors = Sensors(model)
  for side in ("left", "right"):
    forces = [sensors(of.sensordata, f"{side}_tip_contact")[:, -1] for of in (ours, theirs)]
    assert np.min(forces) > 5.0
    np.testing.assert_allclose(forces[1], forces[0], rtol=0.15)
