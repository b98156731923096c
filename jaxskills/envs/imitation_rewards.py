"""Rewards for looking like a demonstration: functions of the distance between two embeddings.

TCN (Sermanet et al. 2018, section III-C) and ASN (Mees et al. 2020, section III-C) both compare
what the agent looks like now with the demonstration's frame of that moment, or with its last frame.
TCN prints its function and not its constants; ASN's equation 8 depends on the distance and "a
constant threshold" and is not recoverable from the paper's text. So the constants here and both of
ASN's forms are ours. Distances of two embeddings differ in scale by more than a threshold could
bridge; they are divided by a `unit` first, which two views of one instant are apart
(`cross_view_unit`).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxskills.config import nearest


class ImitationReward(NamedTuple):
  """How a distance becomes a reward.

  Attributes:
    kind: of `KINDS`.
    unit: the distance that counts as 1.
    alpha: of "tcn", weight of the squared distance, which draws from afar; ours.
    beta: of "tcn", weight of the rounded distance, which draws when near; ours.
    gamma: of "tcn", squared distance within which it is round, in units squared; that of GPS
      (Levine et al. 2016), whose cost it is.
    threshold: of "threshold", the distance from which on nothing is earned, in units; ours.
  """

  kind: str = "threshold"
  unit: float = 1.0
  alpha: float = 0.5
  beta: float = 1.0
  gamma: float = 1e-5
  threshold: float = 4.0


def huber_style(
  squared_distance: Float[Array, "*batch"], *, alpha: float, beta: float, gamma: float
) -> Float[Array, "*batch"]:
  """`-alpha d^2 - beta sqrt(gamma + d^2)`; TCN (Sermanet et al. 2018), section III-C."""
  return -alpha * squared_distance - beta * jnp.sqrt(gamma + squared_distance)


def negative_distance(squared_distance: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
  """`-d`; ours, in the place of ASN's equation 8."""
  return -jnp.sqrt(squared_distance)


def thresholded(
  squared_distance: Float[Array, "*batch"], *, threshold: float
) -> Float[Array, "*batch"]:
  """`max(0, 1 - d / threshold)`; ours, in the place of ASN's equation 8."""
  return jnp.maximum(0.0, 1.0 - jnp.sqrt(squared_distance) / threshold)


_FORMS: dict[str, Callable[[ImitationReward, Array], Array]] = {
  "tcn": lambda reward, squared: huber_style(
    squared, alpha=reward.alpha, beta=reward.beta, gamma=reward.gamma
  ),
  "distance": lambda reward, squared: negative_distance(squared),
  "threshold": lambda reward, squared: thresholded(squared, threshold=reward.threshold),
}
KINDS = tuple(_FORMS)


def imitation_reward(
  reward: ImitationReward, here: Float[Array, "*batch dim"], there: Float[Array, "*batch dim"]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
  """What it is worth to look like `here` where the demonstration looks like `there`.

  Returns:
    The reward, and the distance in units.
  """
  squared = jnp.sum((here - there) ** 2, axis=-1) / reward.unit**2
  return _FORMS[reward.kind](reward, squared), jnp.sqrt(squared)


def cross_view_unit(
  first: Float[np.ndarray, "time dim"], second: Float[np.ndarray, "time dim"]
) -> float:
  """The median distance of two views' embeddings of the same instants: the least one can hope for.

  Raises:
    ValueError: if it is 0 or not finite, so that it cannot be a unit.
  """
  unit = float(np.median(np.linalg.norm(np.asarray(first) - np.asarray(second), axis=-1)))
  if not (math.isfinite(unit) and unit > 0.0):
    raise ValueError(f"two views of the same instants differ by {unit}, which is no unit")
  return unit


def check(reward: ImitationReward) -> None:
  """Refuses rewards that there are not.

  Raises:
    ValueError: naming what is wrong.
  """
  if reward.kind not in KINDS:
    known = ", ".join(KINDS)
    raise ValueError(
      f"no reward {reward.kind!r}{nearest(reward.kind, list(KINDS))}; there are {known}"
    )
  for name in ("unit", "gamma", "threshold"):
    value = getattr(reward, name)
    if not (math.isfinite(value) and value > 0.0):
      raise ValueError(f"{name} must be positive, not {value}")
  for name in ("alpha", "beta"):
    if not getattr(reward, name) >= 0.0:
      raise ValueError(f"{name} must not be negative, got {getattr(reward, name)}")
