"""Dealing a rollout to minibatches, so that nothing moves between devices with different worlds.

In every epoch each world's steps are dealt to the minibatches anew, the same number to each. A
minibatch thus holds a part of every world, and the order of a world's steps depends on the key, the
epoch and the world's index alone: not on the number of worlds, nor on how they lie on devices.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxskills.types import Key

RowsT = TypeVar("RowsT")


def deal(
  key: Key, *, epochs: int, minibatches: int, steps: int, worlds: int
) -> Int[Array, "minibatch world row"]:
  """Which steps of each world every minibatch of every epoch sees, in the order of their use.

  Args:
    key: of this rollout.
    epochs: passes over the rollout.
    minibatches: in each pass.
    steps: of the rollout.
    worlds: of the rollout.

  Raises:
    ValueError: if the steps cannot be dealt evenly, naming both numbers.
  """
  if steps % minibatches:
    raise ValueError(
      f"a rollout of {steps} steps cannot be dealt to {minibatches} minibatches; choose a multiple"
    )

  def order(epoch: Array, world: Array) -> Int[Array, "step"]:
    bits = jax.random.bits(jax.random.fold_in(jax.random.fold_in(key, world), epoch), (steps,))
    return jnp.argsort(bits)

  of_epoch = jax.vmap(order, (None, 0))
  dealt = jax.vmap(of_epoch, (0, None))(jnp.arange(epochs), jnp.arange(worlds))
  dealt = dealt.reshape(epochs, worlds, minibatches, steps // minibatches)
  return jnp.moveaxis(dealt, 2, 1).reshape(epochs * minibatches, worlds, -1)


def pick(rows: RowsT, chosen: Int[Array, "world row"]) -> RowsT:
  """The chosen steps of every world, world by world.

  Args:
    rows: a pytree of `[steps, worlds, ...]`.
    chosen: one minibatch of `deal`.

  Returns:
    The same of `[batch, ...]`.
  """

  def of_leaf(leaf: Array) -> Array:
    picked = jax.vmap(lambda steps, chosen: steps[chosen], (1, 0))(leaf, chosen)
    return picked.reshape(-1, *leaf.shape[2:])

  return jax.tree.map(of_leaf, rows)
