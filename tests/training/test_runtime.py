"""Precision and the cache of compiled programs."""

import os
import subprocess
import sys
from typing import Any

import jax
import pytest

from jaxskills.training import runtime
from tests.training.toy_run import TOY_RUN

SETTINGS: Any = jax.config


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch, configured_jax):
  """A cache folder of the test's own; the session's comes back afterwards."""
  del configured_jax
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  yield
  monkeypatch.undo()
  runtime.configure_jax()


def test_the_cache_is_for_this_user_alone_even_if_it_was_not():
  folder = runtime.cache_folder()
  folder.mkdir(parents=True)
  folder.chmod(0o777)
  runtime.configure_jax()
  assert folder.stat().st_mode & 0o777 == 0o700
  assert SETTINGS.jax_compilation_cache_dir == str(folder)
  assert SETTINGS.jax_default_matmul_precision == "highest"


def test_the_cache_can_be_left_off():
  runtime.configure_jax(cache=False, matmul_precision="high")
  assert SETTINGS.jax_compilation_cache_dir is None
  assert SETTINGS.jax_default_matmul_precision == "high"
  assert not runtime.cache_folder().exists()


def test_without_a_place_for_the_cache_there_is_none(tmp_path, monkeypatch):
  (tmp_path / "file").write_text("")
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
  runtime.configure_jax()
  assert SETTINGS.jax_compilation_cache_dir is None


def test_a_cache_of_another_owner_is_not_trusted(monkeypatch):
  runtime.cache_folder().mkdir(parents=True)
  monkeypatch.setattr(os, "getuid", lambda: 12345678)
  runtime.configure_jax()
  assert SETTINGS.jax_compilation_cache_dir is None


def test_the_cache_differs_by_jaxlib_and_processor(monkeypatch):
  folders = {runtime.cache_folder()}
  monkeypatch.setattr(runtime, "_processor", lambda: "another")
  folders.add(runtime.cache_folder())
  monkeypatch.setattr(runtime.metadata, "version", lambda name: "0.0.1")
  folders.add(runtime.cache_folder())
  assert len(folders) == 3


PROGRAM = """
import jax, jax.numpy as jnp
from jaxskills.training.runtime import configure_jax
configure_jax()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
print(float(jax.jit(lambda x: jnp.sum(jnp.sin(x) ** 2))(jnp.arange(1000.0))))
"""


def test_an_entry_that_a_kill_cut_short_does_no_harm():
  def run() -> str:
    environment = {**os.environ, "PYTHONPATH": str(TOY_RUN.parents[2])}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(
      command, capture_output=True, text=True, env=environment, check=True
    ).stdout

  first = run()
  entries = [path for path in runtime.cache_folder().iterdir() if path.name.endswith("-cache")]
  assert entries
  for path in entries:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  assert run() == first
