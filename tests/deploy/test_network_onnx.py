"""Tests that the ONNX model of a network computes what its description says."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from jaxskills.deploy.network import Activation, Network, evaluate
from jaxskills.deploy.network_onnx import policy_model
from tests.deploy.network_cases import (
  CASES,
  affine,
  assert_close,
  clipped_observations,
  every_case,
  observations,
  standardize,
  two_cells,
)


def inputs_of(network: Network, seen: np.ndarray, state: np.ndarray) -> dict[str, np.ndarray]:
  return {"state": seen, **({"state_in": state} if network.state_size else {})}


def answer(session, network: Network, seen: np.ndarray, state: np.ndarray):
  found = session.run(None, inputs_of(network, seen, state))
  return found if network.state_size else (found[0], state)


@every_case
def test_the_model_acts_as_described_over_several_steps(case):
  network = CASES[case]()
  session = onnxruntime.InferenceSession(policy_model(network).SerializeToString())
  exact = state = np.zeros((128, network.state_size), np.float32)
  for seen in np.split(observations(network.observation_size), 4):
    action, state = answer(session, network, seen, state)
    expected, exact = evaluate(network, seen, exact)
    assert_close(action, expected)
    np.testing.assert_allclose(state, exact, rtol=0, atol=1e-5)


@every_case
def test_the_standards_own_evaluator_reads_the_model_alike(case):
  network = CASES[case]()
  seen = observations(network.observation_size, 16)
  state = np.random.default_rng(8).uniform(-1, 1, (16, network.state_size)).astype(np.float32)
  with np.errstate(over="ignore", invalid="ignore"):  # its sigmoid overflows on the way
    action, after = answer(ReferenceEvaluator(policy_model(network)), network, seen, state)
  expected, exact = evaluate(network, seen, state)
  assert_close(action, expected)
  np.testing.assert_allclose(after, exact, rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", ["h1", "many_kinds", "two_cells"])
def test_extreme_observations_are_held_by_the_normalisers_limit(case):
  network = CASES[case]()
  seen = clipped_observations(network.observation_size)
  session = onnxruntime.InferenceSession(policy_model(network).SerializeToString())
  state = np.zeros((len(seen), network.state_size), np.float32)
  action, _ = answer(session, network, seen, state)
  assert_close(action, evaluate(network, seen)[0])


def test_an_action_is_not_clipped():
  network = Network(2, 2, (affine(2, 2), Activation("leaky_relu")))
  session = onnxruntime.InferenceSession(policy_model(network).SerializeToString())
  (action,) = session.run(None, {"state": np.full((1, 2), 1e6, np.float32)})
  assert np.abs(action).max() > 1e5


def test_inputs_and_outputs_have_the_names_and_sizes_of_the_contract():
  model = policy_model(two_cells(), {"made_by": "a test"})

  def shapes(entries):
    return {
      entry.name: [side.dim_param or side.dim_value for side in entry.type.tensor_type.shape.dim]
      for entry in entries
    }

  assert shapes(model.graph.input) == {"state": ["batch", 6], "state_in": ["batch", 27]}
  assert shapes(model.graph.output) == {"action": ["batch", 2], "state_out": ["batch", 27]}
  assert {entry.key: entry.value for entry in model.metadata_props} == {"made_by": "a test"}
  assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]


def test_a_network_without_memory_has_no_state():
  model = policy_model(Network(3, 2, (standardize(3), affine(3, 2))))
  assert [entry.name for entry in model.graph.input] == ["state"]
  assert [entry.name for entry in model.graph.output] == ["action"]


def test_the_models_weights_are_the_trained_ones_to_the_bit():
  network = CASES["h1"]()
  stored = {x.name: onnx.numpy_helper.to_array(x) for x in policy_model(network).graph.initializer}
  np.testing.assert_array_equal(stored["layer_0.mean"], network.layers[0].mean)
  np.testing.assert_array_equal(stored["layer_1.kernel"], network.layers[1].kernel)
