"""Tests of the safety filter's C: it compiles strictly, for C++ too, and says the same numbers.

That it decides the same is fuzzed in `test_safety_fuzz.py`.
"""

import ctypes
import re
import shutil
import subprocess

import numpy as np
import pytest

from jaxskills.deploy import native, safety, safety_c
from tests.deploy.safety_robots import ROBOTS, awkward, h1

USE = b"""
#include "safety.h"
extern "C" int main() {
  safety_state state;
  safety_start(&state);
  return state.mode == SAFETY_IDLE ? 0 : 1;
}
"""


@pytest.mark.parametrize("name", ROBOTS)
def test_it_compiles_without_a_warning(name, tmp_path):
  flags = (*native.STRICT, "-O2", "-ffp-contract=off", "-Wconversion", "-Wshadow")
  native.compile_library(safety_c.write(ROBOTS[name]()), tmp_path, flags=flags)


def test_a_program_in_cpp_uses_it_without_a_warning(tmp_path):
  compiler = shutil.which("g++") or shutil.which("clang++")
  if compiler is None:
    pytest.skip("no C++ compiler")
  for file, content in {**safety_c.write(h1()), "use.cpp": USE}.items():
    (tmp_path / file).write_bytes(content)
  strict = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
  subprocess.run([*native.compiler(), "-std=c99", "-c", "safety.c"], cwd=tmp_path, check=True)
  command = [compiler, "-std=c++14", *strict, "use.cpp", "safety.o", "-o", "use", "-lm"]
  subprocess.run(command, cwd=tmp_path, check=True)
  subprocess.run([tmp_path / "use"], check=True)


@pytest.mark.parametrize("name", ROBOTS)
def test_the_header_holds_every_limit_to_the_bit(name):
  limits = ROBOTS[name]()
  header = safety_c.write(limits)["safety_limits.h"].decode()
  found = dict(re.findall(r"static const \w+ SAFETY_(\w+)(?:\[\d+\])? = \{?([^;}]*)\}?;", header))
  for field in ("lower", "upper", "speed", "stretch", "torque", "controlled", "least_upright"):
    texts = found[field.upper()].replace("HUGE_VAL", "inf").split(",")
    value = np.array([float(text) for text in texts])
    np.testing.assert_array_equal(value, np.atleast_1d(getattr(limits, field)), err_msg=field)


def test_targets_of_actions_are_the_same_in_c(tmp_path):
  limits = awkward()
  library = ctypes.CDLL(str(native.compile_library(safety_c.write(limits), tmp_path)))
  rng = np.random.default_rng(0)
  actions = rng.normal(size=(1000, 2), scale=4.0).astype(np.float32)
  actions[::50, 0], actions[7::50, 1] = 1e30, np.nan
  for action, target in zip(actions, safety.target_of(limits, actions), strict=True):
    got = np.empty(4)
    library.safety_target_of(ctypes.c_void_p(action.ctypes.data), ctypes.c_void_p(got.ctypes.data))
    np.testing.assert_array_equal(got, target)


def test_reasons_have_the_same_names_in_c(tmp_path):
  library = ctypes.CDLL(str(native.compile_library(safety_c.write(h1()), tmp_path)))
  library.safety_reason_name.restype = ctypes.c_char_p
  names = [library.safety_reason_name(code).decode() for code in range(-1, 10)]
  assert names == ["unknown", *safety.REASONS, "unknown"]


def test_a_tick_in_c_adds_less_than_five_microseconds():
  runs = [np.percentile(safety_c.measure(h1()), 99) for _ in range(5)]
  assert np.median(runs) <= 5e-6, f"p99 of each run, in seconds: {runs}"
