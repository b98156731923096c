import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.envs.tabletop import tasks
from jaxskills.envs.tabletop.push_together import PUSH_TOGETHER
from jaxskills.envs.tabletop.tasks import TASKS, Layout, Situation

HALF = 0.025  # m
AWAY = (0.4, 0.0, 0.3)  # a gripper that has let go


def layout(count, zones=None):
  places = np.zeros((count, 4)) if zones is None else np.array(zones)
  return Layout(np.full((count, 3), HALF), places)


def standing(*places, gripper=AWAY):
  """Objects at rest, at `x y` on the table or at `x y level` of a stack."""
  full = [(*place, 0)[:3] for place in places]
  positions = np.array([(x, y, HALF + 2 * HALF * level) for x, y, level in full])
  quaternions = np.tile([1.0, 0.0, 0.0, 0.0], (len(full), 1))
  return Situation(positions, quaternions, np.zeros((len(full), 6)), np.array(gripper))


TOWER = standing((0.5, 0.0, 1), (0.5, 0.0))  # red on blue
IN_ZONES = ((0.6, -0.15, 0.05, 0.05), (0.6, 0.0, 0.05, 0.05), (0.6, 0.15, 0.05, 0.05))


def is_done(name, now, zones=None):
  return bool(tasks.is_success(TASKS[name], layout(len(now.positions), zones), now))


def test_red_on_blue_is_task_a_and_blue_on_red_is_not():
  assert is_done("A", TOWER)
  assert not is_done("A", standing((0.5, 0.0), (0.5, 0.0, 1)))


@pytest.mark.parametrize(("offset", "stands"), [(0.0187, True), (0.0188, False)])
def test_a_tower_may_overhang_by_three_quarters_of_the_lower_half_width(offset, stands):
  aside = offset / np.sqrt(2.0)
  assert is_done("A", standing((0.5 + aside, aside, 1), (0.5, 0.0))) is stands


@pytest.mark.parametrize(("lifted", "stands"), [(0.0079, True), (0.0081, False), (-0.0081, False)])
def test_what_stands_is_level_with_what_it_stands_on(lifted, stands):
  positions = TOWER.positions + np.array([[0.0, 0.0, lifted], [0.0, 0.0, 0.0]])
  assert is_done("A", TOWER._replace(positions=positions)) is stands


def test_a_tower_in_the_air_is_none():
  positions = TOWER.positions + np.array([0.0, 0.0, 0.05])
  assert not is_done("A", TOWER._replace(positions=positions))


@pytest.mark.parametrize(("degrees", "stands"), [(13.9, True), (14.2, False)])
def test_what_leans_too_far_does_not_stand(degrees, stands):
  half = np.radians(degrees) / 2
  quaternions = np.stack([[np.cos(half), 0.0, np.sin(half), 0.0], [1.0, 0.0, 0.0, 0.0]])
  assert is_done("A", TOWER._replace(quaternions=quaternions)) is stands


def test_yaw_does_not_matter():
  quaternions = np.array([[0.7, 0.0, 0.0, np.sqrt(0.51)], [0.0, 0.0, 0.0, 1.0]])
  assert is_done("A", TOWER._replace(quaternions=quaternions))


@pytest.mark.parametrize(
  ("component", "speed", "done"),
  [(0, 0.029, True), (0, 0.031, False), (5, 0.49, True), (5, 0.51, False)],
)
def test_nothing_moves_once_it_is_done(component, speed, done):
  velocities = np.zeros((2, 6))
  velocities[0, component] = speed
  assert is_done("A", TOWER._replace(velocities=velocities)) is done


def test_the_gripper_has_to_let_go_of_every_object():
  reach = np.linalg.norm([HALF] * 3) + 0.03
  for place in TOWER.positions:
    for distance, done in ((reach - 1e-3, False), (reach + 1e-3, True)):
      side = place + np.array([0.0, distance, 0.0])
      assert is_done("A", TOWER._replace(gripper=side)) is done


def test_sorting_wants_every_block_in_its_own_zone():
  sorted_ = standing((0.6, -0.15), (0.6, 0.0), (0.6, 0.15))
  assert is_done("B", sorted_, IN_ZONES)
  assert not is_done("B", standing((0.6, 0.0), (0.6, -0.15), (0.6, 0.15)), IN_ZONES)
  assert not is_done("B", standing((0.6, -0.15), (0.6, 0.0), (0.5, 0.15)), IN_ZONES)


@pytest.mark.parametrize(("x", "inside"), [(0.551, True), (0.549, False), (0.649, True)])
def test_a_block_is_in_a_zone_if_its_centre_is(x, inside):
  now = standing((x, -0.15), (0.6, 0.0), (0.6, 0.15))
  assert is_done("B", now, IN_ZONES) is inside


def test_a_block_held_over_its_zone_is_not_in_it():
  now = standing((0.6, -0.15, 1), (0.6, 0.0), (0.6, 0.15))
  assert not is_done("B", now, IN_ZONES)


@pytest.mark.parametrize(("gap", "done"), [(1.99 * HALF, True), (2.01 * HALF, False)])
def test_blocks_are_together_if_less_than_a_width_is_between_them(gap, done):
  now = standing((0.5, 0.1), (0.5 + 2 * HALF + gap, 0.1))
  assert bool(tasks.is_success(PUSH_TOGETHER, layout(2), now)) is done


def test_what_stands_on_another_is_not_beside_it():
  now = standing((0.5, 0.1, 1), (0.51, 0.1))
  assert PUSH_TOGETHER.subgoals == ("red beside blue",)
  assert not tasks.subgoals_met(PUSH_TOGETHER, layout(2), now).any()


def test_the_tower_of_three_has_one_order():
  assert is_done("C", standing((0.5, 0.0, 2), (0.5, 0.0, 1), (0.5, 0.0, 0)))
  assert not is_done("C", standing((0.5, 0.0, 1), (0.5, 0.0, 2), (0.5, 0.0, 0)))
  assert not is_done("C", standing((0.5, 0.0, 1), (0.6, 0.1), (0.6, 0.1, 1)))


def test_separating_wants_both_bases_on_the_table():
  done = standing((0.5, 0.0, 1), (0.4, 0.1), (0.5, 0.0), (0.4, 0.1, 1))
  assert is_done("D", done)
  one_tower = standing((0.5, 0.0, 1), (0.5, 0.0, 2), (0.5, 0.0), (0.5, 0.0, 3))
  met = tasks.subgoals_met(TASKS["D"], layout(4), one_tower)
  assert TASKS["D"].subgoals == ("taken apart", "red on blue", "yellow on green")
  assert met.tolist() == [False, True, True]
  assert not is_done("D", one_tower)


def test_a_stack_is_as_high_as_it_has_objects_from_the_table_up():
  floating = standing((0.5, 0.0, 2), (0.5, 0.0, 1), (0.6, 0.1))
  heights = [
    int(tasks.stack_height(layout(3), now))
    for now in (
      standing((0.5, 0.0), (0.6, 0.0), (0.6, 0.1)),
      standing((0.5, 0.0, 1), (0.5, 0.0), (0.6, 0.1)),
      standing((0.5, 0.0, 1), (0.5, 0.0), (0.5, 0.0, 2)),
      floating,
    )
  ]
  assert heights == [1, 2, 3, 1]


def test_jax_under_jit_agrees_with_numpy_on_any_leading_axes():
  rng = np.random.default_rng(0)
  batch = [TOWER, standing((0.5, 0.0), (0.5, 0.0, 1)), TOWER._replace(velocities=np.ones((2, 6)))]
  batch += [
    TOWER._replace(positions=TOWER.positions + rng.normal(0.0, 0.012, (2, 3))) for _ in range(45)
  ]
  qpos = [np.append(np.zeros(9), np.concatenate([b.positions, b.quaternions], 1)) for b in batch]
  qvel = [np.append(np.zeros(9), b.velocities) for b in batch]
  qpos, qvel = np.reshape(qpos, (6, 8, 23)), np.reshape(qvel, (6, 8, 21))
  gripper = np.stack([b.gripper for b in batch]).reshape(6, 8, 3)

  def judge(qpos, qvel, gripper):
    now = tasks.situation(qpos, qvel, gripper, 2)
    return tasks.is_success(TASKS["A"], layout(2), now)

  expected = judge(qpos, qvel, gripper)
  assert expected.shape == (6, 8) and 1 < expected.sum() < 47
  given = (jnp.asarray(part, jnp.float32) for part in (qpos, qvel, gripper))
  np.testing.assert_array_equal(jax.jit(judge)(*given), expected)
