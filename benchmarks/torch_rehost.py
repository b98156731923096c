"""SPiRL's networks, losses and updates in eager PyTorch: the peer of `jaxskills bench spirl`.

SPiRL (Pertsch et al. 2020) was released as eager PyTorch for long outdated versions, so its speed
is measured on this re-host: the networks and losses of jaxskills, written as a PyTorch user would,
with the fast parts that PyTorch has (its LSTM kernels, fused Adam, no gradient where none is
needed). It takes over our parameters, and `spirl.py` refuses to compare unless both have as many
and compute the same losses. Only what the maze experiment uses is here.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch import Tensor, nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

from jaxskills.distributions import LOG_STD_MAX, LOG_STD_MIN
from jaxskills.learners.optimizer import EARLY_NORM, EARLY_UPDATES
from jaxskills.learners.sac import SacConfig
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
      _copy(layer.weight, np.transpose(entry["kernel"], (3, 2, 0, 1)))
      _copy(layer.bias, entry["bias"])


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
      _copy(layer.weight, kernel.T)
      _copy(layer.bias, entry["bias"])
    _load_linear(self.head, params["head"]["dense"])
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
    _copy(self.encoder.weight_ih_l0, np.asarray(encoder["input"]["kernel"]).T)
    _copy(self.encoder.weight_hh_l0, np.asarray(encoder["lstm"]["recurrent"]).T)
    _copy(self.encoder.bias_ih_l0, encoder["lstm"]["bias"])
    _load_linear(self.posterior, encoder["head"]["dense"])
    step = decoder["step"]
    into = np.concatenate([decoder["skill"]["kernel"], step["feedback"]["kernel"]])
    _copy(self.cell.weight_ih, into.T)
    _copy(self.cell.weight_hh, np.asarray(step["lstm"]["recurrent"]).T)
    _copy(self.cell.bias_ih, step["lstm"]["bias"])
    _load_linear(self.action, step["head"])
    _copy(self.first_action, decoder["first_action"])
    _copy(self.first_state, decoder["first_state"])
    self.prior.load(params["prior"])
    return self


class SkillTrainer:
  """Equation 4 and RAdam, one batch at a time."""

  def __init__(self, config: SkillPriorConfig, action_size: int, params: Params):
    if (config.loss_scaling, config.prior_objective, config.optimizer) != ("paper", "kl", "radam"):
      raise ValueError("the re-host has the paper's scaling, analytic divergences and RAdam")
    self.beta = float(config.beta)
    self.model = SkillModel(config, action_size).load(params)
    self.trained = [part for part in self.model.parameters() if part.requires_grad]
    self.optimizer = torch.optim.RAdam(self.trained, float(config.learning_rate), foreach=True)
    self.updates = 0

  def update(self, view: Tensor, actions: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
    """One gradient step; `noise` `[batch, skill]` is drawn if it is not given."""
    mean, log_std = self.model.encode(actions)
    noise = torch.randn_like(mean) if noise is None else noise
    decoded = self.model.decode(mean + log_std.exp() * noise)
    reconstruction = ((actions - decoded) ** 2).sum((1, 2)).mean()
    standard = (torch.zeros_like(mean), torch.zeros_like(mean))
    regularization = kl((mean, log_std), standard).mean()
    fit = kl((mean.detach(), log_std.detach()), self.model.prior(view)).mean()
    loss = reconstruction + self.beta * regularization + fit
    self.optimizer.zero_grad()
    loss.backward()
    if self.updates < EARLY_UPDATES:
      nn.utils.clip_grad_norm_(self.trained, EARLY_NORM)
    self.optimizer.step()
    self.updates += 1
    terms = {
      "loss": loss,
      "reconstruction": reconstruction,
      "regularization": regularization,
      "prior": fit,
    }
    return {name: value.detach() for name, value in terms.items()}


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
      _load_linear(layer, params["mlp"][f"dense_{index}"])
    _load_linear(self.head, params["head"])
    return self


class Sac:
  """SPiRL's algorithm 1 over skills, in the order of `learners.sac`."""

  def __init__(
    self,
    config: SacConfig,
    policy: Policy,
    critic_params: Params,
    log_alpha: float,
    *,
    skill_limit: float,
    hidden: Sequence[int],
    scaling: Scaling,
  ):
    if config.target_limit or config.gradient_clip or config.policy_delay != 1:
      raise ValueError("the re-host has no target limit, gradient clip or policy delay")
    self.limit, self.policy = skill_limit, policy
    numbers: dict[str, Any] = config._asdict()  # plain numbers here, never traced
    self.gamma, self.tau, self.reward_scale, self.target_divergence = (
      float(numbers[name]) for name in ("gamma", "tau", "reward_scale", "target_divergence")
    )
    self.log_alpha_range = [float(np.log(numbers[name])) for name in ("alpha_min", "alpha_max")]
    size = policy.head.out_features // 2

    def critics() -> nn.ModuleList:
      parts = critic_params["params"]
      made = (Critic(len(scaling.offset), size, hidden, scaling) for _ in range(2))
      return nn.ModuleList(
        critic.load(parts[name]) for critic, name in zip(made, ("first", "second"), strict=True)
      )

    self.critics, self.targets = critics(), critics().requires_grad_(False)
    self.log_alpha = torch.tensor([log_alpha], requires_grad=True)
    self.actor_part = list(policy.parameters())
    self.critic_part = list(self.critics.parameters())
    self.target_part = list(self.targets.parameters())
    self.policy_optimizer = _adam(self.actor_part, config.policy_learning_rate)
    self.critic_optimizer = _adam(self.critic_part, config.critic_learning_rate)
    self.alpha_optimizer = _adam([self.log_alpha], config.alpha_learning_rate)

  def update(
    self, batch: Mapping[str, Any], noise: tuple[Tensor, Tensor] | None = None
  ) -> dict[str, Tensor]:
    """One step of alpha, policy, critics and target critics.

    Args:
      batch: `seen`, `state`, `next_seen`, `next_state`, `skill`, `reward`, `ended`, and the frozen
        prior's `prior` and `next_prior` (Gaussians).
      noise: standard normal, for the skills of now and of then; drawn if not given.
    """
    output = self.policy(batch["seen"])
    draws = noise or (torch.randn_like(output[0]), torch.randn_like(output[0]))
    divergence = kl(output, batch["prior"])
    gap = self.target_divergence - divergence.detach()
    alpha_loss = (self.log_alpha.exp() * gap).mean()
    _descend(self.alpha_optimizer, alpha_loss, [self.log_alpha])
    with torch.no_grad():
      self.log_alpha.clamp_(*self.log_alpha_range)
    alpha = self.log_alpha.detach().exp()

    with torch.no_grad():  # the target is of the policy as it stood
      then = self.policy(batch["next_seen"])
      next_skill = self.squashed(then, draws[1])
      next_value = self.least(self.targets, batch["next_state"], next_skill)
      next_value = next_value - alpha * kl(then, batch["next_prior"])
      kept = self.gamma * (1.0 - batch["ended"])
      target = self.reward_scale * batch["reward"] + kept * next_value

    value = self.least(self.critics, batch["state"], self.squashed(output, draws[0]))
    policy_loss = (alpha * divergence - value).mean()
    _descend(self.policy_optimizer, policy_loss, self.actor_part)

    errors = [critic(batch["state"], batch["skill"]) - target for critic in self.critics]
    critic_loss = 0.5 * (errors[0] ** 2 + errors[1] ** 2).mean()
    _descend(self.critic_optimizer, critic_loss, self.critic_part)
    with torch.no_grad():
      for target, source in zip(self.target_part, self.critic_part, strict=True):
        target.lerp_(source, self.tau)
    losses = {"alpha_loss": alpha_loss, "policy_loss": policy_loss, "critic_loss": critic_loss}
    return {name: loss.detach() for name, loss in losses.items()}

  def squashed(self, gaussian: Gaussian, noise: Tensor) -> Tensor:
    """A skill: `limit * tanh` of a sample."""
    return self.limit * torch.tanh(gaussian[0] + gaussian[1].exp() * noise)

  def least(self, critics: nn.ModuleList, state: Tensor, skill: Tensor) -> Tensor:
    """The lesser of both values."""
    return torch.minimum(critics[0](state, skill), critics[1](state, skill))


def kl(q: Gaussian, p: Gaussian) -> Tensor:
  """`D_KL(q || p)` `[batch]` in nats."""
  ratio = torch.exp(2 * (q[1] - p[1]))
  gap = (q[0] - p[0]) * torch.exp(-p[1])
  return (p[1] - q[1] + 0.5 * (ratio + gap**2 - 1.0)).sum(-1)


def count(*modules: nn.Module) -> int:
  """Parameters that are trained."""
  return sum(p.numel() for module in modules for p in module.parameters() if p.requires_grad)


def use_threads(number: int) -> None:
  """How many cores PyTorch computes on."""
  torch.set_num_threads(number)


def _gaussian(output: Tensor) -> Gaussian:
  mean, log_std = output.chunk(2, dim=-1)
  return mean, log_std.clamp(LOG_STD_MIN, LOG_STD_MAX)


def _adam(parameters: Sequence[Tensor], learning_rate: Any) -> torch.optim.Adam:
  return torch.optim.Adam(parameters, learning_rate, fused=True)


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, parameters: Sequence[Tensor]) -> None:
  """A step on these parameters alone: no gradient is computed for any other.

  Not `torch.autograd.grad`: its gradients may lie otherwise in memory than their parameters, and
  fused Adam then updates the wrong entries.
  """
  optimizer.zero_grad()
  loss.backward(inputs=parameters)
  optimizer.step()


def _load_linear(layer: Any, entry: Mapping[str, Any]) -> None:
  _copy(layer.weight, np.asarray(entry["kernel"]).T)
  _copy(layer.bias, entry["bias"])


def _copy(parameter: Any, value: Any) -> None:
  """Overwrites a parameter by an array of the same shape."""
  array = np.array(value, np.float32)
  if array.shape != tuple(parameter.shape):
    raise ValueError(f"a parameter of shape {tuple(parameter.shape)} was given {array.shape}")
  with torch.no_grad():
    parameter.copy_(torch.from_numpy(array))
