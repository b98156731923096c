"""The same task on another physics engine: same starts, same actions, next to the same life."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.envs.panda.make import make_panda_reach

WORLDS, STEPS = 2, 3
KEYS = jax.random.split(jax.random.key(0), WORLDS)
# What conftest.py saves in compiling, MJX would lose a hundredfold in running.
OPTIMISED = {"xla_backend_optimization_level": 2, "xla_llvm_disable_expensive_passes": False}


@pytest.mark.slow  # MJX takes 16 s of a core to compile; test_agreement.py has the engine alone
def test_mjx_lives_the_life_of_c_mujoco():
  actions = jax.random.uniform(jax.random.key(1), (STEPS, WORLDS, 7), minval=-1.0)

  def live(engine):
    env = make_panda_reach(engine, worlds=WORLDS, variation=None)

    def step(state, action):
      state = jax.vmap(env.step)(state, action)
      return state, state

    def run(keys):
      return jax.lax.scan(step, jax.vmap(env.reset)(keys), actions)[1]

    return env, jax.jit(run, compiler_options=OPTIMISED)(KEYS)

  (env, ours), (other, theirs) = live("native"), live("mjx")
  assert (env.backend, other.backend) == ("native", "mjx")
  np.testing.assert_allclose(theirs.data.physics.qpos, ours.data.physics.qpos, atol=2e-4)
  np.testing.assert_allclose(theirs.data.physics.qvel, ours.data.physics.qvel, atol=1e-2)
  np.testing.assert_allclose(theirs.obs["state"], ours.obs["state"], atol=1e-2)
  np.testing.assert_allclose(theirs.reward, ours.reward, atol=1e-3)
  assert not np.any(theirs.metrics["overflow"])
  moved = jnp.abs(ours.data.physics.qpos[-1] - ours.data.physics.qpos[0]).max(axis=1)
  assert (moved > 0.02).all()
