"""Weights of Keras and torchvision under our names, against what Keras and PyTorch compute.

Where torchvision is missing, its network is one of our own from its names and its definition.
"""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxskills.data.weight_files import load_image_weights
from jaxskills.errors import UserError
from jaxskills.networks.embedder import Embedder
from jaxskills.networks.image_weights import StoredTensor, convert, with_trunk
from jaxskills.networks.inception import InceptionTrunk
from jaxskills.networks.resnet import ResNetTrunk

CLOSE = {"atol": 1e-4, "rtol": 1e-4}


@pytest.fixture(scope="module")
def keras_files(tmp_path_factory) -> Path:
  """A folder with `published.h5`, `own.weights.h5` and `features.npz`."""
  folder = tmp_path_factory.mktemp("keras")
  program = Path(__file__).with_name("keras_reference.py")
  environment = {**os.environ, "KERAS_BACKEND": "numpy", "KERAS_HOME": str(folder / "home")}
  subprocess.run([sys.executable, program, folder], check=True, env=environment)
  return folder


@pytest.fixture(scope="module")
def keras_weights(keras_files):
  return load_image_weights(keras_files / "published.h5", "inception")


def test_features_are_those_of_keras(keras_files, keras_weights):
  reference = np.load(keras_files / "features.npz")
  trunk = InceptionTrunk(keras_weights.counts_padding, form="lax")
  features = jax.jit(trunk.apply)(keras_weights.variables, reference["frames"])
  assert np.std(reference["features"]) > 0.1
  np.testing.assert_allclose(features, reference["features"], **CLOSE)
  assert (keras_weights.counts_padding, keras_weights.normalization) == (False, "signed")


def test_both_formats_of_keras_hold_the_same(keras_files, keras_weights):
  own = load_image_weights(keras_files / "own.weights.h5", "inception")
  jax.tree.map(np.testing.assert_array_equal, own.variables, keras_weights.variables)
  assert own.sha256 != keras_weights.sha256  # of the files


def inception_state(variables) -> dict[str, np.ndarray]:
  """The names and axes of torchvision's state dict."""
  state = {}
  entries = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
  for path, value in jax.tree_util.tree_leaves_with_path(variables):
    *layers, entry = (part.key for part in path[1:])
    name = ".".join([*layers, entries.get(entry, entry)])
    state[name] = value.transpose(3, 2, 0, 1).copy() if value.ndim == 4 else value
    if entry == "mean":
      state[".".join([*layers, "num_batches_tracked"])] = np.array(7)
  return {**state, "fc.weight": np.zeros((1000, 2048), np.float32)}


def small_inception() -> dict:
  """Variables of the right shapes, random."""
  random = np.random.default_rng(1)
  shapes = jax.eval_shape(InceptionTrunk().init, jax.random.key(0), np.zeros((1, 75, 75, 3)))
  return jax.tree.map(lambda leaf: random.uniform(0.1, 1, leaf.shape).astype(np.float32), shapes)


@pytest.fixture(scope="module")
def state() -> dict[str, np.ndarray]:
  return inception_state(small_inception())


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_names_and_axes_of_torchvision_come_back(state, tmp_path, suffix):
  path = tmp_path / f"inception.{suffix}"
  if suffix == "npz":
    np.savez(path, **state)
  else:
    save_file(state, path)
  weights = load_image_weights(path, "inception")
  jax.tree.map(np.testing.assert_array_equal, weights.variables, small_inception())
  assert (weights.counts_padding, weights.normalization) == (True, "signed")


def definition(state: dict[str, np.ndarray], pictures: np.ndarray) -> jax.Array:
  """Torchvision's Inception-v3 up to Mixed_5d by XLA's own convolutions, channels first."""

  def unit(value, name: str, stride: int = 1, padding: int = 0):
    around = [(padding, padding)] * 2
    value = jax.lax.conv_general_dilated(
      value, state[f"{name}.conv.weight"], (stride, stride), around
    )
    names = ("weight", "bias", "running_mean", "running_var")
    scale, bias, mean, var = (state[f"{name}.bn.{entry}"][:, None, None] for entry in names)
    return jax.nn.relu((value - mean) / np.sqrt(var + 1e-3) * scale + bias)

  def pool(value, first, reduce, stride: int, padding: int):
    around = [(0, 0), (0, 0), (padding, padding), (padding, padding)]
    window, strides = (1, 1, 3, 3), (1, 1, stride, stride)
    return jax.lax.reduce_window(value, first, reduce, window, strides, around)

  value = unit(pictures.transpose(0, 3, 1, 2), "Conv2d_1a_3x3", stride=2)
  value = unit(unit(value, "Conv2d_2a_3x3"), "Conv2d_2b_3x3", padding=1)
  value = pool(value, -np.inf, jax.lax.max, 2, 0)
  value = unit(unit(value, "Conv2d_3b_1x1"), "Conv2d_4a_3x3")
  value = pool(value, -np.inf, jax.lax.max, 2, 0)
  for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
    five = unit(unit(value, f"{name}.branch5x5_1"), f"{name}.branch5x5_2", padding=2)
    three = unit(unit(value, f"{name}.branch3x3dbl_1"), f"{name}.branch3x3dbl_2", padding=1)
    three = unit(three, f"{name}.branch3x3dbl_3", padding=1)
    mean = pool(value, 0.0, jax.lax.add, 1, 1) / 9  # counts the padding
    parts = [unit(value, f"{name}.branch1x1"), five, three, unit(mean, f"{name}.branch_pool")]
    value = jax.numpy.concatenate(parts, axis=1)
  return value.transpose(0, 2, 3, 1)


def test_features_are_those_of_the_definition_with_names_and_pooling_of_torchvision(tmp_path):
  random, variables = np.random.default_rng(0), small_inception()
  for path, leaf in jax.tree_util.tree_leaves_with_path(variables["params"]):
    if path[-1].key == "kernel":
      leaf[:] = random.normal(size=leaf.shape, scale=np.sqrt(2 / np.prod(leaf.shape[:3])))
  state = inception_state(variables)
  np.savez(tmp_path / "weights.npz", **state)
  weights = load_image_weights(tmp_path / "weights.npz", "inception")
  pictures = random.uniform(-1, 1, (2, 61, 48, 3)).astype(np.float32)
  expected = jax.jit(lambda x: definition(state, x))(pictures)
  features = jax.jit(InceptionTrunk(weights.counts_padding, form="lax").apply)(
    weights.variables, pictures
  )
  assert np.std(expected) > 0.1
  np.testing.assert_allclose(features, expected, **CLOSE)
  other = jax.jit(InceptionTrunk(counts_padding=False, form="lax").apply)(
    weights.variables, pictures
  )
  assert np.max(np.abs(other - expected)) > 0.01


def torchvision_or_skip():
  """Torchvision's models, also where its compiled operators do not fit a CPU build of PyTorch."""
  torch = pytest.importorskip("torch")
  register = torch.library.register_fake

  def lenient(name, *args, **options):
    is_theirs = isinstance(name, str) and name.startswith("torchvision::")
    return (lambda function: function) if is_theirs else register(name, *args, **options)

  torch.library.register_fake = lenient
  try:
    return torch, pytest.importorskip("torchvision", exc_type=ImportError)
  finally:
    torch.library.register_fake = register


@pytest.mark.parametrize("backbone", ["inception", "resnet18"])
def test_features_are_those_of_torchvision(backbone, tmp_path):
  torch, torchvision = torchvision_or_skip()
  torch.manual_seed(0)
  if backbone == "inception":
    model = torchvision.models.inception_v3(weights=None, init_weights=False)
    model.transform_input = True  # as in the pretrained model: takes ImageNet-normalised pictures
    layers = torch.nn.Sequential()
    for name, layer in model.named_children():
      layers.append(layer)
      if name == "Mixed_5d":
        break
  else:
    model = torchvision.models.resnet18(weights=None)
    layers = torch.nn.Sequential(*list(model.children())[:6])
  for module in model.modules():
    if isinstance(module, torch.nn.BatchNorm2d):
      for tensor in (module.weight.data, module.running_var):
        tensor.uniform_(0.5, 2.0)
      for tensor in (module.bias.data, module.running_mean):
        tensor.normal_(0.0, 0.3)
  model.eval()
  path = tmp_path / "weights.safetensors"
  save_file({k: v.numpy() for k, v in model.state_dict().items()}, path)
  colors = np.random.default_rng(0).uniform(size=(2, 79, 64, 3)).astype(np.float32)
  imagenet = (colors - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
  given = torch.tensor(imagenet.transpose(0, 3, 1, 2), dtype=torch.float32)
  with torch.no_grad():
    given = model._transform_input(given) if backbone == "inception" else given
    expected = layers(given).numpy().transpose(0, 2, 3, 1)
  weights = load_image_weights(path, backbone)
  frames = 2 * colors - 1 if weights.normalization == "signed" else imagenet.astype(np.float32)
  trunk = (
    InceptionTrunk(weights.counts_padding, form="lax")
    if backbone == "inception"
    else ResNetTrunk(2, form="lax")
  )
  features = jax.jit(trunk.apply)(weights.variables, frames)
  assert np.std(expected) > 0.1
  np.testing.assert_allclose(features, expected, **CLOSE)


def changed(state, name, value):
  return {key: old for key, old in state.items() if key != name} | (
    {} if value is None else {name: value}
  )


@pytest.mark.parametrize(
  ("name", "value", "message"),
  [
    ("Mixed_5c.branch5x5_2.conv.weight", None, "Mixed_5c.branch5x5_2.conv.weight is missing"),
    ("Conv2d_1a_3x3.bn.bias", np.zeros(31, np.float32), r"bn.bias has shape \[31\] .* \[32\]"),
    (
      "Conv2d_1a_3x3.conv.weight",
      np.zeros((3, 3, 3, 32), np.float32),
      r"shape \[3, 3, 3, 32\] instead of \[32, 3, 3, 3\]",
    ),
    ("Conv2d_1a_3x3.bn.bias", np.zeros(32, np.int64), "not of floating-point numbers"),
    ("Conv2d_1a_3x3.bn.bias", np.full(32, np.nan, np.float32), "not finite"),
  ],
)
def test_the_first_wrong_tensor_is_named(state, tmp_path, name, value, message):
  path = tmp_path / "wrong.npz"
  kept = {key: entry for key, entry in state.items() if key != "fc.weight"}
  np.savez(path, **changed(kept, name, value))
  with pytest.raises(UserError, match=message):
    load_image_weights(path, "inception")


def test_weights_of_another_network_are_refused(state, tmp_path):
  save_file(state, tmp_path / "inception.safetensors")
  with pytest.raises(UserError, match="resnet18 of torchvision: tensor conv1.weight is missing"):
    load_image_weights(tmp_path / "inception.safetensors", "resnet18")
  with h5py.File(tmp_path / "empty.h5", "w"):
    pass
  with pytest.raises(UserError, match="conv2d_1/kernel is missing"):
    load_image_weights(tmp_path / "empty.h5", "inception")
  with pytest.raises(UserError, match="Keras publishes no ResNet-18"):
    load_image_weights(tmp_path / "empty.h5", "resnet18")


def test_a_keras_network_with_scales_is_refused():
  tensor = StoredTensor((32,), True, lambda: np.zeros(32))
  with pytest.raises(ValueError, match="batch_normalization_3/gamma"):
    convert({"batch_normalization_3/gamma": tensor}, "inception", "keras")


@pytest.mark.parametrize("name", ["weights.pth", "weights.PT", "weights.pkl"])
def test_a_pickle_is_refused_unopened_with_the_way_out(tmp_path, name):
  path = tmp_path / name
  path.write_bytes(b"not even a pickle")
  with pytest.raises(UserError, match="save_file") as refusal:
    load_image_weights(path, "inception")
  assert "\n" not in str(refusal.value)


def test_an_npz_with_a_pickle_inside_is_refused(state, tmp_path):
  path = tmp_path / "pickled.npz"
  name = "Conv2d_1a_3x3.conv.weight"
  np.savez(path, **{name: np.array([print], dtype=object)})  # type: ignore
  with pytest.raises(UserError, match=f"{name} has shape"):
    load_image_weights(path, "inception")
  np.savez(path, **{name: np.full((32, 3, 3, 3), print, dtype=object)})  # type: ignore
  with pytest.raises(UserError, match="not of floating-point numbers"):
    load_image_weights(path, "inception")


def test_nothing_outside_an_h5_file_is_read(tmp_path):
  with h5py.File(tmp_path / "secret.h5", "w") as file:
    file["kernel:0"] = np.zeros((3, 3, 3, 32), np.float32)
  (tmp_path / "secret.raw").write_bytes(bytes(4 * 864))
  path = tmp_path / "links.h5"
  for kind, message in (("link", "kernel is missing"), ("raw", "kernel is not of floating")):
    with h5py.File(path, "w") as file:
      group = file.create_group("conv2d_1")
      if kind == "link":
        group["kernel:0"] = h5py.ExternalLink("secret.h5", "kernel:0")
      else:
        outside = [(str(tmp_path / "secret.raw"), 0, 4 * 864)]
        group.create_dataset("kernel:0", (3, 3, 3, 32), "f4", external=outside)
    with pytest.raises(UserError, match=message):
      load_image_weights(path, "inception")


@pytest.mark.parametrize("name", ["a.h5", "a.safetensors", "a.npz"])
def test_a_damaged_file_is_one_line(tmp_path, name):
  path = tmp_path / name
  path.write_bytes(b"\x08" * 40)
  with pytest.raises(UserError, match=name) as refusal:
    load_image_weights(path, "inception")
  assert "\n" not in str(refusal.value)
  with pytest.raises(UserError, match="no such file"):
    load_image_weights(tmp_path / "absent.h5", "inception")
  (tmp_path / "a.onnx").touch()
  with pytest.raises(UserError, match=".safetensors"):
    load_image_weights(tmp_path / "a.onnx", "inception")


def test_loaded_weights_take_the_place_of_the_trunk_alone(state, tmp_path):
  np.savez(tmp_path / "weights.npz", **state)
  weights = load_image_weights(tmp_path / "weights.npz", "inception")
  shapes = jax.eval_shape(
    Embedder(backbone="inception").init, jax.random.key(0), np.zeros((1, 75, 75, 3), np.float32)
  )
  variables = jax.tree.map(lambda leaf: np.full(leaf.shape, 5.0, np.float32), shapes)
  replaced = with_trunk(variables, weights)
  assert jax.tree.structure(replaced) == jax.tree.structure(variables)
  for collection in ("params", "batch_stats"):
    jax.tree.map(
      np.testing.assert_array_equal,
      replaced[collection]["trunk"],
      weights.variables[collection],
    )
  assert replaced["params"]["head"] is variables["params"]["head"]
  stages = jax.eval_shape(
    Embedder(backbone="resnet18").init, jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32)
  )
  with pytest.raises(ValueError, match="they have no trunk/layer1_0"):
    with_trunk(stages, weights)
