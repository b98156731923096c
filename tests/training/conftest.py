"""Keeps compiled programs between the many short runs of these tests."""

from collections.abc import Iterator
from typing import Any

import jax
import pytest

from jaxskills.training.runtime import configure_jax

_OPTIONS = (
  "jax_default_matmul_precision",
  "jax_compilation_cache_dir",
  "jax_persistent_cache_min_compile_time_secs",
  "jax_persistent_cache_min_entry_size_bytes",
)


@pytest.fixture(scope="session", autouse=True)
def configured_jax() -> Iterator[None]:
  """Sets JAX up as the command line does (its cache folder is this session's own)."""
  settings: Any = jax.config
  before = {name: getattr(settings, name) for name in _OPTIONS}
  configure_jax()
  yield
  for name, value in before.items():
    settings.update(name, value)
