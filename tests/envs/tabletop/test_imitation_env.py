"""The world of one demonstration: where episodes begin and end, what is seen, and what it pays."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.envs.panda.control import Control
from jaxskills.envs.tabletop import imitation_env, tasks
from jaxskills.envs.tabletop.demonstration import HELD_FRAMES
from jaxskills.envs.tabletop.imitation_env import FIRST_OBJECT, ImitationEnv, Reference, Starts
from jaxskills.envs.tabletop.push_together import PUSH_TOGETHER, demonstrate_push
from jaxskills.envs.tabletop.scene import SUBSTEPS, make_model
from jaxskills.physics.engine import make_engine

KEYS = jax.random.split(jax.random.key(0), 16)
EXACT = Starts(anywhere=0.0, joint=0.0, object=0.0)
FAST = Control(mode="end_effector", gripper_speed=0.5, speed=0.8, acceleration=0.8)


@functools.cache
def shown():
  return demonstrate_push(1000)


@functools.cache
def engine():
  return make_engine("native", make_model(shown().scene, looks=False), SUBSTEPS, threads=1)


def reference(qpos=None):
  given = shown()
  qpos = given.qpos if qpos is None else qpos
  return Reference(jnp.asarray(qpos), jnp.asarray(given.qvel), jnp.asarray(given.ctrl[:, -1]))


def succeeds(qpos, qvel, gripper):
  now = tasks.situation(qpos, qvel, gripper, 2)
  return jnp.asarray(tasks.is_success(PUSH_TOGETHER, shown().scene.layout, now))


def make(starts=EXACT, far=0.0, qpos=None, grips=False):
  return ImitationEnv(
    engine(), reference(qpos), succeeds, grips=grips, control=FAST, starts=starts, far=far
  )


@functools.cache
def starts_anywhere():
  env = make(Starts(anywhere=1.0))
  return env, jax.jit(jax.vmap(env.reset))(KEYS)


@functools.cache
def followed():
  """The states of an episode in which the gripper is steered along the demonstration."""
  env = make(far=0.15)
  places = imitation_env.reference_places(env)[:, 0]

  def step(state, _):
    ahead = places[jnp.minimum(state.data.frame + 2, env.last)] - state.data.gripper
    state = env.step(state, ahead / (2.0 * env.step_seconds * FAST.gripper_speed))
    return state, state

  def run(key):
    return jax.lax.scan(step, env.reset(key), length=env.last + 6)[1]

  return env, jax.jit(run)(KEYS[0])


def test_an_episode_begins_in_a_state_of_the_demonstration():
  env, states = starts_anywhere()
  frame = np.asarray(states.data.frame)
  assert len(set(frame.tolist())) > 5 and frame.max() < env.last
  late = frame > 0
  np.testing.assert_allclose(states.data.physics.qpos[late], shown().qpos[frame[late]], atol=1e-5)
  np.testing.assert_allclose(states.data.physics.qvel[late], shown().qvel[frame[late]], atol=1e-5)
  np.testing.assert_allclose(states.data.opening, shown().ctrl[frame, -1], atol=1e-6)


def test_a_command_at_the_start_ends_where_the_joints_are():
  env, states = starts_anywhere()
  target = jax.vmap(env.arm.target)(states.data.command)
  np.testing.assert_allclose(target, states.data.physics.qpos[:, :7], atol=2e-3)


def test_only_starts_at_the_beginning_are_spread():
  env = make(Starts(anywhere=0.0, joint=0.02, object=0.005))
  states = jax.vmap(env.reset)(KEYS)
  moved = np.asarray(states.data.physics.qpos) - shown().qpos[0]
  assert (states.data.frame == 0).all()
  assert 0.005 < np.abs(moved[:, :7]).max() <= 0.02 + 1e-5
  blocks = moved[:, FIRST_OBJECT:].reshape(len(moved), 2, 7)
  assert 0.001 < np.abs(blocks[..., :2]).max() <= 0.005 + 1e-5
  np.testing.assert_allclose(blocks[..., 2:], 0.0, atol=1e-5)


def test_who_steers_the_gripper_along_the_demonstration_does_the_task():
  env, states = followed()
  assert not np.any(states.metrics["astray"])
  assert states.metrics["success"][-1] == 1.0 and not np.any(states.metrics["success"][:20])
  np.testing.assert_array_equal(states.reward, states.metrics["success"])
  np.testing.assert_array_equal(states.data.frame[-7:], env.last)


def test_the_world_ends_where_the_gripper_is_far_from_the_demonstrations():
  away = shown().qpos.copy()
  away[5:, 0] += 0.5  # the demonstration is 20 cm and more from where the hand stays
  env = make(far=0.15, qpos=away)
  step = jax.jit(env.step)
  state = env.reset(KEYS[0])
  for _ in range(4):
    state = step(state, jnp.zeros(3))
    assert state.done == 0.0
  state = step(state, jnp.zeros(3))
  assert state.done == state.metrics["astray"] == 1.0


def test_what_is_seen_of_joints_and_objects():
  env, states = followed()
  assert {name: leaf.shape for name, leaf in env.spec().observation.items()} == {
    "joints": (8,),
    "objects": (9,),
    "phase": (imitation_env.PHASE_WAVES,),
  }
  last = jax.tree.map(lambda leaf: leaf[-1], states)
  expected = last.data.physics.qpos[FIRST_OBJECT:].reshape(2, 7)[:, :3]
  seen = last.obs["objects"].reshape(3, 3) / 10.0 + jnp.array([0.5, 0.0, 0.0])
  np.testing.assert_allclose(seen[1:], expected, atol=1e-5)
  np.testing.assert_allclose(seen[0], last.data.gripper, atol=1e-5)


def test_the_phase_tells_every_frame_of_the_demonstration_from_every_other():
  env, states = followed()
  seen = np.asarray(states.obs["phase"])[: env.last]
  share = np.arange(1, env.last + 1) / env.last
  waves = np.arange(1, imitation_env.PHASE_WAVES + 1)
  np.testing.assert_allclose(seen, np.cos(np.pi * np.outer(share, waves)), atol=1e-5)
  apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)[~np.eye(env.last, dtype=bool)]
  assert apart.min() > 0.3  # of vectors 3 to 4 long


def test_fingers_move_only_where_the_task_grips():
  assert make().action_size == 3
  env = make(grips=True)
  assert env.action_size == 4
  state = env.step(env.reset(KEYS[0]), jnp.array([0.0, 0.0, 0.0, 1.0]))
  assert state.data.opening > shown().ctrl[0, -1]


@pytest.mark.parametrize(
  ("starts", "far", "complaint"),
  [
    (Starts(anywhere=1.5), 0.0, "anywhere is a share of episodes, not 1.5"),
    (Starts(joint=-0.1), 0.0, "joint must not be negative, got -0.1"),
    (EXACT, -1.0, "far must not be negative, got -1.0"),
  ],
)
def test_numbers_that_make_no_sense_are_refused(starts, far, complaint):
  with pytest.raises(ValueError, match=complaint):
    make(starts, far)


def test_a_demonstration_of_another_scene_is_refused():
  with pytest.raises(ValueError, match="has 24 positions and the scene 23"):
    make(qpos=np.zeros((5, 24), np.float32))


def test_the_reduced_demonstration_is_the_same_again_and_ends_in_success():
  given, again = shown(), demonstrate_push(1000)
  np.testing.assert_array_equal(given.qpos, again.qpos)
  assert given.scene == again.scene and [item.color for item in given.scene.items] == [
    "red",
    "blue",
  ]
  windows = np.lib.stride_tricks.sliding_window_view(given.labels["success"], HELD_FRAMES)
  assert windows[-1].all() and not windows[:-1].all(axis=1).any()  # it ends once it has held


def test_the_hand_of_the_reduced_demonstration_stays_where_its_push_ended():
  still = (np.abs(np.diff(shown().ctrl, axis=0)) < 1e-6).all(axis=1)
  runs = np.diff(np.flatnonzero(np.diff(np.pad(still, 1).astype(int))))[::2]
  assert runs.max() >= 5  # between six commands
