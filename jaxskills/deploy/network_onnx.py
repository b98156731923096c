"""A `Network` as an ONNX model: the normaliser inside, the recurrent state explicit.

Inputs: `state` `[batch, observation]` and, of a recurrent network, `state_in` `[batch, state]`,
zeros at the start of an episode. Outputs: `action` `[batch, action]`, unclipped, and `state_out`,
which is the next step's `state_in`.
"""

from collections.abc import Mapping

import numpy as np
import onnx

from jaxskills.deploy import layers
from jaxskills.deploy.graph import Graph
from jaxskills.deploy.models import ACTION
from jaxskills.deploy.network import (
  Activation,
  Affine,
  GruCell,
  LayerNorm,
  LstmCell,
  Network,
  Standardize,
  check,
)

STATE, STATE_IN, STATE_OUT = "state", "state_in", "state_out"


def policy_model(network: Network, metadata: Mapping[str, str] | None = None) -> onnx.ModelProto:
  """The model of a network.

  Args:
    network: from `network.describe_actor`, or put together by hand.
    metadata: text to put in the file.

  Raises:
    UserError: if a weight is not finite.
    ValueError: if the layers do not fit one another.
  """
  check(network)
  graph = Graph("policy")
  value = graph.add_input(STATE, np.float32, [network.observation_size])
  begin, before, after = 0, [], []
  if network.state_size:
    graph.add_input(STATE_IN, np.float32, [network.state_size])
    before = _parts(graph, network)
  for index, layer in enumerate(network.layers):
    path = f"layer_{index}"
    if isinstance(layer, LstmCell):
      value, cell = _lstm(graph, value, before[begin], before[begin + 1], layer, path)
      after += [value, cell]
      begin += 2
    elif isinstance(layer, GruCell):
      value = _gru(graph, value, before[begin], layer, path)
      after.append(value)
      begin += 1
    else:
      value = _forward(graph, value, layer, path)
  graph.add_output(ACTION, value, [network.action_size])
  if after:
    whole = graph.add("Concat", *after, axis=1)
    graph.add_output(STATE_OUT, whole, [network.state_size])
  return graph.finish(metadata or {})


def _parts(graph: Graph, network: Network) -> list[str]:
  """The vectors that the layers remember, cut from `state_in`."""
  sizes = []
  for layer in network.layers:
    if isinstance(layer, LstmCell):
      sizes += [layer.width, layer.width]
    elif isinstance(layer, GruCell):
      sizes.append(layer.width)
  lengths = graph.constant("state_parts", np.array(sizes))
  return graph.add_split("Split", STATE_IN, lengths, outputs=len(sizes), axis=1)


def _forward(
  graph: Graph, value: str, layer: Standardize | Affine | Activation | LayerNorm, path: str
) -> str:
  if isinstance(layer, Affine):
    return layers.dense(graph, value, layer._asdict(), path)
  if isinstance(layer, LayerNorm):
    scale, bias = (
      graph.constant(f"{path}.{key}", getattr(layer, key)) for key in ("scale", "bias")
    )
    return graph.add("LayerNormalization", value, scale, bias, epsilon=layer.epsilon)
  if isinstance(layer, Standardize):
    centred = graph.add("Sub", value, graph.constant(f"{path}.mean", layer.mean))
    scaled = graph.add("Div", centred, graph.constant(f"{path}.deviation", layer.deviation))
    bounds = [
      graph.constant(f"{path}.{name}", np.float32(bound))
      for name, bound in (("least", -layer.limit), ("greatest", layer.limit))
    ]
    return graph.add("Clip", scaled, *bounds)
  if layer.kind == "leaky_relu":
    return graph.add("LeakyRelu", value, alpha=layer.slope)
  return graph.add({"elu": "Elu", "relu": "Relu", "tanh": "Tanh"}[layer.kind], value)


def _lstm(
  graph: Graph, value: str, hidden: str, cell: str, layer: LstmCell, path: str
) -> tuple[str, str]:
  """The next hidden and cell state."""
  seen = layers.dense(graph, value, layer._asdict(), path)
  kept = graph.add("MatMul", hidden, graph.constant(f"{path}.recurrent", layer.recurrent))
  return layers.lstm_cell(graph, graph.add("Add", seen, kept), cell)


def _gru(graph: Graph, value: str, hidden: str, layer: GruCell, path: str) -> str:
  """The next hidden state."""
  seen = layers.dense(graph, value, layer._asdict(), path)
  only_candidate = np.concatenate([np.zeros(2 * layer.width), layer.candidate_bias])
  weights = {"kernel": layer.recurrent, "bias": only_candidate}
  kept = layers.dense(graph, hidden, weights, f"{path}.recurrent")
  seen_r, seen_z, seen_n = graph.add_split("Split", seen, outputs=3, axis=1)
  kept_r, kept_z, kept_n = graph.add_split("Split", kept, outputs=3, axis=1)
  reset = graph.add("Sigmoid", graph.add("Add", seen_r, kept_r))
  keep = graph.add("Sigmoid", graph.add("Add", seen_z, kept_z))
  candidate = graph.add("Tanh", graph.add("Add", seen_n, graph.add("Mul", reset, kept_n)))
  change = graph.add("Sub", hidden, candidate)
  return graph.add("Add", candidate, graph.add("Mul", keep, change))
