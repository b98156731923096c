"""What reaches the network from an observation, and what does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.networks.encoder import (
  ImageOptions,
  ObservationEncoder,
  Scaling,
  frames_and_differences,
)


def observation(batch: int = 3) -> dict[str, jax.Array]:
  random = np.random.default_rng(0)
  view = random.integers(0, 256, (batch, 32, 32, 2), np.uint8)
  state = random.normal(size=(batch, 4)).astype(np.float32)
  return {"view": jnp.asarray(view), "state": jnp.asarray(state)}


def test_frames_become_the_newest_in_unit_range_and_scaled_changes():
  planes = jnp.array([255, 0, 51], jnp.uint8)[:, None]  # now, one before, two before
  value = frames_and_differences(planes, frames=3, gain=4.0)
  np.testing.assert_allclose(value[:, 0], [1.0, 4.0 * 2.0, 4.0 * -0.4], atol=1e-6)


def test_colours_of_a_frame_stay_together():
  planes = jnp.array([255, 0, 0, 0], jnp.uint8)[:, None]  # two colours now, two before
  np.testing.assert_allclose(
    frames_and_differences(planes, frames=2, gain=1.0)[:, 0], [1.0, -1.0, 2.0, 0.0], atol=1e-6
  )


def test_channels_that_are_no_multiple_of_the_frames_are_refused():
  with pytest.raises(ValueError, match="3 channels"):
    frames_and_differences(jnp.zeros((3, 1), jnp.uint8), frames=2, gain=1.0)


def test_vectors_pass_through_their_fixed_scaling():
  scaling = {"state": Scaling((1.0, 0.0, 0.0, 0.0), (0.5, 2.0, 1.0, 1.0))}
  encoder = ObservationEncoder(("state",), scaling)
  seen = {"state": jnp.array([[3.0, 1.0, 0.0, -1.0]])}
  features, params = jax.jit(encoder.init_with_output)(jax.random.key(0), seen)
  np.testing.assert_allclose(features, [[1.0, 2.0, 0.0, -1.0]])
  assert not jax.tree.leaves(params)


def test_features_are_the_chosen_modalities_in_their_order():
  seen = observation()
  both = ObservationEncoder(("view", "state"))
  features, params = jax.jit(both.init_with_output)(jax.random.key(0), seen)
  assert features.shape == (3, 4 * 4 * 32 + 4)
  np.testing.assert_array_equal(features[:, -4:], seen["state"])
  swapped = jax.jit(ObservationEncoder(("state", "view")).apply)(params, seen)
  np.testing.assert_array_equal(swapped[:, :4], seen["state"])
  np.testing.assert_allclose(swapped[:, 4:], features[:, :-4], atol=1e-4)


def test_modalities_that_are_not_inputs_cannot_be_seen():
  seen = observation()
  encoder = ObservationEncoder(("view",))
  features, params = jax.jit(encoder.init_with_output)(jax.random.key(0), seen)
  blind = jax.jit(encoder.apply)(params, {"view": seen["view"], "state": jnp.full((3, 4), 1e9)})
  np.testing.assert_allclose(blind, features, atol=1e-4)


def test_image_features_are_rows_columns_channels_of_each_image_alone():
  seen = observation()
  encoder = ObservationEncoder(("view",), image=ImageOptions(form="slices"))
  features, params = jax.jit(encoder.init_with_output)(jax.random.key(0), seen)
  alone = jax.jit(encoder.apply)(params, {"view": seen["view"][1:2]})
  np.testing.assert_allclose(alone[0], features[1], atol=1e-4)
  kernel, bias = (params["params"]["view"]["conv_0"][name] for name in ("kernel", "bias"))
  one_layer = ObservationEncoder(("view",), image=ImageOptions(channels=(8,)))
  first = jax.jit(one_layer.apply)(
    {"params": {"view": {"conv_0": {"kernel": kernel, "bias": bias}}}}, seen
  )
  planes = frames_and_differences(seen["view"].transpose(3, 0, 1, 2), 2, 4.0)
  pixel = np.einsum("ijc,bijc->b", kernel[..., 5], planes.transpose(1, 2, 3, 0)[:, 2:5, 6:9])
  pixel = np.where(pixel < 0, 0.2 * pixel, pixel)  # the output at row 1, column 3, channel 5
  np.testing.assert_allclose(first.reshape(3, 16, 16, 8)[:, 1, 3, 5], pixel, rtol=1e-4)


def test_a_missing_modality_is_named():
  with pytest.raises(KeyError, match="depth"):
    jax.jit(ObservationEncoder(("depth",)).init)(jax.random.key(0), observation())
