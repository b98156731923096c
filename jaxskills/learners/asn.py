"""Adversarial skill networks: a time-contrastive embedding whose skills do not tell their task.

ASN (Mees et al. 2020), section III. The encoder embeds frames such that instants are told apart
(metric loss) and such that a discriminator, which looks at a skill (a few frames of a clip),
cannot be sure which class it is of. The discriminator learns without labels. In each update:

  L_E = -(H_marg + H_cond) + alpha L_metric                (equation 6, with the sign of a loss)
  L_D = -H_marg + H_cond + beta KL                         (equation 5)

at the same parameters, with the same dropout and the same sample of the latent variable. The
embedding is fixed for the discriminator, the KL never reaches the encoder, and *both* raise H_marg.

With reversed gradients one loss has the same two gradients: only H_cond passes the reversal,
H_marg goes by it, and the KL is cut off. A layer that reverses all (as in domain adaptation) would
have the encoder lower H_marg, which no equation says.
"""

from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxskills.data.clips import AsnBatch
from jaxskills.learners.asn_config import AsnConfig, check_asn
from jaxskills.learners.asn_game import make_gradients
from jaxskills.learners.frame_encoder import make_frame_encoder
from jaxskills.learners.frame_spec import FrameSpec
from jaxskills.learners.metric_loss import distances, normalizes
from jaxskills.learners.task_probe import ProbeState, init_probe, update_probe
from jaxskills.losses.adversarial import class_information
from jaxskills.networks.discriminator import Discriminator, Verdict
from jaxskills.types import Key, Learner, Metrics, Params, Step


class AsnState(NamedTuple):
  """All that training an adversarial skill network remembers."""

  params: Params
  """`{"encoder", "discriminator"}`: flax variables of each network."""
  encoder_optimizer: optax.OptState
  discriminator_optimizer: optax.OptState
  probe: ProbeState
  step: Step


def make_asn(config: AsnConfig, spec: FrameSpec) -> Learner[AsnState, AsnBatch]:
  """Builds the learner of an adversarial skill network.

  Batches bring pairs of all videos and skills of successful ones only: the sampler decides. The
  labels of skills reach the probe and nothing else. `act` embeds uint8 frames `[..., rows, columns,
  3]`, deterministically.

  Raises:
    ValueError: if a choice is unknown, or there are too few views, tasks, classes or frames.
  """
  check_asn(config, spec)
  classes = config.classes or spec.tasks
  features = config.skill_frames * config.embedder.embedding_dim
  encoder = make_frame_encoder(
    config.embedder, config.augment, spec, normalizes=normalizes(config.metric)
  )
  discriminator = Discriminator(classes, config.bottleneck)
  encoder_optimizer = optax.adam(config.learning_rate)
  discriminator_optimizer = optax.adam(config.discriminator_learning_rate)
  probe_optimizer = optax.adam(config.probe_learning_rate)
  gradients = make_gradients(config, spec, encoder, discriminator)

  def init(key: Key) -> AsnState:
    encoder_key, discriminator_key = jax.random.split(key)
    params = {
      "encoder": encoder.init(encoder_key),
      "discriminator": discriminator.init(discriminator_key, jnp.zeros((1, features))),
    }
    return AsnState(
      params,
      encoder_optimizer.init(params["encoder"]["params"]),
      discriminator_optimizer.init(params["discriminator"]),
      init_probe(features, spec.tasks, probe_optimizer),
      jnp.zeros((), jnp.int32),
    )

  def update(state: AsnState, batch: AsnBatch, key: Key) -> tuple[AsnState, Metrics]:
    found = gradients(state.params, batch, key)
    trained = state.params["encoder"]["params"]
    encoder_updates, encoder_state = encoder_optimizer.update(
      found.encoder, state.encoder_optimizer, trained
    )
    discriminator_updates, discriminator_state = discriminator_optimizer.update(
      found.discriminator, state.discriminator_optimizer, state.params["discriminator"]
    )
    task = jnp.repeat(batch.skills.task, batch.skills.frames.shape[1])
    probe, accuracy = update_probe(state.probe, found.skills, task, probe_optimizer)
    params = {
      "encoder": {**found.variables, "params": optax.apply_updates(trained, encoder_updates)},
      "discriminator": optax.apply_updates(state.params["discriminator"], discriminator_updates),
    }
    noiseless = cast(
      Verdict, discriminator.apply(state.params["discriminator"], found.skills, train=False)
    )
    metrics = {
      **found.parts,
      "class_information": class_information(noiseless.logits),
      "task_probe_accuracy": accuracy,
      **distances(found.pairs),
    }
    step = state.step + 1
    return AsnState(params, encoder_state, discriminator_state, probe, step), metrics

  def act(params: Params, frames: Any, key: Key | None = None) -> Float[Array, "..."]:
    del key
    return encoder.embed(params["encoder"], frames)

  return Learner(init, update, act)
