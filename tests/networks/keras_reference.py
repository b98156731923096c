"""Writes Keras' own Inception-v3 with random weights, and what it makes of a picture.

  KERAS_BACKEND=numpy python keras_reference.py FOLDER

A program of its own, since Keras takes its backend from the environment once and for all. NumPy's
needs no compiling. Statistics of batch normalisation are random too: zeros and ones would hide
almost any confusion.
"""

import sys
from pathlib import Path

import h5py
import keras
import numpy as np


def published(model: keras.Model, path: Path) -> None:
  """The layout of `inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5` (Keras 2).

  Layers stand in the order of the graph, and their numbers, in that of their making, begin at one.
  """
  text = h5py.string_dtype("ascii")

  def renamed(name: str) -> str:
    if not name.startswith(("conv2d", "batch_normalization")):
      return name
    kind, _, number = name.rpartition("_")
    return f"{kind}_{int(number) + 1}" if number.isdigit() else f"{name}_1"

  with h5py.File(path, "w") as file:
    names = [renamed(layer.name) for layer in model.layers]
    file.attrs.create("layer_names", names, dtype=text)
    for name, layer in zip(names, model.layers, strict=True):
      entries = [f"{name}/{weight.name}:0" for weight in layer.weights]
      group = file.create_group(name)
      group.attrs.create("weight_names", entries, dtype=text)
      for entry, weight in zip(entries, layer.weights, strict=True):
        group[entry] = weight.numpy()


def main(folder: Path) -> None:
  """Writes `published.h5`, `own.weights.h5` and `features.npz`."""
  random = np.random.default_rng(0)
  model = keras.applications.InceptionV3(
    weights=None, include_top=False, input_shape=(75, 91, 3), pooling=None
  )
  trunk = keras.Model(model.input, model.get_layer("mixed2").output)
  for weight in model.weights:
    if weight.name == "kernel":
      scale = np.sqrt(2 / np.prod(weight.shape[:-1]))
      value = random.normal(size=weight.shape, scale=scale)
    elif weight.name == "moving_variance":
      value = random.uniform(0.3, 3.0, weight.shape)
    else:
      value = random.normal(size=weight.shape, scale=0.3)
    weight.assign(value.astype(np.float32))
  frames = random.uniform(-1, 1, (2, 75, 91, 3)).astype(np.float32)
  features = np.asarray(trunk(frames))
  np.savez(folder / "features.npz", frames=frames, features=features)
  model.save_weights(folder / "own.weights.h5")
  published(model, folder / "published.h5")
  for weight in model.weights:
    weight.assign(np.zeros(weight.shape))
  model.load_weights(folder / "published.h5")  # Keras itself reads the layout that we say is its
  np.testing.assert_array_equal(np.asarray(trunk(frames)), features)


if __name__ == "__main__":
  main(Path(sys.argv[1]))
