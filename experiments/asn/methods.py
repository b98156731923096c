"""TCN, ASN and their ablations: one table, and how a row of it becomes a learner and its batches.

ASN (Mees et al. 2020), tables I to III. All methods share network, pictures, augmentation,
optimiser, number of updates and the pairs of instants that a batch has; a row says what is left:
by which loss it learns from them, and what an adversary does beside it.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import optax
from ml_collections import ConfigDict

from jaxskills.data import samplers
from jaxskills.data.augment import AugmentConfig
from jaxskills.data.catalog import Catalog, make_catalog
from jaxskills.data.frozen_trunk import FrozenTrunk, make_published_trunk
from jaxskills.data.samplers import Sampler
from jaxskills.data.video_store import VideoStore
from jaxskills.data.weight_files import load_image_weights
from jaxskills.experiments.asn.task_sets import tasks_in
from jaxskills.learners.asn import make_asn
from jaxskills.learners.asn_config import AsnConfig
from jaxskills.learners.frame_encoder import EmbedderOptions
from jaxskills.learners.frame_spec import FrameSpec
from jaxskills.learners.metric_loss import MetricName, MetricOptions
from jaxskills.learners.tcn import TcnConfig, make_tcn
from jaxskills.networks.embedder import SmallOptions
from jaxskills.networks.image_weights import ImageWeights
from jaxskills.types import Learner

Kind = Literal["asn", "multi_view", "multi_frame", "single_view", "shuffle_and_learn"]


class Method(NamedTuple):
  """One way to learn an embedding.

  Attributes:
    title: as tables and plots name it.
    kind: "asn", or a kind of TCN.
    loss: of `MetricOptions`, by name.
    frames: of a skill that ASN's discriminator sees, or of one input of "multi_frame".
    stride_seconds: between them: 15 of the paper's frames at 24 a second are .6 s, 5 are .2 s.
    asn: what differs in `AsnConfig`.
  """

  title: str
  kind: Kind
  loss: MetricName
  frames: int = 2
  stride_seconds: float = 0.6
  asn: Mapping[str, Any] = {}


IN_NO_TABLE = {
  "tcn_contrastive": Method("TCN, contrastive", "multi_view", "contrastive"),
  "tcn_infonce": Method("TCN, InfoNCE", "multi_view", "infonce"),
  "tcn_tcc": Method("TCC between views", "multi_view", "tcc"),
}
"""Losses that neither paper's tables have; see `learners.metric_loss`."""
METHODS = {
  "tcn_lifted": Method("TCN, lifted", "multi_view", "lifted"),
  "tcn_triplet": Method("TCN, triplet", "multi_view", "triplet"),
  "tcn_npairs": Method("TCN, npairs", "multi_view", "npairs"),
  "mftcn_lifted": Method("mfTCN, lifted", "multi_frame", "lifted"),
  "single_view": Method("TCN, one view", "single_view", "triplet"),
  "shuffle_and_learn": Method("Shuffle and learn", "shuffle_and_learn", "lifted"),
  "asn": Method("ASN", "asn", "asn_lifted"),
  # ASN's own table II, "normal lifted": without the bound on positive pairs.
  "asn_normal_lifted": Method("ASN, normal lifted", "asn", "lifted"),
  # Table III, in its order.
  "asn_1_frame": Method("ASN, 1 frame, .2 s", "asn", "asn_lifted", 1, 0.2),
  "asn_4_frames": Method("ASN, 4 frames, .2 s", "asn", "asn_lifted", 4, 0.2),
  "asn_short_stride": Method("ASN, 2 frames, .2 s", "asn", "asn_lifted", 2, 0.2),
  "asn_fc": Method("ASN, FC", "asn", "asn_lifted", asn={"bottleneck": "fc"}),
  "asn_no_encoder_entropy": Method(
    "ASN w/o encoder entropy", "asn", "asn_lifted", asn={"entropies": "discriminator"}
  ),
  "asn_no_entropy": Method("ASN w/o entropy", "asn", "asn_lifted", asn={"entropies": "none"}),
  **IN_NO_TABLE,
}


def make_learner(config: ConfigDict, method: Method, spec: FrameSpec) -> Learner:
  """The learner of a method; its state has `params`, which `act` takes.

  Raises:
    ValueError: for numbers or names that do not go.
  """
  embedder, augment = embedder_options(config), augmentation(config)
  metric = metric_options(config, method)
  rate = learning_rate(config)
  if method.kind == "asn":
    adversary = dict(config.asn)
    return make_asn(
      AsnConfig(
        embedder=embedder,
        augment=augment,
        metric=metric,
        skill_frames=method.frames,
        learning_rate=rate,
        discriminator_learning_rate=rate,
        **{**adversary, **method.asn},
      ),
      spec,
    )
  return make_tcn(
    TcnConfig(
      kind=method.kind,
      embedder=embedder,
      augment=augment,
      metric=metric,
      reduction="sum",
      frames=input_frames(method),
      learning_rate=rate,
    ),
    spec,
  )


def metric_options(config: ConfigDict, method: Method) -> MetricOptions:
  """The loss between instants, with the margin that it was published with."""
  return MetricOptions(method.loss, bound=config.metric.bound, threshold=config.metric.threshold)


def embedder_options(config: ConfigDict) -> EmbedderOptions:
  """The network that all methods train.

  Raises:
    UserError: if its weights cannot be read.
  """
  group = config.embedder
  return EmbedderOptions(
    embedding_dim=group.embedding_dim,
    backbone=group.backbone,
    freeze_trunk=group.freeze_trunk,
    bn_mode=group.bn_mode,
    small=SmallOptions(tuple(group.channels), tuple(group.strides), group.kernel),
    weights=image_weights(config),
  )


def image_weights(config: ConfigDict) -> ImageWeights | None:
  """The published weights that `config.embedder` asks for, read once.

  Raises:
    UserError: if the file is missing, damaged, or of another trunk.
  """
  group = config.embedder
  if not group.weights:
    return None
  path = Path(group.weights).expanduser()
  about = path.stat() if path.is_file() else None
  return _load(path, group.backbone, about and (about.st_mtime_ns, about.st_size))


@functools.lru_cache(maxsize=1)
def _load(path: Path, backbone: Any, version: Any) -> ImageWeights:
  """Reads a file; `version` tells it from one that had its name before."""
  del version
  return load_image_weights(path, backbone)


def published_trunk(config: ConfigDict) -> FrozenTrunk | None:
  """The trunk with its published weights alone, as a function of frames; None without weights."""
  weights, options = image_weights(config), embedder_options(config)
  if weights is None:
    return None
  return make_published_trunk(
    config.embedder.backbone,
    weights,
    stages=options.resnet_stages,
    eval_area=config.augment.eval_area,
  )


def augmentation(config: ConfigDict) -> AugmentConfig:
  """What happens to the pictures that it is trained on."""
  crop = tuple(config.augment.crop_area)
  return AugmentConfig(**{**config.augment, "crop_area": crop})


def input_frames(method: Method) -> int:
  """Frames that one embedding is of."""
  return method.frames if method.kind == "multi_frame" else 1


def learning_rate(config: ConfigDict) -> optax.Schedule:
  """From the first to the last rate along half a cosine."""
  group = config.training
  share = group.final_learning_rate / group.learning_rate
  return optax.cosine_decay_schedule(group.learning_rate, group.updates, share)


def make_sampler(config: ConfigDict, method: Method, store: VideoStore, train: str) -> Sampler:
  """What a method's batches hold, of the training videos of a set of tasks.

  Fakes are among the videos that pairs are drawn from, and never among skills (ASN, section IV-B).

  Raises:
    UserError: if there are no such videos, or one is too short.
    ValueError: for sizes that do not go.
  """
  every = _catalog(config, store, train, success=None)
  pairs, images = config.pairs, config.pairs.times
  if method.kind == "single_view":  # as many pictures as the others see
    return samplers.windows(store, every, videos=pairs.videos, times=2 * images)
  if method.kind == "shuffle_and_learn":
    drawn = -(-2 * pairs.videos * images // 3)
    return samplers.triples(store, every, clips_drawn=drawn)
  instants = samplers.view_pairs(
    store,
    every,
    videos=pairs.videos,
    times=images,
    margin_seconds=pairs.margin_seconds,
    views_per=pairs.views_per,
    frames=input_frames(method),
    stride_seconds=method.stride_seconds if method.kind == "multi_frame" else 0.0,
    across_videos=pairs.across_videos,
  )
  if method.kind != "asn":
    return instants
  skills = samplers.skills(
    store,
    _catalog(config, store, train, success=True),
    clips_drawn=config.skills.clips,
    frames=method.frames,
    stride_seconds=method.stride_seconds,
  )
  return samplers.asn(instants, skills)


def make_spec(config: ConfigDict, train: str) -> FrameSpec:
  """What a learner must know of videos of a set of tasks."""
  tasks = len(tasks_in(train))
  return FrameSpec(config.data.rows, config.data.columns, len(config.data.views), tasks)


def make_training_spec(config: ConfigDict, train: str) -> FrameSpec:
  """The same of what training draws: where features are cached, they stand for frames."""
  spec = make_spec(config, train)
  trunk = published_trunk(config) if config.embedder.cache else None
  if trunk is None:
    return spec
  frame = jax.ShapeDtypeStruct((1, spec.rows, spec.columns, 3), np.uint8)
  rows, columns, channels = jax.eval_shape(trunk.features, frame).shape[1:]
  return spec._replace(features=(rows, columns, channels))


def _catalog(config: ConfigDict, store: VideoStore, train: str, success: bool | None) -> Catalog:
  """Training videos; tasks are counted from 0 in the order given, for the learner's labels."""
  tasks = tasks_in(train)
  videos = store.select(tasks=tasks, splits=("train",), success=success)
  catalog = make_catalog(store, videos, config.data.views)
  numbers = np.array([store.tasks.index(task) for task in tasks])
  return catalog._replace(task=np.argmax(catalog.task[:, None] == numbers, axis=1).astype(np.int32))
