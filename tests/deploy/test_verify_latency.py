"""Tests of timing decisions: what is timed, what is told of it, and what passes."""

import numpy as np
import pytest

from jaxskills.deploy import latency, native, network_c, network_onnx, network_torch, runtime
from jaxskills.deploy.latency import Latency
from jaxskills.deploy.network import Activation, Affine, Network

from .network_cases import two_cells


def small() -> Network:
  generator = np.random.default_rng(0)
  kernel = generator.normal(size=(3, 2)).astype(np.float32)
  return Network(3, 2, (Affine(kernel, np.ones(2, np.float32)), Activation("elu")))


OBSERVATION = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)


def test_percentiles_are_in_microseconds():
  found = latency.summarize(np.arange(1, 1001) * 1000)
  assert found == Latency(1000, 500.5, 990.01, 999.001, 1000.0)
  assert found.text == "p50 500.5, p99 990.0, p99.9 999.0 us"


def test_of_several_turns_the_median_counts_and_the_greatest_is_kept():
  turns = [Latency(10, *[float(value)] * 4) for value in (3, 9, 1)]
  assert latency.medians(turns) == Latency(30, 3.0, 3.0, 3.0, 9.0)


def test_each_call_is_timed_alone_with_prepared_arguments_in_turn():
  clock, called = iter(range(0, 10_000, 7)), []

  def tick() -> int:
    return next(clock)

  spent = latency.time_calls(called.append, [(1,), (2,), (3,)], 5, warmup=2, clock=tick)
  assert called == [1, 2, 1, 2, 3, 1, 2] and spent.tolist() == [7] * 5


def test_every_implementation_gives_as_many_times_as_calls(tmp_path):
  network = small()
  ways = [
    latency.OnnxRuntime(
      [network_onnx.policy_model(network, {}).SerializeToString()], {"state": OBSERVATION}
    ),
    latency.C(network_c.write(network), OBSERVATION, tmp_path),
  ]
  for way in ways:
    spent = way.time(50)
    assert spent.shape == (50,) and (spent >= 0).all() and spent.max() > 0


def test_torchscript_is_timed_on_one_thread_and_others_keep_theirs():
  torch = pytest.importorskip("torch")
  content = network_torch.write(small())
  assert content is not None
  before = torch.get_num_threads()
  way, seen = latency.TorchScript(content, OBSERVATION), []
  module = way._module
  way._module = lambda row: seen.append(torch.get_num_threads()) or module(row)
  assert way.time(3).shape == (3,)
  assert set(seen) == {1} and torch.get_num_threads() == before


def test_a_recurrent_policy_in_c_goes_on_from_its_state(tmp_path):
  """Compiled with a probe in place of the policy, which counts in its state."""
  header = network_c.write(two_cells())["policy.h"]
  probe = b"""
#include "policy.h"
void policy_step(const float *observation, const float *state_in, float *action,
                 float *state_out) {
  for (int i = 0; i < POLICY_STATE; ++i) state_out[i] = state_in[i] + 1.0f;
  for (int i = 0; i < POLICY_ACTION; ++i) action[i] = state_in[0] + 0.0f * observation[0];
}
"""
  way = latency.C({"policy.h": header, "policy.c": probe}, np.zeros((2, 6), np.float32), tmp_path)
  spent = np.zeros(4, np.int64)
  rows = way._observation
  assert way._function(rows.ctypes.data, 2, 4, spent.ctypes.data) == 0 + 1 + 2 + 3


def test_rows_of_observations_take_turns_in_c(tmp_path):
  header = network_c.write(small())["policy.h"]
  probe = b"""
#include "policy.h"
void policy_step(const float *observation, float *action) { action[0] = observation[0]; }
"""
  way = latency.C({"policy.h": header, "policy.c": probe}, OBSERVATION, tmp_path)
  spent, rows = np.zeros(6, np.int64), way._observation
  found = way._function(rows.ctypes.data, 4, 6, spent.ctypes.data)
  assert found == pytest.approx(OBSERVATION[[0, 1, 2, 3, 0, 1], 0].sum(), rel=1e-5)


def test_the_harness_is_c99_without_a_warning(tmp_path):
  flags = (*native.STRICT, "-O2")
  latency.C(network_c.write(small()), OBSERVATION, tmp_path, flags).time(3)


def test_all_graphs_of_a_policy_of_skills_are_run(sums):
  bundle = runtime.load(sums)
  graphs = [bundle.files[graph["file"]] for graph in bundle.manifest["graphs"].values()]
  inputs = {"state": OBSERVATION[:, :2], "skill": OBSERVATION[:, :2]}
  way = latency.OnnxRuntime(graphs, inputs)
  policy, plan = way._function(*way._prepared[1])
  assert policy[0].tolist() == OBSERVATION[1:2, :2].tolist() and plan[0].shape == (1, 3, 2)
  assert way.time(5).shape == (5,)


def test_the_runtime_is_timed_as_controllers_call_it(sums):
  way = latency.Runtime(runtime.load(sums), {"state": OBSERVATION[:, :2]})
  assert way.time(7).shape == (7,)
