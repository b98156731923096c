"""Observations by declaration: what each number is, and whether the real robot can measure it.

An actor may see *measurable* terms only, and `experiments.on_policy.check` refuses a run whose
actor would see others; critics and discriminators may see *privileged* ones too. No exporter reads
the declaration yet.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.types import Key


class Term(NamedTuple):
  """A group of numbers of an observation.

  Attributes:
    name: as it is called in the field, e.g. `projected_gravity`.
    size: how many numbers.
    unit: of the measured quantity, before `scale`.
    frame: that it is expressed in, or "" where none applies.
    read: `world data -> [size]`, in that unit, without noise.
    scale: the observation is this times the quantity.
    noise: half width of the uniform measurement noise, in the unit; 0 where nothing is measured.
    measurable: whether the real robot's own sensors and controller give it.
  """

  name: str
  size: int
  unit: str
  frame: str
  read: Callable[[Any], Float[Array, "size"]]
  scale: float | tuple[float, ...] = 1.0
  noise: float = 0.0
  measurable: bool = True


def check(terms: Sequence[Term]) -> None:
  """Refuses a declaration that does not fit together.

  Raises:
    ValueError: for a name that is there twice, or a scale of another size, naming it.
  """
  names = [term.name for term in terms]
  for term in terms:
    if names.count(term.name) > 1:
      raise ValueError(f"two terms are called {term.name!r}")
    if isinstance(term.scale, tuple) and len(term.scale) != term.size:
      raise ValueError(f"{term.name} has {term.size} numbers and {len(term.scale)} scales")


def size(terms: Sequence[Term]) -> int:
  """Numbers in all terms together."""
  return sum(term.size for term in terms)


def slices(terms: Sequence[Term]) -> dict[str, slice]:
  """Where each term is in `measure`'s vector."""
  found, begin = {}, 0
  for term in terms:
    found[term.name] = slice(begin, begin + term.size)
    begin += term.size
  return found


def measure(
  terms: Sequence[Term], data: Any, key: Key | None = None, noise: float | Array = 1.0
) -> Float[Array, "size"]:
  """All terms in order, scaled; with a key also noisy.

  Args:
    terms: what to read.
    data: the world.
    key: of the noise; none without it.
    noise: factor on every term's own noise.
  """
  clean = jnp.concatenate([term.read(data) for term in terms])
  if key is not None:
    widths = jnp.concatenate([jnp.full(term.size, term.noise) for term in terms])
    clean += noise * widths * jax.random.uniform(key, clean.shape, minval=-1.0, maxval=1.0)
  scales = jnp.concatenate([jnp.broadcast_to(jnp.asarray(t.scale), t.size) for t in terms])
  return scales * clean
