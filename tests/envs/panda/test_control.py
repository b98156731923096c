"""What the servos are told: never beyond a limit, whatever the policy does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.assets.panda import PANDA, panda_model
from jaxskills.envs.panda import control, kinematics
from jaxskills.envs.panda.control import ArmControl, Control

CHAIN = kinematics.make_chain(panda_model(looks=False), "gripper")
SECONDS, SUBSTEPS = 0.05, 10
LOWER, UPPER = np.array(PANDA.lower), np.array(PANDA.upper)
START = jnp.array(PANDA.default_pose)


def make(**changes) -> ArmControl:
  return ArmControl(Control(**changes), PANDA, CHAIN, SECONDS)


def follow(arm: ArmControl, actions, start=START, is_stuck: bool = False):
  """What the servos are told, `[steps * substeps, 7]`, and the commands.

  A perfect arm is where it was told to be; one that is stuck never moves.
  """

  def step(carry, action):
    last, position = carry
    command = arm.follow(last, action, position)
    told = arm.told(last, command, SUBSTEPS, jnp.asarray(0))
    moved = position + SECONDS * jnp.mean(told, axis=0) if arm.is_velocity else told[-1]
    return (command, position if is_stuck else moved), (told, command, moved)

  told, commands, moved = jax.jit(
    lambda start, actions: jax.lax.scan(step, (arm.rest(start), start), actions)[1]
  )(start, jnp.asarray(actions, jnp.float32))
  return np.asarray(told).reshape(-1, 7), commands, np.asarray(moved)


def wild(size: int, steps: int = 400) -> np.ndarray:
  """Actions that jump, and then push one way for long."""
  rng = np.random.default_rng(0)
  jumps = np.sign(rng.normal(size=(steps // 2, size)))
  return np.concatenate(
    [jumps, np.repeat(np.sign(rng.normal(size=(5, size))), steps // 10, axis=0)]
  )


@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("mode", control.MODES)
def test_no_action_takes_a_command_beyond_a_limit(mode, share):
  arm = make(mode=mode, speed=share, acceleration=share)
  told, _, moved = follow(arm, wild(arm.action_size))
  tick = SECONDS / SUBSTEPS
  if mode == "joint_velocity":
    velocity = np.concatenate([np.zeros((1, 7)), told])
    assert (moved >= LOWER).all() and (moved <= UPPER).all()
  else:
    velocity = np.diff(told, axis=0, prepend=np.asarray(START)[None]) / tick
    assert (told >= LOWER).all() and (told <= UPPER).all()
  acceleration = np.diff(velocity, axis=0) / tick
  room = 2e-3 if mode == "joint_velocity" else 2e-2  # differences of float32
  assert (np.abs(velocity) <= share * np.array(PANDA.velocity_limit) + 1e-3).all()
  assert (
    np.abs(acceleration) <= (1 + room) * share * np.array(PANDA.acceleration_limit) + 0.2
  ).all()
  assert np.abs(velocity).max() > 0.4 * share * PANDA.velocity_limit[0]  # it does move


@pytest.mark.parametrize("mode", ["joint_position", "joint_velocity"])
def test_a_joint_that_is_pushed_to_its_end_stops_short_of_it_and_stays(mode):
  arm = make(mode=mode, speed=1.0, acceleration=1.0)
  for sign, end in ((1.0, UPPER), (-1.0, LOWER)):
    _, _, moved = follow(arm, np.full((150, 7), sign))
    np.testing.assert_allclose(moved[-1], end - sign * 0.05, atol=1e-2)


def test_an_action_of_one_asks_for_the_share_of_the_velocity_limit():
  arm = make(speed=0.4)
  _, commands, _ = follow(arm, np.tile([1.0, -1.0, 0.5, 0.0, 0.0, 0.0, 0.0], (8, 1)))
  expected = 0.4 * np.array(PANDA.velocity_limit) * [1.0, -1.0, 0.5, 0.0, 0.0, 0.0, 0.0]
  np.testing.assert_allclose(commands.end[-1], expected, atol=1e-6)


def test_targets_wait_on_a_leash_for_an_arm_that_is_stuck():
  arm = make(leash=0.15)
  told, _, _ = follow(arm, np.ones((60, 7)), is_stuck=True)
  ahead = told - np.asarray(START)
  assert ahead.max() <= 0.15 + 1e-3
  np.testing.assert_allclose(ahead[-1, [0, 2, 4]], 0.15, atol=5e-3)


@pytest.mark.parametrize("latency", [0, 3, SUBSTEPS])
@pytest.mark.parametrize("mode", ["joint_position", "joint_velocity"])
def test_latency_shifts_what_is_told_and_changes_nothing_else(mode, latency):
  arm = make(mode=mode)
  actions = wild(7, 20)
  told, commands, _ = follow(arm, actions)
  rest = arm.rest(START)
  last = jax.tree.map(lambda one, many: jnp.concatenate([one[None], many[:-1]]), rest, commands)
  late = jax.vmap(lambda last, now: arm.told(last, now, SUBSTEPS, jnp.asarray(latency)))(
    last, commands
  )
  before = np.zeros(7) if arm.is_velocity else np.asarray(START)
  expected = np.concatenate([np.tile(before, (latency, 1)), told])[: len(told)]
  np.testing.assert_allclose(np.asarray(late).reshape(-1, 7), expected, atol=1e-6)


def gripper(told: np.ndarray) -> kinematics.Pose:
  return jax.vmap(lambda angles: kinematics.pose(CHAIN, angles))(jnp.asarray(told))


def test_the_gripper_moves_as_an_action_asks_and_stays_upright():
  arm = make(mode="end_effector", gripper_speed=0.2)
  told, _, _ = follow(arm, np.tile([0.0, 1.0, -0.5], (20, 1)))
  poses = gripper(told)
  travelled = poses.position - poses.position[0]
  velocity = (poses.position[-1] - poses.position[-1 - SUBSTEPS]) / SECONDS
  np.testing.assert_allclose(velocity, [0.0, 0.2, -0.1], atol=1.2e-2)
  assert np.abs(travelled[:, 0]).max() < 1e-2
  np.testing.assert_allclose(poses.rotation[:, :, 2], [[0.0, 0.0, -1.0]] * len(told), atol=2e-2)


def test_the_commanded_gripper_stays_in_its_workspace():
  low, high = (0.3, -0.2, 0.1), (0.5, 0.2, 0.6)
  arm = make(mode="end_effector", workspace=(low, high))
  for action, axis, end in (((0, 0, -1), 2, 0.1), ((0, 1, 0), 1, 0.2), ((1, 0, 0), 0, 0.5)):
    told, _, _ = follow(arm, np.tile(action, (80, 1)))
    along = gripper(told).position[:, axis]
    assert np.abs(along - end).min() < 5e-3 and abs(along[-1] - end) < 5e-3
    assert np.max(sum(action) * (along - end)) < 5e-3


def test_fingers_go_where_they_are_told_at_a_bounded_speed():
  opening = lambda start, action: float(  # noqa: E731
    control.open_gripper(jnp.asarray(start), jnp.asarray(action), (0.0, 0.04), 0.0025)
  )
  assert opening(0.03, -1.0) == pytest.approx(0.0275)
  assert opening(0.03, 1.0) == pytest.approx(0.0325)
  assert opening(0.001, -1.0) == pytest.approx(0.0)
  assert opening(0.019, 0.0) == pytest.approx(0.02)


def test_limit_use_is_that_of_the_joint_that_uses_most():
  one = lambda index, value: jnp.zeros(7).at[index].set(value)  # noqa: E731
  used = control.limit_use(
    PANDA,
    velocity=one(4, -2.61),
    acceleration=one(1, 3.75),
    jerk=one(0, 7500.0).at[6].set(1.0),
    torque=one(6, -6.0).at[0].set(8.7),
    torque_rate=one(3, 250.0),
  )
  expected = {"velocity": 1.0, "acceleration": 0.5, "jerk": 1.0, "torque": 0.5, "torque_rate": 0.25}
  assert {name.removeprefix("limits/"): float(value) for name, value in used.items()} == (
    pytest.approx(expected)
  )
  unknown = PANDA._replace(jerk_limit=None)
  zero = jnp.zeros(7)
  left = control.limit_use(
    unknown, velocity=zero, acceleration=zero, jerk=zero, torque=zero, torque_rate=zero
  )
  assert set(used) - set(left) == {"limits/jerk"}


@pytest.mark.parametrize(
  ("changes", "said"),
  [
    ({"mode": "end_efector"}, "unknown control 'end_efector'; did you mean end_effector?"),
    ({"speed": 0.0}, r"speed must lie in \(0, 1\], not 0.0"),
    ({"acceleration": 1.5}, r"acceleration must lie in \(0, 1\], not 1.5"),
    ({"leash": 0.0}, "leash must be positive"),
    ({"gripper_speed": -1.0}, "gripper_speed must be positive"),
    ({"workspace": ((0.5, 0.0, 0.0), (0.4, 1.0, 1.0))}, "lowest corner first"),
  ],
)
def test_a_way_of_acting_that_makes_no_sense_is_refused(changes, said):
  with pytest.raises(ValueError, match=said):
    make(**changes)
