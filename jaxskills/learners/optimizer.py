"""The optimiser of everything that is learned from demonstrations.

SPiRL (Pertsch et al. 2020), appendix B.1: RAdam with beta_1 .9, beta_2 .999. RAdam takes plain
momentum steps until its variance estimate is defined (five updates), and a large first gradient
would then be followed as it is. The released code therefore clips the gradient to a norm of 1e-3
for its first hundred updates, which is done here too and never again after.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from jaxskills.types import Scalar

EARLY_NORM, EARLY_UPDATES = 1e-3, 100  # SPiRL's released code

OptimizerName = Literal["radam", "adam"]
LearningRate = float | Scalar | optax.Schedule


def make_optimizer(
  name: OptimizerName, learning_rate: LearningRate
) -> optax.GradientTransformation:
  """RAdam with early clipping (the paper's), or plain Adam, at a fixed rate or along a schedule.

  Raises:
    ValueError: if the name is neither.
  """
  if name == "radam":
    clip = optax.conditionally_transform(optax.clip_by_global_norm(EARLY_NORM), _is_early)
    return optax.chain(clip, optax.radam(learning_rate))
  if name == "adam":
    return optax.adam(learning_rate)
  raise ValueError(f"optimizer must be 'radam' or 'adam', not {name!r}")


def _is_early(step: ArrayLike, **_: object) -> jax.Array:
  return jnp.asarray(step) < EARLY_UPDATES
