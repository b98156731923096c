"""How the flax networks of `jaxskills.networks` become ONNX nodes, layer by layer.

Each function mirrors one flax module, takes its attributes from an instance of it and its weights
from that module's parameters, and computes the same sums in the same order where it can. Parity is
tested against the modules themselves. What turns an observation into features (bytes to numbers,
differences of frames, scaling of vectors) is in the graph, so that a robot feeds raw observations.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxskills.deploy.graph import Graph
from jaxskills.distributions import LOG_STD_MAX, LOG_STD_MIN
from jaxskills.networks.encoder import ImageOptions
from jaxskills.networks.mlp import LEAK
from jaxskills.networks.skill import SkillDecoder

Weights = Mapping[str, Any]
"""Parameters of one flax module: arrays and mappings of them."""

LAYER_NORM_EPSILON = 1e-6  # flax's default


def encode(
  graph: Graph,
  inputs: Sequence[str],
  observation: Mapping[str, Any],
  scaling: Mapping[str, Any] | None,
  image: ImageOptions,
  weights: Weights,
  path: str,
) -> str:
  """`networks.encoder.ObservationEncoder`: features of the modalities `inputs`, concatenated.

  Args:
    graph: has these modalities as inputs.
    inputs: names of the modalities.
    observation: shape and dtype of each.
    scaling: fixed scaling of vector modalities.
    image: how uint8 modalities are read.
    weights: of the module, empty if it sees vectors only.
    path: prefix of the constants' names.
  """
  features = []
  for name in inputs:
    place = f"{path}.{name}"
    if np.dtype(observation[name].dtype) == np.uint8:
      shape = observation[name].shape
      features.append(_encode_image(graph, name, shape, image, weights[name], place))
    elif scaling is not None and name in scaling:
      offset, scale = (np.asarray(entry, np.float32) for entry in scaling[name])
      centred = graph.add("Sub", name, graph.constant(f"{place}.offset", offset))
      features.append(graph.add("Mul", centred, graph.constant(f"{place}.scale", scale)))
    else:
      features.append(name)
  return features[0] if len(features) == 1 else graph.add("Concat", *features, axis=1)


def _encode_image(
  graph: Graph,
  name: str,
  shape: Sequence[int],
  options: ImageOptions,
  weights: Weights,
  path: str,
) -> str:
  """The newest frame in [-1, 1] and the gained differences, convolved and flattened."""
  rows, columns, channels = shape
  colours = channels // options.frames
  value = graph.add("Cast", graph.add("Transpose", name, perm=[0, 3, 1, 2]), to=1)  # to float32
  value = graph.add("Mul", value, graph.constant("per_byte", np.float32(2.0 / 255.0)))
  value = graph.add("Sub", value, graph.constant("one", np.float32(1.0)))
  if options.frames > 1:
    newer = _channels(graph, value, 0, channels - colours)
    change = graph.add("Sub", newer, _channels(graph, value, colours, channels))
    gain = graph.constant(f"{path}.difference_gain", np.float32(options.difference_gain))
    newest = _channels(graph, value, 0, colours)
    value = graph.add("Concat", newest, graph.add("Mul", change, gain), axis=1)
  sides = [rows, columns]
  for index in range(len(options.channels)):
    layer = weights[f"conv_{index}"]
    before, after, sides = _same_padding(sides, options.kernel, options.stride)
    value = graph.add(
      "Conv",
      value,
      graph.constant(f"{path}.conv_{index}.kernel", np.transpose(layer["kernel"], (3, 2, 0, 1))),
      graph.constant(f"{path}.conv_{index}.bias", layer["bias"]),
      strides=[options.stride] * 2,
      pads=[*before, *after],
    )
    value = graph.add("LeakyRelu", value, alpha=LEAK)
  return graph.add("Flatten", graph.add("Transpose", value, perm=[0, 2, 3, 1]), axis=1)


def _channels(graph: Graph, value: str, first: int, end: int) -> str:
  bounds = [graph.constant(f"channel_{bound}", np.array([bound])) for bound in (first, end)]
  return graph.add("Slice", value, *bounds, graph.constant("channel_axis", np.array([1])))


def _same_padding(
  sides: Sequence[int], kernel: int, stride: int
) -> tuple[list[int], list[int], list[int]]:
  """Padding before and after each axis, and the sides of the result, as `networks.conv` has it."""
  outputs = [-(-side // stride) for side in sides]
  missing = [
    max((count - 1) * stride + kernel - side, 0) for count, side in zip(outputs, sides, strict=True)
  ]
  return [m // 2 for m in missing], [m - m // 2 for m in missing], outputs


def mlp(
  graph: Graph, value: str, layers: int, layer_norm: bool, weights: Weights, path: str
) -> str:
  """`networks.mlp.Mlp`: dense, optional LayerNorm, leaky ReLU."""
  for index in range(layers):
    value = dense(graph, value, weights[f"dense_{index}"], f"{path}.dense_{index}")
    if layer_norm:
      norm, place = weights[f"norm_{index}"], f"{path}.norm_{index}"
      value = graph.add(
        "LayerNormalization",
        value,
        graph.constant(f"{place}.scale", norm["scale"]),
        graph.constant(f"{place}.bias", norm["bias"]),
        epsilon=LAYER_NORM_EPSILON,
      )
    value = graph.add("LeakyRelu", value, alpha=LEAK)
  return value


def dense(graph: Graph, value: str, weights: Weights, path: str) -> str:
  """`flax.linen.Dense` on rows."""
  kernel = graph.constant(f"{path}.kernel", weights["kernel"])
  return graph.add("Gemm", value, kernel, graph.constant(f"{path}.bias", weights["bias"]))


def gaussian(graph: Graph, features: str, weights: Weights, path: str) -> tuple[str, str]:
  """`networks.heads.GaussianHead`: mean and clamped log standard deviation."""
  both = dense(graph, features, weights["dense"], f"{path}.dense")
  mean, log_std = graph.add_split("Split", both, outputs=2, axis=1)
  bounds = [
    graph.constant("log_std_min", np.float32(LOG_STD_MIN)),
    graph.constant("log_std_max", np.float32(LOG_STD_MAX)),
  ]
  return mean, graph.add("Clip", log_std, *bounds)


def squash(graph: Graph, value: str, limit: float) -> str:
  """`distributions.squash`: `limit * tanh(value / limit)`."""
  bound = graph.constant("limit", np.float32(limit))
  return graph.add("Mul", graph.add("Tanh", graph.add("Div", value, bound)), bound)


def unroll(
  graph: Graph,
  skill: str,
  module: SkillDecoder,
  observation: Mapping[str, Any],
  weights: Weights,
  path: str,
) -> str:
  """`networks.skill.SkillDecoder`: actions `[batch, horizon, action]` of skills.

  The loop is unrolled: ten steps are some two hundred small nodes on shared weights, which every
  runtime plans ahead of time, where `Loop` and `Scan` start an inner session at each step. The
  first hidden state and action are rows that broadcast over the batch.
  """
  hidden, cell = _first_state(graph, module, observation, weights, path)
  action = graph.constant(f"{path}.first_action", weights["first_action"][None])
  step = weights["step"]
  offered = graph.add(
    "Gemm",  # what does not change: the skill's part of the gates, and their bias
    skill,
    graph.constant(f"{path}.skill.kernel", weights["skill"]["kernel"]),
    graph.constant(f"{path}.step.lstm.bias", step["lstm"]["bias"]),
  )
  feedback = graph.constant(f"{path}.step.feedback.kernel", step["feedback"]["kernel"])
  recurrent = graph.constant(f"{path}.step.lstm.recurrent", step["lstm"]["recurrent"])
  axis = graph.constant("time_axis", np.array([1]))
  actions = []
  for _ in range(module.horizon):
    gates = graph.add("Add", offered, graph.add("MatMul", action, feedback))
    gates = graph.add("Add", gates, graph.add("MatMul", hidden, recurrent))
    hidden, cell = lstm_cell(graph, gates, cell)
    action = dense(graph, hidden, step["head"], f"{path}.step.head")
    actions.append(graph.add("Unsqueeze", action, axis))
  return actions[0] if len(actions) == 1 else graph.add("Concat", *actions, axis=1)


def _first_state(
  graph: Graph,
  module: SkillDecoder,
  observation: Mapping[str, Any],
  weights: Weights,
  path: str,
) -> tuple[str, str]:
  """Hidden and cell state before the first action: learned, or predicted from an observation."""
  if not module.condition_on:
    first = np.asarray(weights["first_state"])
    hidden = graph.constant(f"{path}.first_hidden", first[:1])
    return hidden, graph.constant(f"{path}.first_cell", first[1:])
  features = encode(
    graph,
    module.condition_on,
    observation,
    module.scaling,
    module.image,
    weights.get("encoder", {}),
    f"{path}.encoder",
  )
  features = mlp(graph, features, 1, False, weights["condition"], f"{path}.condition")
  both = dense(graph, features, weights["first_state"], f"{path}.first_state")
  hidden, cell = graph.add_split("Split", both, outputs=2, axis=1)
  return hidden, cell


def lstm_cell(graph: Graph, gates: str, cell: str) -> tuple[str, str]:
  """The next hidden and cell state; gates in the order enter, forget, candidate, leave."""
  enter, forget, candidate, leave = graph.add_split("Split", gates, outputs=4, axis=1)
  kept = graph.add("Mul", graph.add("Sigmoid", forget), cell)
  added = graph.add("Mul", graph.add("Sigmoid", enter), graph.add("Tanh", candidate))
  cell = graph.add("Add", kept, added)
  return graph.add("Mul", graph.add("Sigmoid", leave), graph.add("Tanh", cell)), cell
