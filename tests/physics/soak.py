"""A program that calls physics from jitted code again and again, for `test_soak.py`.

Arguments: the number of threads that MuJoCo, JAX and this program may use, and the number of chunks
between them. A product of matrices that goes from step to step keeps JAX's own threads busy; with
two threads two programs run side by side, each with an engine and on a device of its own.
"""

import os
import sys
import threading

THREADS, CHUNKS = int(sys.argv[1]), int(sys.argv[2])
if hasattr(os, "sched_setaffinity"):  # macOS has none
  os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={THREADS}"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import mujoco  # noqa: E402

from jaxskills.physics.engine import make_engine  # noqa: E402
from tests.physics.conftest import SMALL  # noqa: E402

WORLDS, WIDTH = 16, 200  # JAX shares a product among its threads from a width of 192 on


def work(device, chunks: int) -> None:
  """Runs so many chunks of two control steps, and says how long the worlds have lived."""
  engine = make_engine("native", mujoco.MjModel.from_xml_string(SMALL), 1, threads=THREADS)

  @jax.jit
  def chunk(state, weights, product):
    def step(carry, _):
      state, product = carry
      product = weights @ product  # in the carry, or the compiler would do it once for all steps
      product /= jnp.linalg.norm(product)
      controls = jnp.full((WORLDS, 1, 1), 0.5) + 1e-3 * product[0, 0]
      return (jax.vmap(lambda s, c: engine.step(s, c, {}))(state, controls), product), None

    return jax.lax.scan(step, (state, product), length=2)[0]

  qpos = jnp.tile(jnp.asarray(engine.model.qpos0, jnp.float32), (WORLDS, 1))
  with jax.default_device(device):
    weights = product = jax.random.normal(jax.random.key(0), (WIDTH, WIDTH))
    state = jax.vmap(lambda q: engine.start(q, jnp.zeros(engine.model.nv), {}))(qpos)
    for _ in range(chunks):
      state, product = chunk(state, weights, product)
    is_finite = jnp.isfinite(state.qpos).all() & jnp.isfinite(product).all()
    print(f"{device} {float(state.time[0])} {bool(is_finite)}\n", end="", flush=True)


def main() -> None:
  """Shares the chunks between the threads of this program."""
  workers = [
    threading.Thread(target=work, args=(device, CHUNKS // THREADS)) for device in jax.devices()
  ]
  for worker in workers:
    worker.start()
  for worker in workers:
    worker.join()


if __name__ == "__main__":
  main()
