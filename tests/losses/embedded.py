"""Random embeddings of one video, and the check that a gradient is the slope of its loss."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

TIMES, VIEWS, DIM = 5, 2, 3


def drawn(seed: int, times: int = TIMES, views: int = VIEWS, scale: float = 1.0) -> jax.Array:
  """Normal embeddings `[time, view, dim]`."""
  values = scale * np.random.default_rng(seed).normal(size=(times, views, DIM))
  return jnp.asarray(values, jnp.float32)


def labelled(embeddings: jax.Array) -> tuple[np.ndarray, np.ndarray]:
  """The same as rows `[n, dim]` in double precision, and the instant of each row."""
  times, views = embeddings.shape[:2]
  rows = np.asarray(embeddings, np.float64).reshape(times * views, -1)
  return rows, np.repeat(np.arange(times), views)


def assert_slope(loss: Callable[..., jax.Array], *inputs: jax.Array, step: float = 1e-6) -> None:
  """Central differences along random directions in double precision equal the gradient there."""
  with jax.enable_x64(True):
    given = [jnp.asarray(np.asarray(x), jnp.float64) for x in inputs]
    value_of = jax.jit(loss)
    gradients = jax.jit(jax.grad(loss, tuple(range(len(given)))))(*given)
    random = np.random.default_rng(0)
    for _ in range(4):
      along = [random.normal(size=x.shape) for x in given]
      ahead = value_of(*[x + step * d for x, d in zip(given, along, strict=True)])
      behind = value_of(*[x - step * d for x, d in zip(given, along, strict=True)])
      slope = (float(ahead) - float(behind)) / (2 * step)
      told = sum(float(np.sum(np.asarray(g) * d)) for g, d in zip(gradients, along, strict=True))
      np.testing.assert_allclose(told, slope, rtol=1e-5, atol=1e-9)
