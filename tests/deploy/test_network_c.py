"""Tests that the C of a network computes what its description says, and does nothing else."""

import functools
import re
import shutil
import subprocess

import numpy as np
import pytest

from jaxskills.deploy import native, network_c
from jaxskills.deploy.network import Activation, Affine, GruCell, Network, evaluate
from tests.deploy.network_cases import (
  CASES,
  affine,
  assert_close,
  clipped_observations,
  every_case,
  observations,
  standardize,
  two_cells,
)

pytestmark = pytest.mark.skipif(
  not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="needs a C compiler"
)


def compiled(network: Network, folder, flags=native.FLAGS) -> native.Policy:
  library = native.compile_library(network_c.write(network), folder, flags=flags)
  return native.Policy(library, network.observation_size, network.action_size, network.state_size)


@pytest.fixture(scope="module")
def policy_of(tmp_path_factory):
  """The network of a case and its C, compiled once."""

  @functools.cache
  def policy_of(case: str) -> tuple[Network, native.Policy]:
    network = CASES[case]()
    return network, compiled(network, tmp_path_factory.mktemp(case))

  return policy_of


@every_case
def test_the_c_acts_as_described_over_several_steps(case, policy_of):
  network, policy = policy_of(case)
  exact = state = np.zeros((128, network.state_size), np.float32)
  for seen in np.split(observations(network.observation_size), 4):
    action, state = policy.step(seen, state)
    expected, exact = evaluate(network, seen, exact)
    assert_close(action, expected)
    np.testing.assert_allclose(state, exact, rtol=0, atol=1e-5)


@pytest.mark.parametrize("flags", [(*native.STRICT, "-O0"), (*native.STRICT, "-O2")])
def test_the_c_is_right_however_little_it_is_optimised(flags, tmp_path):
  network = two_cells()
  seen = observations(6)
  assert_close(compiled(network, tmp_path, flags).step(seen)[0], evaluate(network, seen)[0])


@pytest.mark.parametrize("case", ["h1", "many_kinds", "two_cells"])
def test_extreme_observations_are_held_by_the_normalisers_limit(case, policy_of):
  network, policy = policy_of(case)
  seen = clipped_observations(network.observation_size)
  assert_close(policy.step(seen)[0], evaluate(network, seen)[0])


@every_case
def test_an_observation_of_nan_gives_an_action_of_nan(case, policy_of):
  network, policy = policy_of(case)
  seen = observations(network.observation_size, 8)
  seen[np.arange(8), np.arange(8) % network.observation_size] = np.nan
  assert np.isnan(policy.step(seen)[0]).any(axis=-1).all()


FUNCTIONS = {
  "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0.0))),
  "tanh": np.tanh,
}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_exponentials_are_right_to_a_few_units_in_the_last_place(kind, tmp_path):
  tiny = -np.logspace(-37.0, 2.0, 20_000)
  values = np.concatenate([tiny, -tiny, np.linspace(-20.0, 20.0, 40_000), [0.0, -1e30, 1e30]])
  values = values.astype(np.float32)
  policy = compiled(Network(len(values), len(values), (Activation(kind),)), tmp_path)
  found = policy.step(values[None])[0][0]
  exact = FUNCTIONS[kind](values.astype(np.float64))
  off = np.abs(found - exact) / np.spacing(np.abs(exact).astype(np.float32))
  assert off.max() < 8.0
  assert found.min() >= -1.0


def test_gates_saturate_without_leaving_their_range(tmp_path):
  width = 64
  zeros = np.zeros((1, 3 * width), np.float32)
  bias = np.zeros(3 * width, np.float32)
  bias[width : 2 * width] = np.linspace(-200.0, 200.0, width)  # of the gate that keeps
  recurrent, nothing = np.zeros((width, 3 * width), np.float32), np.zeros(width, np.float32)
  network = Network(1, width, (GruCell(zeros, recurrent, bias, nothing),))
  before = np.ones((1, width), np.float32)
  action, _ = compiled(network, tmp_path).step(np.zeros((1, 1)), before)
  np.testing.assert_allclose(action, evaluate(network, np.zeros((1, 1)), before)[0], atol=1e-7)
  assert action.min() >= 0.0 and action.max() <= 1.0


def test_weights_are_read_back_to_the_bit(tmp_path):
  generator = np.random.default_rng(9)
  bits = generator.integers(0, 2**32, (9, 500), dtype=np.uint32)
  kernel = bits.view(np.float32)
  kernel = np.where(np.isfinite(kernel), kernel, np.float32(0.1)).astype(np.float32)
  kernel[0, :4] = 1e-45, np.finfo(np.float32).max, np.finfo(np.float32).tiny, -1.0
  network = Network(9, 500, (Affine(kernel, np.zeros(500, np.float32)),))
  action, _ = compiled(network, tmp_path).step(np.eye(9, dtype=np.float32))
  np.testing.assert_array_equal(action, kernel)


def test_the_state_may_be_written_over_itself(policy_of):
  network, policy = policy_of("two_cells")
  seen = observations(6, 1)
  state = np.random.default_rng(8).uniform(-1, 1, (1, network.state_size)).astype(np.float32)
  expected = policy.step(seen, state.copy())
  action = np.empty((1, 2), np.float32)
  policy._step(*(x.ctypes.data for x in (seen, state, action, state)))
  np.testing.assert_array_equal(action, expected[0])
  np.testing.assert_array_equal(state, expected[1])


def write_files(folder, files) -> None:
  for name, content in files.items():
    (folder / name).write_bytes(content)


@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm")
def test_one_function_is_all_that_is_seen_and_nothing_can_change(tmp_path):
  network = two_cells()
  write_files(tmp_path, network_c.write(network))
  command = [*native.compiler(), *native.FLAGS, "-c", "policy.c"]
  subprocess.run(command, cwd=tmp_path, check=True)
  command = ["nm", tmp_path / "policy.o"]
  listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
  symbols = re.findall(r"([A-Za-z]) _?(\S+)$", listed, re.MULTILINE)
  assert [name for kind, name in symbols if kind == "T"] == ["policy_step"]
  assert not [name for kind, name in symbols if kind in "DdBbC"]
  called = {name.split("@")[0] for kind, name in symbols if kind == "U"}
  assert called <= {"memcpy", "memset", "memmove", "sqrt", "__stack_chk_fail"}


HARNESS = """
#include "policy.h"
#include <stdio.h>
#include <stdlib.h>
int main(void) {
  float *seen = malloc(sizeof(float) * POLICY_OBSERVATION);
  float *action = malloc(sizeof(float) * POLICY_ACTION);
  float *state = calloc(POLICY_STATE, sizeof(float));
  for (int i = 0; i < POLICY_OBSERVATION; ++i) seen[i] = 0.1f * (float)i;
  for (int k = 0; k < 5; ++k) policy_step(seen, state, action, state);
  for (int i = 0; i < POLICY_ACTION; ++i) printf("%.9g\\n", (double)action[i]);
  free(seen); free(action); free(state);
  return 0;
}
"""


def test_sanitizers_find_nothing(tmp_path):
  network = two_cells()
  write_files(tmp_path, {**network_c.write(network), "main.c": HARNESS.encode()})
  sanitizers = "-fsanitize=address,undefined,float-divide-by-zero"
  command = [*native.compiler(), *native.STRICT, "-O1", sanitizers, "-fno-sanitize-recover=all"]
  command += ["policy.c", "main.c", "-o", "main", "-lm"]
  built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
  if built.returncode:
    pytest.skip(f"the compiler has no sanitizers: {built.stderr[-200:]}")
  ran = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=False)
  assert (ran.returncode, ran.stderr) == (0, "")
  seen, state = 0.1 * np.arange(6, dtype=np.float32)[None], None
  for _ in range(5):
    action, state = evaluate(network, seen, state)
  np.testing.assert_allclose(np.array(ran.stdout.split(), float), action[0], atol=1e-5)


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_the_header_is_read_by_cpp(tmp_path):
  network = Network(3, 2, (standardize(3), affine(3, 2)))
  main = "int main() { float o[POLICY_OBSERVATION] = {}, a[POLICY_ACTION]; policy_step(o, a); }"
  main = f'#include "policy.h"\n{main}\n'
  write_files(tmp_path, {**network_c.write(network), "main.cpp": main.encode()})
  subprocess.run([*native.compiler(), "-c", "policy.c"], cwd=tmp_path, check=True)
  warnings = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-pedantic"]
  subprocess.run(["g++", *warnings, "main.cpp", "policy.o", "-o", "main"], cwd=tmp_path, check=True)
  subprocess.run([tmp_path / "main"], check=True)


def test_the_header_says_the_sizes():
  header = network_c.write(two_cells())["policy.h"].decode()
  for line in ("POLICY_OBSERVATION 6", "POLICY_ACTION 2", "POLICY_STATE 27"):
    assert f"#define {line}\n" in header
