"""What has no room is told of in `overflow`, by each engine and from both of its functions."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxskills.errors import UserError
from jaxskills.physics import mjx
from jaxskills.physics.capacity import Capacity
from jaxskills.physics.engine import make_engine
from jaxskills.physics.quiet import quiet
from jaxskills.physics.state import Engine, PhysicsState
from tests.physics.conftest import SMALL, warp

WORLDS = 3
NARROW, NARROWER = "60K", "20K"  # memory with which contacts are lost, and none to compute on
ROOM = "1M"


def boxes(memory: str, *, standing: bool = False) -> mujoco.MjModel:
  """Six boxes, each with four contacts with the floor, or in a tower."""
  heights = 0.099 + 0.198 * np.arange(6) * standing
  bodies = "".join(
    f'<body pos="{0 if standing else 0.3 * number} 0 {height}"><freejoint/>'
    '<geom type="box" size=".1 .1 .1"/></body>'
    for number, height in enumerate(heights)
  )
  return mujoco.MjModel.from_xml_string(
    f'<mujoco><size memory="{memory}"/><worldbody><geom type="plane" size="0 0 1"/>{bodies}'
    "</worldbody></mujoco>"
  )


class Driven:
  """An engine for `WORLDS` worlds, each function compiled once."""

  def __init__(self, engine: Engine):
    self.model, self._substeps = engine.model, engine.substeps
    self._start = jax.jit(jax.vmap(lambda qpos, qvel: engine.start(qpos, qvel, {})))
    self._step = jax.jit(jax.vmap(lambda state, controls: engine.step(state, controls, {})))

  def start(self, qpos: np.ndarray | None = None) -> PhysicsState:
    """All worlds in the model's own pose, or in poses `[worlds, nq]`."""
    given = np.tile(self.model.qpos0, (WORLDS, 1)) if qpos is None else qpos
    return self._start(jnp.asarray(given, jnp.float32), jnp.zeros((WORLDS, self.model.nv)))

  def step(self, state: PhysicsState) -> PhysicsState:
    """One control step without controls."""
    return self._step(state, jnp.zeros((WORLDS, self._substeps, self.model.nu)))


def test_native_says_where_contacts_are_lost():
  engine = Driven(make_engine("native", boxes(NARROW), 4))
  state = engine.start()
  np.testing.assert_array_equal(state.overflow, 1)
  np.testing.assert_array_equal(engine.step(state).overflow, 1)
  enough = Driven(make_engine("native", boxes(ROOM), 4))
  state = enough.start()
  assert not state.overflow.any() and not enough.step(state).overflow.any()


def test_a_native_world_without_contacts_goes_on_to_the_end_of_the_control_step():
  engine = Driven(make_engine("native", boxes(NARROW), 4))
  after = engine.step(engine.start())
  data = mujoco.MjData(engine.model)
  with quiet():
    for _ in range(4):
      mujoco.mj_step(engine.model, data)
  np.testing.assert_allclose(after.time, 4 * engine.model.opt.timestep, rtol=1e-5)
  np.testing.assert_allclose(after.qpos, np.tile(data.qpos, (WORLDS, 1)), atol=1e-6)


def test_a_native_world_without_memory_is_not_finite_and_alone():
  engine = Driven(make_engine("native", boxes(NARROWER, standing=True), 2))
  apart = np.tile(engine.model.qpos0, (WORLDS, 1))
  apart[1, 2::7] += 1.0 + np.arange(6)  # nothing touches here
  state = engine.start(apart)
  after = engine.step(state._replace(qpos=jnp.asarray(apart, jnp.float32)))
  for found in (state, after):
    np.testing.assert_array_equal(found.overflow, [1, 0, 1])
    np.testing.assert_array_equal(np.isfinite(found.qpos).all(axis=1), [False, True, False])
  enough = Driven(make_engine("native", boxes(ROOM, standing=True), 2))
  np.testing.assert_array_equal(after.qpos[1], enough.step(enough.start(apart)).qpos[1])
  assert after.time[1] == pytest.approx(2 * engine.model.opt.timestep)
  again = engine.step(engine.start(np.tile(apart[1], (WORLDS, 1))))
  assert np.isfinite(again.qpos).all() and not again.overflow.any()  # nothing lingers


@pytest.mark.parametrize("room", [Capacity(1, 64), Capacity(64, 2)], ids=["contacts", "rows"])
@pytest.mark.parametrize("name", [warp])
def test_warp_says_where_contacts_or_rows_are_lost(
  name: str, room: Capacity, monkeypatch: pytest.MonkeyPatch
):
  monkeypatch.setattr(mjx, "capacity_of", lambda model: room)
  model = mujoco.MjModel.from_xml_string(
    '<mujoco><worldbody><geom type="plane" size="0 0 1"/><body pos="0 0 .099"><freejoint/>'
    '<geom type="box" size=".1 .1 .1"/></body></worldbody></mujoco>'
  )
  engine = Driven(make_engine(name, model, 1, worlds=WORLDS))
  state = engine.start()
  assert np.all(state.overflow != 0)
  assert np.all(engine.step(state).overflow != 0)
  free = engine.start(np.tile(model.qpos0 + [0, 0, 1, 0, 0, 0, 0], (WORLDS, 1)))
  assert not free.overflow.any() and not engine.step(free).overflow.any()


@pytest.mark.parametrize("cap", ["max_contact_points", "max_geom_pairs"])
def test_mjx_refuses_a_model_by_which_it_would_drop_contacts(cap: str):
  custom = f'<custom><numeric name="{cap}" data="1"/></custom>'
  model = mujoco.MjModel.from_xml_string(SMALL.replace("<worldbody>", f"{custom}<worldbody>"))
  with pytest.raises(UserError, match=f"drop contacts unseen: .* '{cap}'; remove it") as caught:
    make_engine("mjx", model, 1)
  assert "\n" not in str(caught.value)
  assert make_engine("native", model, 1).name == "native"
