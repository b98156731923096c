"""The modules that TorchScript of a `Network` is made of; needs torch.

Apart from `network_torch` because a class that is to be scripted must be defined where torch is.
PyTorch's own cells have the gates of flax's in the same order, with a bias for either product. The
classes are marked `no_type_check`: a method that a checker of types has wrapped cannot be scripted.
"""

from typing import no_type_check

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]

from jaxskills.deploy.network import (
  Activation,
  Affine,
  GruCell,
  LayerNorm,
  LstmCell,
  Network,
  Standardize,
)


@no_type_check
class Normalizer(nn.Module):
  """`Standardize` on rows."""

  mean: torch.Tensor
  deviation: torch.Tensor

  def __init__(self, layer: Standardize) -> None:
    """Keeps the statistics as buffers."""
    super().__init__()
    self.register_buffer("mean", torch.tensor(layer.mean))
    self.register_buffer("deviation", torch.tensor(layer.deviation))
    self.limit = layer.limit

  def forward(self, value: torch.Tensor) -> torch.Tensor:
    """Rows `[batch, width]` normalised and cut."""
    return torch.clamp((value - self.mean) / self.deviation, -self.limit, self.limit)


@no_type_check
class Lstm(nn.Module):
  """`LstmCell`, with what it remembers in one row."""

  def __init__(self, layer: LstmCell) -> None:
    """Copies the weights."""
    super().__init__()
    self.cell = nn.LSTMCell(len(layer.kernel), layer.width)
    _load_cell(self.cell, layer, np.zeros(4 * layer.width))

  def forward(self, value: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The output and the next state of inputs and states `[batch, width]`."""
    hidden, cell = torch.chunk(state, 2, dim=1)
    hidden, cell = self.cell(value, (hidden, cell))
    return hidden, torch.cat([hidden, cell], dim=1)


@no_type_check
class Gru(nn.Module):
  """`GruCell`."""

  def __init__(self, layer: GruCell) -> None:
    """Copies the weights."""
    super().__init__()
    self.cell = nn.GRUCell(len(layer.kernel), layer.width)
    nothing = np.zeros(2 * layer.width)  # of the other two gates: flax has one bias for both
    _load_cell(self.cell, layer, np.concatenate([nothing, layer.candidate_bias]))

  def forward(self, value: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The output and the next state of inputs and states `[batch, width]`."""
    hidden = self.cell(value, state)
    return hidden, hidden


@no_type_check
class Recurrent(nn.Module):
  """A network that remembers: each cell stands after the layers that feed it."""

  def __init__(self, network: Network) -> None:
    """Builds the modules and a state of zeros."""
    super().__init__()
    before, cells, waiting, sizes = [], [], [], []
    for layer in network.layers:
      if isinstance(layer, LstmCell | GruCell):
        before.append(nn.Sequential(*waiting))
        cells.append(Lstm(layer) if isinstance(layer, LstmCell) else Gru(layer))
        sizes.append(layer.state_size)
        waiting = []
      else:
        waiting.append(_module(layer))
    self.before, self.cells = nn.ModuleList(before), nn.ModuleList(cells)
    self.after = nn.Sequential(*waiting)
    self.sizes = sizes
    self.register_buffer("state", torch.zeros(1, network.state_size))

  def forward(self, observation: torch.Tensor) -> torch.Tensor:
    """Actions `[batch, action]`; remembers what is needed for the next step."""
    if self.state.shape[0] != observation.shape[0]:
      self.state = torch.zeros(observation.shape[0], self.state.shape[1])
    parts = torch.split(self.state, self.sizes, dim=1)
    value, kept = observation, []
    cells = zip(self.before, self.cells)  # noqa: B905  (TorchScript knows no `strict`)
    for index, (feed, cell) in enumerate(cells):
      value, after = cell(feed(value), parts[index])
      kept.append(after)
    self.state = torch.cat(kept, dim=1)
    return self.after(value)

  @torch.jit.export
  def reset_memory(self) -> None:
    """Forgets: what comes next is the start of an episode."""
    self.state = torch.zeros_like(self.state)


def module_of(network: Network) -> nn.Module:
  """The module of a whole network, without gradients and ready to be scripted."""
  module = Recurrent(network)
  return (module if network.state_size else module.after).requires_grad_(False).eval()


def _module(layer: Standardize | Affine | LayerNorm | Activation) -> nn.Module:
  if isinstance(layer, Standardize):
    return Normalizer(layer)
  if isinstance(layer, Affine):
    inputs, outputs = layer.kernel.shape
    module = nn.Linear(inputs, outputs)
    _copy(module.weight, layer.kernel.T)
    _copy(module.bias, layer.bias)
    return module
  if isinstance(layer, LayerNorm):
    module = nn.LayerNorm(len(layer.scale), eps=layer.epsilon)
    _copy(module.weight, layer.scale)
    _copy(module.bias, layer.bias)
    return module
  if layer.kind == "leaky_relu":
    return nn.LeakyReLU(layer.slope)
  return {"elu": nn.ELU, "relu": nn.ReLU, "tanh": nn.Tanh}[layer.kind]()


def _load_cell(cell: nn.RNNCellBase, layer: LstmCell | GruCell, hidden_bias: np.ndarray) -> None:
  _copy(cell.weight_ih, layer.kernel.T)
  _copy(cell.weight_hh, layer.recurrent.T)
  _copy(cell.bias_ih, layer.bias)
  _copy(cell.bias_hh, hidden_bias)


def _copy(parameter: torch.Tensor, value: np.ndarray) -> None:
  parameter.data.copy_(torch.from_numpy(np.array(value, np.float32)))
