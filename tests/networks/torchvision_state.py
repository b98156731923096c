"""Random weights of a ResNet-18 as torchvision would save them."""

import numpy as np


def random_state() -> dict[str, np.ndarray]:
  """A state dict with torchvision's names and shapes."""
  random = np.random.default_rng(0)
  state: dict[str, np.ndarray] = {}

  def add(convolution: str, norm: str, into: int, outputs: int, side: int) -> None:
    scale = np.sqrt(2 / (into * side * side))
    state[f"{convolution}.weight"] = random.normal(size=(outputs, into, side, side), scale=scale)
    for name in ("weight", "running_var"):
      state[f"{norm}.{name}"] = random.uniform(0.5, 2.0, outputs)
    for name in ("bias", "running_mean"):
      state[f"{norm}.{name}"] = random.normal(size=outputs, scale=0.3)
    state[f"{norm}.num_batches_tracked"] = np.array(3)

  add("conv1", "bn1", 3, 64, 7)
  into = 64
  for stage, width in enumerate((64, 128, 256, 512), start=1):
    for block in range(2):
      name = f"layer{stage}.{block}"
      add(f"{name}.conv1", f"{name}.bn1", into, width, 3)
      add(f"{name}.conv2", f"{name}.bn2", width, width, 3)
      if into != width:
        add(f"{name}.downsample.0", f"{name}.downsample.1", into, width, 1)
      into = width
  return {
    key: value.astype(np.float32) if value.dtype.kind == "f" else value
    for key, value in state.items()
  }
