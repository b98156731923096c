"""The state of a world of MuJoCo Playground's kind, for tests that do without its package."""

import dataclasses
from typing import Any

import jax


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class PlaygroundState:
  """A record as MuJoCo Playground's: `data` where Brax says `pipeline_state`, memory in `info`."""

  data: Any
  obs: Any
  reward: Any
  done: Any
  metrics: dict[str, Any]
  info: dict[str, Any]
