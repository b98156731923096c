"""What one batch asks of ASN's encoder and of its discriminator: both gradients, in two ways.

ASN (Mees et al. 2020), equations 5 and 6. Both players are differentiated at the same parameters,
with the same dropout masks and the same sample of the latent variable. The pictures of pairs and of
skills go through the network together, once.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.data.clips import AsnBatch
from jaxskills.learners.asn_config import AsnConfig
from jaxskills.learners.frame_encoder import FrameEncoder
from jaxskills.learners.frame_spec import FrameSpec, check_shape
from jaxskills.learners.metric_loss import make_metric_loss, over_videos
from jaxskills.losses.adversarial import (
  conditional_entropy,
  gaussian_kl,
  marginal_entropy,
  reverse_gradient,
)
from jaxskills.networks.discriminator import Discriminator, Verdict
from jaxskills.types import Key, Metrics, Params, Scalar


class Gradients(NamedTuple):
  """What one batch asks of each player, and what was seen on the way."""

  encoder: Params
  """In the encoder's `variables["params"]`."""
  discriminator: Params
  """In the discriminator's variables."""
  variables: Params
  """Of the encoder, with new statistics of batch normalisation."""
  pairs: Float[Array, "video time view dim"]
  skills: Float[Array, "skill features"]
  """The embeddings of each skill's frames, side by side; clips first, then views."""
  parts: Metrics
  """Both losses and what they are made of."""


class _Seen(NamedTuple):
  """What the encoder makes of a batch."""

  pairs: Float[Array, "video time view dim"]
  skills: Float[Array, "skill features"]
  variables: Params


class _Keys(NamedTuple):
  """Where the random numbers of an update come from."""

  augment: Key
  dropout: Key
  game: Key


def make_gradients(
  config: AsnConfig, spec: FrameSpec, encoder: FrameEncoder, discriminator: Discriminator
) -> Callable[[Params, AsnBatch, Key], Gradients]:
  """Builds `(params, batch, key) -> Gradients` for the configured game.

  Args:
    config: of the learner.
    spec: of the videos.
    encoder: embeds pictures; its variables are `params["encoder"]`.
    discriminator: judges skills; its variables are `params["discriminator"]`.
  """
  metric_loss = make_metric_loss(config.metric)
  has_kl = config.bottleneck == "kl"
  is_heard = config.entropies != "none"  # by the discriminator
  is_shared = config.entropies in ("both", "encoder_marginal")
  is_contested = config.entropies == "both"

  def see(trained: Params, variables: Params, batch: AsnBatch, keys: _Keys) -> _Seen:
    check_shape(batch.pairs.frames, spec, ("video", "time", "view"))
    check_shape(batch.skills.frames, spec, ("clip", "view", "frame"))
    if batch.skills.frames.shape[2] != config.skill_frames:
      raise ValueError(
        f"skills have {config.skill_frames} frames, those of the batch"
        f" {batch.skills.frames.shape[2]}"
      )
    pairs_key, skills_key = jax.random.split(keys.augment)
    pairs = encoder.augmented(batch.pairs.frames, pairs_key)
    skills = encoder.augmented(batch.skills.frames, skills_key)
    pictures = jnp.concatenate([x.reshape(-1, *x.shape[-3:]) for x in (pairs, skills)])
    embeddings, variables = encoder.train(trained, variables, pictures, keys.dropout)
    of_pairs = math.prod(pairs.shape[:3])
    clips, views = skills.shape[:2]
    return _Seen(
      embeddings[:of_pairs].reshape(*pairs.shape[:3], -1),
      embeddings[of_pairs:].reshape(clips * views, -1),
      variables,
    )

  def judge(variables: Params, skills: Array, key: Key) -> Verdict:
    dropout, latent = jax.random.split(key)
    rngs = {"dropout": dropout, "latent": latent}
    return cast(Verdict, discriminator.apply(variables, skills, train=True, rngs=rngs))

  def divergence(verdict: Verdict) -> Scalar:
    """`beta KL`; a plain layer in the Gaussian's place has none."""
    kl = gaussian_kl(verdict.mean, verdict.log_var, reduction=config.kl_reduction)
    return has_kl * config.beta * kl

  def parts(verdict: Verdict, metric: Scalar) -> Metrics:
    """Both losses, equations 5 and 6, and what they are made of."""
    h_cond, h_marg = conditional_entropy(verdict.logits), marginal_entropy(verdict.logits)
    return {
      "encoder_loss": config.alpha * metric - is_shared * h_marg - is_contested * h_cond,
      "discriminator_loss": is_heard * (h_cond - h_marg) + divergence(verdict),
      "metric_loss": metric,
      "conditional_entropy": h_cond,
      "marginal_entropy": h_marg,
      "kl_per_skill": has_kl * gaussian_kl(verdict.mean, verdict.log_var, reduction="skill"),
    }

  def alternating(params: Params, batch: AsnBatch, keys: _Keys) -> Gradients:
    def encoder_loss(trained: Params) -> tuple[Scalar, tuple[_Seen, Metrics]]:
      seen = see(trained, params["encoder"], batch, keys)
      verdict = judge(params["discriminator"], seen.skills, keys.game)
      found = parts(verdict, over_videos(metric_loss, seen.pairs, config.reduction))
      return found["encoder_loss"], (seen, found)

    of_encoder, (seen, found) = jax.grad(encoder_loss, has_aux=True)(params["encoder"]["params"])

    def discriminator_loss(variables: Params) -> Scalar:
      verdict = judge(variables, jax.lax.stop_gradient(seen.skills), keys.game)
      return parts(verdict, found["metric_loss"])["discriminator_loss"]

    of_discriminator = jax.grad(discriminator_loss)(params["discriminator"])
    return Gradients(of_encoder, of_discriminator, seen.variables, seen.pairs, seen.skills, found)

  def gradient_reversal(params: Params, batch: AsnBatch, keys: _Keys) -> Gradients:
    def joint_loss(trained: Params, variables: Params) -> tuple[Scalar, tuple[_Seen, Metrics]]:
      seen = see(trained, params["encoder"], batch, keys)
      held = jax.lax.stop_gradient(seen.skills)
      shared = seen.skills if is_shared else held
      contested = reverse_gradient(seen.skills, config.reversal_strength) if is_contested else held
      h_marg = marginal_entropy(judge(variables, shared, keys.game).logits)
      h_cond = conditional_entropy(judge(variables, contested, keys.game).logits)
      verdict = judge(variables, held, keys.game)
      metric = over_videos(metric_loss, seen.pairs, config.reduction)
      loss = config.alpha * metric + is_heard * (h_cond - h_marg) + divergence(verdict)
      return loss, (seen, parts(verdict, metric))

    (of_encoder, of_discriminator), (seen, found) = jax.grad(joint_loss, (0, 1), has_aux=True)(
      params["encoder"]["params"], params["discriminator"]
    )
    return Gradients(of_encoder, of_discriminator, seen.variables, seen.pairs, seen.skills, found)

  game = {"alternating": alternating, "gradient_reversal": gradient_reversal}[config.game]

  def gradients(params: Params, batch: AsnBatch, key: Key) -> Gradients:
    return game(params, batch, _Keys(*jax.random.split(key, 3)))

  return gradients
