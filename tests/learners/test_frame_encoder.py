"""What the embedding network does with batches, whatever their size."""

import jax
import numpy as np
import pytest

from jaxskills.data.augment import AugmentConfig
from jaxskills.learners.frame_encoder import EmbedderOptions, make_frame_encoder
from jaxskills.learners.frame_spec import FrameSpec
from jaxskills.networks.embedder import SmallOptions

OPTIONS = EmbedderOptions(embedding_dim=4, small=SmallOptions((4,), (2,)))


@pytest.mark.parametrize(("count", "frames"), [(3, 1), (32, 1), (37, 1), (19, 2)])
def test_a_frame_is_embedded_alike_in_a_batch_of_any_size(count, frames):
  encoder = make_frame_encoder(OPTIONS, AugmentConfig(), FrameSpec(8, 8, 2, 2), frames=frames)
  variables = encoder.init(jax.random.key(0))
  shape = (count, 8, 8, 3) if frames == 1 else (count, frames, 8, 8, 3)
  pictures = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
  embed = jax.jit(encoder.embed)
  together = embed(variables, pictures)
  apart = np.stack([embed(variables, picture[None])[0] for picture in pictures])
  assert together.shape == (count, 4)
  np.testing.assert_allclose(together, apart, atol=1e-5)
