"""The maze as an environment: what it shows, what it rewards, and which tasks it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.envs.maze import dynamics, layouts
from jaxskills.envs.maze.maze import MazeData, make_maze
from jaxskills.envs.maze.view import egocentric_view

KEY = jax.random.key(0)
UP = jnp.array([-1.0, 0.0])


def room(side=12):
  walls = np.ones((side, side), bool)
  walls[1:-1, 1:-1] = False
  return walls


def at(maze, position, velocity=(0.0, 0.0)):
  """A state of the maze with the ball put somewhere."""
  place = jnp.array(position, jnp.float32)
  return maze.reset(KEY).replace(data=MazeData(place, jnp.array(velocity), place))


def test_an_episode_begins_at_rest_in_the_middle_of_the_start_cell():
  state = make_maze("task").reset(KEY)
  np.testing.assert_array_equal(state.data.position, np.array(layouts.TASK_START) + 0.5)
  np.testing.assert_array_equal(state.data.velocity, 0.0)
  assert float(state.reward) == float(state.done) == float(state.metrics["success"]) == 0.0


def test_a_start_spread_fills_its_square_and_no_more():
  maze = make_maze("task", start_spread=0.3)
  keys = jax.random.split(KEY, 500)
  positions = jax.jit(jax.vmap(lambda key: maze.reset(key).data.position))(keys)
  offsets = positions - (np.array(layouts.TASK_START) + 0.5)
  assert 0.29 < np.abs(offsets).max() <= 0.3
  np.testing.assert_allclose(offsets.mean(0), 0.0, atol=0.04)


def test_the_two_frames_are_now_and_one_control_step_before():
  maze = make_maze("task")
  first = maze.reset(KEY)
  np.testing.assert_array_equal(first.obs["view"][..., 0], first.obs["view"][..., 1])
  second = maze.step(first, jnp.array([1.0, -0.5]))
  third = maze.step(second, jnp.array([1.0, -0.5]))
  np.testing.assert_array_equal(third.obs["view"][..., 1], second.obs["view"][..., 0])
  assert (third.obs["view"][..., 0] != third.obs["view"][..., 1]).any()
  walls = jnp.array(layouts.task_layout())
  np.testing.assert_array_equal(
    third.obs["view"][..., 0], egocentric_view(walls, third.data.position)
  )


def test_the_state_modality_is_place_then_velocity():
  maze = make_maze("task")
  state = maze.step(maze.reset(KEY), jnp.array([1.0, -0.5]))
  expected = np.concatenate([state.data.position, state.data.velocity])
  np.testing.assert_array_equal(state.obs["state"], expected)


def test_a_step_is_one_step_of_the_dynamics():
  maze = make_maze("task")
  state, action = maze.reset(KEY), jnp.array([0.3, 0.9])
  walls = jnp.array(layouts.task_layout())
  position, velocity = dynamics.advance(walls, state.data.position, state.data.velocity, action)
  after = maze.step(state, action)
  np.testing.assert_array_equal(after.data.position, position)
  np.testing.assert_array_equal(after.data.velocity, velocity)
  np.testing.assert_array_equal(after.data.previous_position, state.data.position)


def test_advance_leaves_the_picture_to_observe():
  maze = make_maze("task")
  state = maze.reset(KEY)
  advanced, stepped = maze.advance(state, UP), maze.step(state, UP)
  assert advanced.obs is state.obs
  for ours, theirs in zip(
    jax.tree.leaves(maze.observe(advanced.data)), jax.tree.leaves(stepped.obs), strict=True
  ):
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("distance", "reward"), [(1.99, 1.0), (2.01, 0.0)])
@pytest.mark.parametrize("angle", [0.0, 0.8, 2.5, 4.0])
def test_the_reward_is_one_within_two_metres_of_the_goal(distance, reward, angle):
  maze = make_maze(room(), start=(2, 2), goal=(5, 5))
  place = 5.5 + distance * np.array([np.cos(angle), np.sin(angle)])
  state = maze.step(at(maze, place), jnp.zeros(2))
  assert float(state.reward) == reward
  assert float(state.metrics["success"]) == reward


def test_a_place_exactly_at_the_radius_is_within_reach():
  maze = make_maze(room(), start=(2, 2), goal=(5, 5))
  assert float(maze.success(jnp.array([7.5, 5.5]))) == 1.0


def test_the_goal_radius_can_be_chosen():
  maze = make_maze(room(), start=(2, 2), goal=(5, 5), goal_radius=0.5)
  assert float(maze.success(jnp.array([6.1, 5.5]))) == 0.0


def test_reward_is_paid_for_every_step_and_nothing_ever_ends():
  maze = make_maze(room(), start=(5, 5), goal=(5, 5))
  states = jax.lax.scan(
    lambda state, _: (maze.step(state, jnp.zeros(2)),) * 2, maze.reset(KEY), None, length=5
  )[1]
  np.testing.assert_array_equal(states.reward, 1.0)
  np.testing.assert_array_equal(states.done, 0.0)


def test_the_goal_cannot_be_seen():
  here, elsewhere = (make_maze(room(), start=(5, 5), goal=goal) for goal in [(5, 6), (9, 9)])
  np.testing.assert_array_equal(here.reset(KEY).obs["view"], elsewhere.reset(KEY).obs["view"])


def test_what_wrappers_keep_in_info_is_passed_on():
  maze = make_maze("quick")
  state = maze.reset(KEY).replace(info={"mine": jnp.ones(3)})
  np.testing.assert_array_equal(maze.step(state, UP).info["mine"], 1.0)


def test_a_batch_of_worlds_is_each_world_alone():
  maze = make_maze("quick", start_spread=0.4)
  keys, actions = jax.random.split(KEY, 7), jax.random.normal(KEY, (7, 2))
  batch = jax.jit(jax.vmap(lambda key, action: maze.step(maze.reset(key), action)))(keys, actions)
  alone = jax.jit(lambda key, action: maze.step(maze.reset(key), action))
  for index in (0, 6):
    expected = alone(keys[index], actions[index])
    np.testing.assert_allclose(batch.data.position[index], expected.data.position, rtol=1e-6)
    difference = batch.obs["view"][index].astype(int) - expected.obs["view"].astype(int)
    assert np.abs(difference).max() <= 1


def test_a_named_task_takes_another_start_and_goal():
  maze = make_maze("task", start=(1, 1), goal=(1, 2))
  assert maze.task.start == (1, 1) and maze.task.goal == (1, 2)
  assert maze.task.episode_steps == 2000


def enclosed():
  walls = room(7)
  walls[3] = True
  return walls


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ({"layout": "taks"}, "did you mean 'task'"),
    ({"layout": room()}, "needs a start and a goal"),
    ({"layout": np.zeros((5, 5), bool), "start": (1, 1), "goal": (2, 2)}, "solid border, 20 of"),
    ({"layout": room(), "start": (0, 3), "goal": (2, 2)}, r"start \(0, 3\) is not a free cell"),
    ({"layout": room(), "start": (1, 1), "goal": (2, 12)}, r"goal \(2, 12\) is not a free cell"),
    ({"layout": room(), "start": (-2, 1), "goal": (2, 2)}, r"start \(-2, 1\) is not a free cell"),
    ({"layout": enclosed(), "start": (1, 1), "goal": (5, 5)}, "cannot be reached"),
    ({"goal_radius": 0.0}, "must be positive, got 0.0"),
    ({"start_spread": 0.45}, "within 0 and 0.4 m, got 0.45"),
  ],
)
def test_what_cannot_be_a_task_is_refused(arguments, message):
  with pytest.raises(ValueError, match=message):
    make_maze(**arguments)
