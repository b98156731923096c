"""An image trunk that never changes, as a function of uint8 pictures."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxskills.data.augment import AugmentConfig, normalize
from jaxskills.networks.conv import Form
from jaxskills.networks.image_weights import ImageWeights, Pretrained
from jaxskills.networks.inception import InceptionTrunk
from jaxskills.networks.resnet import ResNetTrunk


class FrozenTrunk(NamedTuple):
  """A function, and what tells it from others.

  Attributes:
    features: `uint8 [batch, rows, columns, 3] -> float [batch, rows_out, columns_out, channels]`,
      pure; it normalises the pictures itself.
    identity: all that its results depend on besides the pictures, as JSON holds it.
  """

  features: Callable[[Any], Any]
  identity: Mapping[str, Any]


def make_frozen_trunk(
  backbone: Pretrained,
  variables: Any,
  *,
  normalization: str,
  counts_padding: bool = False,
  stages: int = 2,
  eval_area: float = 1.0,
  form: Form = "lax",
) -> FrozenTrunk:
  """Builds a trunk with running statistics.

  Args:
    backbone: "inception" or "resnet18".
    variables: of the trunk alone: `ImageWeights.variables`, or random ones.
    normalization: of pictures; see `augment.AugmentConfig`.
    counts_padding: of Inception's average pooling; see `InceptionTrunk`.
    stages: how many of ResNet-18's four stages are used.
    eval_area: share of each picture, in its centre, that is seen.
    form: how convolutions are computed; see `conv.ConvStack`. Outside of `lax.scan`, where features
      are cached, "lax" compiles in a third of the time of slices on a CPU, and mostly runs as fast.
  """
  if backbone == "inception":
    network = InceptionTrunk(counts_padding, form=form)
  else:
    network = ResNetTrunk(stages, form=form)
  held = jax.tree.map(jnp.asarray, variables)
  augmentation = AugmentConfig(normalization=normalization, eval_area=eval_area)

  def features(
    frames: UInt8[Array, "batch rows columns 3"],
  ) -> Float[Array, "batch rows_out columns_out channels"]:
    return cast(jax.Array, network.apply(held, normalize(frames, augmentation)))

  identity = {
    "backbone": backbone,
    "weights_sha256": variables_sha256(variables),
    "normalization": normalization,
    "eval_area": eval_area,
    **({"counts_padding": counts_padding} if backbone == "inception" else {"stages": stages}),
  }
  return FrozenTrunk(features, identity)


def make_published_trunk(
  backbone: Pretrained, weights: ImageWeights, *, stages: int = 2, eval_area: float = 1.0
) -> FrozenTrunk:
  """`make_frozen_trunk` with loaded weights, and with pictures and pooling as they want them."""
  return make_frozen_trunk(
    backbone,
    weights.variables,
    normalization=weights.normalization,
    counts_padding=weights.counts_padding,
    stages=stages,
    eval_area=eval_area,
  )


def variables_sha256(variables: Any) -> str:
  """The sha256 of paths, shapes and bytes of all leaves: equal where all of them are."""
  digest = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_flatten_with_path(variables)[0]:
    value = np.ascontiguousarray(leaf)
    digest.update(f"{jax.tree_util.keystr(path)} {value.dtype} {value.shape}\n".encode())
    digest.update(value.tobytes())
  return digest.hexdigest()
