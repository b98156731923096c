"""Skill coders: an action sequence to a Gaussian over skills, and a skill back to actions.

SPiRL (Pertsch et al. 2020), appendix B.1: encoder and decoder are one-layer LSTMs with 128 units;
the decoder receives the skill at every step and its own last action, beginning from a learned
action and a learned hidden state. Two options: the decoder's first hidden state predicted from an
observation (appendix D), and a closed-loop decoder, an MLP of the current observation and the
skill (in the released code, not in the paper).
"""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.distributions import Gaussian
from jaxskills.networks.encoder import ImageOptions, ObservationEncoder, Scaling
from jaxskills.networks.heads import GaussianHead
from jaxskills.networks.mlp import Mlp
from jaxskills.types import Observation

FORGET_BIAS = 1.0  # a cell that remembers from the start; SPiRL's released code


Carry = tuple[Float[Array, "batch width"], Float[Array, "batch width"]]
"""Hidden and cell state of an LSTM."""


class Lstm(nn.Module):
  """One step of an LSTM whose input is projected outside.

  So a caller projects a whole sequence, or an input that never changes, in one product.

  Attributes:
    width: units.
  """

  width: int

  @nn.compact
  def __call__(
    self, carry: Carry, projected: Float[Array, "batch gates"]
  ) -> tuple[Carry, Float[Array, "batch width"]]:
    """Maps the state and `W x` of the gates (enter, forget, candidate, leave) to the next."""
    hidden, cell = carry
    shape = (self.width, 4 * self.width)
    recurrent = self.param("recurrent", nn.initializers.orthogonal(), shape)
    bias = self.param("bias", _forget_bias, (4 * self.width,))
    gates = projected + hidden @ recurrent + bias
    enter, forget, candidate, leave = jnp.split(gates, 4, axis=-1)
    cell = jax.nn.sigmoid(forget) * cell + jax.nn.sigmoid(enter) * jnp.tanh(candidate)
    hidden = jax.nn.sigmoid(leave) * jnp.tanh(cell)
    return (hidden, cell), hidden


def _forget_bias(key: jax.Array, shape: tuple[int], dtype: jnp.dtype = jnp.float32) -> jax.Array:
  """Zero, and 1 for the second quarter: the forget gate."""
  del key
  return jnp.repeat(jnp.array([0.0, FORGET_BIAS, 0.0, 0.0], dtype), shape[0] // 4)


_SHARED = {"variable_broadcast": "params", "split_rngs": {"params": False}, "unroll": 10}
"""For `nn.scan`: the same parameters at every step. A whole skill is written out (ten steps): on
two CPU cores an update of the skill model then takes two thirds of the time."""


class SkillEncoder(nn.Module):
  """`q(z | a_1 ... a_H)`: an LSTM over actions; its last hidden state gives the Gaussian.

  Attributes:
    skill_size: dimensions of the skill.
    width: LSTM units.
    context: modalities that are read beside every action, for closed-loop skills; else empty.
    scaling: fixed scaling of those modalities, by name.
    image: how image modalities are read.
  """

  skill_size: int
  width: int = 128
  context: Sequence[str] = ()
  scaling: Mapping[str, Scaling] | None = None
  image: ImageOptions = ImageOptions()

  @nn.compact
  def __call__(
    self,
    actions: Float[Array, "batch horizon action"],
    observations: Observation | None = None,
  ) -> Gaussian:
    """Encodes action windows; `observations` `[batch, horizon, ...]` only where `context` is.

    Raises:
      ValueError: if `context` names modalities and no observations are given.
    """
    batch, horizon = actions.shape[:2]
    inputs = actions
    if self.context:
      if observations is None:
        raise ValueError(f"skills with context {tuple(self.context)} need observations per action")
      rows = {
        name: observations[name].reshape(batch * horizon, *observations[name].shape[2:])
        for name in self.context
      }
      encoder = ObservationEncoder(self.context, self.scaling, self.image, name="encoder")
      inputs = jnp.concatenate([actions, encoder(rows).reshape(batch, horizon, -1)], axis=-1)
    projected = nn.Dense(4 * self.width, use_bias=False, name="input")(inputs)
    unrolled = nn.scan(Lstm, in_axes=1, out_axes=1, **_SHARED)(self.width, name="lstm")
    blank = jnp.zeros((batch, self.width), projected.dtype)
    (hidden, _), _ = unrolled((blank, blank), projected)
    return GaussianHead(self.skill_size, name="head")(hidden)


class SkillDecoder(nn.Module):
  """`p(a_1 ... a_H | z)`, unit variance: an LSTM that reads the skill and its own last action.

  Attributes:
    action_size: dimensions of an action.
    horizon: actions of a skill.
    width: LSTM units.
    condition_on: modalities that predict the first hidden state; empty for the paper's decoder.
    scaling: fixed scaling of those modalities, by name.
    image: how image modalities are read.
  """

  action_size: int
  horizon: int
  width: int = 128
  condition_on: Sequence[str] = ()
  scaling: Mapping[str, Scaling] | None = None
  image: ImageOptions = ImageOptions()

  @nn.compact
  def __call__(
    self, skill: Float[Array, "batch skill"], observation: Observation | None = None
  ) -> Float[Array, "batch horizon action"]:
    """Decodes skills; `observation` is read only where `condition_on` names modalities.

    Returns:
      Mean actions, not squashed: environments clip.
    """
    batch = skill.shape[0]
    first_action = self.param("first_action", nn.initializers.zeros, (self.action_size,))
    hidden, cell = self._first_state(batch, observation)
    carry = (hidden, cell, jnp.tile(first_action, (batch, 1)))
    projected = nn.Dense(4 * self.width, use_bias=False, name="skill")(skill)
    unrolled = nn.scan(
      _DecoderStep,
      in_axes=nn.broadcast,  # pyright: ignore[reportArgumentType]  (flax's annotation is narrow)
      out_axes=1,
      length=self.horizon,
      **_SHARED,
    )(self.action_size, self.width, name="step")
    _, actions = unrolled(carry, projected)
    return actions

  def _first_state(
    self, batch: int, observation: Observation | None
  ) -> tuple[Float[Array, "batch width"], Float[Array, "batch width"]]:
    if not self.condition_on:
      first = self.param("first_state", nn.initializers.zeros, (2, self.width))
      return jnp.tile(first[0], (batch, 1)), jnp.tile(first[1], (batch, 1))
    if observation is None:
      raise ValueError(f"this decoder is conditioned on {tuple(self.condition_on)}: observe first")
    encoder = ObservationEncoder(self.condition_on, self.scaling, self.image, name="encoder")
    features = Mlp((self.width,), name="condition")(encoder(observation))
    hidden, cell = jnp.split(nn.Dense(2 * self.width, name="first_state")(features), 2, axis=-1)
    return hidden, cell


class _DecoderStep(nn.Module):
  """One action: the LSTM reads the (projected) skill and the last action."""

  action_size: int
  width: int

  @nn.compact
  def __call__(
    self,
    carry: tuple[
      Float[Array, "batch width"], Float[Array, "batch width"], Float[Array, "batch action"]
    ],
    skill: Float[Array, "batch gates"],
  ) -> tuple[tuple[jax.Array, jax.Array, jax.Array], Float[Array, "batch action"]]:
    hidden, cell, action = carry
    projected = skill + nn.Dense(4 * self.width, use_bias=False, name="feedback")(action)
    (hidden, cell), _ = Lstm(self.width, name="lstm")((hidden, cell), projected)
    action = nn.Dense(self.action_size, name="head")(hidden)
    return (hidden, cell, action), action


class ClosedLoopDecoder(nn.Module):
  """`p(a_t | s_t, z)`: one action from the current observation and the skill being executed.

  Attributes:
    action_size: dimensions of an action.
    inputs: modalities that are seen.
    hidden: widths of the fully connected layers.
    scaling: fixed scaling of vector modalities, by name.
    image: how image modalities are read.
  """

  action_size: int
  inputs: Sequence[str]
  hidden: Sequence[int] = (128,) * 5
  scaling: Mapping[str, Scaling] | None = None
  image: ImageOptions = ImageOptions()

  @nn.compact
  def __call__(
    self, observation: Observation, skill: Float[Array, "batch skill"]
  ) -> Float[Array, "batch action"]:
    encoder = ObservationEncoder(self.inputs, self.scaling, self.image, name="encoder")
    features = jnp.concatenate([encoder(observation), skill], axis=-1)
    features = Mlp(self.hidden, name="mlp")(features)
    return nn.Dense(self.action_size, name="head")(features)
