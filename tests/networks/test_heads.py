"""Dense stacks and Gaussian heads."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxskills.distributions import kl, standard_like
from jaxskills.networks.heads import GaussianHead
from jaxskills.networks.mlp import Mlp


def normal(*shape: int) -> jax.Array:
  """Random numbers from NumPy: JAX would compile a generator for every shape."""
  return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def test_an_mlp_is_affine_maps_with_leaky_relus_between():
  value = normal(5, 3)
  result, params = jax.jit(Mlp((4, 2)).init_with_output)(jax.random.key(1), value)
  expected = np.asarray(value)
  for name in ("dense_0", "dense_1"):
    layer = params["params"][name]
    expected = expected @ layer["kernel"] + layer["bias"]
    expected = np.where(expected < 0, 0.2 * expected, expected)
  np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_initial_weights_keep_the_scale_through_many_layers():
  value = normal(64, 128)
  result, _ = jax.jit(Mlp((128,) * 6).init_with_output)(jax.random.key(1), value)
  assert 0.5 < float(jnp.sqrt(jnp.mean(result**2))) < 2.0


def test_layer_norm_makes_features_blind_to_the_scale_of_a_row():
  value = normal(5, 8)
  network = Mlp((16,), layer_norm=True)
  result, params = jax.jit(network.init_with_output)(jax.random.key(1), value)
  np.testing.assert_allclose(network.apply(params, 1000.0 * value), result, atol=1e-3)


def test_a_fresh_head_is_close_to_the_unit_gaussian():
  gaussian, _ = jax.jit(GaussianHead(10).init_with_output)(jax.random.key(0), normal(64, 128))
  assert float(jnp.max(kl(gaussian, standard_like(gaussian)))) < 1.0


def test_the_first_half_of_a_head_is_the_mean_and_the_second_is_clamped():
  kernel = jnp.array([[1.0, 2.0, 30.0, -30.0]])
  params = {"params": {"dense": {"kernel": kernel, "bias": jnp.zeros(4)}}}
  gaussian = GaussianHead(2).apply(params, jnp.ones((1, 1)))
  np.testing.assert_array_equal(gaussian.mean, [[1.0, 2.0]])
  np.testing.assert_array_equal(gaussian.log_std, [[2.0, -10.0]])
