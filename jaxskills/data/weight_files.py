"""Reading published ImageNet weights from `.h5`, `.safetensors` and `.npz` files, safely.

A file of unknown origin is opened with readers that cannot run code; every array is looked at
before it is read, and only arrays of floats that lie in the file itself are. Pickles, which is what
PyTorch's `.pth` files are, are refused. Nothing is downloaded.
"""

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jaxskills.errors import UserError
from jaxskills.networks.image_weights import ImageWeights, Pretrained, StoredTensor, convert

Tensors = dict[str, StoredTensor]

_PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl", ".pickle")
_DEPTH = 4  # groups above an array in Keras' own files are at most three


def load_image_weights(path: str | Path, backbone: Pretrained) -> ImageWeights:
  """Loads a trunk's weights from a file of Keras or torchvision.

  Args:
    path: `.h5` as Keras publishes it (`inception_v3_weights_tf_dim_ordering_tf_kernels*.h5`) or
      saves it (`*.weights.h5`), or torchvision's state dict as `.safetensors` or `.npz`.
    backbone: "inception" or "resnet18".

  Raises:
    UserError: if the file cannot be read or is of something else, naming the first tensor that is
      missing or wrong.
  """
  file = Path(path)
  if not file.is_file():
    raise UserError(f"there are no weights at {file}: no such file.")
  suffix = file.suffix.lower()
  if suffix in _PICKLES:
    raise UserError(
      f"{file} is a pickle, which can run any code when it is read; convert it where you trust it:"
      ' python -c "import sys, torch; from safetensors.torch import save_file;'
      " state = torch.load(sys.argv[1], weights_only=True);"
      " save_file({k: v.contiguous() for k, v in state.items()}, 'weights.safetensors')\""
      f" {file}"
    )
  if suffix not in _READERS:
    raise UserError(f"{file} is none of {', '.join(_READERS)}, which weights are read from.")
  source = "keras" if suffix in (".h5", ".hdf5") else "torchvision"
  try:
    variables = _READERS[suffix](file, lambda tensors: convert(tensors, backbone, source))
  except (ValueError, KeyError, TypeError, OSError, RuntimeError, zipfile.BadZipFile) as error:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise UserError(f"{file} does not hold the {backbone} of {source}: {reason}.") from error
  with file.open("rb") as content:
    sha256 = hashlib.file_digest(content, "sha256").hexdigest()
  return ImageWeights(
    variables,
    counts_padding=source == "torchvision",
    normalization="signed" if backbone == "inception" else "imagenet",
    sha256=sha256,
  )


def _read_h5(path: Path, use: Callable[[Tensors], Any]) -> Any:
  """Both layouts of Keras: names of layers in the groups, or, since Keras 3, beside the arrays."""
  h5py = _import("h5py")
  with h5py.File(path, "r") as file:
    root = _member(file, "model_weights") or file
    is_keras3 = _member(root, "layers") is not None
    return use(_keras3_tensors(h5py, root) if is_keras3 else _legacy_tensors(h5py, root))


def _legacy_tensors(h5py: Any, root: Any) -> Tensors:
  tensors: Tensors = {}

  def collect(group: Any, layer: str, depth: int) -> None:
    for name in group:
      member = _member(group, name)
      if isinstance(member, h5py.Dataset):
        tensors[f"{layer}/{name.partition(':')[0]}"] = _h5_tensor(member)
      elif isinstance(member, h5py.Group) and depth < _DEPTH:
        collect(member, layer, depth + 1)

  for layer in root:
    member = _member(root, layer)
    if isinstance(member, h5py.Group):
      collect(member, layer, 1)
  return tensors


def _keras3_tensors(h5py: Any, root: Any) -> Tensors:
  """Arrays are numbered there; which layer a group is of stands in an attribute.

  The groups' own numbers follow the order of the finished graph, not that in which layers were
  made.
  """
  tensors: Tensors = {}
  layers = _member(root, "layers")
  for group in layers:
    names = _KERAS3_NAMES.get(group.rstrip("_0123456789"))
    member = _member(layers, group)
    held = _member(member, "vars") if names and isinstance(member, h5py.Group) else None
    if held is None or names is None or not isinstance(held, h5py.Group):
      continue
    layer = held.attrs.get("name")
    if not isinstance(layer, str):
      raise ValueError("layers have no names; save the weights again with a newer Keras 3")
    for number, entry in enumerate(names.get(len(held), ())):
      if isinstance(dataset := _member(held, str(number)), h5py.Dataset):
        tensors[f"{layer}/{entry}"] = _h5_tensor(dataset)
  return tensors


_KERAS3_NAMES = {
  "conv2d": {1: ("kernel",), 2: ("kernel", "bias")},
  "batch_normalization": {
    3: ("beta", "moving_mean", "moving_variance"),
    4: ("gamma", "beta", "moving_mean", "moving_variance"),
  },
}


def _member(group: Any, name: str) -> Any:
  """What lies in a group itself; links to elsewhere, in this file or another, are not followed."""
  h5py = _import("h5py")
  is_own = isinstance(group.get(name, getlink=True), h5py.HardLink)
  return group[name] if is_own else None


def _h5_tensor(dataset: Any) -> StoredTensor:
  is_elsewhere = bool(dataset.external) or dataset.is_virtual
  is_float = dataset.dtype.kind == "f" and not is_elsewhere
  return StoredTensor(tuple(dataset.shape or ()), is_float, lambda: dataset[()])


def _read_safetensors(path: Path, use: Callable[[Tensors], Any]) -> Any:
  safetensors = _import("safetensors")
  try:
    with safetensors.safe_open(str(path), framework="numpy") as file:
      return use({name: _safe_tensor(file, name) for name in file.keys()})
  except safetensors.SafetensorError as error:
    raise ValueError(str(error)) from error


def _safe_tensor(file: Any, name: str) -> StoredTensor:
  entry = file.get_slice(name)
  is_float = entry.get_dtype() in ("F64", "F32", "F16")  # NumPy has no bfloat16
  return StoredTensor(tuple(entry.get_shape()), is_float, lambda: file.get_tensor(name))


def _read_npz(path: Path, use: Callable[[Tensors], Any]) -> Any:
  with zipfile.ZipFile(path) as archive, np.load(path, allow_pickle=False) as arrays:
    names = [name for name in archive.namelist() if name.endswith(".npy")]
    return use({name[:-4]: _npz_tensor(archive, arrays, name) for name in names})


def _npz_tensor(archive: zipfile.ZipFile, arrays: Any, name: str) -> StoredTensor:
  """Reads the array's header alone."""
  with archive.open(name) as member:
    version = np.lib.format.read_magic(member)
    if version not in _NPY_HEADERS:
      raise ValueError(f"tensor {name[:-4]} is of .npy version {version}")
    shape, _, dtype = _NPY_HEADERS[version](member)
  return StoredTensor(shape, dtype.kind == "f", lambda: arrays[name[:-4]])


_NPY_HEADERS = {
  (1, 0): np.lib.format.read_array_header_1_0,
  (2, 0): np.lib.format.read_array_header_2_0,
}
_READERS: dict[str, Callable[[Path, Callable[[Tensors], Any]], Any]] = {
  ".h5": _read_h5,
  ".hdf5": _read_h5,
  ".safetensors": _read_safetensors,
  ".npz": _read_npz,
}


def _import(name: str) -> Any:
  try:
    return __import__(name)
  except ImportError as error:
    raise UserError(
      f"reading such weights needs {name}, which is not installed; run:"
      " pip install 'jaxskills[weights]'"
    ) from error
