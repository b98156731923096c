"""From feature maps to an embedding: the part of TCN's and ASN's network that is always trained.

TCN (Sermanet et al. 2018), appendix A: two convolutions, a spatial softmax, a fully connected layer
and a linear map to 32 dimensions; ASN (Mees et al. 2020), section IV-A, has the same. Several
frames are one input for a multi-frame TCN (Dwibedi et al. 2018). Apart from the trunk because a
frozen trunk's feature maps can be computed once and kept; see `data.feature_cache`.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.networks.conv import Convolution, Form
from jaxskills.networks.spatial_softmax import SpatialSoftmax

Fusion = Literal["convolution", "keypoints"]
"""How frames become one: the first convolution spans all of them (a temporal convolution of full
length), or each frame's positions enter the fully connected layer side by side."""


class HeadOptions(NamedTuple):
  """Shape of an `EmbeddingHead`.

  Attributes:
    convolutions: outputs of each 3x3 convolution before the spatial softmax.
    hidden: width of the fully connected layer.
    fusion: how several frames become one input.
    normalizes_batch: whether batch normalisation follows every layer, the last included, as in
      TCN's code; ASN's has none. Training then updates `batch_stats`.
    temperature: of the spatial softmax, or where it begins. With one, the small maps of a trunk
      that has learned nothing are flat: positions hardly differ between pictures, and losses of
      distances stay where all embeddings coincide.
    learn_temperature: whether it is trained.
    with_values: whether the spatial softmax also gives how active each channel is.
    dropout: share of the hidden layer's outputs that training drops.
    map_dropout: share of the entries of the feature maps that training drops; ASN's code has .2
      here, too. Drawing so many random numbers costs more than a small trunk on a CPU.
  """

  convolutions: Sequence[int] = ()
  hidden: int = 128
  fusion: Fusion = "keypoints"
  normalizes_batch: bool = False
  temperature: float = 1.0
  learn_temperature: bool = False
  with_values: bool = False
  dropout: float = 0.2
  map_dropout: float = 0.0


class EmbeddingHead(nn.Module):
  """Convolutions, spatial softmax, a ReLU layer, and a linear map.

  Attributes:
    embedding_dim: entries of the embedding.
    frames: images of one input.
    normalize: whether embeddings have length one.
    options: see `HeadOptions`.
    form: how convolutions are computed; see `conv.ConvStack`.
  """

  embedding_dim: int = 32
  frames: int = 1
  normalize: bool = False
  options: HeadOptions = HeadOptions()
  form: Form = "auto"

  @nn.compact
  def __call__(
    self, features: Float[Array, "batch *frame rows columns channels"], *, train: bool = False
  ) -> Float[Array, "batch dim"]:
    """Embeds a batch of feature maps.

    Args:
      features: `[batch, rows, columns, channels]`, or with an axis of `frames` after the batch.
      train: whether to drop out (the key is `rngs={"dropout": key}`) and, where the head
        normalises batches, to use and record their statistics (collection `batch_stats`).

    Raises:
      ValueError: if the frames are not as many as declared, or are to be fused by convolutions
        where there are none.
    """
    options = self.options
    _check_frames(features.shape, self.frames, options)
    batch = features.shape[0]
    features = nn.Dropout(options.map_dropout, deterministic=not train)(features)
    value = self._batch_last(features)
    for index, outputs in enumerate(options.convolutions):
      layer = Convolution(
        outputs, use_bias=not options.normalizes_batch, form=self.form, name=f"conv_{index}"
      )
      value = jax.nn.relu(self._norm(layer(value), f"conv_{index}_norm", 0, train))
    positions = SpatialSoftmax(
      options.temperature, options.learn_temperature, options.with_values, name="spatial_softmax"
    )(value)
    value = positions.reshape(batch, -1)  # frames of one input, if they are apart, side by side
    value = self._dense(value, options.hidden, "hidden", train)
    value = nn.Dropout(options.dropout, deterministic=not train)(jax.nn.relu(value))
    value = self._dense(value, self.embedding_dim, "embedding", train)
    return to_unit_length(value) if self.normalize else value

  def _batch_last(
    self, features: Float[Array, "batch *frame rows columns channels"]
  ) -> Float[Array, "into rows columns images"]:
    """Frames go to the channels where a convolution fuses them, to the batch otherwise."""
    rows, columns, channels = features.shape[-3:]
    if features.ndim == 4:
      return features.transpose(3, 1, 2, 0)
    if self.options.fusion == "convolution":
      value = features.transpose(1, 4, 2, 3, 0)
      return value.reshape(self.frames * channels, rows, columns, -1)
    return features.reshape(-1, rows, columns, channels).transpose(3, 1, 2, 0)

  def _dense(
    self, value: Float[Array, "batch into"], width: int, name: str, train: bool
  ) -> Float[Array, "batch width"]:
    layer = nn.Dense(
      width,
      use_bias=not self.options.normalizes_batch,
      kernel_init=nn.initializers.he_normal(),
      name=name,
    )
    return self._norm(layer(value), f"{name}_norm", -1, train)

  def _norm(self, value: Float[Array, "..."], name: str, axis: int, train: bool) -> jax.Array:
    if not self.options.normalizes_batch:
      return value
    return nn.BatchNorm(use_running_average=not train, momentum=0.9, axis=axis, name=name)(value)


def to_unit_length(value: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
  """Divides each row by its Euclidean length; a row of zeros stays, with a finite gradient."""
  return value * jax.lax.rsqrt(jnp.sum(value**2, axis=-1, keepdims=True) + 1e-12)


def _check_frames(shape: tuple[int, ...], frames: int, options: HeadOptions) -> None:
  if options.fusion not in get_args(Fusion):
    raise ValueError(f"fusion must be one of {get_args(Fusion)}, not {options.fusion!r}")
  if frames == 1:
    if len(shape) != 4:
      raise ValueError(f"one frame needs [batch, rows, columns, channels], not shape {shape}")
    return
  if len(shape) != 5 or shape[1] != frames:
    raise ValueError(
      f"{frames} frames need [batch, {frames}, rows, columns, channels], not shape {shape}"
    )
  if options.fusion == "convolution" and not options.convolutions:
    raise ValueError("frames cannot be fused by a convolution: the head has none")
