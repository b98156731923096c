"""Tests of what the test suite itself stands on: two devices and checked shapes."""

import jax
import jax.numpy as jnp
import pytest
from jaxtyping import TypeCheckError

from jaxskills.envs.maze import dynamics


def test_there_are_two_devices():
  assert jax.device_count() == 2 or jax.default_backend() != "cpu"


def test_shapes_of_jaxskills_are_checked_under_test():
  walls, two, three = jnp.zeros((4, 4), bool), jnp.zeros(2), jnp.zeros(3)
  with pytest.raises(TypeCheckError):
    dynamics.advance(walls, two, three, two)
