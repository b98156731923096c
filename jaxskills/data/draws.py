"""Whole numbers and sets of them, drawn from random bits.

A sampler takes all its bits at once and cuts them into parts: compiling one draw for each number
takes most of the time that a sampler costs. The remainder of 32 bits favours no number below n by
more than n in four billion.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, UInt32

from jaxskills.types import Key


def random_bits(key: Key, *shapes: tuple[int, ...]) -> list[UInt32[Array, "..."]]:
  """Independent uint32 arrays of these shapes."""
  sizes = [math.prod(shape) for shape in shapes]
  bits, parts = jax.random.bits(key, (sum(sizes),)), []
  for size, shape in zip(sizes, shapes, strict=True):
    parts.append(bits[:size].reshape(shape))
    bits = bits[size:]
  return parts


def below(bits: UInt32[Array, "*axes"], size: Int[Array, "*#axes"] | int) -> Int[Array, "*axes"]:
  """Uniform numbers from 0 to `size - 1`."""
  return (bits % jnp.asarray(size).astype(jnp.uint32)).astype(jnp.int32)


def distinct(bits: UInt32[Array, "count"], size: Int[Array, ""]) -> Int[Array, "count"]:
  """So many different numbers below `size`, in order, uniformly over all such sets.

  Floyd's algorithm: number i is drawn from the first `size - count + i + 1`, and if that one is
  taken already it is the last of them.
  """
  count = len(bits)
  last = size - count + jnp.arange(count)
  drawn = below(bits, last + 1)

  def add(i: Array, chosen: Array) -> Array:
    return chosen.at[i].set(jnp.where(jnp.any(chosen == drawn[i]), last[i], drawn[i]))

  return jnp.sort(jax.lax.fori_loop(0, count, add, jnp.full((count,), -1)))
