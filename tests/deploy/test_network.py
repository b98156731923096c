"""Tests that a description computes what the trained network computes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxskills.deploy.network import (
  Activation,
  Affine,
  Network,
  check,
  describe_actor,
  evaluate,
  gru_cell,
  lstm_cell,
)
from jaxskills.errors import UserError
from jaxskills.networks import normalizer
from jaxskills.networks.actor_critic import Actor
from tests.deploy.network_cases import (
  actor_and_weights,
  affine,
  flax_weights,
  observations,
  two_cells,
)

ACTORS = {
  "h1": Actor(10),
  "state_dependent_std": Actor(3, hidden=(32, 17), state_dependent_std=True),
  "leaky": Actor(2, hidden=(16,), activation="leaky_relu"),
}


@pytest.mark.parametrize("name", ACTORS)
@pytest.mark.parametrize("is_normalized", [True, False])
def test_the_description_gives_the_mean_of_the_actor_on_normalised_observations(
  name, is_normalized
):
  actor, variables, moments = actor_and_weights(41, ACTORS[name])
  moments = moments if is_normalized else {}
  seen = observations(41)
  network = describe_actor(actor, variables, moments)
  with jax.enable_x64(True):
    exact = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (variables, moments))

    @jax.jit
    def mean(variables, moments, seen):
      return actor.apply(variables, normalizer.normalize(moments, {"state": seen})).mean

    expected = mean(*exact, jnp.asarray(seen, jnp.float64))
  action, _ = evaluate(network, seen)
  assert (network.observation_size, network.action_size, network.state_size) == (
    41,
    actor.action_size,
    0,
  )
  np.testing.assert_allclose(action, expected, rtol=1e-6, atol=1e-6)


def test_without_moments_the_observation_is_seen_as_it_is():
  actor, variables, _ = actor_and_weights(4, Actor(2, hidden=(8,)))
  first = describe_actor(actor, variables).layers[0]
  assert isinstance(first, Affine)
  np.testing.assert_array_equal(first.kernel, variables["params"]["mlp"]["dense_0"]["kernel"])


CELLS = {
  "lstm": (nn.LSTMCell(24), lstm_cell),
  "optimized_lstm": (nn.OptimizedLSTMCell(24), lstm_cell),
  "gru": (nn.GRUCell(24), gru_cell),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_remembers_as_flax_does_over_many_steps(name):
  cell, read = CELLS[name]
  variables = flax_weights(cell, 11)
  network = Network(11, 24, (read(variables["params"]),))
  advance = jax.jit(cell.apply)
  carry, state = cell.initialize_carry(jax.random.key(0), (5, 11)), None
  with jax.enable_x64(True):
    carry, exact = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (carry, variables))
    for step in np.random.default_rng(0).normal(size=(30, 5, 11)):
      carry, expected = advance(exact, carry, step)
      output, state = evaluate(network, step, state)
      np.testing.assert_allclose(output, expected, rtol=0, atol=1e-9)
    parts = [carry] if name == "gru" else [carry[1], carry[0]]  # flax has the cell first
    np.testing.assert_allclose(state, np.concatenate(parts, axis=-1), rtol=0, atol=1e-9)


def test_the_state_is_the_cells_parts_in_their_order():
  network = two_cells()
  assert network.state_size == 2 * 10 + 7
  seen = observations(6, 8)
  _, state = evaluate(network, seen)
  changed = state.copy()
  changed[:, 20:] += 1.0  # the GRU's part, which the LSTM does not read
  _, after = evaluate(network, seen, state)
  _, otherwise = evaluate(network, seen, changed)
  np.testing.assert_array_equal(after[:, :20], otherwise[:, :20])
  assert np.abs(after[:, 20:] - otherwise[:, 20:]).min() > 1e-6


def test_an_image_is_refused_by_name():
  actor = Actor(2, inputs=("view",), hidden=(8,))
  image = {"view": jnp.zeros((1, 32, 32, 2), jnp.uint8)}
  variables = jax.eval_shape(actor.init, jax.random.key(0), image)
  with pytest.raises(UserError, match="the image 'view'"):
    describe_actor(actor, variables)


def test_several_modalities_are_refused_by_name():
  actor = Actor(2, inputs=("state", "goal"), hidden=(8,))
  seen = {"state": jnp.zeros((1, 3)), "goal": jnp.zeros((1, 2))}
  variables = jax.eval_shape(actor.init, jax.random.key(0), seen)
  with pytest.raises(UserError, match="state, goal"):
    describe_actor(actor, variables)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(value):
  actor, variables, moments = actor_and_weights(4, Actor(2, hidden=(8,)))
  bias = variables["params"]["mean"]["bias"]
  variables["params"]["mean"]["bias"] = bias.at[1].set(value)
  with pytest.raises(UserError, match=r"bias in layer 3 \(Affine\) is not finite"):
    describe_actor(actor, variables, moments)


def test_layers_that_do_not_fit_are_refused():
  with pytest.raises(ValueError, match="layer 2 takes 5 numbers and is given 6"):
    check(Network(4, 2, (affine(4, 6), Activation("elu"), affine(5, 2))))
  with pytest.raises(ValueError, match="gives 6 numbers"):
    check(Network(4, 2, (affine(4, 6),)))


def test_nan_is_passed_on_by_every_activation():
  for kind in ("elu", "leaky_relu", "relu", "tanh"):
    action, _ = evaluate(Network(1, 1, (Activation(kind),)), np.array([[np.nan]]))
    assert np.isnan(action).all()
