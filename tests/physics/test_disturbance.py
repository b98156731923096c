"""Delays and pushes come as often, as far and as hard as they are declared."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.physics import disturbance

KEYS = jax.random.split(jax.random.key(0), 20_000)


def test_latency_takes_every_number_of_steps_up_to_the_greatest_alike():
  drawn = jax.vmap(lambda key: disturbance.latency(key, 0.02, 0.005))(KEYS)
  counts = np.bincount(np.asarray(drawn))
  assert len(counts) == 5
  np.testing.assert_allclose(counts, len(KEYS) / 5, rtol=0.05)


@pytest.mark.parametrize(
  ("timestep", "most"), [(0.005, 4), (0.02 / 34, 34), (0.0125, 1), (0.025, 0), (0.03, 0)]
)
def test_no_latency_is_longer_than_declared(timestep, most):
  drawn = jax.vmap(lambda key: disturbance.latency(key, 0.02, timestep))(KEYS[:2000])
  assert int(drawn.max()) == most and int(drawn.min()) == 0


def test_no_latency_is_none():
  assert not jax.vmap(lambda key: disturbance.latency(key, 0.0, 0.005))(KEYS).any()


@pytest.mark.parametrize("steps", range(5))
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_what_is_late_is_the_old_until_it_is_over(steps, shape):
  reached = disturbance.late(jnp.zeros(shape), jnp.ones(shape), jnp.asarray(steps), 4)
  expected = np.repeat([0.0, 1.0], [steps, 4 - steps]).reshape(4, *(1,) * len(shape))
  np.testing.assert_array_equal(reached, np.broadcast_to(expected, (4, *shape)))


def test_pushes_are_as_frequent_and_as_hard_as_declared():
  pushed = jax.vmap(lambda key: disturbance.push(key, jnp.zeros(2), chance=0.25, speed=0.6))(KEYS)
  size = np.linalg.norm(np.asarray(pushed), axis=1)
  share = np.mean(size > 0)
  np.testing.assert_allclose(share, 0.25, atol=4 * np.sqrt(0.25 * 0.75 / len(KEYS)))
  came = np.asarray(pushed)[size > 0]
  size = size[size > 0]
  np.testing.assert_allclose(np.quantile(size, [0.25, 0.5, 0.75]), [0.15, 0.3, 0.45], atol=0.02)
  assert 0.59 < size.max() <= 0.6 + 1e-6
  np.testing.assert_allclose((came / size[:, None]).mean(axis=0), 0.0, atol=0.05)


def test_a_push_adds_to_the_velocity_there_is():
  key, moving = KEYS[0], jnp.array([1.0, -2.0])
  jolt = disturbance.push(key, jnp.zeros(2), chance=1.0, speed=0.6)
  pushed = disturbance.push(key, moving, chance=1.0, speed=0.6)
  np.testing.assert_allclose(pushed, moving + jolt, rtol=1e-6)
  still = disturbance.push(key, moving, chance=0.0, speed=0.6)
  np.testing.assert_array_equal(still, moving)
