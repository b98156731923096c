"""What PPO runs by, and which numbers make no sense; `jaxskills.learners.ppo` is the algorithm."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from jaxtyping import Array

from jaxskills.types import EnvSpec


class PpoConfig(NamedTuple):
  """What PPO runs by; numbers of type `float | Array` may be traced, to sweep without compiling.

  The defaults are those of legged locomotion (Rudin et al. 2022; a H1 walks with them).

  Attributes:
    actor_inputs: modalities that the actor sees; on a robot, what it can measure.
    critic_inputs: modalities that the critic sees.
    hidden: widths of the fully connected layers of either.
    initial_std: of the policy, in every dimension.
    state_dependent_std: whether the deviation is an output of the network.
    gamma: discount per step.
    gae_lambda: of generalised advantage estimation.
    clip: how far a ratio may go from 1.
    value_clip: how far a value may move in one update, in units of the values' deviation (or as
      they are, without `normalize_values`); 0 means no limit.
    value_coefficient: weight of the value loss.
    entropy: weight of the entropy, in the loss's units per nat.
    bound_coefficient: weight of the means' squared distance beyond the limit of actions.
    epochs: passes over a rollout.
    minibatches: gradient steps in a pass; divides the rollout's length.
    rate: "adaptive" raises and lowers the learning rate by the divergence; "fixed" leaves it.
    learning_rate: Adam's step, or where it starts.
    learning_rate_min: floor of an adaptive rate.
    learning_rate_max: ceiling of an adaptive rate.
    kl_low: nats of divergence below which the rate rises.
    kl_high: nats above which it falls.
    max_grad_norm: bound on the gradient's global norm; 0 means none.
    normalize_advantage: whether each minibatch's advantages have mean 0 and deviation 1.
    normalize_observations: whether networks see normalised observations.
    normalize_values: whether the critic learns normalised values.
    statistics_limit: old rows count in the statistics as at most this many; 0 means no limit.
  """

  actor_inputs: Sequence[str] = ("state",)
  critic_inputs: Sequence[str] = ("state", "privileged")
  hidden: Sequence[int] = (256, 128, 64)
  initial_std: float = 1.0
  state_dependent_std: bool = False
  gamma: float | Array = 0.99
  gae_lambda: float | Array = 0.95
  clip: float | Array = 0.2
  value_clip: float | Array = 0.2
  value_coefficient: float | Array = 1.0
  entropy: float | Array = 0.01
  bound_coefficient: float | Array = 0.01
  epochs: int = 4
  minibatches: int = 4
  rate: Literal["adaptive", "fixed"] = "adaptive"
  learning_rate: float | Array = 1e-3
  learning_rate_min: float | Array = 1e-5
  learning_rate_max: float | Array = 1e-2
  kl_low: float | Array = 0.005
  kl_high: float | Array = 0.02
  max_grad_norm: float | Array = 1.0
  normalize_advantage: bool = True
  normalize_observations: bool = True
  normalize_values: bool = True
  statistics_limit: float | Array = 0.0


def check(config: PpoConfig, spec: EnvSpec) -> None:
  """Refuses numbers out of range (traced ones cannot be looked at) and modalities unknown.

  Raises:
    ValueError: naming what is wrong.
  """
  for name in (*config.actor_inputs, *config.critic_inputs):
    if name not in spec.observation:
      raise ValueError(f"no modality {name!r} among {sorted(spec.observation)}")
  if config.rate not in ("adaptive", "fixed"):
    raise ValueError(f"PpoConfig.rate must be 'adaptive' or 'fixed', not {config.rate!r}")
  for name, value in config._asdict().items():
    low = {"epochs": 1, "minibatches": 1}.get(name, 0)
    high = {"gamma": 1, "gae_lambda": 1}.get(name, math.inf)
    if isinstance(value, int | float) and not low <= value <= high:
      raise ValueError(f"PpoConfig.{name} must lie in [{low}, {high}], not {value}")
  if not config.initial_std > 0:
    raise ValueError(f"PpoConfig.initial_std must be positive, not {config.initial_std}")
  if config.rate == "adaptive" and config.epochs * config.minibatches == 1:
    raise ValueError("one gradient step an update has no divergence to adapt to; set rate='fixed'")
