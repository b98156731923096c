"""Domain randomisation: exact values, consistent models, and the same world everywhere."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxskills.assets.h1 import h1_model
from jaxskills.physics import randomization as vary
from jaxskills.physics.engine import make_engine
from tests.physics.arm import ARM, KEY, accelerations, many, once


@pytest.fixture(scope="module")
def arm():
  return mujoco.MjModel.from_xml_string(ARM)


def applied(model, parameters):
  """A copy of the model with its constants derived anew by MuJoCo."""
  copy = mujoco.MjModel.from_xml_string(ARM)
  assert copy.nbody == model.nbody
  for name, value in parameters.items():
    getattr(copy, name)[:] = value
  mujoco.mj_setConst(copy, mujoco.MjData(copy))
  return copy


RANDOMIZERS = {
  "mass": (vary.mass, {"body_mass", "body_subtreemass", "body_inertia"}),
  "inertia": (vary.inertia, {"body_inertia"}),
  "joint damping": (vary.joint_damping, {"dof_damping"}),
  "armature": (vary.armature, {"dof_armature"}),
  "friction loss": (vary.friction_loss, {"dof_frictionloss"}),
  "motor strength": (
    vary.motor_strength,
    {"actuator_gainprm", "actuator_biasprm", "actuator_forcerange", "jnt_actfrcrange"},
  ),
}


@pytest.mark.parametrize("name", RANDOMIZERS)
def test_a_range_of_one_point_scales_exactly(arm, name):
  factory, fields = RANDOMIZERS[name]
  drawn = once(factory((1.25, 1.25)), arm)
  assert set(drawn) == fields
  for field, value in drawn.items():
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value, np.float32(1.25) * getattr(arm, field).astype(np.float32))


@pytest.mark.parametrize("name", RANDOMIZERS)
def test_factors_fill_their_range_and_never_leave_it(arm, name):
  factory, fields = RANDOMIZERS[name]
  drawn = many(factory((0.5, 2.0)), arm)
  for field in fields - {"body_subtreemass"}:
    nominal = getattr(arm, field)
    changed = nominal != 0.0
    factors = drawn[field][:, changed] / nominal[changed]
    assert factors.min() >= 0.5 * (1 - 1e-6) and factors.max() <= 2.0 * (1 + 1e-6)
    assert (factors.min(axis=0) < 0.55).all() and (factors.max(axis=0) > 1.95).all()
    np.testing.assert_array_equal(drawn[field][:, ~changed], 0.0)


def test_every_body_has_its_own_mass_and_inertia_follows_it(arm):
  drawn = many(vary.mass((0.8, 1.2)), arm)
  factors = drawn["body_mass"][:, 1:] / arm.body_mass[1:]
  assert (np.abs(np.corrcoef(factors.T) - np.eye(4)) < 0.2).all()
  inertias = drawn["body_inertia"][:, 1:] / arm.body_inertia[1:]
  np.testing.assert_allclose(
    inertias, np.broadcast_to(factors[..., None], inertias.shape), rtol=1e-5
  )
  np.testing.assert_array_equal(drawn["body_mass"][:, 0], 0.0)


def test_only_the_named_bodies_change(arm):
  drawn = once(vary.mass((1.5, 1.5), bodies=["fore", "tail"]), arm)
  np.testing.assert_allclose(drawn["body_mass"], [0, 4, 2, 1.5, 0.75])
  np.testing.assert_allclose(drawn["body_subtreemass"], [8.25, 8.25, 3.5, 1.5, 0.75])


def test_naming_more_bodies_does_not_change_what_the_others_draw(arm):
  alone = once(vary.mass((0.5, 2.0), bodies=["fore"]), arm)
  both = once(vary.mass((0.5, 2.0), bodies=["fore", "upper"]), arm)
  assert alone["body_mass"][3] == both["body_mass"][3]


def test_subtree_masses_are_those_that_mujoco_derives(arm):
  randomizer = vary.combine(vary.mass((0.5, 2.0)), vary.payload((0.5, 3.0), body="upper"))
  for seed in range(5):
    drawn = once(randomizer, arm, jax.random.key(seed))
    expected = applied(arm, drawn).body_subtreemass
    np.testing.assert_allclose(drawn["body_subtreemass"], expected, rtol=1e-6)


def test_a_payload_adds_kilograms_and_nothing_else(arm):
  drawn = once(vary.payload((2.5, 2.5), body="upper"), arm)
  assert set(drawn) == {"body_mass", "body_subtreemass"}
  np.testing.assert_array_equal(drawn["body_mass"], [0, 4, 4.5, 1, 0.5])
  loads = many(vary.payload((-1.0, 3.0), body="upper"), arm)["body_mass"][:, 2] - 2.0
  assert -1.0 <= loads.min() < -0.9 and 2.9 < loads.max() <= 3.0 + 1e-6


def test_a_payload_is_a_point_mass_at_the_centre_of_mass(arm):
  drawn = once(vary.payload((2.5, 2.5), body="upper"), arm)
  welded = ARM.replace(
    '<joint name="hinge"',
    '<body pos=".1 0 .05"><inertial pos="0 0 0" mass="2.5" diaginertia="1e-9 1e-9 1e-9"/></body>'
    '<joint name="hinge"',
  )
  expected = mujoco.MjModel.from_xml_string(welded)
  data = mujoco.MjData(expected)
  data.qpos[:2], data.qvel[:], data.ctrl[:] = (0.3, -0.2), 0.5, (0.4, 2.0, 1.0)
  mujoco.mj_forward(expected, data)
  np.testing.assert_allclose(accelerations(arm, drawn).qacc, data.qacc, rtol=1e-4)


def test_a_centre_of_mass_shifts_within_its_box(arm):
  drawn = many(vary.center_of_mass((0.03, 0.0, 0.01), body="upper"), arm)["body_ipos"]
  shifts = drawn - arm.body_ipos
  np.testing.assert_allclose(shifts[:, [0, 1, 3, 4]], 0.0, atol=1e-8)
  for axis, width in enumerate((0.03, 0.0, 0.01)):
    shift = shifts[:, 2, axis]
    assert np.abs(shift).max() <= width + 1e-7
    assert shift.min() <= -0.9 * width and shift.max() >= 0.9 * width


def test_a_shifted_centre_of_mass_is_where_mujoco_has_it(arm):
  drawn = once(vary.center_of_mass(0.05, body="upper"), arm)
  data, before = accelerations(arm, drawn), accelerations(arm, {})
  shift = data.xmat[2].reshape(3, 3) @ (drawn["body_ipos"] - arm.body_ipos)[2]
  np.testing.assert_allclose(data.xipos[2] - before.xipos[2], shift, atol=1e-6)
  assert np.abs(shift).max() > 0.001


def test_friction_is_one_value_for_its_geoms_and_their_pairs(arm):
  drawn = many(vary.friction((0.3, 1.2), geoms=["hand"]), arm)
  sliding = drawn["geom_friction"][:, 2, 0]
  assert 0.3 <= sliding.min() < 0.35 and 1.15 < sliding.max() <= 1.2 + 1e-6
  np.testing.assert_allclose(drawn["geom_friction"][:, :2, 0], [[0.7, 0.8]] * 500, rtol=1e-6)
  np.testing.assert_array_equal(
    drawn["geom_friction"][..., 1:], [arm.geom_friction[:, 1:].astype(np.float32)] * 500
  )
  np.testing.assert_array_equal(drawn["pair_friction"][:, 0, 0], sliding)
  np.testing.assert_array_equal(drawn["pair_friction"][:, 0, 1], sliding)
  np.testing.assert_allclose(drawn["pair_friction"][:, 0, 2:], [[0.01, 0.001, 0.001]] * 500)


def test_pairs_without_the_geom_keep_their_friction(arm):
  assert set(once(vary.friction((0.5, 0.5), geoms=["trunk"]), arm)) == {"geom_friction"}


def test_friction_of_all_geoms_is_the_same(arm):
  drawn = once(vary.friction((0.3, 1.2)), arm)["geom_friction"][:, 0]
  assert len(set(drawn.tolist())) == 1


def test_the_freedoms_of_a_joint_share_a_factor_and_joints_do_not(arm):
  drawn = once(vary.joint_damping((0.5, 2.0)), arm)["dof_damping"]
  np.testing.assert_array_equal(drawn[2:5], drawn[2])
  assert drawn[0] / 0.5 != drawn[1] / 2.0
  drawn = once(vary.armature((3.0, 3.0), joints=["ball"]), arm)["dof_armature"]
  np.testing.assert_allclose(drawn, [0.1, 0.2, 0.15, 0.15, 0.15, 0.0], rtol=1e-6)


def test_a_motor_is_stronger_in_gain_bias_and_limit_alike(arm):
  drawn = once(vary.motor_strength((1.5, 1.5), motors=["servo"]), arm)
  np.testing.assert_allclose(drawn["actuator_gainprm"][:, 0], [45, 5, 1])
  np.testing.assert_allclose(drawn["actuator_biasprm"][0, :3], [0, -45, -4.5])
  np.testing.assert_allclose(drawn["actuator_biasprm"][1, :3], [0, 0, -5])
  np.testing.assert_allclose(drawn["actuator_forcerange"], [[-30, 30], [-7, 7], [-4, 4]])
  np.testing.assert_allclose(drawn["jnt_actfrcrange"][0], [-13.5, 13.5])
  before, after = accelerations(arm, {}), accelerations(arm, drawn)
  np.testing.assert_allclose(after.actuator_force, before.actuator_force * [1.5, 1, 1], rtol=1e-5)


def test_a_motor_reaches_its_new_limit_and_no_more(arm):
  drawn = once(vary.motor_strength((1.5, 1.5)), arm)
  data = accelerations(arm, drawn, ctrl=(100.0, 100.0, 100.0))
  np.testing.assert_allclose(data.actuator_force, [30.0, 10.5, 6.0])
  np.testing.assert_allclose(data.qfrc_actuator[0], 13.5)


def test_gains_hit_stiffness_and_damping_with_their_signs(arm):
  servos = ["servo", "speed"]
  drawn = once(vary.gains((2.0, 2.0), (3.0, 3.0), motors=servos), arm)
  np.testing.assert_allclose(drawn["actuator_gainprm"][:, 0], [60, 15, 1])
  np.testing.assert_allclose(
    drawn["actuator_biasprm"][:, :3], [[0, -60, -9], [0, 0, -15], [0, 0, 0]]
  )
  assert set(drawn) == {"actuator_gainprm", "actuator_biasprm"}
  data = accelerations(arm, drawn)
  np.testing.assert_allclose(
    data.actuator_force[:2], [60 * (0.4 - 0.3) - 9 * 0.5, 7.0], rtol=1e-5
  )  # the second would be 22.5 and is at its limit


def test_stiffness_and_damping_are_drawn_apart(arm):
  drawn = many(vary.gains((0.5, 2.0), (0.5, 2.0), motors=["servo"]), arm)
  kp = drawn["actuator_gainprm"][:, 0, 0] / 30
  kd = drawn["actuator_biasprm"][:, 0, 2] / -3
  np.testing.assert_allclose(drawn["actuator_biasprm"][:, 0, 1], -30 * kp, rtol=1e-6)
  assert abs(np.corrcoef(kp, kd)[0, 1]) < 0.2


def test_later_randomizers_build_on_earlier_ones(arm):
  double, load = vary.mass((2.0, 2.0)), vary.payload((1.0, 1.0), body="upper")
  np.testing.assert_array_equal(once(vary.combine(double, load), arm)["body_mass"][2], 2 * 2 + 1)
  np.testing.assert_array_equal(once(vary.combine(load, double), arm)["body_mass"][2], 2 * (2 + 1))
  both = once(vary.combine(vary.motor_strength((2, 2)), vary.gains((3, 3), (5, 5), ["servo"])), arm)
  np.testing.assert_allclose(both["actuator_biasprm"][0, :3], [0, -30 * 6, -3 * 10])
  kept = vary.combine(vary.armature(), double)(KEY, arm, {"qpos0": jnp.zeros(3)})
  assert set(kept) == {"qpos0", "dof_armature", "body_mass", "body_inertia", "body_subtreemass"}


def test_randomizers_in_a_row_draw_apart(arm):
  twice = vary.combine(vary.joint_damping((0.5, 2.0)), vary.armature((0.5, 2.0)))
  drawn = many(twice, arm)
  factors = drawn["dof_damping"][:, 0] / 0.5, drawn["dof_armature"][:, 0] / 0.1
  assert abs(np.corrcoef(*factors)[0, 1]) < 0.2


ALL = vary.combine(
  vary.mass(), vary.payload((-0.5, 1.0), body="trunk"), vary.inertia(), vary.friction((0.4, 1.2)),
  vary.center_of_mass(0.02, body="trunk"), vary.joint_damping(), vary.armature(),
  vary.friction_loss(), vary.motor_strength(), vary.gains(motors=("servo", "speed")),
)  # fmt: skip


def test_another_key_is_another_world_and_the_same_key_the_same(arm):
  first, again, other = (once(ALL, arm, jax.random.key(seed)) for seed in (1, 1, 2))
  for name in first:
    np.testing.assert_array_equal(first[name], again[name])
    assert (first[name] != other[name]).any()


def test_a_world_has_the_same_bits_in_every_batch(arm):
  drawing = jax.jit(lambda worlds: vary.draw(ALL, KEY, arm, worlds))
  eight = drawing(jnp.arange(8))
  some = drawing(jnp.array([6, 1, 3, 4]))
  for name, value in eight.items():
    np.testing.assert_array_equal(some[name], np.asarray(value)[[6, 1, 3, 4]])
    assert len({row.tobytes() for row in np.asarray(value)}) == 8


def test_all_of_it_steps_on_in_mujoco(arm):
  data = accelerations(arm, once(ALL, arm))
  assert np.isfinite(data.qacc).all()
  assert np.abs(data.qacc - accelerations(arm, {}).qacc).max() > 1e-3


def test_worlds_of_an_engine_move_as_models_with_their_parameters(arm):
  engine = make_engine("native", arm, 5, worlds=3)
  parameters = vary.draw(ALL, KEY, arm, jnp.arange(3))
  qpos = jnp.tile(jnp.array(arm.qpos0, jnp.float32).at[:2].set(jnp.array([0.3, -0.2])), (3, 1))
  qvel, controls = jnp.full((3, arm.nv), 0.5), jnp.full((3, 5, arm.nu), 0.7)
  states = jax.vmap(engine.step)(
    jax.vmap(engine.start)(qpos, qvel, parameters), controls, parameters
  )
  for world in range(3):
    own = mujoco.MjModel.from_xml_string(ARM)
    for name, value in parameters.items():
      getattr(own, name)[:] = value[world]
    data = mujoco.MjData(own)
    data.qpos[:], data.qvel[:], data.ctrl[:] = qpos[world], qvel[world], controls[world, 0]
    mujoco.mj_step(own, data, 5)
    np.testing.assert_allclose(states.qpos[world], data.qpos, atol=1e-6)
    np.testing.assert_allclose(states.qvel[world], data.qvel, atol=1e-5)
  assert np.abs(np.diff(states.qvel[:, 0])).min() > 1e-4


def test_an_h1_weighs_what_its_links_weigh():
  model = h1_model()
  randomizer = vary.combine(
    vary.mass((0.9, 1.1)), vary.payload((-1, 3), body="torso_link"),
    vary.center_of_mass(0.03, body="torso_link"), vary.motor_strength(), vary.gains(),
    vary.joint_damping(), vary.armature(), vary.friction((0.4, 1.0)),
  )  # fmt: skip
  drawn = many(randomizer, model, 8)
  np.testing.assert_allclose(
    drawn["body_subtreemass"][:, 0], drawn["body_mass"].sum(axis=1), rtol=1e-6
  )
  kp = drawn["actuator_gainprm"][:, :, 0]
  np.testing.assert_allclose(drawn["actuator_biasprm"][:, :, 1], -kp, rtol=1e-6)
  assert (np.abs(kp / model.actuator_gainprm[:, 0] - 1.0) <= 1.1**2 - 1.0 + 1e-6).all()
