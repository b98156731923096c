"""Skill coders against the LSTM equations in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.networks.skill import ClosedLoopDecoder, SkillDecoder, SkillEncoder

BATCH, HORIZON, ACTION, SKILL, WIDTH = 3, 5, 2, 4, 8


def normal(*shape: int) -> jax.Array:
  """Random numbers from NumPy: JAX would compile a generator for every shape."""
  return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def sigmoid(value: np.ndarray) -> np.ndarray:
  return 1.0 / (1.0 + np.exp(-value))


def lstm(weights, hidden, cell, projected):
  """Hochreiter and Schmidhuber's cell with gates in the order enter, forget, candidate, leave."""
  gates = projected + hidden @ np.asarray(weights["recurrent"]) + np.asarray(weights["bias"])
  enter, forget, candidate, leave = np.split(gates, 4, axis=-1)
  cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(candidate)
  return sigmoid(leave) * np.tanh(cell), cell


def perturbed(params):
  """Parameters without the zeros that some start from."""
  random = np.random.default_rng(9)
  return jax.tree.map(lambda x: x + random.normal(scale=0.3, size=x.shape).astype(x.dtype), params)


def test_the_encoder_is_an_lstm_whose_last_state_gives_the_gaussian():
  actions = normal(BATCH, HORIZON, ACTION)
  encoder = SkillEncoder(SKILL, WIDTH)
  params = perturbed(jax.jit(encoder.init)(jax.random.key(1), actions))
  weights = params["params"]
  hidden = cell = np.zeros((BATCH, WIDTH))
  for step in range(HORIZON):
    projected = np.asarray(actions[:, step]) @ weights["input"]["kernel"]
    hidden, cell = lstm(weights["lstm"], hidden, cell, projected)
  head = weights["head"]["dense"]
  mean, log_std = np.split(hidden @ head["kernel"] + head["bias"], 2, axis=-1)
  gaussian = jax.jit(encoder.apply)(params, actions)
  np.testing.assert_allclose(gaussian.mean, mean, atol=1e-5)
  np.testing.assert_allclose(gaussian.log_std, log_std, atol=1e-5)


def test_the_decoder_reads_the_skill_and_its_last_action_at_every_step():
  skill = normal(BATCH, SKILL)
  decoder = SkillDecoder(ACTION, HORIZON, WIDTH)
  params = perturbed(jax.jit(decoder.init)(jax.random.key(1), skill))
  weights = params["params"]
  step_weights = weights["step"]
  hidden, cell = (np.tile(row, (BATCH, 1)) for row in np.asarray(weights["first_state"]))
  action = np.tile(weights["first_action"], (BATCH, 1))
  expected = []
  for _ in range(HORIZON):
    projected = np.asarray(skill) @ weights["skill"]["kernel"]
    projected = projected + action @ step_weights["feedback"]["kernel"]
    hidden, cell = lstm(step_weights["lstm"], hidden, cell, projected)
    action = hidden @ step_weights["head"]["kernel"] + step_weights["head"]["bias"]
    expected.append(action)
  result = jax.jit(decoder.apply)(params, skill)
  np.testing.assert_allclose(result, np.stack(expected, axis=1), atol=1e-5)


def test_cells_remember_from_the_start():
  params = jax.jit(SkillEncoder(SKILL, WIDTH).init)(
    jax.random.key(0), jnp.zeros((1, HORIZON, ACTION))
  )
  bias = np.split(np.asarray(params["params"]["lstm"]["bias"]), 4)
  np.testing.assert_array_equal(bias, np.array([0.0, 1.0, 0.0, 0.0])[:, None] * np.ones(WIDTH))


def test_an_unconditioned_decoder_does_not_look():
  skill = normal(BATCH, SKILL)
  decoder = SkillDecoder(ACTION, HORIZON, WIDTH)
  params = jax.jit(decoder.init)(jax.random.key(1), skill)
  seen = {"state": jnp.ones((BATCH, 4))}
  np.testing.assert_array_equal(
    decoder.apply(params, skill, seen), jax.jit(decoder.apply)(params, skill)
  )


def test_a_conditioned_decoder_starts_from_what_it_sees():
  skill = normal(BATCH, SKILL)
  decoder = SkillDecoder(ACTION, HORIZON, WIDTH, condition_on=("state",))
  seen = {"state": jnp.ones((BATCH, 4))}
  params = jax.jit(decoder.init)(jax.random.key(1), skill, seen)
  here, there = (decoder.apply(params, skill, {"state": x * seen["state"]}) for x in (1.0, -1.0))
  assert np.all(np.asarray(here[:, 0]) != np.asarray(there[:, 0]))
  with pytest.raises(ValueError, match="state"):
    jax.jit(decoder.apply)(params, skill)


def test_context_beside_the_actions_reaches_the_posterior():
  actions = jnp.zeros((BATCH, HORIZON, ACTION))
  encoder = SkillEncoder(SKILL, WIDTH, context=("state",))
  seen = {"state": normal(BATCH, HORIZON, 4)}
  params = jax.jit(encoder.init)(jax.random.key(1), actions, seen)

  def first_mean(states):
    return jax.jit(encoder.apply)(params, actions, {"state": states}).mean[0, 0]

  gradient = np.asarray(jax.jit(jax.grad(first_mean))(seen["state"]))
  assert np.all(gradient[0] != 0) and np.all(gradient[1:] == 0)
  with pytest.raises(ValueError, match="state"):
    jax.jit(encoder.apply)(params, actions)


def test_a_closed_loop_decoder_reads_observation_and_skill():
  decoder = ClosedLoopDecoder(ACTION, ("state",), hidden=(8,))
  seen, skill = {"state": jnp.ones((BATCH, 4))}, jnp.ones((BATCH, SKILL))
  action, params = jax.jit(decoder.init_with_output)(jax.random.key(0), seen, skill)
  assert action.shape == (BATCH, ACTION)
  moved = jax.jit(decoder.apply)(params, {"state": 2 * seen["state"]}, skill)
  commanded = jax.jit(decoder.apply)(params, seen, 2 * skill)
  assert np.all(np.asarray(moved) != np.asarray(action))
  assert np.all(np.asarray(commanded) != np.asarray(action))
