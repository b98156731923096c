"""Tests that TorchScript of a network computes what its description says."""

import importlib.util
import warnings
from io import BytesIO

import numpy as np
import pytest

from jaxskills.deploy import network_torch
from jaxskills.deploy.network import Network, evaluate
from tests.deploy.network_cases import (
  CASES,
  affine,
  assert_close,
  clipped_observations,
  every_case,
  observations,
  two_cells,
)


def test_without_torch_there_is_no_file(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  assert network_torch.write(Network(2, 2, (affine(2, 2),))) is None


@pytest.fixture
def load():
  """Reads a network's file as a robot's script does."""
  torch = pytest.importorskip("torch")

  def load(network: Network):
    content = network_torch.write(network)
    assert content is not None
    with warnings.catch_warnings():
      warnings.simplefilter("ignore", DeprecationWarning)
      return torch.jit.load(BytesIO(content))

  return load


def act(module, seen: np.ndarray) -> np.ndarray:
  import torch

  return module(torch.from_numpy(seen)).numpy()


@every_case
def test_the_script_acts_as_described_over_several_steps(case, load):
  network = CASES[case]()
  module, state = load(network), None
  for seen in np.split(observations(network.observation_size), 4):
    expected, state = evaluate(network, seen, state)
    assert_close(act(module, seen), expected)


def test_the_scripts_memory_is_reset_and_begins_anew_with_another_batch(load):
  network = two_cells()
  module, seen = load(network), observations(6, 8)
  first = act(module, seen)
  second = act(module, seen)
  assert np.abs(second - first).max() > 1e-3
  module.reset_memory()
  np.testing.assert_array_equal(act(module, seen), first)
  assert_close(act(module, seen[:3]), evaluate(network, seen[:3])[0])


def test_extreme_observations_are_held_by_the_normalisers_limit(load):
  network = CASES["h1"]()
  seen = clipped_observations(network.observation_size)
  assert_close(act(load(network), seen), evaluate(network, seen)[0])
