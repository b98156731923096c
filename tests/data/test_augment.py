"""Crops, colours and flips against closed forms, and against a plain NumPy crop."""

import colorsys
import functools

import jax
import numpy as np
import pytest

from jaxskills.data.augment import (
  IMAGENET_DEVIATION,
  IMAGENET_MEAN,
  LUMA,
  AugmentConfig,
  augment,
  normalize,
)

NOTHING = AugmentConfig(
  crop_area=(1.0, 1.0), brightness=0.0, contrast=0.0, saturation=0.0, flip=0.0
)
normalized = jax.jit(normalize, static_argnames="config")
augmented = jax.jit(augment, static_argnames=("config", "clip_axes"))


def pictures(*axes, rows=6, columns=9, low=0, high=256, seed=0):
  noise = np.random.default_rng(seed)
  return noise.integers(low, high, (*axes, rows, columns, 3), dtype=np.uint8)


def of(frames, config, *, seed=0, clip_axes=1):
  return np.asarray(augmented(frames, jax.random.key(seed), config, clip_axes=clip_axes))


def test_a_crop_of_all_with_colours_as_they_are_changes_nothing():
  frames = pictures(2, 3)
  np.testing.assert_allclose(of(frames, NOTHING), frames / 255.0, atol=1e-6)


@pytest.mark.parametrize(
  ("normalization", "expected"),
  [
    ("unit", lambda x: x),
    ("signed", lambda x: 2 * x - 1),
    ("imagenet", lambda x: (x - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_DEVIATION)),
  ],
)
def test_training_and_evaluation_normalise_alike(normalization, expected):
  frames, config = pictures(2), NOTHING._replace(normalization=normalization)
  for values in (of(frames, config), np.asarray(normalized(frames, config))):
    assert values.dtype == np.float32 and values.shape == frames.shape
    np.testing.assert_allclose(values, expected(frames / 255.0), atol=1e-5)


def test_evaluation_draws_nothing_and_takes_any_leading_axes():
  frames = pictures(2, 3, 2)
  jittery = AugmentConfig()
  np.testing.assert_allclose(normalized(frames, jittery), frames / 255.0, atol=1e-7)
  np.testing.assert_allclose(normalized(frames[0, 0, 0], jittery), frames[0, 0, 0] / 255.0)


def test_evaluation_crops_the_centre():
  frames = pictures(3, rows=8, columns=8)
  values = np.asarray(normalized(frames, NOTHING._replace(eval_area=0.25)))
  # Half of each side, stretched to twice its size: pixel 0 lies a quarter of one before the crop's
  # first middle, between rows 1 and 2.
  rows = np.array([1.75, 2.25, 2.75, 3.25, 3.75, 4.25, 4.75, 5.25])
  np.testing.assert_allclose(values, crop(frames / 255.0, rows, rows), atol=1e-5)


def crop(frames, rows, columns):
  """Bilinear interpolation in plain NumPy, at the same rows and columns for all frames."""
  for axis, places in ((-3, rows), (-2, columns)):
    size = frames.shape[axis]
    places = np.clip(places, 0, size - 1)
    low = np.floor(places).astype(int)
    share = (places - low).reshape(-1, *(1,) * (-axis - 1))
    high = np.minimum(low + 1, size - 1)
    frames = (1 - share) * frames.take(low, axis) + share * frames.take(high, axis)
  return frames


def test_a_random_crop_is_a_window_of_the_asked_area_within_the_picture():
  rows, columns, draws = 24, 16, 64
  row, column = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
  ramp = np.stack([10 * row, 10 * column, 0 * row], axis=-1).astype(np.uint8)
  config = NOTHING._replace(crop_area=(0.36, 0.81))
  values = of(np.broadcast_to(ramp, (draws, *ramp.shape)), config) * 25.5  # places in pixels
  down, right = values[:, :, 4, 0], values[:, 12, :, 1]
  side = np.diff(down, axis=1)[:, rows // 2]
  np.testing.assert_allclose(np.diff(right, axis=1)[:, columns // 2], side, atol=1e-3)
  assert side.min() >= 0.6 - 1e-3 and side.max() <= 0.9 + 1e-3
  assert side.min() < 0.65 and side.max() > 0.85
  middle = down[:, rows // 2 - 1 : rows // 2 + 1].mean(axis=1) + 0.5  # of the crop, in pixels
  reach = side * rows / 2
  assert np.all(middle - reach >= -1e-2) and np.all(middle + reach <= rows + 1e-2)
  assert np.ptp((middle - reach) / (rows - 2 * reach)) > 0.8  # from top to bottom
  expected = crop(ramp / 25.5 / 10, down[0], right[0])
  np.testing.assert_allclose(values[0] / 25.5, expected, atol=1e-4)


def test_brightness_multiplies_every_colour_of_a_picture_by_one_factor_near_one():
  frames = pictures(200, low=20, high=180, rows=2, columns=2)
  values = of(frames, NOTHING._replace(brightness=0.3)) * 255
  factors = values / frames
  np.testing.assert_allclose(factors, factors[:, :1, :1, :1] * np.ones_like(factors), rtol=1e-4)
  assert factors.min() >= 0.7 - 1e-4 and factors.max() <= 1.3 + 1e-4
  assert factors.min() < 0.75 and factors.max() > 1.25


def test_contrast_scales_the_distance_from_the_mean_luma():
  frames = pictures(200, low=100, high=150, rows=2, columns=2)
  values = of(frames, NOTHING._replace(contrast=0.5)) * 255
  mean = (frames @ np.array(LUMA)).mean(axis=(1, 2))[:, None, None, None]
  factors = (values - mean)[:, 0, 0, 0] / (frames - mean)[:, 0, 0, 0]
  np.testing.assert_allclose(
    values, mean + factors[:, None, None, None] * (frames - mean), atol=0.05
  )
  assert 0.49 < factors.min() < 0.6 and 1.4 < factors.max() < 1.51


def test_saturation_scales_the_distance_from_the_own_luma_down_to_grey():
  frames = pictures(200, low=90, high=140, rows=2, columns=2)
  values = of(frames, NOTHING._replace(saturation=1.0)) * 255
  luma = (frames @ np.array(LUMA))[..., None]
  factor = (values - luma)[:, 0, 0, :1] / (frames - luma)[:, 0, 0, :1]
  np.testing.assert_allclose(values, luma + factor[:, None, None] * (frames - luma), atol=0.05)
  np.testing.assert_allclose(values @ np.array(LUMA), luma[..., 0], atol=0.01)
  assert 0 <= factor.min() < 0.2 and 1.8 < factor.max() <= 2


def test_no_jitter_turns_a_hue():
  frames = pictures(200, low=110, high=140, rows=2, columns=2)
  config = NOTHING._replace(brightness=0.2, contrast=0.2, saturation=0.3)
  before, after = frames.reshape(-1, 3) / 255.0, of(frames, config).reshape(-1, 3)
  assert after.min() > 0 and after.max() < 1  # nothing was cut, which would turn it
  hues = [[colorsys.rgb_to_hsv(*color)[0] for color in colors] for colors in (before, after)]
  turned = np.abs(np.subtract(*hues))
  assert np.minimum(turned, 1 - turned).max() < 1e-3


def test_colours_stay_between_black_and_white():
  values = of(
    pictures(200, rows=2, columns=2), AugmentConfig(brightness=1.0, contrast=1.0, saturation=1.0)
  )
  assert values.min() == 0.0 and values.max() == 1.0


def _is_flipped(frames, values):
  return np.all(np.isclose(values, frames[..., ::-1, :] / 255.0, atol=1e-5), axis=(-3, -2, -1))


@pytest.mark.parametrize("clip_axes", [0, 1, 2])
def test_a_flip_mirrors_all_that_belongs_to_a_clip_and_no_more(clip_axes):
  frames = pictures(32, 4, 2)
  values = of(frames, NOTHING._replace(flip=0.5), clip_axes=clip_axes)
  flipped = _is_flipped(frames, values)
  kept = np.all(np.isclose(values, frames / 255.0, atol=1e-5), axis=(-3, -2, -1))
  assert np.all(flipped ^ kept)
  of_clip = flipped.reshape(*flipped.shape[:clip_axes], -1)
  assert np.all(of_clip == of_clip[..., :1])
  if clip_axes:
    assert 0.2 < of_clip[..., 0].mean() < 0.8
  if clip_axes == 2:
    assert np.any(of_clip[..., 0] != of_clip[:, :1, 0])


def test_crop_and_colours_are_drawn_for_each_image_or_for_each_clip():
  frames = np.broadcast_to(pictures(1, 1), (3, 5, 6, 9, 3))
  config = AugmentConfig(flip=0.0)
  each, together = of(frames, config), of(frames, config._replace(jitter_per="clip"))
  assert np.abs(each[:, 1:] - each[:, :1]).max(axis=(2, 3, 4)).min() > 1e-3
  np.testing.assert_allclose(together, np.broadcast_to(together[:, :1], together.shape), atol=1e-6)
  assert np.abs(together[1:] - together[:1]).max(axis=(1, 2, 3, 4)).min() > 1e-3


def test_the_same_key_gives_the_same_pictures_in_a_scan_too():
  frames, config, key = pictures(4, 2), AugmentConfig(), jax.random.key(5)

  @jax.jit
  def scanned(frames):
    return jax.lax.scan(lambda key, frame: (key, augment(frame, key, config)), key, frames[None])[1]

  one = of(frames, config, seed=5)
  np.testing.assert_allclose(scanned(frames)[0], one, atol=1e-6)
  assert np.abs(of(frames, config, seed=6) - one).max() > 1e-2


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"crop_area": (0.0, 1.0)}, "crop_area"),
    ({"crop_area": (0.9, 0.8)}, "crop_area"),
    ({"eval_area": 1.5}, "eval_area"),
    ({"saturation": -0.1}, "saturation must lie between 0 and 1, got -0.1"),
    ({"jitter_per": "video"}, "jitter_per is 'image' or 'clip', not 'video'"),
    ({"normalization": "image_net"}, "normalization is one of unit, signed, imagenet"),
  ],
)
def test_settings_that_mean_nothing_are_refused(change, message):
  config = NOTHING._replace(**change)
  for function in (functools.partial(augment, key=jax.random.key(0)), normalize):
    with pytest.raises(ValueError, match=message):
      function(pictures(1), config=config)


def test_more_clip_axes_than_there_are_is_refused():
  with pytest.raises(ValueError, match="clip_axes is 2, and frames have 1"):
    augment(pictures(2), jax.random.key(0), NOTHING, clip_axes=2)
