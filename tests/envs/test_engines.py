"""The same worlds on another physics engine: same starts, same actions, next to the same life."""

import importlib.util
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.envs.h1.conditions import Disturbances
from jaxskills.envs.h1.make import make_h1_velocity
from jaxskills.envs.panda.make import make_panda_reach
from jaxskills.envs.wrappers.auto_reset import AutoReset
from jaxskills.envs.wrappers.episode import EpisodeLimit

WORLDS, STEPS = 4, 4
KEYS = jax.random.split(jax.random.key(0), WORLDS)
# What conftest.py saves in compiling, MJX would lose a hundredfold in running.
OPTIMISED = {"xla_backend_optimization_level": 2, "xla_llvm_disable_expensive_passes": False}
OTHERS = [
  "mjx",
  pytest.param(
    "warp",
    marks=pytest.mark.skipif(
      importlib.util.find_spec("warp") is None, reason="needs the extra warp"
    ),
  ),
]


def h1(engine):
  """A H1 that differs from world to world, sees noise, is late, and is pushed in every step."""
  return make_h1_velocity(engine, worlds=WORLDS, disturbances=Disturbances(push_seconds=0.02))


def panda(engine):
  """A Panda that differs from world to world."""
  return make_panda_reach(engine, worlds=WORLDS)


def live(env):
  """Four steps of every world, which begin anew after two; and the seconds of the fastest."""
  batch = AutoReset(EpisodeLimit(env, 2), WORLDS)
  shape = (STEPS, WORLDS, env.action_size)
  actions = jax.random.uniform(jax.random.key(1), shape, minval=-1.0)

  def step(states, action):
    states = batch.step(states, action)
    return states, states

  def run(keys):
    return jax.lax.scan(step, batch.reset(keys), actions)[1]

  run = jax.jit(run, compiler_options=OPTIMISED | (env.engine.compiler_options or {}))
  times = []
  for _ in range(3):
    began = time.perf_counter()
    states = jax.block_until_ready(run(KEYS))
    times.append(time.perf_counter() - began)
  return states, min(times)


@pytest.fixture(scope="module", params=[h1, panda])
def world(request):
  """What makes a robot's world, and its life on C MuJoCo."""
  return request.param, live(request.param("native"))[0]


@pytest.mark.parametrize("engine", OTHERS)
def test_one_word_changes_the_engine_and_not_the_life(world, engine):
  make, expected = world
  env = make(engine)
  found, seconds = live(env)
  assert env.backend == engine
  if engine == "mjx":
    assert seconds < 0.5  # a hundredth; 1.5 where XLA fuses the links of the Panda
  physics, theirs = expected.data.physics, found.data.physics
  np.testing.assert_allclose(theirs.qpos, physics.qpos, atol=2e-4)
  np.testing.assert_allclose(theirs.qvel, physics.qvel, atol=2e-2)
  for name, seen in expected.obs.items():
    np.testing.assert_allclose(found.obs[name], seen, atol=2e-2, err_msg=name)
  np.testing.assert_allclose(found.reward, expected.reward, atol=1e-3)
  np.testing.assert_array_equal(found.done, expected.done)
  np.testing.assert_array_equal(found.info["steps"], expected.info["steps"])
  assert not np.any(found.metrics["overflow"])
  moved = jnp.abs(physics.qvel[1] - physics.qvel[0]).max(axis=1)
  assert (moved > 0.02).all()
