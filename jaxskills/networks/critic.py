"""Twin action values, of which SAC takes the lesser.

SPiRL (Pertsch et al. 2020), appendix B.2; its released code gives the maze's critics two layers of
256 and the low-dimensional state, while the policy sees images. What a critic may see is declared
in `inputs`.
"""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.networks.encoder import ImageOptions, ObservationEncoder, Scaling
from jaxskills.networks.mlp import Mlp
from jaxskills.types import Observation


class Critic(nn.Module):
  """One action value; attributes as in `TwinCritic`."""

  inputs: Sequence[str]
  hidden: Sequence[int]
  layer_norm: bool
  scaling: Mapping[str, Scaling] | None
  image: ImageOptions

  @nn.compact
  def __call__(
    self, observation: Observation, action: Float[Array, "batch action"]
  ) -> Float[Array, "batch"]:
    encoder = ObservationEncoder(self.inputs, self.scaling, self.image, name="encoder")
    features = jnp.concatenate([encoder(observation), action], axis=-1)
    features = Mlp(self.hidden, self.layer_norm, name="mlp")(features)
    return nn.Dense(1, name="head")(features)[..., 0]


class TwinCritic(nn.Module):
  """Two independent action values.

  Attributes:
    inputs: modalities that are seen.
    hidden: widths of the fully connected layers.
    layer_norm: whether those layers are normalised.
    scaling: fixed scaling of vector modalities, by name.
    image: how image modalities are read.
  """

  inputs: Sequence[str] = ("state",)
  hidden: Sequence[int] = (256, 256)
  layer_norm: bool = False
  scaling: Mapping[str, Scaling] | None = None
  image: ImageOptions = ImageOptions()

  @nn.compact
  def __call__(
    self, observation: Observation, action: Float[Array, "batch action"]
  ) -> Float[Array, "2 batch"]:
    """Values of `action` in `observation`, both batched, from either network."""
    options = (self.inputs, self.hidden, self.layer_norm, self.scaling, self.image)
    return jnp.stack(
      [Critic(*options, name=name)(observation, action) for name in ("first", "second")]
    )
