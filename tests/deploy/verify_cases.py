"""Networks in every form that a bundle holds, and the pieces of bundles made by hand."""

import itertools
from io import BytesIO

import numpy as np

from jaxskills.deploy import network, network_c, network_onnx, network_torch


def dense(*widths: int) -> network.Network:
  """Random weights, and ELU between layers."""
  generator, layers = np.random.default_rng(0), []
  for inputs, outputs in itertools.pairwise(widths):
    kernel = generator.normal(0.0, inputs**-0.5, (inputs, outputs)).astype(np.float32)
    bias = generator.normal(size=outputs).astype(np.float32)
    layers += [network.Affine(kernel, bias), network.Activation("elu")]
  return network.Network(widths[0], widths[-1], tuple(layers[:-1]))


def forms(of: network.Network) -> dict[str, bytes]:
  """The files that compute it."""
  model = network_onnx.policy_model(of, {})
  files = {"policy.onnx": model.SerializeToString(), **network_c.write(of)}
  script = network_torch.write(of)
  return files if script is None else {**files, "policy.pt": script}


def tensor(name: str, size: int) -> dict:
  return {"name": name, "dtype": "float32", "shape": ["batch", size]}


def npz(arrays) -> bytes:
  content = BytesIO()
  np.savez(content, **arrays)
  return content.getvalue()
