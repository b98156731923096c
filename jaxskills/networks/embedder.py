"""From a picture to 32 numbers: the network that TCN and ASN train.

TCN (Sermanet et al. 2018), appendix A; ASN (Mees et al. 2020), section IV-A: Inception-v3 up to
Mixed_5d, frozen, under an `EmbeddingHead`. Two trunks that a CPU can train stand beside it. Trunk
and head are apart in the parameters, `params["params"]["trunk"]` and `["head"]`.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from jaxskills.networks.conv import ConvStack, Form
from jaxskills.networks.embedding_head import EmbeddingHead, HeadOptions
from jaxskills.networks.inception import InceptionTrunk
from jaxskills.networks.resnet import ResNetTrunk

Backbone = Literal["small", "resnet18", "inception"]
BnMode = Literal["frozen", "batch"]
"""What batch normalisation in a trunk does in training: keep to its running statistics, or use the
batch's and let the running ones drift. The code of both papers does the latter, though it calls its
trunk frozen. Other times are always the former."""

HEADS = {
  "small": HeadOptions(hidden=256, temperature=0.1, with_values=True, dropout=0.0),
  "resnet18": HeadOptions(convolutions=(128,), hidden=256, fusion="convolution"),
  "inception": HeadOptions(convolutions=(512, 512), hidden=2048, fusion="convolution"),
}
"""The head that each backbone gets if none is given; Inception's is that of both papers.

The small trunk's is ours, chosen by the alignment error on validation videos of the two tasks that
a TCN had learned from in 1,500 updates (64x64 pixels, one seed): .25 with a temperature of 1,
dropout and positions alone, .24 with a temperature of .1, .22 without dropout, .15 with values and
256 units.
"""


class SmallOptions(NamedTuple):
  """The small trunk: convolutions of one kernel, each followed by a leaky ReLU.

  The defaults turn 64x64 pixels into 16x16x64, each number seeing 15x15 pixels. A training step of
  64 images takes 40 ms on two CPU cores inside `lax.scan`. Kernels of 5 in the second and third
  layer, or twice the channels, double that; a fourth layer of 32 instead of the 64 channels adds a
  fifth and sees 23x23 pixels.
  """

  channels: Sequence[int] = (16, 32, 64)
  strides: Sequence[int] = (2, 2, 1)
  kernel: int = 3


class SmallTrunk(nn.Module):
  """`SmallOptions` as a module; no normalisation, so training needs no other collection."""

  options: SmallOptions = SmallOptions()
  form: Form = "auto"

  @nn.compact
  def __call__(
    self, frames: Float[Array, "batch rows columns 3"]
  ) -> Float[Array, "batch rows_out columns_out channels"]:
    """Gives feature maps; sides are divided by the product of the strides, rounded up."""
    options = self.options
    stack = ConvStack(options.channels, options.kernel, options.strides, self.form, name="stack")
    return stack(frames.transpose(3, 1, 2, 0)).transpose(3, 1, 2, 0)


class Embedder(nn.Module):
  """A trunk and a head.

  Attributes:
    embedding_dim: entries of the embedding.
    backbone: "small", "resnet18" or "inception".
    frames: images of one input; the trunk sees each alone.
    normalize: whether embeddings have length one.
    head: shape of the head; None takes the backbone's in `HEADS`.
    freezes_trunk: whether the trunk is cut off from gradients. (Weight decay must be kept from it
      by the optimiser.)
    bn_mode: see `BnMode`; the small trunk has no batch normalisation.
    small: shape of the small trunk.
    resnet_stages: how many of ResNet-18's four stages are used; see `ResNetTrunk`.
    counts_padding: of Inception's average pooling: true for torchvision's weights.
    form: how convolutions are computed; see `conv.ConvStack`.
  """

  embedding_dim: int = 32
  backbone: Backbone = "small"
  frames: int = 1
  normalize: bool = False
  head: HeadOptions | None = None
  freezes_trunk: bool = False
  bn_mode: BnMode = "frozen"
  small: SmallOptions = SmallOptions()
  resnet_stages: int = 2
  counts_padding: bool = False
  form: Form = "auto"

  @nn.compact
  def __call__(
    self, frames: Float[Array, "batch *frame rows columns 3"], *, train: bool = False
  ) -> Float[Array, "batch dim"]:
    """Embeds a batch.

    Args:
      frames: normalised pictures `[batch, rows, columns, 3]`, or `[batch, frame, rows, columns, 3]`
        where an input has several.
      train: whether to drop out, with the key `rngs={"dropout": key}`. Where `updates_statistics`
        is true the collection `batch_stats` must be mutable, too.

    Raises:
      ValueError: if `backbone`, `bn_mode` or the number of frames is wrong.
    """
    images = frames.reshape(-1, *frames.shape[-3:])
    features = self._trunk(images, train)
    if self.freezes_trunk:
      features = jax.lax.stop_gradient(features)
    features = features.reshape(*frames.shape[:-3], *features.shape[1:])
    head = EmbeddingHead(
      self.embedding_dim, self.frames, self.normalize, self._head(), self.form, name="head"
    )
    return head(features, train=train)

  @property
  def updates_statistics(self) -> bool:
    """Whether `train=True` writes the collection `batch_stats`."""
    return self._head().normalizes_batch or (self.backbone != "small" and self.bn_mode == "batch")

  def _head(self) -> HeadOptions:
    if self.backbone not in HEADS:
      raise ValueError(f"backbone must be one of {get_args(Backbone)}, not {self.backbone!r}")
    return HEADS[self.backbone] if self.head is None else self.head

  def _trunk(
    self, images: Float[Array, "images rows columns 3"], train: bool
  ) -> Float[Array, "images rows_out columns_out channels"]:
    if self.bn_mode not in get_args(BnMode):
      raise ValueError(f"bn_mode must be one of {get_args(BnMode)}, not {self.bn_mode!r}")
    if self.backbone == "small":
      return SmallTrunk(self.small, self.form, name="trunk")(images)
    uses_batch = train and self.bn_mode == "batch"
    if self.backbone == "resnet18":
      trunk = ResNetTrunk(self.resnet_stages, form=self.form, name="trunk")
    else:
      trunk = InceptionTrunk(self.counts_padding, form=self.form, name="trunk")
    return trunk(images, uses_batch=uses_batch)
