"""What an experiment hands to the exporter: a trained policy and the meaning of its numbers.

One file of this folder per experiment makes a `Deployable` of a finished run (`spirl.py`);
everything after that, graphs, checks, robots and bundle, is the same for all.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxskills.networks.policy import GaussianPolicy
from jaxskills.networks.skill import ClosedLoopDecoder, SkillDecoder


class Term(NamedTuple):
  """One modality of the observation.

  Attributes:
    name: of the modality.
    shape: without batch axes.
    dtype: "uint8" or "float32".
    unit: of its entries.
    frame: in which they are expressed, and what the channels or entries are.
    low: least value of each entry, or one for all, that occurs.
    high: greatest one.
  """

  name: str
  shape: tuple[int, ...]
  dtype: str
  unit: str
  frame: str
  low: tuple[float, ...]
  high: tuple[float, ...]


class ActionTerm(NamedTuple):
  """What an action means; it is clipped to `[low, high]` before it is executed.

  Attributes:
    names: of its entries, in order.
    unit: of its entries.
    frame: in which they are expressed.
    low: least value of each entry.
    high: greatest one.
  """

  names: tuple[str, ...]
  unit: str
  frame: str
  low: tuple[float, ...]
  high: tuple[float, ...]


class Decoder(NamedTuple):
  """How skills become actions."""

  module: SkillDecoder | ClosedLoopDecoder
  variables: Mapping[str, Any]


class Reference(NamedTuple):
  """The trained policy through the functions that training and evaluation use, to compare with.

  Each is traceable; `dtype` is the float type that it computes in.

  Attributes:
    decide: `(observation [batch, ...], dtype) -> outputs` by name: `mean`, `log_std` and the
      deterministic decision, `skill` or `action`.
    decode: `(observation, skill, dtype) -> actions [batch, steps, action]`; None for a flat policy.
    plan: `observation -> actions [batch, steps, action]`, as evaluation plays them.
  """

  decide: Callable[[Mapping[str, Any], Any], Mapping[str, Any]]
  decode: Callable[[Mapping[str, Any], Any, Any], Any] | None
  plan: Callable[[Mapping[str, Any]], Any]


class Deployable(NamedTuple):
  """A trained policy.

  Attributes:
    provenance: the manifest's keys that say which run and parameters these are.
    observation: every modality of the environment, in its order.
    action: what comes out.
    step_seconds: control period.
    horizon: control steps between decisions; 1 for a flat policy.
    limit: decisions lie within plus and minus this.
    policy: network of the policy.
    variables: its flax variables.
    decoder: of skills; None for a flat policy.
    reference: what the graphs have to agree with.
    samples: `(count, generator) -> observations` that the policy meets in its world.
  """

  provenance: Mapping[str, Any]
  observation: Sequence[Term]
  action: ActionTerm
  step_seconds: float
  horizon: int
  limit: float
  policy: GaussianPolicy
  variables: Mapping[str, Any]
  decoder: Decoder | None
  reference: Reference
  samples: Callable[[int, np.random.Generator], Mapping[str, np.ndarray]]
