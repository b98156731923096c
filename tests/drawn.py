"""Network variables drawn by NumPy: compiling an initialiser takes longer than most tests."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np


def drawn_variables(network: nn.Module, *inputs: Any, seed: int = 0) -> Any:
  """Variables of a network that takes these inputs."""
  return _drawn(jax.eval_shape(network.init, jax.random.key(0), *inputs), seed)


def drawn_state(learner: Any, seed: int = 0) -> Any:
  """A first state of a learner: drawn `params`, and zeros for optimisers, counters and the rest."""
  shapes = jax.eval_shape(learner.init, jax.random.key(0))
  zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
  return zeros._replace(params=_drawn(shapes.params, seed))


def _drawn(shapes: Any, seed: int) -> Any:
  """Kernels of the variance that keeps scale, statistics of one, biases of a tenth."""
  random = np.random.default_rng(seed)

  def draw(path: Any, leaf: jax.ShapeDtypeStruct) -> jax.Array:
    if "batch_stats" in jax.tree_util.keystr(path):
      return jnp.ones(leaf.shape, leaf.dtype)
    scale = np.sqrt(np.prod(leaf.shape[:-1])) if len(leaf.shape) > 1 else 10.0
    return jnp.asarray(random.normal(size=leaf.shape) / scale, leaf.dtype)

  return jax.tree_util.tree_map_with_path(draw, shapes)
