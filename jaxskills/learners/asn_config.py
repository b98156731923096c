"""What an adversarial skill network is made of, and which ablation of it.

ASN (Mees et al. 2020), sections III and IV-B. `learners.asn` has the algorithm.
"""

from typing import Literal, NamedTuple, get_args

from jaxskills.data.augment import AugmentConfig
from jaxskills.learners.frame_encoder import EmbedderOptions
from jaxskills.learners.frame_spec import FrameSpec, check_frames
from jaxskills.learners.metric_loss import MetricOptions, Reduction
from jaxskills.learners.optimizer import LearningRate
from jaxskills.losses.adversarial import KlReduction
from jaxskills.networks.discriminator import Bottleneck
from jaxskills.types import Scalar

Entropies = Literal["both", "encoder_marginal", "discriminator", "none"]
Game = Literal["alternating", "gradient_reversal"]


class AsnConfig(NamedTuple):
  """What an adversarial skill network is made of; ablations of the paper's table III are fields.

  Attributes:
    embedder: the encoder.
    augment: what happens to its pictures.
    metric: the loss between instants.
    reduction: over the videos of a batch; the released code sums, and alpha is for sums.
    alpha: weight of the metric loss; .1 in the paper.
    beta: weight of the KL; 1 in the paper.
    kl_reduction: see `losses.adversarial.gaussian_kl`. "sum" is the released code's. With it, and
      with "skill", a beta of 1 asks for more than the entropies give: trained on skills that were
      two or three plain clusters, the latent variable became noise (KL .01 nats a skill or less),
      which the discriminator sorted into classes, sure (H_cond .08 to .17) and even, without a word
      about the skill or a gradient for the encoder. With "mean" it told all clusters apart (KL 2 to
      5 nats; 15 of 15 runs).
    bottleneck: "kl", or "fc" (table III, row 5).
    classes: C; 0 takes as many as there are tasks.
    skill_frames: frames of a skill; 2 in the paper, 1 and 4 in table III. Their stride is the
      sampler's.
    entropies: who plays for them. "both"; "encoder_marginal": the encoder for H_marg alone;
      "discriminator": the encoder for none (table III, "w/o encoder entropy"); "none": nobody
      ("w/o entropy"). The last two train one and the same encoder, since all that it hears of the
      discriminator are the entropies; table III has two different figures for them.
    game: "alternating" takes both gradients one after the other at the same parameters, as the
      released code does; "gradient_reversal" takes them at once. They are equal.
    reversal_strength: with "gradient_reversal", the encoder's weight on H_cond; 1 in equation 6.
    learning_rate: of the encoder's Adam, or its schedule; 1e-3 in the paper, 1e-4 in the code.
    discriminator_learning_rate: of the discriminator's.
    probe_learning_rate: of the probe's, which only reports.
  """

  embedder: EmbedderOptions = EmbedderOptions()
  augment: AugmentConfig = AugmentConfig()
  metric: MetricOptions = MetricOptions("asn_lifted")
  reduction: Reduction = "sum"
  alpha: float | Scalar = 0.1
  beta: float | Scalar = 1.0
  kl_reduction: KlReduction = "mean"
  bottleneck: Bottleneck = "kl"
  classes: int = 0
  skill_frames: int = 2
  entropies: Entropies = "both"
  game: Game = "alternating"
  reversal_strength: float | Scalar = 1.0
  learning_rate: LearningRate = 1e-3
  discriminator_learning_rate: LearningRate = 1e-3
  probe_learning_rate: float = 1e-2


def check_asn(config: AsnConfig, spec: FrameSpec) -> None:
  """Refuses what cannot be trained, before anything is traced.

  Raises:
    ValueError: naming the field and its value.
  """
  check_frames(spec, views=2, tasks=1)
  for name, known in (
    ("reduction", Reduction),
    ("kl_reduction", KlReduction),
    ("bottleneck", Bottleneck),
    ("entropies", Entropies),
    ("game", Game),
  ):
    if getattr(config, name) not in get_args(known):
      raise ValueError(f"{name} must be one of {get_args(known)}, not {getattr(config, name)!r}")
  if config.skill_frames < 1:
    raise ValueError(f"skill_frames must be at least 1, not {config.skill_frames}")
  if (config.classes or spec.tasks) < 2:
    raise ValueError(
      f"a discriminator needs two classes to choose from: classes is {config.classes}"
      f" and there are {spec.tasks} tasks"
    )
