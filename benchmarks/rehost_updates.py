"""SPiRL's losses and updates in eager PyTorch: the peer of `jaxskills bench spirl`.

SPiRL (Pertsch et al. 2020) was released as eager PyTorch for long outdated versions, so its speed
is measured on this re-host: the losses and updates of jaxskills, written as a PyTorch user would,
with the fast parts that PyTorch has (fused Adam, no gradient where none is needed). Its networks,
in `rehost_networks.py`, take over our parameters, and `spirl.py` refuses to compare unless both
have as many and compute the same losses. Only what the maze experiment uses is here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch import Tensor, nn  # pyright: ignore[reportMissingImports]

from jaxskills.benchmarks.rehost_networks import Critic, Gaussian, Policy, SkillModel
from jaxskills.learners.optimizer import EARLY_NORM, EARLY_UPDATES
from jaxskills.learners.sac import SacConfig
from jaxskills.learners.skill_prior import SkillPriorConfig
from jaxskills.networks.encoder import Scaling
from jaxskills.types import Params


class SkillTrainer:
  """Equation 4 and RAdam, one batch at a time."""

  def __init__(self, config: SkillPriorConfig, action_size: int, params: Params):
    if (config.loss_scaling, config.prior_objective, config.optimizer) != ("paper", "kl", "radam"):
      raise ValueError("the re-host has the paper's scaling, analytic divergences and RAdam")
    if callable(config.learning_rate):
      raise ValueError("the re-host has one learning rate, no schedule of it")
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
    """A skill: a sample, squashed."""
    draw = gaussian[0] + gaussian[1].exp() * noise
    return self.limit * torch.tanh(draw / self.limit)

  def least(self, critics: nn.ModuleList, state: Tensor, skill: Tensor) -> Tensor:
    """The lesser of both values."""
    return torch.minimum(critics[0](state, skill), critics[1](state, skill))


def kl(q: Gaussian, p: Gaussian) -> Tensor:
  """`D_KL(q || p)` `[batch]` in nats."""
  ratio = torch.exp(2 * (q[1] - p[1]))
  gap = (q[0] - p[0]) * torch.exp(-p[1])
  return (p[1] - q[1] + 0.5 * (ratio + gap**2 - 1.0)).sum(-1)


def use_threads(number: int) -> None:
  """How many cores PyTorch computes on."""
  torch.set_num_threads(number)


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
