"""What the tests of the robots' benchmark share."""

import jax
import pytest

from jaxskills.benchmarks.robot_worlds import begin
from tests.benchmarks import tiny_robot
from tests.benchmarks.tiny_robot import STEPS, WORLDS


@pytest.fixture(scope="session")
def target():
  return tiny_robot.make_target()


@pytest.fixture(scope="session")
def start(target):
  """Long enough for every ball to fall and begin anew."""
  return begin(target, WORLDS, warmup=10, steps=STEPS)


@pytest.fixture(autouse=True)
def cache_setting():
  """A benchmark turns the compilation cache off."""
  before = jax.config.jax_compilation_cache_dir
  yield
  jax.config.update("jax_compilation_cache_dir", before)
