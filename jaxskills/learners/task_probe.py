"""How much of its task a skill gives away: a linear classifier that looks and does not touch.

The reference for ASN's claim that its skills are independent of their task (Mees et al. 2020,
section III, property iv): trained beside the encoder on the true labels, it should fall to chance.
Nothing that it learns reaches any other network, and no other part of ASN sees a label.
"""

from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxskills.types import Scalar


class Probe(NamedTuple):
  """Weights of the classifier."""

  kernel: Float[Array, "features task"]
  bias: Float[Array, "task"]


class ProbeState(NamedTuple):
  """All that the probe remembers."""

  probe: Probe
  optimizer: optax.OptState


def init_probe(features: int, tasks: int, optimizer: optax.GradientTransformation) -> ProbeState:
  """A probe that knows nothing."""
  probe = Probe(jnp.zeros((features, tasks)), jnp.zeros((tasks,)))
  return ProbeState(probe, optimizer.init(probe))


def update_probe(
  state: ProbeState,
  skills: Float[Array, "skill features"],
  task: Int[Array, "skill"],
  optimizer: optax.GradientTransformation,
) -> tuple[ProbeState, Scalar]:
  """One step of logistic regression, after the batch has been guessed.

  Args:
    state: of the probe.
    skills: embeddings of skills, side by side; scaled to unit deviation here, since the scale of an
      embedding is arbitrary. No gradient goes into them.
    task: label of each.
    optimizer: of the probe.

  Returns:
    The next state, and how many of these skills were told right before they were learned from.
  """
  skills = jax.lax.stop_gradient(skills)
  skills = (skills - jnp.mean(skills, axis=0)) / (jnp.std(skills, axis=0) + 1e-6)
  label = jax.nn.one_hot(task, state.probe.bias.shape[0])

  def loss(probe: Probe) -> tuple[Scalar, Array]:
    logits = skills @ probe.kernel + probe.bias
    return -jnp.mean(jnp.sum(label * jax.nn.log_softmax(logits), axis=-1)), logits

  gradient, logits = jax.grad(loss, has_aux=True)(state.probe)
  updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.probe)
  probe = cast(Probe, optax.apply_updates(state.probe, updates))
  is_right = (jnp.argmax(logits, axis=-1) == task).astype(logits.dtype)
  return ProbeState(probe, optimizer_state), jnp.mean(is_right)
