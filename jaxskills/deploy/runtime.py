"""Runs a bundle: numpy and onnxruntime, no JAX.

  policy = Policy(load("maze_bundle"))
  policy.verify_golden()
  while True:
    seen = {"view": ...} if policy.needs_observation else None
    act(policy.step(seen))

A policy decides every `skill_horizon` control steps and looks only then (a decoder that reads
observations looks at every step). A recurrent policy's memory is explicit in its graph and kept
here between steps. Inputs are checked against the contract and outputs for finite numbers; limits
of joints, torques and falls are a robot's own parts and not here.
"""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from jaxskills.deploy import bundle as bundles
from jaxskills.deploy.bundle import Bundle
from jaxskills.errors import UserError

Observation = Mapping[str, np.ndarray]


def load(path: str | Path) -> Bundle:
  """Reads a bundle and verifies every file of it against its sha256.

  Raises:
    UserError: naming what is missing, changed, or of another schema.
  """
  return bundles.read(path)


class Graphs:
  """The bundle's graphs as functions of batches."""

  def __init__(self, bundle: Bundle) -> None:
    """Opens a session for each graph, from verified bytes, on one thread.

    Raises:
      UserError: if a graph takes or gives something else than the manifest says.
    """
    self._graphs = bundle.manifest["graphs"]
    self._sessions = {name: _open(bundle, name, graph) for name, graph in self._graphs.items()}

  def run(self, name: str, values: Observation) -> dict[str, np.ndarray]:
    """Outputs of the graph `name`; of `values` `[batch, ...]` it takes the inputs it has."""
    inputs = {entry["name"]: values[entry["name"]] for entry in self._graphs[name]["inputs"]}
    outputs = [entry["name"] for entry in self._graphs[name]["outputs"]]
    found = self._sessions[name].run(outputs, inputs)
    return {key: np.asarray(value) for key, value in zip(outputs, found, strict=True)}

  def answer(self, values: Observation) -> dict[str, np.ndarray]:
    """Outputs of every graph from given inputs; the decoder's `skill` is among them."""
    return {key: value for name in self._graphs for key, value in self.run(name, values).items()}

  def plan(self, observation: Observation) -> np.ndarray:
    """Actions `[batch, steps, action]` of the deterministic decisions, unclipped."""
    outputs = self.run("policy", observation)
    if "decoder" in self._graphs:
      return self.run("decoder", {**observation, **outputs})["actions"]
    return outputs["action"][:, None]


class Policy:
  """A policy in the loop of one robot or one world."""

  def __init__(self, bundle: Bundle, *, seed: int | None = None) -> None:
    """Prepares a policy at the start of an episode.

    Args:
      bundle: from `load`.
      seed: draw decisions at random, as in training; without one they are deterministic.

    Raises:
      UserError: if a graph is not what the manifest says, or a seed is given for a policy whose
        graph gives no distribution to draw from.
    """
    self.bundle = bundle
    self._contract = bundle.manifest
    if seed is not None and "sampled" not in self._contract["decision"]:
      raise UserError(f"the policy of {bundle.path} is deterministic; leave out the seed.")
    self._graphs = Graphs(bundle)
    self._random = None if seed is None else np.random.default_rng(seed)
    action = self._contract["action"]
    self._low, self._high = (np.array(action[side], np.float32) for side in ("low", "high"))
    self._every = {name: graph["every_steps"] for name, graph in self._contract["graphs"].items()}
    terms = {term["name"]: term for term in self._contract["observation"]}
    self._terms = {
      name: [terms[entry["name"]] for entry in graph["inputs"] if entry["name"] in terms]
      for name, graph in self._contract["graphs"].items()
    }
    self.reset()

  def reset(self) -> None:
    """Forgets the skill under way and what a recurrent policy remembers."""
    self._step = 0
    self._decision = self._plan = np.zeros(0, np.float32)
    self._memory = {
      part["input"]: np.zeros((1, part["size"]), np.float32) for part in self._recurrent
    }

  @property
  def _recurrent(self) -> list[Mapping[str, Any]]:
    """The parts of the policy graph's memory, as the manifest has them."""
    return self._contract["graphs"]["policy"].get("state", [])

  @property
  def step_seconds(self) -> float:
    """Control period for which the policy was trained."""
    return self._contract["control"]["step_seconds"]

  @property
  def needs_observation(self) -> bool:
    """Whether the next `step` looks at its observation."""
    return any(self._is_due(name) and terms for name, terms in self._terms.items())

  def step(self, observation: Observation | None = None) -> np.ndarray:
    """The action of this control step, clipped to the contract's limits.

    Args:
      observation: the contract's terms, without batch axes; may be left out while
        `needs_observation` is false.

    Returns:
      float32 `[action]`, in the units of the contract's `action`.

    Raises:
      ValueError: if an observation is due and missing, or not as the contract has it.
      FloatingPointError: if the policy's output is not finite.
    """
    seen = self._checked(observation)
    if self._is_due("policy"):
      self._decision = self._decide(seen)
    if "decoder" not in self._every:
      action = self._decision
    else:
      if self._is_due("decoder"):
        batch = {**seen, "skill": self._decision[None]}
        self._plan = self._graphs.run("decoder", batch)["actions"][0]
      action = self._plan[self._step % self._every["decoder"]]
    if not np.isfinite(action).all():
      raise FloatingPointError(f"the policy's action is {action}, not finite")
    self._step += 1
    return np.clip(action, self._low, self._high)

  def verify_golden(self) -> float:
    """Runs the recorded inputs of every graph and compares with what was exported.

    Returns:
      The largest difference, in units of each output's range.

    Raises:
      UserError: if it is beyond the bundle's tolerance: this machine computes something else.
    """
    golden, parity = read_arrays(self.bundle.files[bundles.GOLDEN]), self._contract["parity"]
    expected = _part(golden, "expected.")
    found = self._graphs.answer({**_part(golden, "observation."), **expected})
    largest = 0.0
    for name, value in expected.items():
      off = difference(found[name], value, parity["scale"].get(name, 1.0))
      if not off <= parity["tolerance"][name]:
        raise UserError(
          f"{self.bundle.path}: {name} are not here what they were where it was exported "
          f"(difference {off:.1e}); use another version of onnxruntime."
        )
      largest = max(largest, off)
    return largest

  def _is_due(self, graph: str) -> bool:
    return self._step % self._every[graph] == 0

  def _decide(self, seen: Observation) -> np.ndarray:
    decision = self._contract["decision"]
    outputs = self._graphs.run("policy", {**seen, **self._memory})
    self._memory = {part["input"]: outputs[part["output"]] for part in self._recurrent}
    if self._random is None:
      return outputs[decision["output"]][0]
    mean, deviation = outputs["mean"][0], np.exp(outputs["log_std"][0])
    noise = self._random.standard_normal(mean.shape).astype(np.float32)
    limit = np.float32(decision["limit"])
    return limit * np.tanh((mean + deviation * noise) / limit)

  def _checked(self, observation: Observation | None) -> Observation:
    """The terms that are looked at now, each with a batch axis of one."""
    due = {
      term["name"]: term
      for name, terms in self._terms.items()
      if self._is_due(name)
      for term in terms
    }
    batch = {}
    for name, term in due.items():
      if observation is None or name not in observation:
        raise ValueError(f"observation {name!r} is due at this step and missing")
      value = np.asarray(observation[name])
      if value.dtype != term["dtype"] or list(value.shape) != term["shape"]:
        wanted = f"{term['dtype']} {term['shape']}"
        raise ValueError(f"observation {name!r} is {value.dtype} {list(value.shape)}, not {wanted}")
      if not np.isfinite(value).all():
        raise ValueError(f"observation {name!r} is not finite")
      batch[name] = value[None]
    return batch


def difference(value: np.ndarray, expected: np.ndarray, scale: float = 1.0) -> float:
  """Largest difference in units of an output's range; infinite where either is not finite.

  Args:
    value: `[batch, ...]`.
    expected: likewise.
    scale: the range; a row whose largest expected magnitude exceeds it is measured by that.
  """
  if value.shape != expected.shape:
    return np.inf
  rows = np.abs(expected.astype(np.float64)).reshape(len(expected), -1)
  gap = np.abs(value.astype(np.float64) - expected).reshape(rows.shape).max(axis=1)
  relative = gap / np.maximum(scale, rows.max(axis=1))
  return float(np.max(np.where(np.isfinite(relative), relative, np.inf)))


def read_arrays(content: bytes) -> dict[str, np.ndarray]:
  """Arrays of an npz; nothing in it is ever unpickled."""
  with np.load(BytesIO(content), allow_pickle=False) as arrays:
    return {name: arrays[name] for name in arrays.files}


def _part(arrays: Observation, prefix: str) -> dict[str, np.ndarray]:
  return {
    name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)
  }


def _open(bundle: Bundle, name: str, graph: Mapping[str, Any]) -> onnxruntime.InferenceSession:
  options = onnxruntime.SessionOptions()
  options.intra_op_num_threads = options.inter_op_num_threads = 1  # small graphs, steady latency
  options.log_severity_level = 4  # what goes wrong is raised; nothing is printed besides
  content, providers = bundle.files[graph["file"]], ["CPUExecutionProvider"]
  try:
    session = onnxruntime.InferenceSession(content, options, providers=providers)
  except Exception as error:  # onnxruntime's own exceptions share no other base
    raise UserError(
      f"onnxruntime {onnxruntime.__version__} cannot open {bundle.path / graph['file']}: {error}"
    ) from error
  for side, nodes in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
    found = [[node.name, list(node.shape)] for node in nodes]
    if found != (said := [[entry["name"], entry["shape"]] for entry in graph[side]]):
      raise UserError(
        f"{bundle.path}: the {side} of graph {name} are {found}, the manifest says {said}; "
        "export the run again."
      )
  return session
