"""Tests that C is compiled strictly, and that what goes wrong is said in one line."""

import ctypes
import shutil

import numpy as np
import pytest

from jaxskills.deploy import native
from jaxskills.errors import UserError

SOURCES = {"seven.c": b'#include "seven.h"\nint seven(void) { return SEVEN; }\n'}
HEADER = {"seven.h": b"#define SEVEN 7\nint seven(void);\n"}

with_compiler = pytest.mark.skipif(
  not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="needs a C compiler"
)


@with_compiler
def test_sources_and_their_headers_become_a_library(tmp_path):
  library = native.compile_library({**SOURCES, **HEADER}, tmp_path, name="numbers")
  assert library == tmp_path / "numbers.so"
  assert ctypes.CDLL(str(library)).seven() == 7


@with_compiler
def test_a_warning_is_an_error_and_its_line_is_named(tmp_path):
  source = b"int seven(int unused) { return 7; }\n"
  with pytest.raises(UserError, match=r"cannot compile seven\.c: seven\.c:1:\d+: error") as caught:
    native.compile_library({"seven.c": source}, tmp_path)
  assert "\n" not in str(caught.value)


def test_without_a_compiler_the_user_is_told_what_to_install(tmp_path, monkeypatch):
  monkeypatch.delenv("CC", raising=False)
  monkeypatch.setenv("PATH", str(tmp_path))
  with pytest.raises(UserError, match=r"a C compiler \(cc, gcc or clang\) is not on the PATH"):
    native.compile_library(SOURCES, tmp_path)


def test_the_compiler_that_the_environment_names_is_the_one_that_is_used(tmp_path, monkeypatch):
  monkeypatch.setenv("CC", "no_such_compiler -m64")
  with pytest.raises(UserError, match="'no_such_compiler' of CC"):
    native.compiler()
  named = tmp_path / "my_compiler"
  named.write_text("#!/bin/sh\n")
  named.chmod(0o755)
  monkeypatch.setenv("CC", f"{named} -m64")
  assert native.compiler() == [str(named), "-m64"]


@with_compiler
def test_arrays_of_another_size_do_not_reach_c(tmp_path):
  source = b"void policy_step(const float *o, float *a) { a[0] = o[0] + o[1]; }\n"
  policy = native.Policy(native.compile_library({"policy.c": source}, tmp_path), 2, 1)
  action, state = policy.step(np.array([[1.0, 2.0], [3.0, 4.0]]))
  np.testing.assert_array_equal(action, [[3.0], [7.0]])
  assert state.shape == (2, 0)
  with pytest.raises(ValueError, match="rows of 2 numbers"):
    policy.step(np.zeros((1, 3)))
  with pytest.raises(ValueError, match="a state of 0"):
    policy.step(np.zeros((1, 2)), np.zeros((1, 1)))
