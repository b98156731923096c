"""The ways in which a bundle's policy can be computed, each as a function of many observations.

All of them take the same arrays and give the same outputs, so that they can be held against what
the trained networks answered: onnxruntime as a controller calls it, the ONNX standard's own NumPy
implementation, the bundle's C compiled here, and TorchScript.
"""

import warnings
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from jaxskills.deploy import native
from jaxskills.deploy.bundle import Bundle
from jaxskills.deploy.runtime import Graphs

Arrays = Mapping[str, np.ndarray]
Answer = Callable[[Arrays], dict[str, np.ndarray]]

STATE, STATE_IN, ACTION, STATE_OUT = "state", "state_in", "action", "state_out"


def onnxruntime(bundle: Bundle) -> Answer:
  """Every graph, one observation at a time: a batch may add up in another order."""
  graphs = Graphs(bundle)

  def answer(values: Arrays) -> dict[str, np.ndarray]:
    rows = range(len(next(iter(values.values()))))
    found = [graphs.answer({key: value[row : row + 1] for key, value in values.items()})
             for row in rows]  # fmt: skip
    return {key: np.concatenate([entry[key] for entry in found]) for key in found[0]}

  return answer


def numpy(bundle: Bundle) -> Answer:
  """Every graph in the NumPy that defines what ONNX's operators mean.

  Raises:
    ModuleNotFoundError: without the package onnx.
  """
  import onnx
  from onnx.reference import ReferenceEvaluator

  graphs = bundle.manifest["graphs"]
  evaluators = {
    name: ReferenceEvaluator(onnx.load_model_from_string(bundle.files[graph["file"]]))
    for name, graph in graphs.items()
  }

  def answer(values: Arrays) -> dict[str, np.ndarray]:
    found = {}
    for name, graph in graphs.items():
      inputs = {entry["name"]: values[entry["name"]] for entry in graph["inputs"]}
      outputs = [entry["name"] for entry in graph["outputs"]]
      with np.errstate(over="ignore"):  # of exponentials whose branch is not taken
        answers: Any = evaluators[name].run(outputs, inputs)
      found |= {key: np.asarray(value) for key, value in zip(outputs, answers, strict=True)}
    return found

  return answer


def c(bundle: Bundle, folder: Path) -> Answer:
  """The policy in C, compiled here.

  Args:
    bundle: with `policy.c` and `policy.h`.
    folder: for what the compiler makes; it must stay until the last call.

  Raises:
    UserError: if there is no compiler, or it refuses the sources.
  """
  sources = {name: bundle.files[name] for name in ("policy.c", "policy.h")}
  sizes = _sizes(bundle)
  observed, acted, kept = (sizes.get(name, 0) for name in (STATE, ACTION, STATE_OUT))
  policy = native.Policy(native.compile_library(sources, folder), observed, acted, kept)

  def answer(values: Arrays) -> dict[str, np.ndarray]:
    action, after = policy.step(values[STATE], values.get(STATE_IN))
    return {ACTION: action, STATE_OUT: after} if kept else {ACTION: action}

  return answer


def torchscript(bundle: Bundle) -> Answer:
  """The policy in TorchScript, without gradients.

  Raises:
    ModuleNotFoundError: without torch.
  """
  import torch  # pyright: ignore[reportMissingImports]

  with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # and still what robots' scripts read
    module: Any = torch.jit.load(BytesIO(bundle.files["policy.pt"])).eval()

  is_recurrent = STATE_OUT in _sizes(bundle)

  def answer(values: Arrays) -> dict[str, np.ndarray]:
    with torch.inference_mode():
      if is_recurrent:  # it keeps its memory in a buffer, which is this one from here on
        module.state = torch.tensor(values[STATE_IN])
      found = {ACTION: module(torch.tensor(values[STATE])).numpy()}
      return {**found, STATE_OUT: module.state.numpy()} if is_recurrent else found

  return answer


def _sizes(bundle: Bundle) -> dict[str, int]:
  """Numbers in each input and output of the policy's graph."""
  graph = bundle.manifest["graphs"]["policy"]
  return {entry["name"]: entry["shape"][-1] for entry in (*graph["inputs"], *graph["outputs"])}
