"""What every test runs under: two devices, checked shapes, and no trace outside the test folder.

All of it has to be in place before JAX or jaxskills is imported, so it happens on import here.
"""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import hypothesis
import pytest
from jaxtyping import install_import_hook

import tests.checking  # noqa: F401  (the import hook looks it up by name)

# A shell starts background jobs with SIGINT ignored, and they and their children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
  signal.signal(signal.SIGINT, signal.default_int_handler)

# A CPU that looks like two devices, so that what is sharded is really spread.
# Most of the time of a test is compiling, and what it compiles runs once: little optimisation.
_FLAGS = {
  "--xla_force_host_platform_device_count": "2",
  "--xla_backend_optimization_level": "0",
  "--xla_llvm_disable_expensive_passes": "true",
}
_GIVEN = os.environ.get("XLA_FLAGS", "").split()
_NAMED = {flag.split("=")[0] for flag in _GIVEN}
_ADDED = [f"{name}={value}" for name, value in _FLAGS.items() if name not in _NAMED]
os.environ["XLA_FLAGS"] = " ".join(_GIVEN + _ADDED)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["MPLBACKEND"] = "Agg"

# Programs that tests start import the same jaxskills as the tests.
_ROOT = str(Path(__file__).resolve().parents[1])
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))

# Compiled programs of tests must not be kept among those of real runs.
_CACHE = tempfile.mkdtemp(prefix="jaxskills-tests-")
os.environ["XDG_CACHE_HOME"] = _CACHE

# Every annotated shape in jaxskills is checked at every call.
install_import_hook("jaxskills", "tests.checking.checked")

# The first call compiles, so time says nothing about an example.
hypothesis.settings.register_profile("jaxskills", deadline=None)
hypothesis.settings.load_profile("jaxskills")


def pytest_unconfigure() -> None:
  """Removes the cache folder of this session."""
  shutil.rmtree(_CACHE, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def two_devices() -> None:
  """Fails early where something imported JAX before this file could set the flag."""
  import jax

  if jax.default_backend() == "cpu":
    assert jax.device_count() == 2
