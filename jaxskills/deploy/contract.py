"""The part of the manifest that a robot must agree to: what goes in, what comes out, and when.

Modalities stand in the order in which the policy reads them, with shape, dtype, unit and frame.
There are two kinds. One enters the graphs raw, with a fixed scale that the graphs themselves apply
(`(value - offset) * scale`). One that is made of measurements lists its `terms`, each with its own
unit, frame and scale; whoever feeds it multiplies by these, and the graph holds the running
normaliser. Everything here is JSON values; `schema/bundle-2.json` has their form.
"""

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np
import onnx
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from onnx import helper

from jaxskills.deploy.deployable import Deployable, Quantity, Term
from jaxskills.deploy.models import ACTION, SKILL, reads
from jaxskills.deploy.network import Network
from jaxskills.deploy.network_onnx import STATE_IN, STATE_OUT

DETERMINISTIC, SAMPLED = "deterministic", "sampled"  # how a decision comes from what a graph gives


def check(manifest: Mapping[str, Any]) -> None:
  """Compares a manifest, without its own hash, with the published schema.

  Raises:
    ValueError: naming the place in the manifest and what is wrong with it.
  """
  plain = json.loads(json.dumps(manifest, allow_nan=False))
  if error := best_match(Draft202012Validator(schema()).iter_errors(plain)):
    raise ValueError(f"the manifest breaks its schema at {error.json_path}: {error.message}")


def schema() -> dict[str, Any]:
  """The published JSON Schema (draft 2020-12) of a manifest."""
  place = resources.files("jaxskills.deploy").joinpath("schema/bundle-2.json")
  return json.loads(place.read_text(encoding="utf-8"))


def describe(
  policy: Deployable, models: Mapping[str, tuple[str, onnx.ModelProto]]
) -> dict[str, Any]:
  """The manifest's keys `control`, `observation`, `decision`, `action` and `graphs`.

  Args:
    policy: what is exported.
    models: file name and model of each graph, "policy" and, for skills, "decoder".
  """
  graphs = {name: _describe_graph(file, model) for name, (file, model) in models.items()}
  graphs["policy"]["every_steps"] = policy.horizon
  graphs["policy"]["state"] = _memory(policy)
  if "decoder" in graphs:  # asked again when its plan is used up
    graphs["decoder"]["every_steps"] = graphs["decoder"]["outputs"][0]["shape"][1]
  return {
    "control": _control(policy),
    "observation": [_describe_term(policy, term) for term in _terms_read(policy)],
    "decision": {
      "output": decision_name(policy),
      "size": policy.policy.action_size,
      "limit": policy.limit,
      **_rules(policy),
    },
    "action": _describe_action(policy),
    "graphs": graphs,
  }


def _control(policy: Deployable) -> dict[str, Any]:
  timing = {
    "rate_hz": round(1.0 / policy.step_seconds, 6),
    "step_seconds": policy.step_seconds,
    "skill_horizon": policy.horizon,
  }
  if policy.task is None:
    return timing
  least, greatest = policy.task.latency_seconds
  latency = {"least": least, "greatest": greatest}
  return {**timing, "mode": policy.task.mode, "latency_seconds": latency}


def _rules(policy: Deployable) -> dict[str, str]:
  """How decisions come from what the policy's graph gives."""
  if isinstance(policy.policy, Network):
    return {DETERMINISTIC: "clip(action, -limit, limit)", "runtime": DETERMINISTIC}
  return {
    DETERMINISTIC: "limit * tanh(mean / limit)",
    SAMPLED: "limit * tanh((mean + exp(log_std) * normal) / limit)",
    "runtime": f"{DETERMINISTIC}; {SAMPLED} where the runtime's Policy gets a seed",
  }


def _describe_action(policy: Deployable) -> dict[str, Any]:
  action = policy.action
  described: dict[str, Any] = {
    "names": list(action.names),
    "unit": action.unit,
    "frame": action.frame,
    "low": list(action.low),
    "high": list(action.high),
    "clip": "the runtime clips every entry to [low, high]; the graphs do not",
  }
  if not action.scale:
    return described
  return {
    **described,
    "scale": list(action.scale),
    "offset": list(action.offset),
    "scaled_unit": action.scaled_unit,
    "meaning": "offset + scale * clip(action, low, high), in scaled_unit",
  }


def _memory(policy: Deployable) -> list[dict[str, Any]]:
  """What a recurrent policy hands from each call of its graph to the next."""
  size = policy.policy.state_size if isinstance(policy.policy, Network) else 0
  memory = {"input": STATE_IN, "output": STATE_OUT, "size": size, "start": "zeros"}
  return [memory] if size else []


def decision_name(policy: Deployable) -> str:
  """What the policy chooses: "skill", or "action" where nothing decodes it."""
  return ACTION if policy.decoder is None else SKILL


def _terms_read(policy: Deployable) -> list[Term]:
  """The terms that a graph reads, those of the policy first and in its order."""
  if isinstance(policy.policy, Network):
    return [term for term in policy.observation if term.name != STATE_IN]
  terms = {term.name: term for term in policy.observation}
  decoder = () if policy.decoder is None else reads(policy.decoder.module)
  return [terms[name] for name in dict.fromkeys((*policy.policy.inputs, *decoder))]


def _describe_term(policy: Deployable, term: Term) -> dict[str, Any]:
  described: dict[str, Any] = {
    "name": term.name,
    "dtype": term.dtype,
    "shape": list(term.shape),
    "unit": term.unit,
    "frame": term.frame,
    "low": list(term.low),
    "high": list(term.high),
  }
  if term.quantities:
    return {**described, **_describe_measurements(term)}
  reader: Any = policy.policy
  if term.name not in reader.inputs and policy.decoder is not None:
    reader = policy.decoder.module
  return {**described, "scale": _scale(reader, term)}


def _describe_measurements(term: Term) -> dict[str, Any]:
  """The terms of one measurement with their places in it, and how measurements follow."""
  ends = np.cumsum([len(quantity.scale) for quantity in term.quantities]).tolist()
  return {
    "history": {
      "length": term.history,
      "order": "newest first",
      "start": "the first measurement repeated",
    },
    "normalizer": "in the graph",
    "terms": [
      _describe_quantity(quantity, end) for quantity, end in zip(term.quantities, ends, strict=True)
    ],
  }


def _describe_quantity(quantity: Quantity, end: int) -> dict[str, Any]:
  return {
    "name": quantity.name,
    "slice": [end - len(quantity.scale), end],
    "unit": quantity.unit,
    "frame": quantity.frame,
    "scale": list(quantity.scale),
    "noise": quantity.noise,
    "measurable": quantity.measurable,
  }


def _scale(reader: Any, term: Term) -> dict[str, Any]:
  """What the graphs do to a term before the first layer sees it."""
  if term.dtype == "uint8":
    return {
      "offset": 127.5,
      "scale": 2.0 / 255.0,
      "frames": reader.image.frames,
      "difference_gain": reader.image.difference_gain,
      "applied": "in the graph; of the frames, the newest and the gained differences are fed",
    }
  offset, scale = (reader.scaling or {}).get(term.name, (0.0, 1.0))
  return {
    "offset": np.asarray(offset).tolist(),
    "scale": np.asarray(scale).tolist(),
    "applied": "in the graph",
  }


def _describe_graph(file: str, model: onnx.ModelProto) -> dict[str, Any]:
  return {
    "file": file,
    "inputs": [_describe_tensor(value) for value in model.graph.input],
    "outputs": [_describe_tensor(value) for value in model.graph.output],
  }


def _describe_tensor(value: onnx.ValueInfoProto) -> dict[str, Any]:
  kind = value.type.tensor_type
  return {
    "name": value.name,
    "dtype": helper.tensor_dtype_to_np_dtype(kind.elem_type).name,
    "shape": [axis.dim_param or axis.dim_value for axis in kind.shape.dim],
  }
