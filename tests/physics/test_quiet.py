"""MuJoCo's handler of warnings is one for the whole process, whoever is quiet in which thread."""

import threading

import mujoco
import numpy as np
import pytest

from jaxskills.physics.native import make_native
from jaxskills.physics.quiet import quiet
from tests.physics.test_overflow import NARROW, boxes


@pytest.fixture
def heard():
  """Warnings that reach the handler that was there before."""
  messages: list[str] = []
  before = mujoco.get_mju_user_warning()
  mujoco.set_mju_user_warning(messages.append)
  yield messages
  mujoco.set_mju_user_warning(before)


def warn() -> None:
  """Makes MuJoCo warn."""
  model = boxes(NARROW)
  mujoco.mj_forward(model, mujoco.MjData(model))


def test_warnings_are_heard_again_after_an_error(heard: list[str]):
  with pytest.raises(KeyError), quiet():
    warn()
    raise KeyError
  assert not heard
  warn()
  assert len(heard) == 1


def test_it_is_quiet_until_the_last_thread_has_left(heard: list[str]):
  """The first comes and goes before the second has left."""
  entered, left = threading.Event(), threading.Event()

  def first() -> None:
    with quiet():
      entered.wait(10)
    left.set()

  thread = threading.Thread(target=first)
  thread.start()
  with quiet():
    entered.set()
    assert left.wait(10)
    warn()
  thread.join()
  assert not heard
  warn()
  assert len(heard) == 1


def test_two_engines_in_two_threads_are_quiet_and_leave_no_trace(heard: list[str]):
  """Both lose contacts in every step, so that each would print while the other comes or goes."""
  import jax
  import jax.numpy as jnp

  model, overflows = boxes(NARROW), []

  def work() -> None:
    engine = make_native(model, 1, threads=1)
    step = jax.jit(lambda state: engine.step(state, jnp.zeros((1, 0)), {}))
    state = engine.start(jnp.asarray(model.qpos0, jnp.float32), jnp.zeros(model.nv), {})
    for _ in range(200):
      overflows.append(int(step(state).overflow))

  threads = [threading.Thread(target=work) for _ in range(2)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  np.testing.assert_array_equal(overflows, np.ones(400))
  assert not heard
  warn()
  assert len(heard) == 1
