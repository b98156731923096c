"""Tests of holding an implementation against the trained networks' answers, memory included."""

import numpy as np
import pytest

from jaxskills.deploy import bundle as bundles
from jaxskills.deploy import implementations, network, runtime, verify
from jaxskills.deploy.verification import Check

from .conftest import sums_files, sums_manifest
from .network_cases import two_cells
from .verify_cases import forms, npz, tensor


def answers(**changes):
  """An implementation of the bundle of sums that is right but for some outputs."""
  right = implementations.numpy(bundle_of_sums())

  def answer(values):
    found = {name: changes.get(name, value) for name, value in right(values).items()}
    return {name: value for name, value in found.items() if value is not None}

  return answer


def bundle_of_sums():
  files = sums_files()
  return bundles.Bundle(None, sums_manifest(files), files)


def compared(answer) -> Check:
  bundle = bundle_of_sums()
  return verify.compare(bundle, runtime.read_arrays(bundle.files[bundles.GOLDEN]), answer, "parity")


@pytest.mark.parametrize(
  "skill",
  [
    None,
    np.full((4, 2), np.nan, np.float32),
    np.zeros((4, 1), np.float32),
    np.zeros((4, 2), np.float32),
  ],
  ids=["missing", "no number", "of another shape", "wrong"],
)
def test_an_output_that_is_missing_or_wrong_or_no_number_fails(skill):
  assert compared(answers()).passed is True
  assert compared(answers(skill=skill)).passed is False


def recurrent_bundle(spoil: float = 0.0) -> bundles.Bundle:
  """A network with two cells, in every form, and what it should answer."""
  remembers = two_cells()
  generator = np.random.default_rng(0)
  seen = generator.normal(size=(20, remembers.observation_size)).astype(np.float32)
  before = generator.uniform(-0.9, 0.9, (20, remembers.state_size)).astype(np.float32)
  action, after = network.evaluate(remembers, seen, before)
  golden = {
    "observation.state": seen,
    "observation.state_in": before,
    "expected.action": action.astype(np.float32),
    "expected.state_out": (after + spoil).astype(np.float32),
  }
  graph = {
    "file": "policy.onnx",
    "inputs": [tensor("state", 6), tensor("state_in", remembers.state_size)],
    "outputs": [tensor("action", 2), tensor("state_out", remembers.state_size)],
    "every_steps": 1,
  }
  files = {**forms(remembers), bundles.GOLDEN: npz(golden)}
  manifest = {**sums_manifest(files), "graphs": {"policy": graph}}
  return bundles.Bundle(None, {**manifest, "parity": {"tolerance": {}, "scale": {}}}, files)


@pytest.mark.parametrize("form", ["onnxruntime", "numpy", "c", "torchscript"])
def test_what_a_recurrent_policy_remembers_is_compared_in_every_form(form, tmp_path):
  if form == "torchscript":
    pytest.importorskip("torch")
  make = getattr(implementations, form)
  for spoil in (0.0, 3e-5):
    bundle = recurrent_bundle(spoil)
    golden = runtime.read_arrays(bundle.files[bundles.GOLDEN])
    answer = make(bundle, tmp_path) if form == "c" else make(bundle)
    check = verify.compare(bundle, golden, answer, form)
    assert check.passed is (spoil == 0.0), check.text
    assert set(check.figures["difference"]) == {"action", "state_out"}
