"""SPiRL's networks in eager PyTorch, with our parameters: what `rehost_updates.py` trains.

Written as a PyTorch user would, with PyTorch's LSTM kernels. Every `load` takes over the parameters
of the network of jaxskills that it re-hosts, so that both sides compute the same. Only what the
maze experiment uses is here.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch import Tensor, nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

from jaxskills.distributions import LOG_STD_MAX, LOG_STD_MIN
from jaxskills.learners.skill_prior import SkillPriorConfig
from jaxskills.networks.encoder import ImageOptions, Scaling
from jaxskills.networks.mlp import LEAK
from jaxskills.types import Params

Gaussian = tuple[Tensor, Tensor]
"""Mean and log standard deviation, `[batch, size]`."""

VIEW_SIDE = 32


class ViewEncoder(nn.Module):
  """Convolutions over the current frame and its difference from the one before."""

  def __init__(self, options: ImageOptions):
    super().__init__()
    self.gain = options.difference_gain
    channels = pairwise((options.frames, *options.channels))
    self.layers = nn.ModuleList(
      nn.Conv2d(into, out, options.kernel, options.stride) for into, out in channels
    )
    self.side = VIEW_SIDE // options.stride ** len(self.layers)
    self.channels = options.channels[-1]

  def forward(self, view: Tensor) -> Tensor:
    """Maps uint8 `[batch, 32, 32, 2]` to features `[batch, channels * side * side]`."""
    frames = view.permute(0, 3, 1, 2).float() * (2.0 / 255.0) - 1.0
    now = frames[:, :1]
    value = torch.cat([now, self.gain * (now - frames[:, 1:])], dim=1)
    for layer in self.layers:
      value = functional.leaky_relu(layer(functional.pad(value, (0, 1, 0, 1))), LEAK)
    return value.flatten(1)

  def load(self, params: Params) -> None:
    """Takes over the parameters of `networks.conv.ConvStack`."""
    for index, layer in enumerate(self.layers):
      entry = params[f"conv_{index}"]
      copy(layer.weight, np.transpose(entry["kernel"], (3, 2, 0, 1)))
      copy(layer.bias, entry["bias"])


class Policy(nn.Module):
  """A Gaussian over skills from views, or from features where the convolutions are frozen."""

  def __init__(self, size: int, hidden: Sequence[int], image: ImageOptions, frozen: bool = False):
    super().__init__()
    encoder = ViewEncoder(image)
    self.encoder = None if frozen else encoder
    self.grid = (encoder.side, encoder.side, encoder.channels)
    widths = (int(np.prod(self.grid)), *hidden)
    self.layers = nn.ModuleList(nn.Linear(into, out) for into, out in pairwise(widths))
    self.head = nn.Linear(widths[-1], 2 * size)

  def forward(self, seen: Tensor) -> Gaussian:
    """Reads uint8 views `[batch, 32, 32, 2]`, or features `[batch, features]`."""
    value = seen.float() if self.encoder is None else self.encoder(seen)
    for layer in self.layers:
      value = functional.leaky_relu(layer(value), LEAK)
    return _gaussian(self.head(value))

  def load(self, params: Params) -> "Policy":
    """Takes over the parameters of `networks.policy.GaussianPolicy`."""
    params = params["params"]
    if self.encoder is not None:
      self.encoder.load(params["encoder"]["view"])
    for index, layer in enumerate(self.layers):
      entry = params["mlp"][f"dense_{index}"]
      kernel = np.asarray(entry["kernel"])
      if index == 0 and self.encoder is not None:  # ours flattens rows, columns, channels
        kernel = kernel.reshape(*self.grid, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
      copy(layer.weight, kernel.T)
      copy(layer.bias, entry["bias"])
    load_linear(self.head, params["head"]["dense"])
    return self


class SkillModel(nn.Module):
  """Skill encoder, decoder and prior; PyTorch's second LSTM bias is held at zero."""

  def __init__(self, config: SkillPriorConfig, action_size: int):
    super().__init__()
    if config.condition_on or config.closed_loop or config.layer_norm:
      raise ValueError("the re-host has open-loop decoders without state and no LayerNorm")
    size, width = config.skill_size, config.width
    self.horizon = config.horizon
    self.encoder = nn.LSTM(action_size, width, batch_first=True)
    self.posterior = nn.Linear(width, 2 * size)
    self.cell = nn.LSTMCell(size + action_size, width)
    self.action = nn.Linear(width, action_size)
    self.first_action = nn.Parameter(torch.zeros(action_size))
    self.first_state = nn.Parameter(torch.zeros(2, width))
    self.prior = Policy(size, config.hidden, config.image)
    unused: Any = (self.encoder.bias_hh_l0, self.cell.bias_hh)
    for bias in unused:
      nn.init.zeros_(bias).requires_grad_(False)

  def encode(self, actions: Tensor) -> Gaussian:
    """Maps action windows `[batch, horizon, action]` to their skills."""
    _, (hidden, _) = self.encoder(actions)
    return _gaussian(self.posterior(hidden[0]))

  def decode(self, skill: Tensor) -> Tensor:
    """Maps skills `[batch, skill]` to actions `[batch, horizon, action]`."""
    batch = len(skill)
    state = (self.first_state[0].expand(batch, -1), self.first_state[1].expand(batch, -1))
    action = self.first_action.expand(batch, -1)
    actions = []
    for _ in range(self.horizon):
      state = self.cell(torch.cat([skill, action], dim=-1), state)
      action = self.action(state[0])
      actions.append(action)
    return torch.stack(actions, dim=1)

  def load(self, params: Params) -> "SkillModel":
    """Takes over the parameters of `learners.skill_prior`."""
    encoder, decoder = params["encoder"]["params"], params["decoder"]["params"]
    copy(self.encoder.weight_ih_l0, np.asarray(encoder["input"]["kernel"]).T)
    copy(self.encoder.weight_hh_l0, np.asarray(encoder["lstm"]["recurrent"]).T)
    copy(self.encoder.bias_ih_l0, encoder["lstm"]["bias"])
    load_linear(self.posterior, encoder["head"]["dense"])
    step = decoder["step"]
    into = np.concatenate([decoder["skill"]["kernel"], step["feedback"]["kernel"]])
    copy(self.cell.weight_ih, into.T)
    copy(self.cell.weight_hh, np.asarray(step["lstm"]["recurrent"]).T)
    copy(self.cell.bias_ih, step["lstm"]["bias"])
    load_linear(self.action, step["head"])
    copy(self.first_action, decoder["first_action"])
    copy(self.first_state, decoder["first_state"])
    self.prior.load(params["prior"])
    return self


class Critic(nn.Module):
  """One action value of the scaled state and the skill."""

  def __init__(self, state_size: int, skill_size: int, hidden: Sequence[int], scaling: Scaling):
    super().__init__()
    self.offset, self.scale = torch.tensor(scaling.offset), torch.tensor(scaling.scale)
    widths = (state_size + skill_size, *hidden)
    self.layers = nn.ModuleList(nn.Linear(into, out) for into, out in pairwise(widths))
    self.head = nn.Linear(widths[-1], 1)

  def forward(self, state: Tensor, skill: Tensor) -> Tensor:
    """Values `[batch]`."""
    value = torch.cat([(state - self.offset) * self.scale, skill], dim=-1)
    for layer in self.layers:
      value = functional.leaky_relu(layer(value), LEAK)
    return self.head(value)[:, 0]

  def load(self, params: Params) -> "Critic":
    """Takes over the parameters of `networks.critic.Critic`."""
    for index, layer in enumerate(self.layers):
      load_linear(layer, params["mlp"][f"dense_{index}"])
    load_linear(self.head, params["head"])
    return self


def count(*modules: nn.Module) -> int:
  """Parameters that are trained."""
  return sum(p.numel() for module in modules for p in module.parameters() if p.requires_grad)


def _gaussian(output: Tensor) -> Gaussian:
  mean, log_std = output.chunk(2, dim=-1)
  return mean, log_std.clamp(LOG_STD_MIN, LOG_STD_MAX)


def load_linear(layer: Any, entry: Mapping[str, Any]) -> None:
  copy(layer.weight, np.asarray(entry["kernel"]).T)
  copy(layer.bias, entry["bias"])


def copy(parameter: Any, value: Any) -> None:
  """Overwrites a parameter by an array of the same shape."""
  array = np.array(value, np.float32)
  if array.shape != tuple(parameter.shape):
    raise ValueError(f"a parameter of shape {tuple(parameter.shape)} was given {array.shape}")
  with torch.no_grad():
    parameter.copy_(torch.from_numpy(array))
