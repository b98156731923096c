"""The network behind skill priors, policies, behaviour cloning and one-step action priors.

SPiRL (Pertsch et al. 2020), appendix B.1 and B.2: convolutions for images, six layers of 128, a
Gaussian head; the policy mirrors the prior, so that it can start as a copy of it.
"""

from collections.abc import Mapping, Sequence

import flax.linen as nn

from jaxskills.distributions import Gaussian
from jaxskills.networks.encoder import ImageOptions, ObservationEncoder, Scaling
from jaxskills.networks.heads import GaussianHead
from jaxskills.networks.mlp import Mlp
from jaxskills.types import Observation


class GaussianPolicy(nn.Module):
  """An unsquashed Gaussian over actions or skills, given an observation.

  Parameters lie under `encoder`, `mlp` and `head`; equal attributes mean equal parameter trees.

  Attributes:
    action_size: dimensions of the action or skill.
    inputs: modalities that are seen.
    hidden: widths of the fully connected layers.
    layer_norm: whether those layers are normalised.
    scaling: fixed scaling of vector modalities, by name.
    image: how image modalities are read.
  """

  action_size: int
  inputs: Sequence[str] = ("view",)
  hidden: Sequence[int] = (128,) * 6
  layer_norm: bool = False
  scaling: Mapping[str, Scaling] | None = None
  image: ImageOptions = ImageOptions()

  @nn.compact
  def __call__(self, observation: Observation) -> Gaussian:
    """Maps a batch of observations to a Gaussian of shape `[batch, action_size]`."""
    encoder = ObservationEncoder(self.inputs, self.scaling, self.image, name="encoder")
    features = Mlp(self.hidden, self.layer_norm, name="mlp")(encoder(observation))
    return GaussianHead(self.action_size, name="head")(features)
