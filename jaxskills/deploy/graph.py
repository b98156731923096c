"""A small writer of ONNX graphs: names, constants, nodes, and what every model of ours must be.

A model is one file without external data, of standard operators only, for opset 17, which runtimes
from onnxruntime 1.12 on run and which is the first with `LayerNormalization`. The first axis of
every input and output is a batch of any size. `layers.py` says how our networks become nodes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET = 17
IR_VERSION = 8  # of the file format; the one that came with opset 17
BATCH = "batch"


class Graph:
  """A graph under construction; tensors are known by their names."""

  def __init__(self, name: str) -> None:
    """Begins an empty graph called `name`."""
    self._name = name
    self._nodes: list[onnx.NodeProto] = []
    self._constants: dict[str, onnx.TensorProto] = {}
    self._inputs: list[onnx.ValueInfoProto] = []
    self._outputs: list[onnx.ValueInfoProto] = []

  def add_input(self, name: str, dtype: Any, shape: Sequence[int]) -> str:
    """Declares an input `[batch, *shape]`."""
    self._inputs.append(_describe(name, dtype, shape))
    return name

  def add_output(self, name: str, value: str, shape: Sequence[int]) -> None:
    """Declares that the tensor `value` is the float32 output `name`, `[batch, *shape]`."""
    self._nodes.append(helper.make_node("Identity", [value], [name], name=f"give_{name}"))
    self._outputs.append(_describe(name, np.float32, shape))

  def constant(self, name: str, value: Any) -> str:
    """Stores an array in the model; floats as float32, integers as int64.

    Raises:
      ValueError: if another array has that name.
    """
    array = np.asarray(value)
    kind = np.float32 if np.issubdtype(array.dtype, np.floating) else np.int64
    array = np.ascontiguousarray(array.astype(kind)).reshape(array.shape)
    tensor = numpy_helper.from_array(array, name)
    if self._constants.setdefault(name, tensor) != tensor:
      raise ValueError(f"two different constants are called {name!r}")
    return name

  def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
    """Adds a node with one output and returns that."""
    return self.add_split(operator, *inputs, outputs=1, **attributes)[0]

  def add_split(self, operator: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
    """Adds a node with several outputs and returns them."""
    node = f"{operator}_{len(self._nodes)}"
    names = [f"{node}:{index}" for index in range(outputs)]
    self._nodes.append(helper.make_node(operator, inputs, names, name=node, **attributes))
    return names

  def finish(self, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """Makes and checks the model.

    Args:
      metadata: text that travels in the file (`metadata_props`).

    Raises:
      ValueError: if the model is not valid, or not self-contained.
    """
    constants = list(self._constants.values())
    graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, constants)
    model = helper.make_model(
      graph,
      opset_imports=[helper.make_opsetid("", OPSET)],
      ir_version=IR_VERSION,
      producer_name="jaxskills",
    )
    helper.set_model_props(model, dict(metadata))
    check(model)
    return model


def check(model: onnx.ModelProto) -> None:
  """Refuses models that are not valid or that reach outside their file.

  Raises:
    ValueError: saying what is wrong.
  """
  if extra := [entry.domain for entry in model.opset_import if entry.domain]:
    raise ValueError(f"the model needs operators of {extra[0]!r}; only standard ones are allowed")
  for tensor in model.graph.initializer:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
      raise ValueError(f"the weights {tensor.name!r} lie outside the model's file")
  try:
    onnx.checker.check_model(model, full_check=True)
  except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
    raise ValueError(f"not a valid ONNX model: {error}") from error


def _describe(name: str, dtype: Any, shape: Sequence[int]) -> onnx.ValueInfoProto:
  kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
  return helper.make_tensor_value_info(name, kind, [BATCH, *shape])
