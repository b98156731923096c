"""Learning from video, against an eager PyTorch re-host of the same: pictures a second.

  jaxskills bench video      about two minutes

Rows: augmentation of a batch, embedding frames, and one training step of TCN with lifted structure
(augmentation, embedding, loss, gradient, Adam), all of `asn/blocks:quick`, on batches made
beforehand. Both sides compute the same, which is checked before anything is timed; the re-host runs
on as many threads as serve it best (`peer_threads`) and in the memory layout that does. Then what
feeding costs: the experiment's own stage with frames read from a memory-mapped store, against the
same stage on one batch that is there already. Floors: 1, 1, 1 and .95.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from ml_collections import ConfigDict

from jaxskills.benchmarks import measuring, rehost_networks, rehost_video
from jaxskills.benchmarks.contenders import (
  floats,
  peer_contender,
  rehost_facts,
  stage_contender,
  update_contender,
)
from jaxskills.benchmarks.measuring import Contender
from jaxskills.benchmarks.same_computation import Pair, equal_count
from jaxskills.data.augment import AugmentConfig, augment
from jaxskills.data.clips import ViewPairs
from jaxskills.data.video_plan import StorePlan
from jaxskills.data.video_store import SPLITS, VideoStore, make_index
from jaxskills.data.video_writer import StoreWriter
from jaxskills.experiments.asn import blocks, methods, stages

METHOD, TASKS = "tcn_lifted", "AB"
PEER = "PyTorch re-host"
TOLERANCE = 1e-4  # of embeddings and pictures, absolute


class Sizes(NamedTuple):
  """How much is measured.

  Attributes:
    side: of the pictures, pixels; None takes the experiment's.
    updates: of ours in one call; the peer does one.
    videos: in the store that is read from.
    frames: of each of them.
    rounds: turns of each side.
    seconds: of a turn, at least.
  """

  side: int | None = None
  updates: int = 16
  videos: int = 100
  frames: int = 130
  rounds: int = measuring.ROUNDS
  seconds: float = 2.0


SIZES = Sizes()  # of the benchmark; tests take less


def measure(sizes: Sizes = SIZES) -> dict[str, Any]:
  """Measures all rows; see `measuring` for how."""
  facts, config = rehost_facts(), get_config(sizes)
  pair = tcn_pair(config)
  pair.check()
  return {
    "machine": facts,
    "rows": [
      augmentation_row(config, pair, sizes),
      forward_row(config, pair, sizes),
      training_row(config, pair, sizes),
      feeding_row(config, sizes),
    ],
  }


def get_config(sizes: Sizes) -> ConfigDict:
  """`asn/blocks:quick` with a learning rate that stays, as the peer's does."""
  config = blocks.get_config("quick")
  config.training.final_learning_rate = config.training.learning_rate
  if sizes.side:
    config.data.rows = config.data.columns = sizes.side
  return config


def tcn_pair(config: ConfigDict) -> Pair:
  """One training step on both sides, of the same parameters and pictures."""
  learner = methods.make_learner(config, methods.METHODS[METHOD], methods.make_spec(config, TASKS))
  state = jax.jit(learner.init)(jax.random.key(0))
  frames = some_frames(config)
  embedder, augmentation = methods.embedder_options(config), methods.augmentation(config)
  peer = rehost_video.TcnTrainer(
    embedder,
    augmentation,
    (config.data.rows, config.data.columns),
    config.training.learning_rate,
    state.params["encoder"]["params"],
  )
  shown = torch.from_numpy(frames)
  count = len(frames) * frames.shape[1] * frames.shape[2]

  def noise(key: Any) -> Any:
    return draws(jax.random.split(key)[0], count, len(frames))

  return Pair(
    learner=learner,
    state=state,
    batch=ViewPairs(jnp.asarray(frames)),
    peer=peer,
    peer_update=lambda noise=None: peer.update(shown, noise),
    noise=noise,
    losses=("loss",),
    parameters=equal_count(state.params["encoder"]["params"], rehost_networks.count(peer.model)),
  )


def some_frames(config: ConfigDict) -> np.ndarray:
  """A batch of smooth random pictures, uint8 `[video, time, view, rows, columns, 3]`."""
  rng, shape = np.random.default_rng(0), (config.data.rows, config.data.columns)
  axes = (config.pairs.videos, config.pairs.times, 2)
  tiles = [-(-size // 8) for size in shape]
  coarse = rng.integers(0, 256, (*axes, *tiles, 3), np.uint8)
  fine = coarse.repeat(8, axis=-3).repeat(8, axis=-2)
  return np.ascontiguousarray(fine[..., : shape[0], : shape[1], :])


def draws(key: jax.Array, images: int, videos: int) -> tuple[torch.Tensor, torch.Tensor]:
  """What `data.augment.augment` draws from a key, for the re-host."""
  size = rehost_video.DRAWS * images
  uniform = torch.from_numpy(np.array(jax.random.uniform(key, (size + videos,))))
  return uniform[:size].reshape(rehost_video.DRAWS, images), uniform[size:]


def augmentation_row(config: ConfigDict, pair: Pair, sizes: Sizes) -> dict[str, Any]:
  """Pictures a second of crop, flip and colours."""
  options: AugmentConfig = methods.augmentation(config)
  frames = pair.batch.frames
  shown, videos = torch.from_numpy(np.array(frames)), frames.shape[0]
  images = videos * frames.shape[1] * frames.shape[2]
  key = jax.random.key(7)
  ours = np.asarray(augment(frames, key, options)).reshape(images, *frames.shape[-3:])
  theirs = rehost_video.augment(shown, options, *draws(key, images, videos))
  check_equal("pictures", ours, theirs.permute(0, 2, 3, 1).numpy())

  def run(carry: tuple, frames: jax.Array) -> tuple[tuple, dict[str, jax.Array]]:
    def one(carry: tuple, _: None) -> tuple[tuple, jax.Array]:
      key, now = jax.random.split(carry[0])
      pictures = augment(frames, now, options)
      return (key, pictures), pictures[(0,) * pictures.ndim]

    carry, corners = jax.lax.scan(one, carry, None, length=sizes.updates)
    return carry, {"corner": corners}

  start = (key, jnp.zeros(frames.shape, jnp.float32))
  mine, seconds = update_contender("jaxskills", run, start, frames, float(images * sizes.updates))

  def again() -> Mapping[str, float]:
    return {"corner": float(rehost_video.augment(shown, options)[0, 0, 0, 0])}

  does = "random crop, flip and colours of uint8 frames, normalised; no gradient"
  return against_peer(
    "augmentation", mine, again, images, sizes, does=does, compile_seconds=seconds
  )


def forward_row(config: ConfigDict, pair: Pair, sizes: Sizes, images: int = 256) -> dict[str, Any]:
  """Pictures a second of embedding them."""
  rng = np.random.default_rng(1)
  shape = (images, config.data.rows, config.data.columns, 3)
  frames = rng.integers(0, 256, shape, np.uint8)
  shown = torch.from_numpy(frames)
  params = pair.state.params
  peer = rehost_video.TcnTrainer(
    methods.embedder_options(config), methods.augmentation(config), shape[1:3], 0.0,
    params["encoder"]["params"],
  )  # fmt: skip
  act, seconds = measuring.compiled(pair.learner.act, params, jnp.asarray(frames))
  check_equal("embeddings", np.asarray(act(params, frames)), peer.embed(shown).numpy())

  def ours() -> Mapping[str, float]:
    return {"sum": float(np.asarray(act(params, frames)).sum())}

  def theirs() -> Mapping[str, float]:
    return {"sum": float(peer.embed(shown).sum())}

  mine = Contender("jaxskills", ours, float(images))
  does = "normalise and embed uint8 frames that lie in the host's memory"
  return against_peer("forward", mine, theirs, images, sizes, does=does, compile_seconds=seconds)


def training_row(config: ConfigDict, pair: Pair, sizes: Sizes) -> dict[str, Any]:
  """Pictures a second of training on them."""
  frames = pair.batch.frames
  images = frames.shape[0] * frames.shape[1] * frames.shape[2]
  batches = jax.tree.map(lambda leaf: jnp.stack([leaf] * sizes.updates), pair.batch)

  def run(carry: tuple, batches: Any) -> tuple[tuple, Any]:
    return jax.lax.scan(pair.step, carry, batches)

  mine, seconds = update_contender(
    "jaxskills", run, (pair.state, jax.random.key(0)), batches, float(sizes.updates * images)
  )
  return against_peer(
    "training_step", mine, lambda: floats(pair.peer_update()), images, sizes,
    does="augmentation, embedding, lifted structure, gradient and Adam, on both sides",
    parameters=pair.parameters, compile_seconds=seconds,
  )  # fmt: skip


def against_peer(
  name: str,
  mine: Contender,
  theirs: Callable[[], Mapping[str, float]],
  images: int,
  sizes: Sizes,
  **facts: Any,
) -> dict[str, Any]:
  """A row of ours and the re-host, which does `images` a call, in turn; the floor is 1."""
  other, threads = peer_contender(PEER, theirs, float(images))
  rates = measuring.race((mine, other), sizes.rounds, sizes.seconds)
  return measuring.row(
    name, "images/s", rates, mine.name, other.name, 1.0,
    batch=images, peer_threads=threads, **facts,
  )  # fmt: skip


def feeding_row(config: ConfigDict, sizes: Sizes) -> dict[str, Any]:
  """Pictures a second of the experiment's stage, with and without reading what it trains on."""
  pairs = config.pairs
  images = float(pairs.videos * pairs.times * 2)
  with tempfile.TemporaryDirectory() as folder:
    store = write_store(config, sizes, Path(folder))
    name = stages.stage_name(METHOD, TASKS, 0)
    stage = stages.embedding_stage(config, name, METHOD, TASKS, 0, store)
    assert stage.feed is not None
    ready = stage._replace(feed=Repeated(stage.feed.next()))
    fed, seconds = stage_contender("jaxskills", stage, images)
    resident, _ = stage_contender("the same batches again", ready, images)
    rates = measuring.race((fed, resident), sizes.rounds, sizes.seconds)
  return measuring.row(
    "feeding", "images/s", rates, fed.name, resident.name, 0.95,
    does="the whole stage: draws, frames out of a memory-mapped store, updates",
    batch=images, compile_seconds=seconds, store_mib=round(store.frames.nbytes / 2**20),
  )  # fmt: skip


class Repeated:
  """A feed that gives the same batches again and again."""

  def __init__(self, batches: Any):
    """Keeps them."""
    self._batches = batches

  def next(self) -> Any:
    """The batches."""
    return self._batches

  def get_state(self) -> bytes:
    """Nothing: there is no position."""
    return b""

  def set_state(self, state: bytes) -> None:
    """Takes any."""


def write_store(config: ConfigDict, sizes: Sizes, folder: Path) -> VideoStore:
  """Videos of noise as the experiment's are laid out."""
  views = (*config.data.views, config.data.unseen_view)
  plan = StorePlan(
    index=make_index(
      [sizes.frames] * sizes.videos,
      seconds_per_frame=1 / 12,
      task=np.arange(sizes.videos) % len(TASKS),
      is_success=np.ones(sizes.videos, bool),
      split=np.full(sizes.videos, SPLITS.index("train")),
    ),
    names=tuple(f"noise {number}" for number in range(sizes.videos)),
    tasks=tuple(TASKS),
    views=views,
    rows=config.data.rows,
    columns=config.data.columns,
  )
  rng = np.random.default_rng(0)
  with StoreWriter(folder, plan) as writer:
    for video in writer.missing():
      writer.write(video, rng.integers(0, 256, (sizes.frames, *plan.shape), np.uint8))
    return writer.finish()


def check_equal(what: str, ours: np.ndarray, theirs: np.ndarray) -> None:
  """Refuses to compare what is not the same.

  Raises:
    AssertionError: with the largest gap.
  """
  gap = float(np.abs(ours - theirs).max()) if ours.shape == theirs.shape else np.inf
  if not gap <= TOLERANCE:
    raise AssertionError(
      f"{what} of both sides differ by {gap}, so their speeds cannot be compared"
    )
