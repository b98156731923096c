"""The two networks of PPO: a Gaussian over actions, and the value of a state.

They share nothing, so that the critic may see what a robot cannot measure (Pinto et al. 2018,
"Asymmetric actor critic"). What each sees is declared in `inputs`.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.distributions import Gaussian, clamped
from jaxskills.networks import normalizer
from jaxskills.networks.encoder import ImageOptions, ObservationEncoder
from jaxskills.networks.heads import SMALL, GaussianHead
from jaxskills.networks.mlp import Activation, Mlp
from jaxskills.networks.normalizer import Moments
from jaxskills.types import Observation, Params


class Actor(nn.Module):
  """An unsquashed Gaussian over actions; the environment clips.

  Parameters lie under `encoder`, `mlp` and `mean` (or `head`, where the deviation depends on the
  state), and in `log_std`.

  Attributes:
    action_size: dimensions of the action.
    inputs: modalities that are seen.
    hidden: widths of the fully connected layers.
    initial_std: of every dimension, wherever it starts.
    state_dependent_std: whether the deviation is a second output of the network instead of one
      number per dimension.
    activation: of the fully connected layers.
    image: how image modalities are read.
  """

  action_size: int
  inputs: Sequence[str] = ("state",)
  hidden: Sequence[int] = (256, 128, 64)
  initial_std: float = 1.0
  state_dependent_std: bool = False
  activation: Activation = "elu"
  image: ImageOptions = ImageOptions()

  @nn.compact
  def __call__(self, observation: Observation) -> Gaussian:
    """Maps a batch of observations to a Gaussian of shape `[batch, action_size]`."""
    features = ObservationEncoder(self.inputs, None, self.image, name="encoder")(observation)
    features = Mlp(self.hidden, activation=self.activation, name="mlp")(features)
    start = math.log(self.initial_std)
    if self.state_dependent_std:
      gaussian = GaussianHead(self.action_size, name="head")(features)
      return clamped(gaussian.mean, gaussian.log_std + start)
    mean = nn.Dense(self.action_size, kernel_init=SMALL, name="mean")(features)
    log_std = self.param("log_std", nn.initializers.constant(start), (self.action_size,))
    return clamped(mean, jnp.broadcast_to(log_std, mean.shape))


class Critic(nn.Module):
  """The value of a state; parameters lie under `encoder`, `mlp` and `value`.

  Attributes:
    inputs: modalities that are seen.
    hidden: widths of the fully connected layers.
    activation: of those layers.
    image: how image modalities are read.
  """

  inputs: Sequence[str] = ("state", "privileged")
  hidden: Sequence[int] = (256, 128, 64)
  activation: Activation = "elu"
  image: ImageOptions = ImageOptions()

  @nn.compact
  def __call__(self, observation: Observation) -> Float[Array, "batch"]:
    """Values of a batch of observations."""
    features = ObservationEncoder(self.inputs, None, self.image, name="encoder")(observation)
    features = Mlp(self.hidden, activation=self.activation, name="mlp")(features)
    return nn.Dense(1, name="value")(features)[..., 0]


def rescaled(critic: Params, before: Moments, after: Moments) -> Params:
  """The critic whose values in units of `after` are what they were in units of `before`.

  PopArt (van Hasselt et al. 2016), equation 9: what the critic says stays true when the statistics
  of its targets move.

  Args:
    critic: variables of a `Critic` whose output `y` stands for `mean + deviation * y`.
    before: statistics `[]` that held so far.
    after: those that shall hold.
  """
  last = critic["params"]["value"]
  factor = normalizer.deviation(before) / normalizer.deviation(after)
  shift = (before.mean - after.mean) / normalizer.deviation(after)
  last = {"kernel": factor * last["kernel"], "bias": factor * last["bias"] + shift}
  return {**critic, "params": {**critic["params"], "value": last}}
