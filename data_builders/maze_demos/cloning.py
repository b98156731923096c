"""Data of mediocre quality: a policy cloned from the planner walks through random mazes.

SPiRL (Pertsch et al. 2020), appendix G, "Only Non-Expert Data": a behaviour-cloned policy of
limited capacity, which does not know the goal, collects the data set from which the prior is then
learned; the paper's bumps into walls 2.5 times a trajectory, which its planner never does. The
clone here is a small network on the current view and the velocity, made on the spot so that the
builder needs no trained run; any other policy can be handed in.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from jaxskills import distributions
from jaxskills.data_builders.maze_demos import planner
from jaxskills.envs.maze import dynamics, layouts, maze, view
from jaxskills.types import Key, Observation

Policy = Callable[[Observation, Key], Float[Array, "2"]]
"""`(observation, key) -> action`: `view` uint8 `[32, 32, 2]` and `state` `[4]`, without batch axes;
the action is clipped to [-1, 1]."""

_WIDTH = 128
_DEMONSTRATIONS = 512
_UPDATES = 1500
_BATCH = 256
_LEARNING_RATE = 1e-3


class Clone(NamedTuple):
  """Parameters of the cloned policy: two hidden layers, then mean and log standard deviation."""

  layers: tuple[tuple[Array, Array], ...]


def clone_planner(key: Key, size: int, max_steps: int) -> Clone:
  """Trains the clone on demonstrations of its own, by the likelihood of single actions."""
  data_key, init_key, train_key = jax.random.split(key, 3)
  demonstrations = _demonstrations(data_key, size, max_steps)
  optimizer = optax.adam(_LEARNING_RATE)
  clone = _new_clone(init_key)

  def loss(clone: Clone, pictures: Array, velocity: Array, action: Array) -> Array:
    gaussian = jax.vmap(_distribution, in_axes=(None, 0, 0))(clone, pictures, velocity)
    return -jnp.mean(distributions.log_prob(gaussian, action))

  def update(carry: tuple[Clone, Any], key: Key) -> tuple[tuple[Clone, Any], None]:
    clone, state = carry
    row_key, step_key = jax.random.split(key)
    row = jax.random.randint(row_key, (_BATCH,), 0, _DEMONSTRATIONS)
    step = jax.random.randint(step_key, (_BATCH,), 0, demonstrations.length[row])
    pictures = jax.vmap(view.egocentric_view)(
      demonstrations.walls[row], demonstrations.position[row, step]
    )
    velocity, action = demonstrations.velocity[row, step], demonstrations.action[row, step]
    gradient = jax.grad(loss)(clone, pictures, velocity, action)
    updates, state = optimizer.update(gradient, state)
    return (jax.tree.map(jnp.add, clone, updates), state), None

  @jax.jit
  def train(clone: Clone, keys: Key) -> Clone:
    (clone, _), _ = jax.lax.scan(update, (clone, optimizer.init(clone)), keys)
    return clone

  return train(clone, jax.random.split(train_key, _UPDATES))


def act(clone: Clone, observation: Observation, key: Key) -> Float[Array, "2"]:
  """Samples an action of the clone."""
  gaussian = _distribution(clone, observation["view"][..., 0], observation["state"][2:])
  return distributions.sample(gaussian, key)


def roll(key: Key, policy: Policy, size: int, max_steps: int) -> planner.Trajectory:
  """Lets a policy walk through one random layout; `vmap` it over keys.

  Returns:
    A trajectory of `max_steps` without a goal, which is given as `(-1, -1)`.
  """
  layout_key, walk_key = jax.random.split(key)
  walls = layouts.generate_layout(layout_key, size)
  series = walk(walk_key, policy, walls, max_steps)
  goal, length = jnp.full(2, -1, jnp.int32), jnp.asarray(max_steps, jnp.int32)
  return planner.Trajectory(walls, *series, length, goal, jnp.array(True))


def walk(
  key: Key, policy: Policy, walls: Bool[Array, "rows columns"], max_steps: int
) -> tuple[Float[Array, "time 2"], Float[Array, "time 2"], Float[Array, "time 2"]]:
  """Lets a policy walk from the middle of a random free cell.

  Returns:
    Position and velocity *before* each action, and the policy's clipped actions.
  """
  place_key, step_key = jax.random.split(key)
  position = planner.random_cells(place_key, walls, 1)[0] + 0.5

  def step(data: maze.MazeData, key: Key) -> tuple[maze.MazeData, tuple[Array, Array, Array]]:
    action = jnp.clip(policy(maze.observe(walls, data), key), -1.0, 1.0)
    position, velocity = dynamics.advance(walls, data.position, data.velocity, action)
    return maze.MazeData(position, velocity, data.position), (data.position, data.velocity, action)

  start = maze.MazeData(position, jnp.zeros(2), position)
  _, series = jax.lax.scan(step, start, jax.random.split(step_key, max_steps))
  return series


def _demonstrations(key: Key, size: int, max_steps: int) -> planner.Trajectory:
  """Demonstrations to clone, those with no way to the goal (about 1 %) standing still."""

  @jax.jit
  @jax.vmap
  def demonstrate(key: Key) -> planner.Trajectory:
    trajectory = planner.demonstrate(key, size, max_steps, planner.Disturbance())
    return trajectory._replace(length=jnp.maximum(trajectory.length, 1))

  return demonstrate(jax.random.split(key, _DEMONSTRATIONS))


def _new_clone(key: Key) -> Clone:
  """Layers with the variance that rectifiers keep (He et al. 2015), biases zero."""
  sizes = (view.VIEW_PIXELS**2 + 2, _WIDTH, _WIDTH, 4)
  keys = jax.random.split(key, len(sizes) - 1)
  pairs = zip(keys, sizes[:-1], sizes[1:], strict=True)
  return Clone(
    tuple(
      (jax.random.normal(key, (fan_in, out)) * jnp.sqrt(2.0 / fan_in), jnp.zeros(out))
      for key, fan_in, out in pairs
    )
  )


def _distribution(clone: Clone, picture: Array, velocity: Array) -> distributions.Gaussian:
  """The distribution of the action, given the current frame and the velocity in m/s."""
  signal = jnp.concatenate([picture.reshape(-1) / 255.0 - 0.5, velocity / dynamics.MAX_SPEED])
  for weights, bias in clone.layers[:-1]:
    signal = jax.nn.relu(signal @ weights + bias)
  weights, bias = clone.layers[-1]
  mean, log_std = jnp.split(signal @ weights + bias, 2)
  return distributions.clamped(mean, log_std)
