"""A program that calls physics from jitted code 10,000 times, for `test_soak.py`.

Argument: the number of threads that MuJoCo, JAX and this program may use. Products between the
steps keep JAX's own threads busy, and with two threads two programs run side by side, each on a
device of its own.
"""

import os
import sys
import threading

THREADS, CHUNKS = int(sys.argv[1]), 10_000
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={THREADS}"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import mujoco  # noqa: E402

from jaxskills.physics.engine import make_engine  # noqa: E402
from tests.physics.conftest import SMALL  # noqa: E402

WORLDS = 16


def main() -> None:
  """Runs all chunks, shared between the threads of this program."""
  engine = make_engine("native", mujoco.MjModel.from_xml_string(SMALL), 1, threads=THREADS)

  @jax.jit
  def chunk(state, weights):
    def step(state, _):
      weighed = weights @ weights  # long enough to be shared between JAX's threads
      controls = jnp.full((WORLDS, 1, 1), 0.5) + 0.0 * weighed[0, 0]
      return jax.vmap(lambda s, c: engine.step(s, c, {}))(state, controls), None

    return jax.lax.scan(step, state, length=2)[0]

  def work(device, chunks):
    qpos = jnp.tile(jnp.asarray(engine.model.qpos0, jnp.float32), (WORLDS, 1))
    with jax.default_device(device):
      weights = jax.random.normal(jax.random.key(0), (96, 96)) / 96
      state = jax.vmap(lambda q: engine.start(q, jnp.zeros(engine.model.nv), {}))(qpos)
      for _ in range(chunks):
        state = chunk(state, weights)
      print(device, float(state.time[0]), bool(jnp.isfinite(state.qpos).all()), flush=True)

  workers = [
    threading.Thread(target=work, args=(device, CHUNKS // THREADS)) for device in jax.devices()
  ]
  for worker in workers:
    worker.start()
  for worker in workers:
    worker.join()


main()
