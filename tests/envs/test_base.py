"""The world protocol: the state record, keys of both kinds, and the description of a world."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxskills.envs import base
from jaxskills.envs.maze.maze import make_maze


def test_state_answers_to_the_name_that_brax_uses():
  state = base.State({"x": jnp.ones(2)}, {}, jnp.zeros(()), jnp.zeros(()))
  assert state.pipeline_state is state.data
  moved = state.replace(pipeline_state={"x": jnp.zeros(2)})
  np.testing.assert_array_equal(moved.data["x"], 0.0)
  np.testing.assert_array_equal(state.data["x"], 1.0)


def test_state_is_a_pytree_that_may_hold_anything():
  state = base.State(jnp.ones(3), {"state": jnp.ones(2)}, jnp.zeros(()), jnp.zeros(()))
  shapes = jax.tree.map(lambda leaf: leaf.shape, state)
  assert shapes.data == (3,) and shapes.obs == {"state": (2,)} and shapes.reward == ()
  assert len(jax.tree.leaves(state)) == 4


def test_raw_keys_begin_the_same_episode_as_typed_ones():
  maze = make_maze("quick", start_spread=0.3)
  key = jax.random.key(7)
  typed, raw = maze.reset(key), maze.reset(jax.random.key_data(key))
  np.testing.assert_array_equal(typed.data.position, raw.data.position)


def test_spec_describes_one_world_without_running_it():
  maze = make_maze("quick")
  spec = maze.spec()
  assert dict(spec.observation) == {
    "view": jax.ShapeDtypeStruct((32, 32, 2), jnp.uint8),
    "state": jax.ShapeDtypeStruct((4,), jnp.float32),
  }
  assert (spec.action_size, spec.action_limit, spec.step_seconds) == (2, 1.0, 0.01)
  assert maze.observation_size == {"view": (32, 32, 2), "state": (4,)}
  assert maze.unwrapped is maze
  assert maze.backend == "jax"


def test_a_wrapper_shows_what_it_wraps():
  maze = make_maze("quick")
  wrapped = base.Wrapper(base.Wrapper(maze))
  assert wrapped.unwrapped is maze
  assert wrapped.spec() == maze.spec()
  assert wrapped.backend == maze.backend
