"""What an experiment hands to the exporter: a trained policy and the meaning of its numbers.

One file of this folder per family of experiments makes a `Deployable` of a finished run (`spirl.py`
and `ppo.py`); everything after that, graphs, checks, robots and bundle, is the same for all.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxskills.assets.robot import Robot
from jaxskills.deploy.network import Network
from jaxskills.networks.policy import GaussianPolicy
from jaxskills.networks.skill import ClosedLoopDecoder, SkillDecoder


class Quantity(NamedTuple):
  """A group of numbers within one measurement, as an environment declares it (`envs.terms`).

  Attributes:
    name: as the field calls it.
    unit: of the measured quantity, before `scale`.
    frame: in which it is expressed, or "" where none applies.
    scale: what the policy sees is this times the quantity, entry by entry.
    noise: half width of the uniform noise that the policy was trained with, in the unit.
    measurable: whether the environment declares that the robot's sensors and controller give it.
  """

  name: str
  unit: str
  frame: str
  scale: tuple[float, ...]
  noise: float
  measurable: bool


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
    quantities: what one measurement is made of, in order; none where unit and frame say it all.
    history: measurements in it, newest first.
  """

  name: str
  shape: tuple[int, ...]
  dtype: str
  unit: str
  frame: str
  low: tuple[float, ...]
  high: tuple[float, ...]
  quantities: tuple[Quantity, ...] = ()
  history: int = 1


class ActionTerm(NamedTuple):
  """What an action means; it is clipped to `[low, high]` before it is executed.

  Attributes:
    names: of its entries, in order.
    unit: of its entries.
    frame: in which they are expressed.
    low: least value of each entry.
    high: greatest one.
    scale: what an entry of 1 asks for, per entry; none where `unit` says it.
    offset: what an entry of 0 asks for, likewise.
    scaled_unit: of `scale` and `offset`.
  """

  names: tuple[str, ...]
  unit: str
  frame: str
  low: tuple[float, ...]
  high: tuple[float, ...]
  scale: tuple[float, ...] = ()
  offset: tuple[float, ...] = ()
  scaled_unit: str = ""


class Task(NamedTuple):
  """What a robot's controller must know besides the policy.

  Attributes:
    robot: that the policy was trained on.
    mode: what the robot is commanded with, e.g. "joint_position".
    latency_seconds: least and greatest delay, between a measurement and what the motors do of it,
      that the policy was trained with.
    controlled: indices into the robot's joints that the action moves.
    facts: JSON values; the manifest's `parts.task`.
  """

  robot: Robot
  mode: str
  latency_seconds: tuple[float, float]
  controlled: tuple[int, ...]
  facts: Mapping[str, Any]


class Decoder(NamedTuple):
  """How skills become actions."""

  module: SkillDecoder | ClosedLoopDecoder
  variables: Mapping[str, Any]


class Reference(NamedTuple):
  """The trained policy through the functions that training and evaluation use, to compare with.

  Each is traceable; `dtype` is the float type that it computes in.

  Attributes:
    decide: `(observation [batch, ...], dtype) -> outputs` by name: the deterministic decision,
      `skill` or `action`, and what else the policy's graph gives (`mean`, `log_std`, `state_out`).
    decode: `(observation, skill, dtype) -> actions [batch, steps, action]`; None for a flat policy.
    plan: `observation -> actions [batch, steps, action]`, as evaluation plays them.
  """

  decide: Callable[[Mapping[str, Any], Any], Mapping[str, Any]]
  decode: Callable[[Mapping[str, Any], Any, Any], Any] | None
  plan: Callable[[Mapping[str, Any]], Any]


class Counts(NamedTuple):
  """Observations on which a policy is compared with its graphs.

  Attributes:
    world: that it meets in its world.
    stress: that it never meets.
    golden: of them that the bundle keeps, spread evenly; of `world` alone if no more than that.
  """

  world: int = 1024
  stress: int = 256
  golden: int = 256


class Deployable(NamedTuple):
  """A trained policy.

  Attributes:
    provenance: the manifest's keys that say which run and parameters these are.
    observation: every modality of the environment, in its order; last, where a `Network` is
      recurrent, the memory that it is handed, `state_in`.
    action: what comes out.
    step_seconds: control period.
    horizon: control steps between decisions; 1 for a flat policy.
    limit: decisions lie within plus and minus this.
    policy: network of the policy: the flax module, or a description that files are written from.
    variables: flax variables of a `GaussianPolicy`; empty for a `Network`, which has its own.
    decoder: of skills; None for a flat policy.
    reference: what the graphs have to agree with.
    samples: `(count, generator) -> observations` that the policy meets in its world.
    decided: the rule by which the policy acted in the episodes that each of its figures is of.
    counts: on how many observations it is compared with its graphs.
    task: what a robot's controller must know; None where no robot runs the policy.
  """

  provenance: Mapping[str, Any]
  observation: Sequence[Term]
  action: ActionTerm
  step_seconds: float
  horizon: int
  limit: float
  policy: GaussianPolicy | Network
  variables: Mapping[str, Any]
  decoder: Decoder | None
  reference: Reference
  samples: Callable[[int, np.random.Generator], Mapping[str, np.ndarray]]
  decided: Mapping[str, str]
  counts: Counts = Counts()
  task: Task | None = None
