"""The embedding network as learners use it: any leading axes, augmentation, statistics.

TCN (Sermanet et al. 2018) and ASN (Mees et al. 2020) train the same network with different losses;
this is what they share. Where the feature maps of a frozen trunk are cached, only the head is left
of it, and nothing is augmented.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.data.augment import AugmentConfig, augment, check_augmentation, normalize
from jaxskills.learners.frame_spec import FrameSpec
from jaxskills.networks.conv import Form
from jaxskills.networks.embedder import HEADS, Backbone, BnMode, Embedder, SmallOptions
from jaxskills.networks.embedding_head import EmbeddingHead, HeadOptions
from jaxskills.networks.image_weights import ImageWeights, with_trunk
from jaxskills.types import Key, Params

_BLOCK = 16
"""Frames embedded at once on a CPU: of 64x64 pixels 2,060 a second, 1,190 in one batch of 256."""


class EmbedderOptions(NamedTuple):
  """What the embedding network is made of; see `networks.embedder.Embedder`.

  Attributes:
    embedding_dim: entries of an embedding; 32 in both papers.
    backbone: "small", "resnet18" or "inception" (both papers').
    head: shape of the head; None takes the backbone's own.
    bn_mode: "frozen", or "batch" as in the code of both papers.
    freeze_trunk: whether the trunk keeps its parameters, as in the code of both papers.
    small: shape of the small trunk.
    resnet_stages: how many of ResNet-18's four stages are used.
    counts_padding: of Inception's average pooling; with `weights`, theirs counts.
    weights: that the trunk begins with, loaded by `data.weight_files`; random ones if None.
    form: how convolutions are computed; see `networks.conv`.
  """

  embedding_dim: int = 32
  backbone: Backbone = "small"
  head: HeadOptions | None = None
  bn_mode: BnMode = "frozen"
  freeze_trunk: bool = False
  small: SmallOptions = SmallOptions()
  resnet_stages: int = 2
  counts_padding: bool = False
  weights: ImageWeights | None = None
  form: Form = "auto"


class CachedEmbedder(nn.Module):
  """An `Embedder` whose trunk has been at work already: its head, under the same name.

  With the trunk's variables beside `head`, its own are those of the whole `Embedder`.

  Attributes:
    embedding_dim: entries of the embedding.
    frames: feature maps of one input.
    normalize: whether embeddings have length one.
    head: shape of the head.
    form: how convolutions are computed; see `networks.conv`.
  """

  embedding_dim: int
  frames: int
  normalize: bool
  head: HeadOptions
  form: Form = "auto"

  @nn.compact
  def __call__(
    self, features: Float[Array, "batch *frame rows columns channels"], *, train: bool = False
  ) -> Float[Array, "batch dim"]:
    """Embeds a batch of feature maps; see `EmbeddingHead`."""
    head = EmbeddingHead(
      self.embedding_dim, self.frames, self.normalize, self.head, self.form, name="head"
    )
    return head(features, train=train)

  @property
  def updates_statistics(self) -> bool:
    """Whether `train=True` writes the collection `batch_stats`."""
    return self.head.normalizes_batch


class FrameEncoder(NamedTuple):
  """The network as three pure functions of its flax variables.

  Attributes:
    init: `key -> variables`.
    augmented: `(frames, key) -> pictures`; uint8 frames to float32, each clip (first axis) flipped
      as one.
    train: `(trained, variables, pictures, key) -> (embeddings, variables)`, with dropout; `trained`
      stands for `variables["params"]`, so that gradients can be taken in it, and the variables come
      back with it and with new statistics of batch normalisation, where there are any.
    embed: `(variables, frames) -> embeddings`, deterministic, of uint8 frames.

  Frames are `[..., rows, columns, 3]`, or `[..., frame, rows, columns, 3]` where an input has
  several, with any leading axes, which embeddings `[..., dim]` keep. Cached feature maps, of any
  float type, stand in the place of `rows, columns, 3`.
  """

  init: Callable[[Key], Params]
  augmented: Callable[[Any, Key], Any]
  train: Callable[[Params, Params, Any, Key], tuple[Any, Params]]
  embed: Callable[[Params, Any], Any]


def make_frame_encoder(
  options: EmbedderOptions,
  augmentation: AugmentConfig,
  spec: FrameSpec,
  *,
  frames: int = 1,
  normalizes: bool = False,
) -> FrameEncoder:
  """Builds the embedding network.

  Args:
    options: of the network.
    augmentation: of its pictures.
    spec: of the videos.
    frames: pictures of one input.
    normalizes: whether embeddings have length one.

  Raises:
    ValueError: if there is less than one frame or dimension, the augmentation means nothing, or it
      normalises pictures in another way than published weights want them.
  """
  for name, value in (("frames", frames), ("embedding_dim", options.embedding_dim)):
    if value < 1:
      raise ValueError(f"{name} must be at least 1, not {value}")
  check_augmentation(augmentation)
  weights = options.weights
  if weights is not None and weights.normalization != augmentation.normalization:
    raise ValueError(
      f"these weights of {options.backbone} want pictures with augment.normalization"
      f" '{weights.normalization}', not '{augmentation.normalization}'"
    )
  network = _network(options, spec, frames, normalizes)
  inner = 3 if frames == 1 else 4  # axes of one input

  def normalized(frames: Any) -> Float[Array, "..."]:
    is_cached = spec.features is not None
    return jnp.asarray(frames, jnp.float32) if is_cached else normalize(frames, augmentation)

  def init(key: Key) -> Params:
    variables = network.init(key, spec.example(frames))
    if weights is None or spec.features is not None:
      return variables
    return with_trunk(variables, weights)

  def augmented(frames: Any, key: Key) -> Float[Array, "..."]:
    if spec.features is not None:
      return normalized(frames)
    return augment(frames, key, augmentation, clip_axes=1)

  def train(
    trained: Params, variables: Params, pictures: Float[Array, "..."], key: Key
  ) -> tuple[Float[Array, "..."], Params]:
    leading = pictures.shape[:-inner]
    flat = pictures.reshape(-1, *pictures.shape[-inner:])
    variables = {**variables, "params": trained}
    rngs = {"dropout": key}
    if not network.updates_statistics:
      embeddings = cast(jax.Array, network.apply(variables, flat, train=True, rngs=rngs))
    else:
      embeddings, statistics = cast(
        tuple[jax.Array, Any],
        network.apply(variables, flat, train=True, rngs=rngs, mutable=["batch_stats"]),
      )
      variables = {**variables, **jax.lax.stop_gradient(statistics)}
    return embeddings.reshape(*leading, -1), variables

  def embed(variables: Params, frames: Any) -> Float[Array, "..."]:
    leading = frames.shape[:-inner]
    flat = frames.reshape(-1, *frames.shape[-inner:])

    def of_some(frames: Any) -> Array:
      return cast(jax.Array, network.apply(variables, normalized(frames)))

    return _in_blocks(of_some, flat).reshape(*leading, -1)

  return FrameEncoder(init, augmented, train, embed)


def with_cached_trunk(variables: Params, options: EmbedderOptions, spec: FrameSpec) -> Params:
  """The whole network's variables, which see frames, of a head that was trained on cached features.

  Args:
    variables: of the encoder, with or without features in `spec`; its head is kept.
    options: of the network; its weights are those that the features were computed with.
    spec: of the videos.

  Raises:
    ValueError: if the options have no weights, or those of another trunk.
  """
  if options.weights is None:
    raise ValueError("features are cached of published weights only")
  pictures = spec._replace(features=None)
  network = _network(options, pictures, 1, False)
  shapes = jax.eval_shape(network.init, jax.random.key(0), pictures.example())
  whole = with_trunk(cast(Params, shapes), options.weights)
  return {
    name: {**variables.get(name, {}), "trunk": collection["trunk"]}
    for name, collection in whole.items()
  }


def _in_blocks(embed: Callable[[Any], Array], frames: Any) -> Float[Array, "batch dim"]:
  """Embeds a batch of any size; on a CPU a few frames at a time, whose patches the caches hold."""
  rest = len(frames) % _BLOCK
  if jax.default_backend() != "cpu" or len(frames) <= _BLOCK:
    return embed(frames)
  blocks = frames[: len(frames) - rest].reshape(-1, _BLOCK, *frames.shape[1:])
  found = jax.lax.map(embed, blocks)
  found = found.reshape(-1, found.shape[-1])
  return jnp.concatenate([found, embed(frames[-rest:])]) if rest else found


def _network(
  options: EmbedderOptions, spec: FrameSpec, frames: int, normalizes: bool
) -> Embedder | CachedEmbedder:
  if spec.features is not None:
    if options.backbone not in HEADS:
      raise ValueError(f"backbone must be one of {sorted(HEADS)}, not {options.backbone!r}")
    head = HEADS[options.backbone] if options.head is None else options.head
    return CachedEmbedder(options.embedding_dim, frames, normalizes, head, options.form)
  return Embedder(
    embedding_dim=options.embedding_dim,
    backbone=options.backbone,
    frames=frames,
    normalize=normalizes,
    head=options.head,
    freezes_trunk=options.freeze_trunk,
    bn_mode=options.bn_mode,
    small=options.small,
    resnet_stages=options.resnet_stages,
    counts_padding=(options if options.weights is None else options.weights).counts_padding,
    form=options.form,
  )
