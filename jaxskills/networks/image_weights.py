"""ImageNet weights of others under our names: Inception-v3 of Keras and torchvision, ResNet-18.

Nothing is read from a file here (`data.weight_files` does), and nothing is ever downloaded. What
differs between the publishers besides names:

  kernels            Keras [row, column, in, out]; torchvision [out, in, row, column]
  normalisation      1e-3 is added to variances by both Inceptions, 1e-5 by ResNet; Keras' Inception
                     has no scale (`scale=False`), which is a scale of one
  average pooling    torchvision's counts the padding as zeros, Keras' leaves it out
  input              both Inceptions want colours in [-1, 1]. Torchvision's pretrained model takes
                     ImageNet-normalised ones and turns them into that first (`transform_input`), a
                     step that ASN's code leaves out. ResNet wants ImageNet-normalised ones.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxskills.networks.inception import BLOCKS, InceptionTrunk
from jaxskills.networks.resnet import WIDTHS, ResNetTrunk

Source = Literal["keras", "torchvision"]
Pretrained = Literal["inception", "resnet18"]

INCEPTION_UNITS = (
  "Conv2d_1a_3x3",
  "Conv2d_2a_3x3",
  "Conv2d_2b_3x3",
  "Conv2d_3b_1x1",
  "Conv2d_4a_3x3",
  *(
    f"{block}/{branch}"
    for block in BLOCKS
    for branch in (
      "branch1x1",
      "branch5x5_1",
      "branch5x5_2",
      "branch3x3dbl_1",
      "branch3x3dbl_2",
      "branch3x3dbl_3",
      "branch_pool",
    )
  ),
)
"""In the order in which Keras makes, and so numbers, its layers."""


class StoredTensor(NamedTuple):
  """An array of which shape and kind are known before it is read."""

  shape: tuple[int, ...]
  is_float: bool
  read: Callable[[], np.ndarray]


class ImageWeights(NamedTuple):
  """A trunk's weights and how to use them.

  Attributes:
    variables: `{"params", "batch_stats"}` of the trunk alone, float32.
    counts_padding: what `InceptionTrunk.counts_padding` has to be.
    normalization: of pictures: "signed" is [-1, 1], "imagenet" its mean and deviation.
    sha256: of the file, so that what was computed with it can be told.
  """

  variables: dict[str, Any]
  counts_padding: bool
  normalization: Literal["signed", "imagenet"]
  sha256: str


def convert(
  tensors: Mapping[str, StoredTensor], backbone: Pretrained, source: Source
) -> dict[str, Any]:
  """Gives the variables of a whole trunk (all four stages of ResNet-18).

  Args:
    tensors: by the publisher's names; those of layers further on are not looked at. Of Keras:
      `<layer>/kernel`, `<layer>/beta`, `<layer>/moving_mean`, `<layer>/moving_variance`.
    backbone: which trunk they are of.
    source: whose names they have.

  Raises:
    ValueError: if one is missing, has another shape than the trunk, is not of floats or not finite:
      the first such tensor, by name.
  """
  if source == "keras" and backbone != "inception":
    raise ValueError("Keras publishes no ResNet-18; take torchvision's")
  shapes = _shapes(backbone)
  name_of = _keras_names(tensors) if source == "keras" else _torchvision_names(backbone)
  variables: dict[str, Any] = {"params": {}, "batch_stats": {}}
  for unit, names in name_of.items():
    path = unit.split("/")
    for collection, layer, entry in _ENTRIES:
      shape = _inside(shapes[collection], path)[layer][entry].shape
      name = names[entry]
      if name is None:
        value = np.ones(shape, np.float32)
      else:
        value = _fetch(tensors, name, shape, source)
      place = _inside(variables[collection], path, makes=True)
      place.setdefault(layer, {})[entry] = value
  return variables


def with_trunk(variables: Mapping[str, Any], weights: ImageWeights) -> dict[str, Any]:
  """Replaces the trunk of an `Embedder`'s variables; stages that it lacks are left out.

  Raises:
    ValueError: if the trunk is another.
  """
  replaced = dict(variables)
  for collection, loaded in weights.variables.items():
    trunk = variables.get(collection, {}).get("trunk")
    if trunk is None:
      raise ValueError("these weights are of another trunk: this one has no batch normalisation")
    replaced[collection] = {**variables[collection], "trunk": _pruned(loaded, trunk, "trunk")}
  return replaced


@functools.cache
def _shapes(backbone: Pretrained) -> Any:
  trunk = InceptionTrunk() if backbone == "inception" else ResNetTrunk(len(WIDTHS))
  example = jax.ShapeDtypeStruct((1, 75, 75, 3), jnp.float32)
  return jax.eval_shape(trunk.init, jax.random.key(0), example)


_ENTRIES = (
  ("params", "conv", "kernel"),
  ("params", "bn", "scale"),
  ("params", "bn", "bias"),
  ("batch_stats", "bn", "mean"),
  ("batch_stats", "bn", "var"),
)


def _keras_names(tensors: Mapping[str, StoredTensor]) -> dict[str, dict[str, str | None]]:
  """By number, wherever the numbers begin: a model made later in a session has greater ones."""
  convolutions, normalizations = (
    sorted({name.partition("/")[0] for name in tensors if re.match(f"{kind}(_|/)", name)}, key=_age)
    for kind in ("conv2d", "batch_normalization")
  )
  names = {}
  for index, unit in enumerate(INCEPTION_UNITS):
    convolution = convolutions[index] if index < len(convolutions) else f"conv2d_{index + 1}"
    known = index < len(normalizations)
    norm = normalizations[index] if known else f"batch_normalization_{index + 1}"
    if f"{norm}/gamma" in tensors:
      raise ValueError(f"{norm}/gamma is a scale, which Keras' Inception-v3 does not have")
    names[unit] = {
      "kernel": f"{convolution}/kernel",
      "scale": None,
      "bias": f"{norm}/beta",
      "mean": f"{norm}/moving_mean",
      "var": f"{norm}/moving_variance",
    }
  return names


def _age(layer: str) -> int:
  """The number at the end of a Keras layer's name; the first has none."""
  number = layer.rpartition("_")[2]
  return int(number) if number.isdigit() else 0


def _torchvision_names(backbone: Pretrained) -> dict[str, dict[str, str | None]]:
  if backbone == "inception":
    prefixes = {
      unit: (f"{unit.replace('/', '.')}.conv", f"{unit.replace('/', '.')}.bn")
      for unit in INCEPTION_UNITS
    }
  else:
    prefixes = {"stem": ("conv1", "bn1")}
    for stage in range(1, len(WIDTHS) + 1):
      for block in range(2):
        ours, theirs = f"layer{stage}_{block}", f"layer{stage}.{block}"
        for number in (1, 2):
          prefixes[f"{ours}/unit{number}"] = (f"{theirs}.conv{number}", f"{theirs}.bn{number}")
        if stage > 1 and block == 0:
          prefixes[f"{ours}/downsample"] = (f"{theirs}.downsample.0", f"{theirs}.downsample.1")
  return {
    unit: {
      "kernel": f"{convolution}.weight",
      "scale": f"{norm}.weight",
      "bias": f"{norm}.bias",
      "mean": f"{norm}.running_mean",
      "var": f"{norm}.running_var",
    }
    for unit, (convolution, norm) in prefixes.items()
  }


def _fetch(
  tensors: Mapping[str, StoredTensor], name: str, shape: tuple[int, ...], source: Source
) -> np.ndarray:
  """Reads a tensor once it is known to be what is wanted."""
  if name not in tensors:
    raise ValueError(f"tensor {name} is missing")
  tensor = tensors[name]
  is_foreign_kernel = source == "torchvision" and len(shape) == 4
  stored = (shape[3], shape[2], shape[0], shape[1]) if is_foreign_kernel else shape
  if tensor.shape != stored:
    raise ValueError(f"tensor {name} has shape {list(tensor.shape)} instead of {list(stored)}")
  if not tensor.is_float:
    raise ValueError(f"tensor {name} is not of floating-point numbers")
  value = np.asarray(tensor.read(), np.float32)
  if not np.all(np.isfinite(value)):
    raise ValueError(f"tensor {name} has values that are not finite")
  return np.ascontiguousarray(value.transpose(2, 3, 1, 0)) if is_foreign_kernel else value


def _inside(tree: Any, path: list[str], *, makes: bool = False) -> Any:
  for part in path:
    tree = tree.setdefault(part, {}) if makes else tree[part]
  return tree


def _pruned(loaded: Any, wanted: Any, path: str) -> Any:
  """The entries of `loaded` that `wanted` has, shapes compared."""
  if isinstance(wanted, Mapping):
    if not isinstance(loaded, Mapping):
      raise ValueError(f"these weights are of another trunk: {path} is an array there")
    if missing := sorted(set(wanted) - set(loaded)):
      raise ValueError(f"these weights are of another trunk: they have no {path}/{missing[0]}")
    return {name: _pruned(loaded[name], wanted[name], f"{path}/{name}") for name in wanted}
  if np.shape(loaded) != np.shape(wanted):
    raise ValueError(f"these weights are of another trunk: {path} has shape {np.shape(loaded)}")
  return jnp.asarray(loaded)
