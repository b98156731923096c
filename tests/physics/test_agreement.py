"""The three engines move the real robots alike; see `agreement.TOLERANCES`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.assets.h1 import H1, h1_model
from jaxskills.assets.panda import PANDA, panda_model
from jaxskills.assets.robot import Robot
from jaxskills.envs.h1.make import Variation, make_randomizer
from jaxskills.physics import agreement
from jaxskills.physics.engine import make_engine
from jaxskills.physics.randomization import draw
from jaxskills.physics.state import PhysicsState
from tests.physics.conftest import ENGINES

WORLDS = 8


def h1():
  """The H1 on its feet, its legs a little off, every world another robot."""
  model = h1_model(looks=False)
  parameters = draw(make_randomizer(Variation()), jax.random.key(0), model, jnp.arange(WORLDS))
  return model, H1, np.array([0.0, 0.0, H1.base_height + 0.01, 1.0, 0.0, 0.0, 0.0]), parameters


def panda():
  """The Panda in its ready pose, as it is."""
  return panda_model(), PANDA, np.zeros(0), {}


ROBOTS = {"h1": h1, "panda": panda}


@pytest.fixture(scope="module", params=ROBOTS)
def robot(request: pytest.FixtureRequest):
  """Model, where worlds start, what is asked of their motors, their parameters."""
  model, record, base, parameters = ROBOTS[request.param]()
  generator = np.random.default_rng(0)
  pose = _pose(model.nq - len(base), record)
  qpos = np.tile(np.concatenate([base, pose]), (WORLDS, 1))
  qpos[:, len(base) :][:, : len(record.joints)] += generator.uniform(
    -0.05, 0.05, (WORLDS, len(record.joints))
  )
  targets = np.zeros((25, WORLDS, model.nu))
  targets[..., : len(record.joints)] = record.default_pose
  targets += 0.05 * generator.normal(size=targets.shape)
  controls = np.repeat(targets, 4, axis=0)
  as_float = [jnp.asarray(value, jnp.float32) for value in (qpos, controls)]
  return model, *as_float, parameters


def _pose(size: int, record: Robot) -> np.ndarray:
  """The default pose, and zeros for joints that the record does not have (fingers)."""
  return np.pad(np.asarray(record.default_pose), (0, size - len(record.default_pose)))


@pytest.fixture(scope="module")
def reference(robot) -> PhysicsState:
  """What C MuJoCo says."""
  return moved("native", robot)


def moved(name: str, robot) -> PhysicsState:
  """A hundred physics steps."""
  model, qpos, controls, parameters = robot
  engine = make_engine(name, model, 1, worlds=WORLDS)
  qvel = jnp.zeros((WORLDS, model.nv))
  return agreement.trajectories(engine, qpos, qvel, controls, parameters)


@pytest.mark.parametrize("name", ENGINES[1:])
def test_engines_agree_within_the_stated_tolerances(name: str, robot, reference: PhysicsState):
  rows = agreement.compare(reference, {name: moved(name, robot)})
  assert [row.steps for row in rows] == [1, 10, 100]
  assert all(row.within for row in rows), rows
  spread = np.ptp(np.asarray(reference.qpos[-1]), axis=0).max()
  assert spread > 0.01  # worlds really did different things


def test_a_difference_is_seen(robot, reference: PhysicsState):
  """A controller that is one part in a hundred stronger is outside of the tolerances."""
  model, qpos, controls, parameters = robot
  stronger = (model, qpos, 1.01 * controls, parameters)
  rows = agreement.compare(reference, {"stronger": moved("native", stronger)})
  assert not rows[-1].within


def test_an_overflow_is_never_within():
  row = agreement.Row("warp", 1, 0.0, 0.0, 0.0, 0.0, 0)
  assert row.within
  assert not row._replace(overflow=1).within
