"""What every engine owes: plain MuJoCo's motion, clean resets, worlds that differ, batches."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxskills.errors import UserError
from jaxskills.physics.engine import make_engine
from jaxskills.physics.sensors import Sensors
from jaxskills.physics.state import Engine, PhysicsState
from jaxskills.training import sharding
from tests.physics.conftest import ENGINES, SMALL, warp

WORLDS = 4
START = np.array([0.0, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0, 0.2], np.float32)


class Driven(NamedTuple):
  """An engine with its functions compiled once for `WORLDS` worlds."""

  engine: Engine
  start: Callable[..., PhysicsState]
  step: Callable[..., PhysicsState]

  @property
  def model(self) -> mujoco.MjModel:
    """What is simulated."""
    return self.engine.model


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, small: mujoco.MjModel) -> Driven:
  """Each engine for the small model, two physics steps a control step."""
  made = make_engine(request.param, small, 2, worlds=WORLDS)
  return Driven(made, jax.jit(jax.vmap(made.start)), jax.jit(jax.vmap(made.step)))


def nominal(model: mujoco.MjModel) -> dict[str, jax.Array]:
  """The model's own masses and gains for every world."""
  fields = ("body_mass", "actuator_gainprm")
  values = {name: jnp.asarray(getattr(model, name), jnp.float32) for name in fields}
  return {name: jnp.tile(value, (WORLDS, *(1,) * value.ndim)) for name, value in values.items()}


def begin(engine: Driven, parameters: dict | None = None) -> PhysicsState:
  """Worlds that start the same but for the arm's angle."""
  qpos = jnp.tile(START, (WORLDS, 1)).at[:, 7].add(0.1 * jnp.arange(WORLDS))
  qvel = jnp.zeros((WORLDS, engine.model.nv))
  return engine.start(qpos, qvel, parameters or nominal(engine.model))


def run(
  engine: Driven, state: PhysicsState, steps: int, parameters: dict | None = None
) -> PhysicsState:
  """States after each control step `[steps, worlds, ...]`, with the servo at .5 rad."""
  controls = jnp.full((WORLDS, engine.engine.substeps, 1), 0.5)
  states = []
  for _ in range(steps):
    state = engine.step(state, controls, parameters or nominal(engine.model))
    states.append(state)
  return jax.tree.map(lambda *leaves: np.stack(leaves), *states)


def plain(model: mujoco.MjModel, angle: float, physics_steps: int) -> mujoco.MjData:
  """The same world in C MuJoCo alone."""
  data = mujoco.MjData(model)
  data.qpos[:] = START
  data.qpos[7] += angle
  data.ctrl[:] = 0.5
  for _ in range(physics_steps):
    mujoco.mj_step(model, data)
  return data


def test_motion_is_that_of_mujoco(engine: Driven):
  states = run(engine, begin(engine), 40)  # the ball has hit the floor by then
  for world in range(WORLDS):
    expected = plain(engine.model, 0.1 * world, 80)
    np.testing.assert_allclose(states.qpos[-1, world], expected.qpos, atol=2e-4)
    np.testing.assert_allclose(states.qvel[-1, world], expected.qvel, atol=2e-3)
    assert states.time[-1, world] == pytest.approx(0.4, rel=1e-5)
  assert states.qpos[-1, 0, 2] < 0.12  # it really did


def test_sensors_are_of_the_state_before_the_last_physics_step(engine: Driven):
  state = begin(engine)
  angle = Sensors(engine.model)
  np.testing.assert_allclose(angle(state.sensordata, "angle")[:, 0], state.qpos[:, 7], atol=1e-6)
  after = jax.tree.map(lambda leaf: leaf[-1], run(engine, state, 3))
  before = plain(engine.model, 0.0, 5)
  np.testing.assert_allclose(
    angle(jnp.asarray(after.sensordata), "angle")[0], before.qpos[7], atol=1e-5
  )
  np.testing.assert_allclose(
    angle(jnp.asarray(after.sensordata), "place")[0], before.qpos[:3], atol=1e-5
  )


def test_controls_change_within_a_control_step(engine: Driven):
  state = begin(engine)
  changing = jnp.tile(jnp.array([[0.0], [1.0]]), (WORLDS, 1, 1))
  after = engine.step(state, changing, nominal(engine.model))
  data = plain(engine.model, 0.0, 0)
  for control in (0.0, 1.0):
    data.ctrl[:] = control
    mujoco.mj_step(engine.model, data)
  np.testing.assert_allclose(after.qvel[0], data.qvel, atol=1e-4)


def test_a_world_that_begins_anew_moves_as_one_that_never_did_anything_else(engine: Driven):
  first = begin(engine)
  later = jax.tree.map(lambda leaf: leaf[-1], run(engine, first, 40))
  restarted = jnp.arange(WORLDS) % 2 == 0
  mixed = jax.tree.map(
    lambda new, old: jnp.where(restarted.reshape(-1, *(1,) * (old.ndim - 1)), new, old),
    first,
    later,
  )
  again, fresh = run(engine, mixed, 20), run(engine, first, 20)
  went_on = run(engine, later, 20)
  for name in ("qpos", "qvel", "sensordata"):
    of_mixed = getattr(again, name)
    np.testing.assert_allclose(of_mixed[:, ::2], getattr(fresh, name)[:, ::2], atol=1e-5)
    np.testing.assert_allclose(of_mixed[:, 1::2], getattr(went_on, name)[:, 1::2], atol=1e-5)


def test_every_world_has_its_own_model(engine: Driven):
  own = nominal(engine.model)
  parameters = {
    "body_mass": own["body_mass"].at[2, 2].set(2.0),
    "actuator_gainprm": own["actuator_gainprm"].at[1, 0, 0].set(5.0),
  }
  states = run(engine, begin(engine, parameters), 10, parameters)
  alike = run(engine, begin(engine), 10)
  for world, is_changed in enumerate((False, True, True, False)):
    same = np.allclose(states.qpos[-1, world], alike.qpos[-1, world], atol=1e-5)
    assert same != is_changed
  model = mujoco.MjModel.from_xml_string(SMALL)
  model.actuator_gainprm[0, 0] = 5.0
  np.testing.assert_allclose(states.qpos[-1, 1], plain(model, 0.1, 20).qpos, atol=1e-4)


def test_parameters_can_change_from_step_to_step(engine: Driven):
  """What a world was given before must not linger in an engine's scratch space."""
  light = nominal(engine.model)
  heavy = {**light, "body_mass": light["body_mass"].at[:, 2].mul(4.0)}
  state = begin(engine)
  first, other, again = (run(engine, state, 5, given) for given in (light, heavy, light))
  np.testing.assert_array_equal(first.qpos, again.qpos)
  assert not np.allclose(first.qpos, other.qpos, atol=1e-5)


def test_one_world_and_two_batch_axes_work_too(engine: Driven):
  state = begin(engine)
  expected = run(engine, state, 1)
  controls = jnp.full((engine.engine.substeps, 1), 0.5)

  def step(state: PhysicsState) -> PhysicsState:
    return engine.engine.step(state, controls, {})

  one = jax.jit(step)(jax.tree.map(lambda leaf: leaf[1], state))
  grid = jax.tree.map(lambda leaf: leaf.reshape(2, 2, *leaf.shape[1:]), state)
  square = jax.jit(jax.vmap(jax.vmap(step)))(grid)
  for state in (one, jax.tree.map(lambda leaf: leaf[0, 1], square)):
    np.testing.assert_allclose(state.qpos, expected.qpos[0, 1], atol=1e-6)
    np.testing.assert_allclose(state.sensordata, expected.sensordata[0, 1], atol=1e-4)


def test_the_same_bits_every_time(engine: Driven):
  first, second = (run(engine, begin(engine), 20) for _ in range(2))
  np.testing.assert_array_equal(first.qpos, second.qpos)
  np.testing.assert_array_equal(first.sensordata, second.sensordata)


@pytest.mark.parametrize("engine", ["native", warp], indirect=True)  # MJX is but XLA's
def test_one_device_equals_two(engine: Driven):
  whole = begin(engine)
  place = sharding.shard_worlds(sharding.make_mesh(), whole)
  split = jax.device_put(whole, place)
  assert len(split.qpos.addressable_shards) == 2
  alone, shared = run(engine, whole, 20), run(engine, split, 20)
  np.testing.assert_array_equal(shared.qpos, alone.qpos)


@pytest.mark.parametrize("engine", [warp], indirect=True)
def test_warp_steps_on_each_device_its_own_worlds(engine: Driven):
  whole, mesh = begin(engine), sharding.make_mesh()
  split = jax.device_put(whole, sharding.shard_worlds(mesh, whole))
  controls, parameters = jnp.full((WORLDS, 2, 1), 0.5), nominal(engine.model)
  with jax.set_mesh(mesh):
    step = jax.jit(jax.vmap(engine.engine.step)).lower(split, controls, parameters).compile()
  text = step.as_text()
  assert "all-gather" not in text and "f32[2,8]" in text and "f32[4,8]" not in text
  shared, alone = step(split, controls, parameters), engine.step(whole, controls, parameters)
  assert len(shared.qpos.sharding.device_set) == 2
  assert not shared.qpos.sharding.is_fully_replicated
  np.testing.assert_array_equal(shared.qpos, alone.qpos)


def test_a_world_that_blows_up_is_not_finite_and_alone(engine: Driven):
  state = begin(engine)
  state = state._replace(qvel=state.qvel.at[1, 0].set(jnp.inf))
  after = jax.tree.map(lambda leaf: leaf[-1], run(engine, state, 3))
  fine = jax.tree.map(lambda leaf: leaf[-1], run(engine, begin(engine), 3))
  assert not np.all(np.isfinite(after.qpos[1])) or not np.all(np.isfinite(after.qvel[1]))
  np.testing.assert_allclose(
    after.qpos[np.array([0, 2, 3])], fine.qpos[np.array([0, 2, 3])], atol=1e-6
  )


def test_nothing_is_lost_here(engine: Driven):
  assert not run(engine, begin(engine), 40).overflow.any()


def test_an_unknown_engine_is_refused_with_the_nearest(small: mujoco.MjModel):
  with pytest.raises(UserError, match="engine 'MJX'; did you mean mjx.; there are .* and auto"):
    make_engine("MJX", small, 2)
  with pytest.raises(UserError, match="unknown engine 'natve'.*native"):
    make_engine("natve", small, 1)


def test_an_engine_that_is_not_installed_names_its_extra(
  small: mujoco.MjModel, monkeypatch: pytest.MonkeyPatch
):
  monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
  with pytest.raises(UserError, match=r"warp is not installed.*jaxskills\[warp\]"):
    make_engine("warp", small, 1)


def test_substeps_must_be_positive(small: mujoco.MjModel):
  with pytest.raises(ValueError, match="positive"):
    make_engine("native", small, 0)
