"""Tests that the ONNX graphs compute what the flax networks compute."""

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest

from jaxskills.deploy.graph import Graph, check
from jaxskills.deploy.models import decoder_model, policy_model
from jaxskills.networks.encoder import ImageOptions, Scaling
from jaxskills.networks.policy import GaussianPolicy
from jaxskills.networks.skill import ClosedLoopDecoder, SkillDecoder
from tests.deploy.conftest import random_like

COUNT, SKILL = 1024, 10
SPEC = {
  "view": jax.ShapeDtypeStruct((32, 32, 2), jnp.uint8),
  "state": jax.ShapeDtypeStruct((4,), jnp.float32),
}
SCALING = {"state": Scaling((10.0, 10.0, 0.0, 0.0), (0.1, 0.1, 0.2, 0.2))}


@pytest.fixture(scope="module")
def observations() -> dict[str, np.ndarray]:
  """Random observations, and the ends of their range: black, white, and both in turn."""
  generator = np.random.default_rng(0)
  view = generator.integers(0, 256, (COUNT, 32, 32, 2), dtype=np.uint8)
  view[0], view[1] = 0, 255
  view[2, ..., 0], view[2, ..., 1] = 255, 0
  view[3, ..., 0], view[3, ..., 1] = 0, 255
  view[4:40] = 255 * (view[4:40] // 128)
  state = generator.uniform((0, 0, -5, -5), (20, 20, 5, 5), (COUNT, 4)).astype(np.float32)
  state[0], state[1] = (0, 0, -5, -5), (20, 20, 5, 5)
  return {"view": view, "state": state}


def run(model: onnx.ModelProto, values: dict[str, np.ndarray]) -> list[np.ndarray]:
  session = onnxruntime.InferenceSession(model.SerializeToString())
  return session.run(None, {node.name: values[node.name] for node in session.get_inputs()})


def random_variables(module, *inputs):
  return random_like(jax.eval_shape(module.init, jax.random.key(0), *inputs), 1)


def first_rows(values: dict[str, np.ndarray]) -> dict[str, jax.Array]:
  return {name: jnp.asarray(value[:1]) for name, value in values.items()}


POLICIES = {
  "view": GaussianPolicy(SKILL),
  "normalised": GaussianPolicy(SKILL, ("state", "view"), (64, 32), True, SCALING),
  "unscaled": GaussianPolicy(2, ("state",), (32,)),
  "one_frame": GaussianPolicy(2, hidden=(16,), image=ImageOptions(1, channels=(4, 5), kernel=5)),
}


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_graph_gives_the_gaussian_and_the_squashed_mean(name, observations):
  module = POLICIES[name]
  variables = random_variables(module, first_rows(observations))
  gaussian = jax.jit(module.apply)(variables, observations)
  model = policy_model(module, variables, SPEC, decision="skill", limit=2.0)
  mean, log_std, skill = run(model, observations)
  np.testing.assert_allclose(mean, gaussian.mean, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(log_std, gaussian.log_std, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(skill, 2.0 * np.tanh(gaussian.mean / 2.0), rtol=0, atol=1e-5)
  assert {node.name for node in model.graph.input} == set(module.inputs)


def test_the_log_standard_deviation_is_clamped_in_the_graph(observations):
  module = GaussianPolicy(2, ("state",), (8,))
  variables = random_variables(module, first_rows(observations))
  variables["params"]["head"]["dense"]["bias"] = jnp.array([0.0, 0.0, 50.0, -50.0])
  _, log_std, _ = run(
    policy_model(module, variables, SPEC, decision="action", limit=1.0), observations
  )
  np.testing.assert_array_equal(log_std, np.tile(np.float32([2.0, -10.0]), (COUNT, 1)))


DECODERS = {
  "open_loop": SkillDecoder(2, horizon=10),
  "one_step": SkillDecoder(3, horizon=1, width=16),
  "conditioned": SkillDecoder(2, 4, 32, condition_on=("state", "view"), scaling=SCALING),
  "closed_loop": ClosedLoopDecoder(2, ("state",), (32, 32), SCALING),
}


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_graph_gives_the_same_actions(name, observations):
  module = DECODERS[name]
  skill = np.random.default_rng(1).uniform(-2.0, 2.0, (COUNT, SKILL)).astype(np.float32)
  skill[0], skill[1] = -2.0, 2.0
  is_closed = isinstance(module, ClosedLoopDecoder)

  def arguments(skill, seen):
    return (seen, skill) if is_closed else (skill, seen)

  start = arguments(jnp.asarray(skill[:1]), first_rows(observations))
  variables = random_variables(module, *start)
  expected = np.asarray(jax.jit(module.apply)(variables, *arguments(skill, observations)))
  model = decoder_model(module, variables, SKILL, SPEC)
  (actions,) = run(model, {**observations, "skill": skill})
  assert actions.shape == (COUNT, 1 if is_closed else module.horizon, module.action_size)
  np.testing.assert_allclose(actions.reshape(expected.shape), expected, rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def small() -> onnx.ModelProto:
  """The graph of a small policy of images."""
  module = GaussianPolicy(2, hidden=(8,), image=ImageOptions(channels=(2,)))
  variables = random_variables(module, {"view": jnp.zeros((1, 32, 32, 2), jnp.uint8)})
  return policy_model(
    module, variables, SPEC, decision="action", limit=1.0, metadata={"made_by": "a test"}
  )


def test_a_graph_takes_any_batch_and_rows_do_not_mix(small, observations):
  together = run(small, {"view": observations["view"][:7]})[0]
  alone = [run(small, {"view": observations["view"][i : i + 1]})[0] for i in range(7)]
  np.testing.assert_allclose(np.concatenate(alone), together, rtol=0, atol=1e-6)


def test_a_graph_is_of_standard_operators_for_opset_17_and_carries_its_text(small):
  assert [(entry.domain, entry.version) for entry in small.opset_import] == [("", 17)]
  assert not any(node.domain for node in small.graph.node)
  assert {entry.key: entry.value for entry in small.metadata_props} == {"made_by": "a test"}


def test_weights_outside_the_file_are_refused(small):
  model = onnx.ModelProto()
  model.CopyFrom(small)
  model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
  with pytest.raises(ValueError, match="lie outside the model's file"):
    check(model)


def test_custom_operators_are_refused(small):
  model = onnx.ModelProto()
  model.CopyFrom(small)
  model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
  with pytest.raises(ValueError, match="com.example"):
    check(model)


def test_one_name_is_not_given_to_two_constants():
  graph = Graph("graph")
  graph.constant("one", 1.0)
  graph.constant("one", 1.0)
  with pytest.raises(ValueError, match="'one'"):
    graph.constant("one", 2.0)
