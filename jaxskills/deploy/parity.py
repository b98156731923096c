"""Do the graphs compute what the trained networks compute? Asked before a bundle is published.

Two float32 programs that add in different orders differ by rounding, and which of them is nearer
the truth cannot be seen from their difference. So each graph is compared, on equal inputs, with the
trained networks in float64, where it may be off by 1e-5 of an output's range; or, where the trained
float32 networks themselves are off by more than half of that, by twice their error; `loosened` in
the record then says from what to what, and why. The range of a decision is its limit; that of any
other output 1, or its largest entry in that row if that is more. Last, whole plans are compared
with those that evaluation played, which tells wrong wiring.
"""

from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxskills.deploy.contract import decision_name
from jaxskills.deploy.deployable import Deployable, Term
from jaxskills.deploy.models import ACTIONS
from jaxskills.deploy.runtime import Graphs, difference
from jaxskills.errors import UserError

TOLERANCE = 1e-5
LOOSEST = 1e-4  # however large the rounding of the trained networks is
PLAN_TOLERANCE = 1e-4  # of two float32 programs, after rounding has gone through both graphs
_SEED = 0

Arrays = Mapping[str, np.ndarray]


class Answers(NamedTuple):
  """What the trained policy makes of a batch of observations, by the names of outputs.

  Attributes:
    observation: modalities `[batch, ...]`; the policy's world first, then stress.
    exact: in float64. `actions` are of the decision rounded to float32, as the decoder gets it.
    trained: the same, in float32.
    plan: actions `[batch, steps, action]` as evaluation plays them, in float32.
  """

  observation: Arrays
  exact: Arrays
  trained: Arrays
  plan: np.ndarray


def ask(policy: Deployable) -> Answers:
  """Asks the trained policy about observations of its world and of stress, `counts` of each."""
  generator = np.random.default_rng(_SEED)
  world = policy.samples(policy.counts.world, generator)
  seen = {
    term.name: np.concatenate([world[term.name], stress(term, policy.counts.stress, generator)])
    for term in policy.observation
  }
  return answer(policy, seen)


def answer(policy: Deployable, observation: Arrays) -> Answers:
  """Asks the trained policy about given observations."""
  decision = decision_name(policy)

  def outputs(dtype: Any, skill: np.ndarray | None) -> dict[str, np.ndarray]:
    decide, decode, _ = policy.reference
    decided = jax.jit(lambda seen: decide(seen, dtype))(observation)
    found = {name: np.asarray(value) for name, value in decided.items()}
    if decode is not None:
      skill = found[decision].astype(np.float32) if skill is None else skill
      decoded = jax.jit(lambda seen, chosen: decode(seen, chosen, dtype))(observation, skill)
      found[ACTIONS] = np.asarray(decoded)
    return found

  with jax.default_matmul_precision("highest"):
    with jax.enable_x64(True):
      exact = outputs(np.float64, skill=None)
    trained = outputs(np.float32, exact[decision].astype(np.float32))
    played = np.asarray(jax.jit(policy.reference.plan)(observation))
  return Answers(observation, exact, trained, played)


def stress(term: Term, count: int, generator: np.random.Generator) -> np.ndarray:
  """Values of one term: all low, all high, uniform noise, and noise of the two ends alone.

  Args:
    term: what to fill.
    count: rows, at least 2.
    generator: of the noise.

  Returns:
    `[count, *shape]` of the term's dtype.
  """
  low, high = (np.broadcast_to(np.asarray(end), term.shape) for end in (term.low, term.high))
  share = generator.uniform(size=(count, *term.shape))
  share[1::2] = np.round(share[1::2])
  share[0], share[1] = 0.0, 1.0
  value = low + share * (high - low)
  return np.round(value).astype(np.uint8) if term.dtype == "uint8" else value.astype(term.dtype)


def golden(policy: Deployable, answers: Answers) -> bytes:
  """An npz of `counts.golden` observations, `observation.<name>`, and `expected.<name>`."""
  world, stressed, kept = policy.counts
  rows = np.linspace(0, (world if kept <= world else world + stressed) - 1, kept).astype(int)
  arrays = {f"observation.{name}": value[rows] for name, value in answers.observation.items()}
  for name, value in answers.exact.items():
    arrays[f"expected.{name}"] = value[rows].astype(np.float32)
  content = BytesIO()
  np.savez_compressed(content, allow_pickle=False, **arrays)
  return content.getvalue()


def compare(policy: Deployable, graphs: Graphs, answers: Answers) -> dict[str, Any]:
  """Compares the graphs with the trained policy.

  Args:
    policy: the trained one.
    graphs: of the bundle.
    answers: from `ask`.

  Returns:
    The manifest's `parity`: how it was compared, and by output what was found and allowed.

  Raises:
    UserError: if a graph is further off than it may be, naming the output.
  """
  scale = {decision_name(policy): policy.limit}
  found = graphs.answer({**answers.observation, **_rounded(answers.exact)})
  off, trained_off, allowed, loosened = {}, {}, {}, {}
  for name, exact in answers.exact.items():
    off[name] = difference(found[name], exact, scale.get(name, 1.0))
    trained_off[name] = difference(answers.trained[name], exact, scale.get(name, 1.0))
    allowed[name] = min(max(TOLERANCE, 2.0 * trained_off[name]), LOOSEST)
    if allowed[name] > TOLERANCE:
      loosened[name] = _loosened(allowed[name], trained_off[name])
    _check(name, off[name], allowed[name], len(exact))
  plan_off = difference(graphs.plan(answers.observation), answers.plan)
  _check("plan", plan_off, PLAN_TOLERANCE, len(answers.plan))
  return {
    "reference": "the trained networks in float64, on equal inputs of each graph",
    "observations": policy.counts.world,
    "stress_observations": policy.counts.stress,
    "scale": scale,
    "difference": off,
    "trained_float32_difference": trained_off,
    "tolerance": allowed,
    "loosened": loosened,
    "plan_difference": plan_off,
    "plan_tolerance": PLAN_TOLERANCE,
    "golden_pairs": policy.counts.golden,
  }


def _rounded(arrays: Arrays) -> dict[str, np.ndarray]:
  return {name: value.astype(np.float32) for name, value in arrays.items()}


def _loosened(allowed: float, trained_off: float) -> dict[str, Any]:
  return {
    "from": TOLERANCE,
    "to": allowed,
    "because": f"the trained networks in float32 are themselves {trained_off:.1e} off float64",
  }


def _check(name: str, off: float, allowed: float, count: int) -> None:
  if not off <= allowed:
    raise UserError(
      f"the exported graphs differ from the trained policy: {name} by {off:.1e} on {count} "
      f"observations, more than {allowed:.1e}; nothing was written. Try another version of "
      "onnxruntime, and report it."
    )
