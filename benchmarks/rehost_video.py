"""TCN's training step in eager PyTorch, with our parameters: the peer of `jaxskills bench video`.

Augmentation, the small embedder and the lifted structure loss as a PyTorch user would write them,
with the fast parts that PyTorch has: one `grid_sample` for crop, resize and flip, colour jitter in
place, all videos in one batch, fused Adam. Only what `asn/blocks:quick` uses is here; `video.py`
refuses to compare unless both sides compute the same.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch import Tensor, nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

from jaxskills.benchmarks.rehost_networks import copy, load_linear
from jaxskills.data.augment import LUMA, AugmentConfig
from jaxskills.learners.frame_encoder import EmbedderOptions
from jaxskills.losses.metric import LIFTED_MARGIN
from jaxskills.networks.embedder import HEADS
from jaxskills.networks.embedding_head import HeadOptions
from jaxskills.networks.mlp import LEAK
from jaxskills.types import Params

DRAWS = 6
"""Uniform numbers that an image needs: a crop's size, its place down and right, three colours."""


def augment(
  frames: Tensor, config: AugmentConfig, uniform: Tensor | None = None, flips: Tensor | None = None
) -> Tensor:
  """Crops, flips and colours uint8 `[video, ..., rows, columns, 3]`.

  Args:
    frames: as they lie in the store.
    config: with jitter for each image.
    uniform: `[DRAWS, images]` in [0, 1), drawn if not given.
    flips: `[videos]` likewise.

  Returns:
    float32 `[images, 3, rows, columns]` in [-1, 1].
  """
  if config.jitter_per != "image" or config.normalization != "signed":
    raise ValueError("the re-host jitters every image by itself and gives colours in [-1, 1]")
  pictures = frames.reshape(-1, *frames.shape[-3:]).permute(0, 3, 1, 2)
  count = len(pictures)
  uniform = torch.rand(DRAWS, count) if uniform is None else uniform
  flips = torch.rand(len(frames)) if flips is None else flips
  least, most = config.crop_area
  side = torch.sqrt(least + (most - least) * uniform[0])
  down, right = (2.0 * uniform[1:3] - 1.0) * (1.0 - side)
  mirror = 1.0 - 2.0 * (flips < config.flip).float().repeat_interleave(count // len(frames))
  nothing = torch.zeros_like(side)
  affine = torch.stack([side * mirror, nothing, right, nothing, side, down], dim=1)
  shape = (count, 3, *pictures.shape[-2:])
  grid = functional.affine_grid(affine.reshape(-1, 2, 3), list(shape), align_corners=False)
  cropped = functional.grid_sample(
    pictures.float().div_(255.0), grid, "bilinear", "border", align_corners=False
  )
  strengths = torch.tensor([config.brightness, config.contrast, config.saturation])
  factors = 1.0 + strengths[:, None] * (2.0 * uniform[3:] - 1.0)
  brightness, contrast, saturation = factors[:, :, None, None, None]
  luma = (cropped * torch.tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
  mean = luma.mean((2, 3), keepdim=True)
  grey = brightness * (mean + contrast * (luma - mean))
  colored = cropped.sub_(luma).mul_(brightness * contrast * saturation).add_(grey)
  return colored.clamp_(0.0, 1.0).mul_(2.0).sub_(1.0)


class Embedder(nn.Module):
  """The small trunk and its head."""

  def __init__(self, options: EmbedderOptions, rows: int, columns: int):
    super().__init__()
    head = HEADS["small"] if options.head is None else options.head
    known = HeadOptions(
      hidden=head.hidden, temperature=head.temperature, with_values=True, dropout=0.0
    )
    if options.backbone != "small" or head != known:
      raise ValueError("the re-host has the small trunk, and its head without dropout")
    self.head, small = head, options.small
    self.paddings, shapes = [], (rows, columns)
    for stride in small.strides:
      after = tuple(-(-size // stride) for size in shapes)
      missing = [
        max((out - 1) * stride + small.kernel - size, 0)
        for out, size in zip(after, shapes, strict=True)
      ]
      down, right = missing
      self.paddings.append((right // 2, right - right // 2, down // 2, down - down // 2))
      shapes = after
    layers = zip(pairwise((3, *small.channels)), small.strides, strict=True)
    self.trunk = nn.ModuleList(
      nn.Conv2d(into, out, small.kernel, stride) for (into, out), stride in layers
    )
    across, along = (torch.linspace(-1.0, 1.0, size) for size in reversed(shapes))
    self.places = torch.stack(
      [across.expand(shapes).flatten(), along[:, None].expand(shapes).flatten()], dim=1
    )
    self.hidden = nn.Linear(3 * small.channels[-1], head.hidden)
    self.embedding = nn.Linear(head.hidden, options.embedding_dim)

  def forward(self, pictures: Tensor) -> Tensor:
    """Maps `[images, 3, rows, columns]` to `[images, dim]`."""
    value = pictures
    for layer, padding in zip(self.trunk, self.paddings, strict=True):
      value = functional.leaky_relu(layer(functional.pad(value, padding)), LEAK, inplace=True)
    maps = value.flatten(2)
    weights = (maps / self.head.temperature).softmax(-1)
    positions = (weights @ self.places).transpose(1, 2).flatten(1)  # x of all channels, then y
    seen = torch.cat([positions, (weights * maps).sum(-1)], dim=1)
    return self.embedding(self.hidden(seen).relu_())

  def load(self, params: Params) -> "Embedder":
    """Takes over the parameters of `networks.embedder.Embedder`."""
    stack = params["trunk"]["stack"]
    for index, layer in enumerate(self.trunk):
      entry: Any = stack[f"conv_{index}"]
      copy(layer.weight, np.transpose(entry["kernel"], (3, 2, 0, 1)))
      copy(layer.bias, entry["bias"])
    load_linear(self.hidden, params["head"]["hidden"])
    load_linear(self.embedding, params["head"]["embedding"])
    return self


def lifted(embeddings: Tensor) -> Tensor:
  """Lifted structure of `[video, time, view, dim]`, summed over videos."""
  videos, times, views, _ = embeddings.shape
  rows = embeddings.flatten(1, 2)
  instant = torch.arange(times).repeat_interleave(views)
  is_same = instant[:, None] == instant[None, :]
  pairs = torch.triu(is_same, diagonal=1)
  squared = ((rows[:, :, None] - rows[:, None]) ** 2).sum(-1)
  distance = squared.clamp_min(1e-12).sqrt()
  repelling = (LIFTED_MARGIN - distance).masked_fill(is_same, -math.inf)
  repulsion = repelling.logsumexp(-1)
  both = torch.logaddexp(repulsion[:, :, None], repulsion[:, None, :])
  hinge = (both + distance).relu()[:, pairs]
  return 0.5 * (hinge**2).mean(-1).sum()


class TcnTrainer:
  """One video batch at a time: augmentation, embedding, loss, Adam."""

  def __init__(
    self,
    options: EmbedderOptions,
    augmentation: AugmentConfig,
    picture: Sequence[int],
    learning_rate: float,
    params: Params,
  ):
    """`picture` is rows and columns; `params` are those of our embedder."""
    self.augmentation = augmentation
    self.model = Embedder(options, *picture).load(params)
    self.optimizer = torch.optim.Adam(self.model.parameters(), learning_rate, fused=True)

  def update(self, frames: Tensor, noise: tuple[Tensor, Tensor] | None = None) -> dict[str, Tensor]:
    """One step on uint8 `[video, time, view, rows, columns, 3]`; `noise` is for `augment`."""
    pictures = augment(frames, self.augmentation, *(noise or ()))
    loss = lifted(self.model(pictures).reshape(*frames.shape[:3], -1))
    self.optimizer.zero_grad()
    loss.backward()
    self.optimizer.step()
    return {"loss": loss.detach()}

  @torch.no_grad()
  def embed(self, frames: Tensor) -> Tensor:
    """Embeds uint8 `[images, rows, columns, 3]`, deterministically."""
    return self.model(frames.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0))
