"""A policy's network as a plain list of layers, from which every form for robots is written.

`describe_actor` reads the deterministic policy (the Gaussian's mean) out of trained parameters and
the running statistics of its observations. ONNX, C and TorchScript are written from this one
description, and `evaluate` computes it in NumPy, in float64 for a reference. All weights are held
in float32, as they were trained; `[in, out]` is the order of every kernel, as in flax.

A recurrent network takes and gives its state as one vector: the layers' parts in their order, of an
LSTM (Hochreiter and Schmidhuber 1997) hidden and cell, of a GRU (Cho et al. 2014) hidden alone.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxskills.deploy.layers import LAYER_NORM_EPSILON, Weights
from jaxskills.errors import UserError
from jaxskills.networks import normalizer
from jaxskills.networks.actor_critic import Actor
from jaxskills.networks.mlp import LEAK
from jaxskills.networks.normalizer import Moments


class Standardize(NamedTuple):
  """`clip((value - mean) / deviation, -limit, limit)`, entry by entry."""

  mean: Float[np.ndarray, "width"]
  deviation: Float[np.ndarray, "width"]
  limit: float


class Affine(NamedTuple):
  """`value @ kernel + bias`."""

  kernel: Float[np.ndarray, "inputs outputs"]
  bias: Float[np.ndarray, "outputs"]


class Activation(NamedTuple):
  """A function of each entry; `slope` is that of the leaky ReLU below zero."""

  kind: Literal["elu", "leaky_relu", "relu", "tanh"]
  slope: float = LEAK


class LayerNorm(NamedTuple):
  """`(value - mean) / sqrt(variance + epsilon) * scale + bias` over the entries of a row."""

  scale: Float[np.ndarray, "width"]
  bias: Float[np.ndarray, "width"]
  epsilon: float = LAYER_NORM_EPSILON


class LstmCell(NamedTuple):
  """One step of an LSTM; gates lie in the order enter, forget, candidate, leave.

  `gates = value @ kernel + hidden @ recurrent + bias`. The cell becomes `sigmoid(forget) * cell +
  sigmoid(enter) * tanh(candidate)`; hidden, which is also the output, becomes `sigmoid(leave) *
  tanh(cell)`.
  """

  kernel: Float[np.ndarray, "inputs gates"]
  recurrent: Float[np.ndarray, "width gates"]
  bias: Float[np.ndarray, "gates"]

  @property
  def width(self) -> int:
    """Units."""
    return len(self.recurrent)

  @property
  def state_size(self) -> int:
    """Numbers that are remembered: hidden, then cell."""
    return 2 * self.width


class GruCell(NamedTuple):
  """One step of a GRU; gates lie in the order reset, keep, candidate.

  With `seen = value @ kernel + bias` and `kept = hidden @ recurrent` in three parts each, hidden,
  which is also the output, becomes `(1 - z) * tanh(seen_n + r * (kept_n + candidate_bias)) + z *
  hidden`, where `r = sigmoid(seen_r + kept_r)` and `z = sigmoid(seen_z + kept_z)`.
  """

  kernel: Float[np.ndarray, "inputs gates"]
  recurrent: Float[np.ndarray, "width gates"]
  bias: Float[np.ndarray, "gates"]
  candidate_bias: Float[np.ndarray, "width"]

  @property
  def width(self) -> int:
    """Units."""
    return len(self.recurrent)

  @property
  def state_size(self) -> int:
    """Numbers that are remembered: hidden."""
    return self.width


Layer = Standardize | Affine | Activation | LayerNorm | LstmCell | GruCell


class Network(NamedTuple):
  """Layers one after another, from an observation to an unclipped action."""

  observation_size: int
  action_size: int
  layers: tuple[Layer, ...]

  @property
  def state_size(self) -> int:
    """Numbers that the network remembers from step to step; 0 if it is not recurrent."""
    return sum(layer.state_size for layer in self.layers if isinstance(layer, LstmCell | GruCell))


def describe_actor(
  actor: Actor, variables: Mapping[str, Any], moments: Mapping[str, Moments] | None = None
) -> Network:
  """The deterministic policy of PPO: the mean of the actor's Gaussian, not clipped.

  Args:
    actor: the network; it must see one vector modality.
    variables: its flax variables.
    moments: statistics by modality as `normalizer.normalize` takes them; a modality without any is
      seen as it is.

  Raises:
    UserError: if the actor sees an image or several modalities, or a weight is not finite.
  """
  weights = variables["params"]
  if weights.get("encoder"):
    name = ", ".join(sorted(weights["encoder"]))
    raise UserError(
      f"the policy sees the image {name!r}, and networks for robots are of vectors only; train it "
      "on a vector observation."
    )
  if len(actor.inputs) != 1:
    raise UserError(
      f"the policy sees {len(actor.inputs)} modalities ({', '.join(actor.inputs)}), and networks "
      "for robots take one vector; train it on that alone."
    )
  (modality,) = actor.inputs
  layers: list[Layer] = []
  if moments is not None and modality in moments:
    known = moments[modality]
    deviation = _array(normalizer.deviation(known))
    layers.append(Standardize(_array(known.mean), deviation, normalizer.LIMIT))
  for index in range(len(actor.hidden)):
    dense = weights["mlp"][f"dense_{index}"]
    layers += [Affine(_array(dense["kernel"]), _array(dense["bias"])), Activation(actor.activation)]
  head = weights["head"]["dense"] if actor.state_dependent_std else weights["mean"]
  mean = slice(0, actor.action_size)  # the other half, if any, is the deviation
  layers.append(Affine(_array(head["kernel"])[:, mean], _array(head["bias"])[mean]))
  first = next(layer for layer in layers if isinstance(layer, Affine))
  network = Network(len(first.kernel), actor.action_size, tuple(layers))
  check(network)
  return network


def lstm_cell(weights: Weights) -> LstmCell:
  """The cell of flax's `LSTMCell` or `OptimizedLSTMCell` from its parameters.

  Their gate and activation functions must be the default sigmoid and tanh.
  """
  kernel, recurrent, bias = (
    np.concatenate([_array(weights[f"{side}{gate}"][leaf]) for gate in "ifgo"], axis=-1)
    for side, leaf in (("i", "kernel"), ("h", "kernel"), ("h", "bias"))
  )
  return LstmCell(kernel, recurrent, bias)


def gru_cell(weights: Weights) -> GruCell:
  """The cell of flax's `GRUCell` from its parameters, with the default sigmoid and tanh."""
  kernel, recurrent, bias = (
    np.concatenate([_array(weights[f"{side}{gate}"][leaf]) for gate in "rzn"], axis=-1)
    for side, leaf in (("i", "kernel"), ("h", "kernel"), ("i", "bias"))
  )
  return GruCell(kernel, recurrent, bias, _array(weights["hn"]["bias"]))


def check(network: Network) -> None:
  """Refuses what cannot be computed or must not reach a robot.

  Raises:
    UserError: if a weight is not finite, naming its layer.
    ValueError: if layers do not fit one another.
  """
  given = network.observation_size
  for index, (layer, _, outputs) in enumerate(steps(network)):
    for name, value in layer._asdict().items():
      if isinstance(value, np.ndarray) and not np.isfinite(value).all():
        raise UserError(
          f"the policy's {name} in layer {index} ({type(layer).__name__}) is not finite: training "
          "diverged; export an earlier checkpoint or train it again."
        )
    wanted = _inputs(layer)
    if wanted is not None and wanted != given:
      raise ValueError(f"layer {index} takes {wanted} numbers and is given {given}")
    given = outputs
  if given != network.action_size:
    raise ValueError(f"the last layer gives {given} numbers, an action has {network.action_size}")


def steps(network: Network) -> Iterator[tuple[Layer, int, int]]:
  """Each layer with the numbers of its inputs and of its outputs."""
  width = network.observation_size
  for layer in network.layers:
    inputs, width = width, _outputs(layer, width)
    yield layer, inputs, width


def evaluate(
  network: Network,
  observation: Float[np.ndarray, "batch observation"],
  state: Float[np.ndarray, "batch state"] | None = None,
  dtype: Any = np.float64,
) -> tuple[Float[np.ndarray, "batch action"], Float[np.ndarray, "batch state"]]:
  """Actions of a batch, and the state after it, in NumPy.

  Args:
    network: from `describe_actor`, or put together by hand.
    observation: scaled as the environment does it, not normalised.
    state: from the last step; none is zeros, with which an episode starts.
    dtype: of the computation.
  """
  value = np.asarray(observation, dtype)
  state = np.zeros((len(value), network.state_size)) if state is None else state
  state, kept, begin = np.asarray(state, dtype), [], 0
  for layer in network.layers:
    if isinstance(layer, LstmCell | GruCell):
      value, after = _recur(layer, value, state[:, begin : begin + layer.state_size])
      kept.append(after)
      begin += layer.state_size
    else:
      value = _forward(layer, value)
  return value, np.concatenate(kept, axis=-1) if kept else state


def _forward(layer: Standardize | Affine | Activation | LayerNorm, value: np.ndarray) -> np.ndarray:
  if isinstance(layer, Standardize):
    return np.clip((value - layer.mean) / layer.deviation, -layer.limit, layer.limit)
  if isinstance(layer, Affine):
    return value @ layer.kernel.astype(value.dtype) + layer.bias
  if isinstance(layer, LayerNorm):
    centred = value - value.mean(axis=-1, keepdims=True)
    variance = np.mean(centred**2, axis=-1, keepdims=True)
    return centred / np.sqrt(variance + layer.epsilon) * layer.scale + layer.bias
  if layer.kind == "tanh":
    return np.tanh(value)
  if layer.kind == "elu":
    return np.where(value > 0, value, np.expm1(np.minimum(value, 0)))
  if layer.kind == "relu":
    return np.maximum(value, 0)
  return np.where(value > 0, value, layer.slope * value)


def _recur(
  layer: LstmCell | GruCell, value: np.ndarray, state: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  kernel, recurrent = (entry.astype(value.dtype) for entry in (layer.kernel, layer.recurrent))
  seen = value @ kernel + layer.bias
  if isinstance(layer, LstmCell):
    hidden, cell = np.split(state, 2, axis=-1)
    enter, forget, candidate, leave = np.split(seen + hidden @ recurrent, 4, axis=-1)
    cell = _sigmoid(forget) * cell + _sigmoid(enter) * np.tanh(candidate)
    hidden = _sigmoid(leave) * np.tanh(cell)
    return hidden, np.concatenate([hidden, cell], axis=-1)
  seen_r, seen_z, seen_n = np.split(seen, 3, axis=-1)
  kept_r, kept_z, kept_n = np.split(state @ recurrent, 3, axis=-1)
  keep = _sigmoid(seen_z + kept_z)
  candidate = np.tanh(seen_n + _sigmoid(seen_r + kept_r) * (kept_n + layer.candidate_bias))
  hidden = (1 - keep) * candidate + keep * state
  return hidden, hidden


def _sigmoid(value: np.ndarray) -> np.ndarray:
  return 0.5 + 0.5 * np.tanh(0.5 * value)  # which cannot overflow


def _array(value: Any) -> np.ndarray:
  return np.array(value, np.float32)


def _inputs(layer: Layer) -> int | None:
  """The numbers that a layer takes; an activation takes any."""
  if isinstance(layer, Activation):
    return None
  if isinstance(layer, Standardize):
    return len(layer.mean)
  return len(layer.scale if isinstance(layer, LayerNorm) else layer.kernel)


def _outputs(layer: Layer, inputs: int) -> int:
  if isinstance(layer, Affine):
    return len(layer.bias)
  return layer.width if isinstance(layer, LstmCell | GruCell) else inputs
