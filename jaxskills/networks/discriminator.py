"""ASN's discriminator: which class is a skill of, told through a narrow Gaussian.

ASN (Mees et al. 2020), section III: two fully connected layers estimate a Gaussian, two more turn a
sample of it into class probabilities. Widths and dropout are the released code's; the paper gives
none. The "FC" row of the paper's table III has a plain layer in the Gaussian's place.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.networks.heads import SMALL

Bottleneck = Literal["kl", "fc"]

LOG_VAR_MIN, LOG_VAR_MAX = -20.0, 4.0  # the squares of `distributions.LOG_STD_MIN` and `_MAX`


class Verdict(NamedTuple):
  """What the discriminator makes of each skill."""

  logits: Float[Array, "skill class"]
  mean: Float[Array, "skill latent"]
  """Of the latent variable; with "fc" the latent variable itself."""
  log_var: Float[Array, "skill latent"]
  """Logarithm of its variance, within [-20, 4]; zeros with "fc"."""


class Discriminator(nn.Module):
  """Layers, a Gaussian, a sample of it, layers.

  Attributes:
    classes: how many there are to choose from.
    bottleneck: "kl" has the Gaussian, "fc" a fully connected layer.
    hidden: widths of the layers before the latent variable.
    latent: dimensions of the latent variable, and the width of the layer behind it.
    dropout: share of each hidden layer's outputs that training drops.
    head_dropout: the same for the layer behind the latent variable.
  """

  classes: int
  bottleneck: Bottleneck = "kl"
  hidden: Sequence[int] = (500, 500)
  latent: int = 64
  dropout: float = 0.25
  head_dropout: float = 0.1

  @nn.compact
  def __call__(self, skills: Float[Array, "skill features"], *, train: bool = False) -> Verdict:
    """Judges skills.

    Args:
      skills: the embeddings of a skill's frames, side by side.
      train: whether to drop out and to sample the latent variable, with the keys `"dropout"` and
        `"latent"` of `rngs`; otherwise it is its mean.

    Raises:
      ValueError: if `bottleneck` is neither.
    """
    if self.bottleneck not in get_args(Bottleneck):
      raise ValueError(f"bottleneck must be 'kl' or 'fc', not {self.bottleneck!r}")
    value = skills
    for index, width in enumerate(self.hidden):
      value = jax.nn.relu(nn.Dense(width, name=f"dense_{index}")(value))
      value = nn.Dropout(self.dropout, deterministic=not train)(value)
    mean = nn.Dense(self.latent, name="mean")(value)
    log_var = jnp.zeros_like(mean)
    latent = mean
    if self.bottleneck == "kl":
      log_var = nn.Dense(self.latent, kernel_init=SMALL, name="log_var")(value)
      log_var = jnp.clip(log_var, LOG_VAR_MIN, LOG_VAR_MAX)
      if train:
        noise = jax.random.normal(self.make_rng("latent"), mean.shape, mean.dtype)
        latent = mean + jnp.exp(0.5 * log_var) * noise
    value = jax.nn.relu(nn.Dense(self.latent, name="head")(latent))
    value = nn.Dropout(self.head_dropout, deterministic=not train)(value)
    return Verdict(nn.Dense(self.classes, name="logits")(value), mean, log_var)
