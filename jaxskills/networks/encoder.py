"""From an observation, a mapping of modalities, to one feature vector.

SPiRL (Pertsch et al. 2020), appendix B.1: images pass through three convolutions of kernel 3 with
8, 16 and 32 channels and are flattened; vectors enter as they are, on a fixed scale. Which
modalities a network may see is declared once, in `inputs`, so that two methods are compared on the
same ones. The modality's dtype tells an image (uint8) from a vector (float).

A stack of frames is fed as the current frame and the *differences* of neighbouring frames. Two
frames 10 ms apart are nearly equal, and a network asked to subtract them itself spends its first
thousands of updates finding that out.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from jaxskills.networks.conv import ConvStack, Form
from jaxskills.types import Observation


class Scaling(NamedTuple):
  """A fixed affine map of a vector modality, entry by entry: `(value - offset) * scale`."""

  offset: tuple[float, ...]
  scale: tuple[float, ...]


class ImageOptions(NamedTuple):
  """How uint8 modalities are read.

  Attributes:
    frames: images stacked in the channel axis, newest first.
    difference_gain: factor on the differences of neighbouring frames, each in [-2, 2]. At the
      maze's top speed an edge moves 0.4 pixels a step, so 4 brings typical differences near 1.
    channels: outputs of each convolution.
    kernel: side of every kernel.
    stride: of every convolution.
    form: how convolutions are computed; see `conv.ConvStack`.
  """

  frames: int = 2
  difference_gain: float = 4.0
  channels: tuple[int, ...] = (8, 16, 32)
  kernel: int = 3
  stride: int = 2
  form: Form = "auto"


class ObservationEncoder(nn.Module):
  """Features of the chosen modalities, concatenated in the order of `inputs`.

  Attributes:
    inputs: names of the modalities that are seen; all others are ignored.
    scaling: fixed scaling of vector modalities, by name; absent means unscaled.
    image: how images are read.
  """

  inputs: Sequence[str]
  scaling: Mapping[str, Scaling] | None = None
  image: ImageOptions = ImageOptions()

  @nn.compact
  def __call__(self, observation: Observation) -> Float[Array, "batch features"]:
    """Encodes a batch.

    Args:
      observation: mapping with, for each input, uint8 `[batch, rows, columns, channels]` or
        float `[batch, width]`.

    Raises:
      KeyError: if an input is not in the observation.
      ValueError: if channels are not a multiple of the frames.
    """
    features = []
    for name in self.inputs:
      if name not in observation:
        raise KeyError(f"no modality {name!r} in an observation of {sorted(observation)}")
      value = observation[name]
      if value.dtype == jnp.uint8:
        features.append(self._encode_image(name, value))
      elif self.scaling is not None and name in self.scaling:
        offset, scale = (jnp.asarray(entry) for entry in self.scaling[name])
        features.append((value - offset) * scale)
      else:
        features.append(value)
    return jnp.concatenate(features, axis=-1)

  def _encode_image(
    self, name: str, stack: UInt8[Array, "batch rows columns channels"]
  ) -> Float[Array, "batch features"]:
    options = self.image
    planes = stack.transpose(3, 1, 2, 0)  # batch last while they are still bytes: see `conv`
    value = frames_and_differences(planes, options.frames, options.difference_gain)
    convolutions = ConvStack(
      options.channels, options.kernel, options.stride, options.form, name=name
    )
    features = convolutions(value).transpose(3, 1, 2, 0)
    return features.reshape(features.shape[0], -1)


def frames_and_differences(
  planes: UInt8[Array, "channels *rest"], frames: int, gain: float
) -> Float[Array, "channels *rest"]:
  """The newest frame in [-1, 1], and `gain` times each frame's change since the one before.

  Args:
    planes: stacked frames of `channels / frames` colours each, newest first.
    frames: how many are stacked.
    gain: factor on the differences; a change from black to white is 2 before it.

  Raises:
    ValueError: if the channels are not a multiple of the frames.
  """
  if planes.shape[0] % frames:
    raise ValueError(f"{planes.shape[0]} channels are no multiple of {frames} frames")
  colours = planes.shape[0] // frames
  value = planes.astype(jnp.float32) * (2.0 / 255.0) - 1.0
  return jnp.concatenate([value[:colours], gain * (value[:-colours] - value[colours:])])
