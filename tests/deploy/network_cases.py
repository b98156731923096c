"""Networks of every kind of layer with random weights, and observations that test them hard."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxskills.deploy.network import (
  Activation,
  Affine,
  LayerNorm,
  Network,
  Standardize,
  describe_actor,
  gru_cell,
  lstm_cell,
)
from jaxskills.networks.actor_critic import Actor
from jaxskills.networks.normalizer import Moments
from tests.deploy.conftest import random_like

TOLERANCE = 1e-5  # of an output's range


def actor_and_weights(size: int, actor: Actor, seed: int = 1):
  """The actor, variables, and moments of `size` observations, some of which hardly ever change."""
  generator = np.random.default_rng(seed)
  shapes = jax.eval_shape(actor.init, jax.random.key(0), {"state": jnp.zeros((1, size))})
  variance = generator.uniform(0.01, 4.0, size)
  variance[:3] = 0.0, 1e-9, 1e-6
  mean, variance = jnp.asarray(generator.normal(size=size)), jnp.asarray(variance)
  return actor, random_like(shapes, seed), {"state": Moments(mean, variance, jnp.float32(1e6))}


def described(size: int, actor: Actor) -> Network:
  return describe_actor(*actor_and_weights(size, actor))


def flax_weights(cell: nn.Module, inputs: int):
  """Random parameters of a flax cell; biases too, of which flax starts some at zero."""
  carry = cell.initialize_carry(jax.random.key(0), (1, inputs))
  return random_like(jax.eval_shape(cell.init, jax.random.key(0), carry, jnp.zeros((1, inputs))), 2)


def lstm(inputs: int, width: int):
  return lstm_cell(flax_weights(nn.OptimizedLSTMCell(width), inputs)["params"])


def gru(inputs: int, width: int):
  return gru_cell(flax_weights(nn.GRUCell(width), inputs)["params"])


def affine(inputs: int, outputs: int, seed: int = 3) -> Affine:
  generator = np.random.default_rng(seed)
  kernel = generator.normal(0.0, inputs**-0.5, (inputs, outputs))
  return Affine(kernel.astype(np.float32), generator.normal(0, 0.3, outputs).astype(np.float32))


def layer_norm(width: int) -> LayerNorm:
  scale, bias = np.random.default_rng(4).normal(1.0, 0.3, (2, width)).astype(np.float32)
  return LayerNorm(scale, bias)


def standardize(width: int) -> Standardize:
  generator = np.random.default_rng(5)
  mean, deviation = generator.normal(size=width), generator.uniform(1e-3, 2.0, width)
  return Standardize(mean.astype(np.float32), deviation.astype(np.float32), 10.0)


def many_kinds() -> Network:
  """Odd sizes, so that no loop over vectors comes out even, and every activation."""
  layers = [standardize(7), affine(7, 13), layer_norm(13), Activation("tanh"), affine(13, 5)]
  layers += [Activation("relu"), affine(5, 9), Activation("leaky_relu"), affine(9, 3)]
  return Network(7, 3, (*layers, Activation("elu")))


def two_cells() -> Network:
  """A state in two parts, of unlike cells."""
  layers = (standardize(6), lstm(6, 10), affine(10, 8), Activation("elu"), gru(8, 7), affine(7, 2))
  return Network(6, 2, layers)


CASES = {
  "h1": lambda: described(41, Actor(10)),
  "state_dependent_std": lambda: described(9, Actor(3, hidden=(32, 17), state_dependent_std=True)),
  "one_layer": lambda: described(5, Actor(2, hidden=(), activation="leaky_relu")),
  "wide": lambda: described(250, Actor(19, hidden=(256, 128))),
  "many_kinds": many_kinds,
  "lstm": lambda: Network(11, 4, (standardize(11), lstm(11, 24), affine(24, 4))),
  "gru": lambda: Network(11, 4, (gru(11, 24), layer_norm(24), affine(24, 4))),
  "two_cells": two_cells,
}


def observations(size: int, count: int = 512) -> np.ndarray:
  """Rows like those of training, larger ones, and ones that only the normaliser's limit holds."""
  generator = np.random.default_rng(6)
  rows = generator.normal(size=(count, size)) * generator.choice([0.1, 1.0, 5.0], (count, 1))
  for row, value in zip(rows, (0.0, 1e-38, 100.0, -100.0), strict=False):
    row[:] = value
  return rows.astype(np.float32)


def clipped_observations(size: int) -> np.ndarray:
  """Rows of which every entry is far out, infinite or ordinary, in turn."""
  extremes = np.array([1e30, -1e30, np.inf, -np.inf, 3e38, -3e38, 0.5, -1e-30], np.float32)
  return np.random.default_rng(7).choice(extremes, (64, size))


def assert_close(found: np.ndarray, exact: np.ndarray) -> None:
  """Off by no more than the tolerance of the row's range, which is at least 1."""
  span = np.maximum(1.0, np.abs(exact).max(axis=-1, keepdims=True))
  np.testing.assert_array_less(np.abs(found - exact) / span, TOLERANCE)


every_case = pytest.mark.parametrize("case", CASES)
