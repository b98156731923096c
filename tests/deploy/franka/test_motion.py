"""The command generator, against the environment's and against its twin in C."""

import ctypes

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.assets.panda import PANDA
from jaxskills.deploy import native
from jaxskills.deploy.franka import motion, sources
from jaxskills.deploy.franka.motion import JOINTS, SMOOTHING_TICKS, TICK_SECONDS
from jaxskills.envs.panda import kinematics
from jaxskills.envs.panda.arm import Disturbances
from jaxskills.envs.panda.control import ArmControl, Control
from jaxskills.envs.panda.make import make_panda_reach
from jaxskills.errors import UserError


@pytest.fixture(scope="module")
def trained(constants):
  """The environment's own command generator."""
  chain = kinematics.Chain(constants.offsets, constants.rotations)
  return ArmControl(Control(), PANDA, chain, constants.period)


def actions(count: int, seed: int = 0) -> np.ndarray:
  """Half of them at the ends of their range, which uses limits most."""
  random = np.random.default_rng(seed)
  values = random.uniform(-1.5, 1.5, (count, JOINTS))
  return np.where(random.random((count, 1)) < 0.5, np.sign(values), values).astype(np.float32)


def test_actions_mean_what_they_meant_in_training(constants, trained):
  pose, random = np.array(PANDA.default_pose), np.random.default_rng(1)
  ours, theirs = motion.begin(constants, pose), trained.rest(jnp.asarray(pose))
  follow = jax.jit(trained.follow)
  for action in actions(200):
    measured = np.asarray(trained.target(theirs), np.float64) + random.normal(0.0, 0.05, JOINTS)
    theirs = follow(theirs, jnp.clip(action, -1.0, 1.0), jnp.asarray(measured))
    ours = motion.follow(constants, ours, action, measured)
    for name in ("position", "begin", "end"):
      np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=2e-5)
    ours = ours._replace(ticks=constants.period_ticks)


def test_a_period_is_sampled_as_the_servos_were_told_in_training(constants, trained):
  pose = np.array(PANDA.default_pose)
  before = trained.rest(jnp.asarray(pose))
  now = trained.follow(before, jnp.full(JOINTS, 0.7), jnp.asarray(pose))
  told = np.asarray(trained.told(before, now, constants.period_ticks, jnp.asarray(0)))
  places = np.concatenate([np.tile(pose, (SMOOTHING_TICKS - 1, 1)), told])
  averaged = np.stack([places[i : i + SMOOTHING_TICKS].mean(0) for i in range(len(told))])
  state = motion.begin(constants, pose)
  state, found = motion.follow(constants, state, np.full(JOINTS, 0.7), pose), []
  for _ in range(constants.period_ticks):
    state, target = motion.tick(constants, state)
    found.append(target)
  np.testing.assert_allclose(found, averaged, atol=1e-6)


def test_targets_are_within_half_of_every_limit_and_an_eighth_of_jerk(constants):
  places = _stream(constants, actions(60, seed=3))
  velocity = np.diff(places, axis=0) / TICK_SECONDS
  acceleration = np.diff(velocity, axis=0) / TICK_SECONDS
  jerk = np.diff(acceleration, axis=0) / TICK_SECONDS
  for value, limit, share in (
    (velocity, PANDA.velocity_limit, 0.5),
    (acceleration, PANDA.acceleration_limit, 0.5),
    (jerk, PANDA.jerk_limit, 0.125),
  ):
    assert np.abs(value / np.asarray(limit)).max() <= share * (1.0 + 1e-5)
  assert (places >= constants.lower).all() and (places <= constants.upper).all()


def test_without_another_action_the_motion_brakes_and_is_still(constants):
  state = motion.begin(constants, np.array(PANDA.default_pose))
  for _ in range(10):
    state = motion.follow(constants, state, np.ones(JOINTS), state.position)
    for _ in range(constants.period_ticks):
      state, _ = motion.tick(constants, state)
  assert np.abs(state.end).max() > 0.3
  for _ in range(600):
    state, target = motion.tick(constants, state)
  assert not state.begin.any() and not state.end.any()
  np.testing.assert_array_equal(motion.tick(constants, state)[1], target)


def test_c_gives_the_same_bits(constants, tmp_path):
  asked = actions(80, seed=5)
  library = _library(constants, tmp_path)
  state = ctypes.create_string_buffer(library.motion_bytes())
  pose, target = np.array(PANDA.default_pose), np.empty(JOINTS)
  library.franka_motion_begin(state, _at(pose))
  told = []
  for index, action in enumerate(asked):
    if index % 7 < 5:  # now and then none comes
      measured = told[-1] if told else pose
      library.franka_motion_follow(state, _at(action), _at(measured))
    for _ in range(constants.period_ticks - index % 3):  # and they do not come on time
      library.franka_motion_tick(state, _at(target))
      told.append(target.copy())
  np.testing.assert_array_equal(np.stack(told), _stream(constants, asked, irregular=True))


def test_c_sees_what_numpy_sees(constants, tmp_path):
  library, random = _library(constants, tmp_path), np.random.default_rng(2)
  pose, place = np.array(PANDA.default_pose), np.array([0.5, 0.1, 0.3])
  state = ctypes.create_string_buffer(library.motion_bytes())
  library.franka_motion_begin(state, _at(pose))
  ours = motion.begin(constants, pose)
  sight = ctypes.create_string_buffer(library.sight_bytes())
  seen = np.empty(len(constants.scale), np.float32)
  for action in actions(20, seed=7):
    q, dq = pose + random.normal(0.0, 0.2, JOINTS), random.normal(0.0, 0.3, JOINTS)
    library.franka_motion_follow(state, _at(action), _at(q))
    ours = motion.follow(constants, ours, action, q)
    library.franka_motion_look(state, _at(q), _at(dq), _at(place), sight)
    library.franka_observe(sight, _at(seen))
    expected = motion.observe(constants, motion.look(constants, ours, q, dq, place))
    np.testing.assert_allclose(seen, expected, atol=1e-6)


def test_the_policy_sees_what_it_saw_in_training(constants):
  env = make_panda_reach(
    "native", variation=None, disturbances=Disturbances(noise=0.0, latency_seconds=0.0)
  )
  state = jax.jit(env.reset)(jax.random.key(3))
  ours = motion.begin(constants, np.asarray(state.data.physics.qpos[:JOINTS], np.float64))
  step = jax.jit(env.step)
  for action in [None, *actions(4, seed=9)]:
    if action is not None:
      measured = np.asarray(state.data.physics.qpos[:JOINTS], np.float64)
      state = step(state, jnp.asarray(action))
      ours = motion.follow(constants, ours, action, measured)
      ours = ours._replace(ticks=constants.period_ticks)
    physics = state.data.physics
    q, dq = (np.asarray(value[:JOINTS], np.float64) for value in (physics.qpos, physics.qvel))
    sight = motion.look(constants, ours, q, dq, np.asarray(state.data.goal, np.float64))
    np.testing.assert_allclose(motion.observe(constants, sight), state.obs["state"], atol=2e-5)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"robot": "h1"}, "for robot 'h1', not for 'franka'"),
    ({"parts": {"robot": {"name": "fr3"}, "task": {}}}, "those of a 'fr3'"),
    ({"observation": [{"terms": [{"name": "cube_position"}]}]}, "cannot measure cube_position"),
  ],
)
def test_a_bundle_of_another_robot_or_with_other_senses_is_refused(manifest, change, message):
  with pytest.raises(UserError, match=message):
    motion.constants_of({**manifest, **change})


def test_a_way_of_acting_that_this_controller_lacks_is_refused(manifest):
  task = manifest["parts"]["task"]
  other = {**task, "control": {**task["control"], "mode": "end_effector"}}
  with pytest.raises(UserError, match="not panda/reach with end_effector"):
    motion.constants_of({**manifest, "parts": {**manifest["parts"], "task": other}})


def _stream(constants, asked, *, irregular: bool = False) -> np.ndarray:
  state, told = motion.begin(constants, np.array(PANDA.default_pose)), []
  for index, action in enumerate(asked):
    if not irregular or index % 7 < 5:
      measured = told[-1] if told else np.array(PANDA.default_pose)
      state = motion.follow(constants, state, action, measured)
    for _ in range(constants.period_ticks - (index % 3 if irregular else 0)):
      state, target = motion.tick(constants, state)
      told.append(target)
  return np.stack(told)


def _library(constants, folder) -> ctypes.CDLL:
  made = sources.header(constants, "0" * 64, "1" * 64).encode()
  sizes = b'#include "franka_motion.h"\nint motion_bytes(void);\nint sight_bytes(void);\n'
  sizes += b"int motion_bytes(void) { return (int)sizeof(franka_motion); }\n"
  sizes += b"int sight_bytes(void) { return (int)sizeof(franka_sight); }\n"
  files = {name: sources.read(name) for name in ("franka_motion.h", "franka_motion.c")}
  files |= {"franka_constants.h": made, "sizes.c": sizes}
  return ctypes.CDLL(str(native.compile_library(files, folder)))


def _at(array: np.ndarray) -> ctypes.c_void_p:
  return ctypes.c_void_p(array.ctypes.data)
