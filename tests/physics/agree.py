"""Moves a robot on every engine and prints how far they part, for `test_agreement.py`.

Arguments: the robot, then engines. A program of its own, because what the tests compile with makes
MJX's robots crawl. The last line is a JSON list of rows, "stronger" being C MuJoCo again with
controls one part in a hundred larger.
"""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np

from jaxskills.assets.h1 import H1, h1_model
from jaxskills.assets.panda import PANDA
from jaxskills.envs.h1 import make as h1_make
from jaxskills.envs.panda import make as panda_make
from jaxskills.physics import agreement
from jaxskills.physics.engine import make_engine
from jaxskills.physics.randomization import draw
from jaxskills.physics.state import PhysicsState

WORLDS = 8


def h1():
  """The H1 on its feet, its legs a little off, every world another robot."""
  model = h1_model(looks=False)
  randomize = h1_make.make_randomizer(h1_make.VARIATION)
  base = np.array([0.0, 0.0, H1.base_height + 0.01, 1.0, 0.0, 0.0, 0.0])
  return model, H1, base, np.zeros(0), randomize


def panda():
  """The Panda in its ready pose beside a cube that falls onto the table, every world another."""
  model = panda_make.cube_model("position", 0.005)
  randomize = panda_make.make_randomizer(panda_make.VARIATION, panda_make.CUBE_VARIATION)
  cube = np.array([0.5, 0.0, 0.03, 1.0, 0.0, 0.0, 0.0])
  return model, PANDA, np.zeros(0), np.concatenate([np.full(2, 0.04), cube]), randomize


ROBOTS = {"h1": h1, "panda": panda}


def main(robot: str, engines: list[str]) -> None:
  """A hundred physics steps on each engine, from joints a little off the default pose."""
  model, record, base, rest, randomize = ROBOTS[robot]()
  parameters = draw(randomize, jax.random.key(0), model, jnp.arange(WORLDS))
  generator = np.random.default_rng(0)
  joints = len(record.joints)
  qpos = np.tile(np.concatenate([base, record.default_pose, rest]), (WORLDS, 1))
  qpos[:, len(base) : len(base) + joints] += generator.uniform(-0.05, 0.05, (WORLDS, joints))
  targets = np.zeros((25, WORLDS, model.nu))
  targets[..., :joints] = record.default_pose
  controls = np.repeat(targets + 0.05 * generator.normal(size=targets.shape), 4, axis=0)
  qvel = jnp.zeros((WORLDS, model.nv))

  def moved(name: str, controls: np.ndarray) -> PhysicsState:
    engine = make_engine(name, model, 1, worlds=WORLDS)
    start = jnp.asarray(qpos, jnp.float32)
    wanted = jnp.asarray(controls, jnp.float32)
    return agreement.trajectories(engine, start, qvel, wanted, parameters)

  reference = moved("native", controls)
  others = {name: moved(name, controls) for name in engines}
  others["stronger"] = moved("native", 1.01 * controls)
  rows = agreement.compare(reference, others)
  spread = float(np.ptp(np.asarray(reference.qpos[-1]), axis=0).max())
  print(json.dumps({"rows": rows, "spread": spread}))


if __name__ == "__main__":
  main(sys.argv[1], sys.argv[2:])
