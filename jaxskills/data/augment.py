"""Random crops, colours and flips of uint8 frames, on the device, inside the training step.

Both papers jitter crops and colours per image (TCN: research/tcn, preprocessing.py; ASN: section V
and its released code) and flip per image too, so that two views of an instant may be mirror images
and left and right cannot be told apart; here all frames of a clip are flipped alike. Hue stays as
it is, since tasks are told by colour.

A crop keeps the shape of the picture. Its rows are mixed from two gathered rows each and its
columns by a product with a matrix of weights, which XLA does fast on a CPU, in a `lax.scan` too
(crops and colours together: 13,000 to 18,000 pictures of 64 x 64 a second and core).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxskills.types import Key

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601), as torchvision and TensorFlow."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
_EXACT = jax.lax.Precision.HIGHEST

NORMALIZATIONS = ("unit", "signed", "imagenet")


class AugmentConfig(NamedTuple):
  """How frames are changed; the defaults are those of ASN's released code, but for the flips.

  Attributes:
    crop_area: least and most share of the picture that a crop keeps.
    brightness: colours are multiplied by 1 plus or minus at most this.
    contrast: their distance from the picture's mean luma likewise.
    saturation: their distance from their own luma likewise.
    flip: how likely a clip is mirrored left to right.
    jitter_per: `"image"` draws crop and colours for every image, `"clip"` once for a clip.
    eval_area: share that `normalize` keeps, in the centre.
    normalization: `"unit"` gives colours in [0, 1], `"signed"` in [-1, 1] (TCN), `"imagenet"` with
      the mean and deviation of ImageNet (ASN, the paper).
  """

  crop_area: tuple[float, float] = (0.9, 1.0)
  brightness: float = 0.3
  contrast: float = 0.3
  saturation: float = 0.3
  flip: float = 0.5
  jitter_per: str = "image"
  eval_area: float = 1.0
  normalization: str = "unit"


def check_augmentation(config: AugmentConfig) -> None:
  """Raises a `ValueError` for a setting that means nothing, naming it."""
  least, most = config.crop_area
  if not 0 < least <= most <= 1:
    raise ValueError(f"crop_area must be two shares in (0, 1] in order, got {config.crop_area}")
  if not 0 < config.eval_area <= 1:
    raise ValueError(f"eval_area must be a share in (0, 1], got {config.eval_area}")
  for name in ("brightness", "contrast", "saturation", "flip"):
    if not 0 <= getattr(config, name) <= 1:
      raise ValueError(f"{name} must lie between 0 and 1, got {getattr(config, name)}")
  if config.jitter_per not in ("image", "clip"):
    raise ValueError(f"jitter_per is 'image' or 'clip', not '{config.jitter_per}'")
  if config.normalization not in NORMALIZATIONS:
    raise ValueError(
      f"normalization is one of {', '.join(NORMALIZATIONS)}, not '{config.normalization}'"
    )


def augment(
  frames: UInt8[Array | np.ndarray, "*axes rows columns 3"],
  key: Key,
  config: AugmentConfig,
  *,
  clip_axes: int = 1,
) -> Float[Array, "*axes rows columns 3"]:
  """Crops, flips and colours frames at random, and normalises them.

  Args:
    frames: with any leading axes.
    key: typed PRNG key.
    config: how much.
    clip_axes: how many leading axes tell clips apart; whatever lies behind them (time, view, frame)
      is flipped alike. 0 makes all frames one clip.

  Returns:
    float32, of the same shape.

  Raises:
    ValueError: for a setting that means nothing.
  """
  check_augmentation(config)
  frames = jnp.asarray(frames)
  axes = frames.shape[:-3]
  if not 0 <= clip_axes <= len(axes):
    raise ValueError(f"clip_axes is {clip_axes}, and frames have {len(axes)} leading axes")
  of_clip = (*axes[:clip_axes], *(1,) * (len(axes) - clip_axes))
  drawn = axes if config.jitter_per == "image" else of_clip
  # One draw for all: compiling each draw by itself takes longer than everything else here.
  sizes = 6 * math.prod(drawn), math.prod(of_clip)
  uniform = jax.random.uniform(key, (sum(sizes),))
  spread = uniform[: sizes[0]].reshape(6, *drawn)
  is_flipped = (uniform[sizes[0] :] < config.flip).reshape(of_clip)

  least, most = config.crop_area
  side = jnp.sqrt(least + (most - least) * spread[0])
  cropped = _crop(
    frames.reshape(-1, *frames.shape[-3:]),
    *(jnp.broadcast_to(x, axes).reshape(-1) for x in (side, spread[1], spread[2], is_flipped)),
  )
  strengths = (config.brightness, config.contrast, config.saturation)
  factors = (
    jnp.broadcast_to(1.0 + strength * (2.0 * share - 1.0), axes).reshape(-1, 1, 1, 1)
    for strength, share in zip(strengths, spread[3:], strict=True)
  )
  colored = _color(cropped, *factors)
  return _normalized(colored, config.normalization).reshape(frames.shape)


def normalize(
  frames: UInt8[Array | np.ndarray, "*axes rows columns 3"], config: AugmentConfig
) -> Float[Array, "*axes rows columns 3"]:
  """What a network sees outside of training: the centre of each frame, nothing random.

  Args:
    frames: with any leading axes.
    config: `eval_area` and `normalization` count.

  Returns:
    float32, of the same shape.

  Raises:
    ValueError: for a setting that means nothing.
  """
  check_augmentation(config)
  frames = jnp.asarray(frames)
  values = frames.astype(jnp.float32)
  if config.eval_area < 1:
    flat = frames.reshape(-1, *frames.shape[-3:])
    count = len(flat)
    side, middle = jnp.full((count,), config.eval_area**0.5), jnp.full((count,), 0.5)
    values = _crop(flat, side, middle, middle, jnp.zeros((count,), bool)).reshape(frames.shape)
  return _normalized(values / 255.0, config.normalization)


def _crop(frames: Array, side: Array, down: Array, right: Array, is_flipped: Array) -> Array:
  """Crops `[n, rows, columns, 3]` and stretches each crop to the full size, linearly.

  Args:
    frames: uint8.
    side: height and width of the crop, as a share of the picture's, `[n]`.
    down: 0 for the highest crop, 1 for the lowest, `[n]`.
    right: 0 for the leftmost crop, 1 for the rightmost, `[n]`.
    is_flipped: whether to mirror it left to right, `[n]`.

  Returns:
    float32 in [0, 255].
  """
  rows, columns = frames.shape[1:3]

  def places(size: int, place: Array) -> Array:
    """Where the middles of the crop's pixels lie in the picture, in pixels, `[n, size]`."""
    begin = place * (1.0 - side) * size
    middle = begin[:, None] + (jnp.arange(size) + 0.5) * side[:, None] - 0.5
    return jnp.clip(middle, 0, size - 1)

  row, column = places(rows, down), places(columns, right)
  column = jnp.where(is_flipped[:, None], column[:, ::-1], column)
  above = jnp.floor(row).astype(jnp.int32)
  below = jnp.minimum(above + 1, rows - 1)
  number = jnp.arange(len(frames))[:, None]
  upper = frames[number, above].astype(jnp.float32)  # [n, rows, columns, 3]
  lower = frames[number, below].astype(jnp.float32)
  mixed = upper + (row - above)[:, :, None, None] * (lower - upper)
  weights = jnp.maximum(0.0, 1.0 - jnp.abs(column[:, :, None] - jnp.arange(columns)))
  return jnp.einsum("nij,nkjc->nkic", weights, mixed, precision=_EXACT)


def _color(frames: Array, brightness: Array, contrast: Array, saturation: Array) -> Array:
  """Brightness, then contrast, then saturation, as torchvision's ColorJitter without the hue.

  Colours are cut to [0, 1] once, at the end, and the order is always the same.

  Args:
    frames: float32 in [0, 255], `[n, rows, columns, 3]`.
    brightness: factors, `[n, 1, 1, 1]`.
    contrast: likewise.
    saturation: likewise.

  Returns:
    float32 in [0, 1].
  """
  # All three move a colour along the grey axis or scale its distance from there, so together they
  # are grey + gain * (colour - luma) with one grey and one gain.
  luma = jnp.einsum("nijc,c->nij", frames, jnp.array(LUMA), precision=_EXACT)[..., None]
  mean = jnp.mean(luma, axis=(1, 2), keepdims=True)
  brightness = brightness / 255.0
  grey = brightness * (mean + contrast * (luma - mean))
  gain = brightness * contrast * saturation
  return jnp.clip(gain * frames + (grey - gain * luma), 0.0, 1.0)


def _normalized(values: Array, normalization: str) -> Array:
  """Colours in [0, 1] as the network wants them."""
  if normalization == "signed":
    return 2.0 * values - 1.0
  if normalization == "imagenet":
    scale = 1.0 / np.array(IMAGENET_DEVIATION, np.float32)
    return values * scale - IMAGENET_MEAN * scale  # one multiply-add, no division
  return values
