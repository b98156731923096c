"""The part of the manifest that a robot must agree to: what goes in, what comes out, and when.

Observation terms stand in the order in which the policy reads them, with shape, dtype, unit, frame
and the fixed scale that the graphs themselves apply (`(value - offset) * scale`; nobody outside
scales anything). Everything here is JSON values.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper

from jaxskills.deploy.deployable import Deployable, Term
from jaxskills.deploy.models import ACTION, SKILL, reads

DETERMINISTIC, SAMPLED = "deterministic", "sampled"  # how a decision comes from mean and log_std


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
  if "decoder" in graphs:  # asked again when its plan is used up
    graphs["decoder"]["every_steps"] = graphs["decoder"]["outputs"][0]["shape"][1]
  return {
    "control": {
      "rate_hz": round(1.0 / policy.step_seconds, 6),
      "step_seconds": policy.step_seconds,
      "skill_horizon": policy.horizon,
    },
    "observation": [_describe_term(policy, term) for term in _terms_read(policy)],
    "decision": {
      "output": decision_name(policy),
      "size": policy.policy.action_size,
      "limit": policy.limit,
      DETERMINISTIC: "limit * tanh(mean / limit)",
      SAMPLED: "limit * tanh((mean + exp(log_std) * normal) / limit)",
      "runtime": f"{DETERMINISTIC}; {SAMPLED} where the runtime's Policy gets a seed",
    },
    "action": {
      "names": list(policy.action.names),
      "unit": policy.action.unit,
      "frame": policy.action.frame,
      "low": list(policy.action.low),
      "high": list(policy.action.high),
      "clip": "the runtime clips every entry to [low, high]; the graphs do not",
    },
    "graphs": graphs,
  }


def decision_name(policy: Deployable) -> str:
  """What the policy chooses: "skill", or "action" where nothing decodes it."""
  return ACTION if policy.decoder is None else SKILL


def _terms_read(policy: Deployable) -> list[Term]:
  """The terms that a graph reads, those of the policy first and in its order."""
  terms = {term.name: term for term in policy.observation}
  decoder = () if policy.decoder is None else reads(policy.decoder.module)
  return [terms[name] for name in dict.fromkeys((*policy.policy.inputs, *decoder))]


def _describe_term(policy: Deployable, term: Term) -> dict[str, Any]:
  reader = policy.policy
  if term.name not in reader.inputs and policy.decoder is not None:
    reader = policy.decoder.module
  return {
    "name": term.name,
    "dtype": term.dtype,
    "shape": list(term.shape),
    "unit": term.unit,
    "frame": term.frame,
    "low": list(term.low),
    "high": list(term.high),
    "scale": _scale(reader, term),
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
