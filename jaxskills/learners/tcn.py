"""Time-contrastive networks and the baseline that they were compared with.

TCN (Sermanet et al. 2018), section III: an embedding in which the same instant seen from two
cameras is one place and other instants of the same video are others. Kinds: with several cameras;
with one, where nearness in time decides (figure 3); with several frames an input (mfTCN, Dwibedi et
al. 2018); and shuffle and learn (Misra et al. 2016), which learns to tell three frames in order
from three out of order.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, cast, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from jaxskills.data.augment import AugmentConfig
from jaxskills.learners.frame_encoder import EmbedderOptions, make_frame_encoder
from jaxskills.learners.frame_spec import FrameSpec, check_frames, check_shape
from jaxskills.learners.metric_loss import (
  MetricOptions,
  Reduction,
  distances,
  make_metric_loss,
  normalizes,
  over_videos,
  spread,
)
from jaxskills.learners.optimizer import LearningRate
from jaxskills.losses.metric import TRIPLET_MARGIN, single_view_triplet
from jaxskills.types import Key, Learner, Metrics, Params, Scalar, Step

TcnKind = Literal["multi_view", "single_view", "multi_frame", "shuffle_and_learn"]

AXES: dict[str, tuple[str, ...]] = {
  "multi_view": ("video", "time", "view"),
  "multi_frame": ("video", "time", "view", "frame"),
  "single_view": ("video", "time"),
  "shuffle_and_learn": ("clip", "3"),
}
"""Axes of each kind's frames before rows and columns."""


class TcnConfig(NamedTuple):
  """What a time-contrastive network is made of.

  Attributes:
    kind: "multi_view" and "multi_frame" take `data.clips.ViewPairs`, "single_view" takes `Windows`,
      "shuffle_and_learn" takes `Triples`.
    embedder: the network.
    augment: what happens to its pictures.
    metric: the loss between instants; "single_view" has triplets only.
    reduction: over the videos of a batch.
    frames: of one input, oldest first; more than 1 with "multi_frame" and only there.
    positive_seconds: single view: positives are at most this far apart (TCN, section IV-A).
    negative_seconds: single view: negatives are further apart than this (twice as far).
    classifier: shuffle and learn: widths of the layers on three concatenated embeddings, before
      the two logits (google-research/tcc, sal.py).
    learning_rate: of Adam, or its schedule over updates; 1e-3 in TCN's released configuration,
      1e-4 in that for pouring.
  """

  kind: TcnKind = "multi_view"
  embedder: EmbedderOptions = EmbedderOptions()
  augment: AugmentConfig = AugmentConfig()
  metric: MetricOptions = MetricOptions("triplet")
  reduction: Reduction = "mean"
  frames: int = 1
  positive_seconds: float = 0.2
  negative_seconds: float = 0.4
  classifier: Sequence[int] = (128, 64)
  learning_rate: LearningRate = 1e-3


class TcnState(NamedTuple):
  """All that training a time-contrastive network remembers."""

  params: Params
  """`{"encoder"}`, for shuffle and learn also `"classifier"`: flax variables of each network."""
  optimizer: optax.OptState
  step: Step


class OrderClassifier(nn.Module):
  """Whether three frames are in order, from their embeddings side by side.

  Attributes:
    hidden: widths of the fully connected layers before the two logits.
  """

  hidden: Sequence[int] = (128, 64)

  @nn.compact
  def __call__(self, embeddings: Float[Array, "clip features"]) -> Float[Array, "clip 2"]:
    """Logits of "out of order" and "in order"."""
    value = embeddings
    for index, width in enumerate(self.hidden):
      value = jax.nn.relu(nn.Dense(width, name=f"dense_{index}")(value))
    return nn.Dense(2, name="logits")(value)


def make_tcn(config: TcnConfig, spec: FrameSpec) -> Learner[TcnState, Any]:
  """Builds the learner of one kind of time-contrastive network.

  `act` embeds uint8 frames `[..., rows, columns, 3]` (with "multi_frame" `[..., frame, rows,
  columns, 3]`), deterministically.

  Raises:
    ValueError: if the kind or its loss is unknown, or there are too few views or frames for it.
  """
  _check(config, spec)
  encoder = make_frame_encoder(
    config.embedder,
    config.augment,
    spec,
    frames=config.frames,
    normalizes=config.kind != "shuffle_and_learn" and normalizes(config.metric),
  )
  classifier = OrderClassifier(config.classifier)
  objective = _objective(config, classifier)
  optimizer = optax.adam(config.learning_rate)

  def init(key: Key) -> TcnState:
    encoder_key, classifier_key = jax.random.split(key)
    params = {"encoder": encoder.init(encoder_key)}
    if config.kind == "shuffle_and_learn":
      blank = jnp.zeros((1, 3 * config.embedder.embedding_dim))
      params["classifier"] = classifier.init(classifier_key, blank)
    return TcnState(params, optimizer.init(_trained(params)), jnp.zeros((), jnp.int32))

  def loss(
    trained: Params, params: Params, batch: Any, key: Key
  ) -> tuple[Scalar, tuple[Metrics, Params]]:
    check_shape(batch.frames, spec, AXES[config.kind])
    augment_key, dropout_key = jax.random.split(key)
    pictures = encoder.augmented(batch.frames, augment_key)
    embeddings, variables = encoder.train(
      trained["encoder"], params["encoder"], pictures, dropout_key
    )
    value, metrics = objective(trained, embeddings, batch)
    return value, ({"loss": value, **metrics}, {**params, "encoder": variables})

  def update(state: TcnState, batch: Any, key: Key) -> tuple[TcnState, Metrics]:
    trained = _trained(state.params)
    gradient, (metrics, params) = jax.grad(loss, has_aux=True)(trained, state.params, batch, key)
    updates, optimizer_state = optimizer.update(gradient, state.optimizer, trained)
    trained = cast(Params, optax.apply_updates(trained, updates))
    params = {name: {**params[name], "params": trained[name]} for name in params}
    return TcnState(params, optimizer_state, state.step + 1), metrics

  def act(params: Params, frames: Any, key: Key | None = None) -> Float[Array, "..."]:
    del key
    return encoder.embed(params["encoder"], frames)

  return Learner(init, update, act)


def _trained(params: Params) -> Params:
  """The part of all variables that gradients are taken in."""
  return {name: variables["params"] for name, variables in params.items()}


Objective = Callable[[Params, Any, Any], tuple[Scalar, Metrics]]


def _objective(config: TcnConfig, classifier: OrderClassifier) -> Objective:
  """`(trained, embeddings, batch) -> (loss, metrics)` of the kind."""
  metric_loss = make_metric_loss(config.metric)
  margin = TRIPLET_MARGIN if config.metric.margin is None else config.metric.margin

  def multi_view(trained: Params, embeddings: Array, batch: Any) -> tuple[Scalar, Metrics]:
    del trained, batch
    return over_videos(metric_loss, embeddings, config.reduction), distances(embeddings)

  def single_view(trained: Params, embeddings: Array, batch: Any) -> tuple[Scalar, Metrics]:
    del trained

    def of_video(embeddings: Array, seconds: Array) -> Scalar:
      return single_view_triplet(
        embeddings,
        seconds,
        margin=margin,
        positive_seconds=config.positive_seconds,
        negative_seconds=config.negative_seconds,
      )

    values = jax.vmap(of_video)(embeddings, batch.seconds)
    value = jnp.sum(values) if config.reduction == "sum" else jnp.mean(values)
    return value, {"spread": spread(embeddings)}

  def shuffle_and_learn(trained: Params, embeddings: Array, batch: Any) -> tuple[Scalar, Metrics]:
    rows = embeddings.reshape(embeddings.shape[0], -1)
    logits = classifier.apply({"params": trained["classifier"]}, rows)
    value, accuracy = order_loss(cast(jax.Array, logits), batch.is_ordered)
    return value, {"accuracy": accuracy, "spread": spread(embeddings)}

  return {
    "multi_view": multi_view,
    "multi_frame": multi_view,
    "single_view": single_view,
    "shuffle_and_learn": shuffle_and_learn,
  }[config.kind]


def order_loss(
  logits: Float[Array, "clip 2"], is_ordered: Bool[Array, "clip"]
) -> tuple[Scalar, Scalar]:
  """Mean cross-entropy of "out of order" and "in order", and the share told right."""
  label = is_ordered.astype(jnp.int32)
  log_p = jnp.take_along_axis(jax.nn.log_softmax(logits), label[:, None], axis=-1)
  return -jnp.mean(log_p), jnp.mean((jnp.argmax(logits, axis=-1) == label).astype(logits.dtype))


def _check(config: TcnConfig, spec: FrameSpec) -> None:
  if config.kind not in get_args(TcnKind):
    raise ValueError(f"kind must be one of {get_args(TcnKind)}, not {config.kind!r}")
  check_frames(spec, views=2 if config.kind in ("multi_view", "multi_frame") else 1)
  if config.kind == "single_view" and config.metric.name != "triplet":
    raise ValueError(f"a single view is learned from by 'triplet', not {config.metric.name!r}")
  if (config.kind == "multi_frame") != (config.frames > 1):
    raise ValueError(f"{config.kind} does not go with {config.frames} frames an input")
  if config.reduction not in get_args(Reduction):
    raise ValueError(f"reduction must be 'sum' or 'mean', not {config.reduction!r}")
  if not 0 < config.positive_seconds <= config.negative_seconds:
    raise ValueError(
      "positives must be nearer than negatives:"
      f" {config.positive_seconds} s is not within {config.negative_seconds} s"
    )
