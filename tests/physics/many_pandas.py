"""Steps so many Pandas on MJX that their factorisations are spread over the processor's threads."""

import jax
import jax.numpy as jnp

from jaxskills.envs.panda.make import make_panda_reach

WORLDS, STEPS = 4096, 6


def main() -> None:
  """Prints the number of worlds that are finite at the end."""
  engine = make_panda_reach("mjx", worlds=WORLDS, variation=None).engine
  model, options = engine.model, engine.compiler_options
  qpos = jnp.tile(jnp.asarray(model.qpos0, jnp.float32), (WORLDS, 1))
  qvel = 0.1 * jax.random.normal(jax.random.key(0), (WORLDS, model.nv))
  controls = jnp.zeros((WORLDS, engine.substeps, model.nu))
  start = jax.jit(jax.vmap(lambda *at: engine.start(*at, {})), compiler_options=options)
  step = jax.jit(jax.vmap(lambda *now: engine.step(*now, {})), compiler_options=options)
  state = start(qpos, qvel)
  for _ in range(STEPS):
    state = jax.block_until_ready(step(state, controls))
  print(int(jnp.isfinite(state.qpos).all(axis=1).sum()))


if __name__ == "__main__":
  main()
