"""A robot of two bodies whose environment compiles in a moment, as an experiment has one."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mujoco
from jaxtyping import Array
from ml_collections import ConfigDict

from jaxskills.benchmarks.robot_worlds import Target
from jaxskills.envs import base
from jaxskills.experiments import on_policy
from jaxskills.physics.engine import make_engine
from jaxskills.physics.state import PhysicsState
from tests.physics.conftest import SMALL

SUBSTEPS = 2
WORLDS, STEPS = 4, 12  # of the tests' tape


class TinyData(NamedTuple):
  """One world."""

  physics: PhysicsState
  parameters: Mapping[str, Array]


class TinyRobot(base.Env):
  """A ball that falls beside an arm with one motor; done once the ball is on the floor.

  `overflow_at` is the height of the ball under which it claims that a contact was dropped.
  """

  overflow_at = -1.0

  def __init__(self, engine: str, worlds: int):
    model = mujoco.MjModel.from_xml_string(SMALL)
    self.engine = make_engine(engine, model, SUBSTEPS, worlds=worlds)
    self._masses = jnp.asarray(model.body_mass, jnp.float32)

  def reset(self, key: Any) -> base.State:
    height_key, mass_key = jax.random.split(base.typed_key(key))
    height = jax.random.uniform(height_key, minval=0.12, maxval=0.3)
    parameters = {"body_mass": self._masses * jax.random.uniform(mass_key, minval=0.5, maxval=2.0)}
    qpos = jnp.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.2]).at[2].set(height)
    physics = self.engine.start(qpos, jnp.zeros(self.engine.model.nv), parameters)
    data, zero = TinyData(physics, parameters), jnp.zeros(())
    return base.State(data, self.observe(data), zero, zero, {"overflow": zero})

  def advance(self, state: base.State, action: Array) -> base.State:
    controls = jnp.broadcast_to(action, (SUBSTEPS, 1))
    physics = self.engine.step(state.data.physics, controls, state.data.parameters)
    height = physics.qpos[2]
    overflow = (height < self.overflow_at).astype(jnp.float32)
    return state.replace(
      data=state.data._replace(physics=physics),
      reward=height,
      done=(height < 0.102).astype(jnp.float32),
      metrics={"overflow": overflow},
    )

  def observe(self, data: TinyData) -> dict[str, Array]:
    state = jnp.concatenate([data.physics.qpos, data.physics.qvel])
    return {"state": state, "privileged": data.parameters["body_mass"]}

  @property
  def action_size(self) -> int:
    return 1

  @property
  def step_seconds(self) -> float:
    return self.engine.step_seconds


def make_env(config: ConfigDict, worlds: int, *, engine: str = "native") -> TinyRobot:
  """As the experiments' own."""
  del config
  return TinyRobot(engine, worlds)


def make_target() -> Target:
  """The robot with a small learner."""
  config = ConfigDict(on_policy.groups())
  config.rl.update(worlds=4, unroll=4, reset_pool=8, reset_refresh=2, episode_steps=1000)
  config.ppo.update(hidden=(8,), epochs=1, minibatches=2)
  return Target("tiny/robot:quick", config, make_env)
