"""ResNet-18 against its definition, computed by XLA's own convolutions from torchvision's names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.data.weight_files import load_image_weights
from jaxskills.networks.resnet import ResNetTrunk
from tests.networks.torchvision_state import random_state


def definition(state: dict[str, np.ndarray], frames: np.ndarray, stages: int) -> jax.Array:
  """He et al. 2016, as torchvision has it, channels first."""

  def unit(value, convolution: str, norm: str, stride: int):
    weight = state[f"{convolution}.weight"]
    padding = [(weight.shape[-1] // 2,) * 2] * 2
    value = jax.lax.conv_general_dilated(value, weight, (stride, stride), padding)
    names = ("weight", "bias", "running_mean", "running_var")
    scale, bias, mean, var = (state[f"{norm}.{name}"][:, None, None] for name in names)
    return (value - mean) / np.sqrt(var + 1e-5) * scale + bias

  value = jax.nn.relu(unit(frames.transpose(0, 3, 1, 2), "conv1", "bn1", 2))
  around = [(0, 0), (0, 0), (1, 1), (1, 1)]
  value = jax.lax.reduce_window(
    value, -np.inf, jax.lax.max, (1, 1, 3, 3), (1, 1, 2, 2), padding=around
  )
  for stage in range(1, stages + 1):
    for block in range(2):
      name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
      inner = jax.nn.relu(unit(value, f"{name}.conv1", f"{name}.bn1", stride))
      inner = unit(inner, f"{name}.conv2", f"{name}.bn2", 1)
      if stride > 1:
        value = unit(value, f"{name}.downsample.0", f"{name}.downsample.1", stride)
      value = jax.nn.relu(value + inner)
  return value.transpose(0, 2, 3, 1)


@pytest.fixture(scope="module")
def state() -> dict[str, np.ndarray]:
  return random_state()


def test_features_are_those_of_the_definition(state, tmp_path):
  np.savez(tmp_path / "resnet18.npz", **state)
  weights = load_image_weights(tmp_path / "resnet18.npz", "resnet18")
  assert weights.normalization == "imagenet"
  frames = np.random.default_rng(1).normal(size=(2, 37, 50, 3)).astype(np.float32)
  expected = jax.jit(lambda x: definition(state, x, 2))(frames)
  features = jax.jit(ResNetTrunk(2, form="lax").apply)(weights.variables, frames)
  assert np.std(expected) > 0.1
  np.testing.assert_allclose(features, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
  ("stages", "shape"), [(1, (16, 20, 64)), (2, (8, 10, 128)), (4, (2, 3, 512))]
)
def test_each_stage_after_the_first_halves_the_sides(stages, shape):
  example = jax.ShapeDtypeStruct((3, 64, 80, 3), jnp.float32)
  features = jax.eval_shape(ResNetTrunk(stages).init_with_output, jax.random.key(0), example)[0]
  assert features.shape == (3, *shape)


@pytest.mark.parametrize("stages", [0, 5])
def test_stages_that_do_not_exist_are_refused(stages):
  with pytest.raises(ValueError, match=f"1 to 4, not {stages}"):
    jax.eval_shape(ResNetTrunk(stages).init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
