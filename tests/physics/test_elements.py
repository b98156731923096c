"""What domain randomisation refuses on the host, and the short cuts of MuJoCo that it minds."""

import mujoco
import numpy as np
import pytest

from jaxskills.physics import randomization as vary
from tests.physics.arm import ARM, KEY, once


@pytest.fixture(scope="module")
def arm():
  return mujoco.MjModel.from_xml_string(ARM)


@pytest.mark.parametrize(
  ("factory", "arguments", "message"),
  [
    (vary.mass, ((1.1, 0.9),), "mass scale needs a lowest number before the highest, got 1.1 and"),
    (vary.mass, ((0.0, 1.0),), "mass scale must be above 0, got 0"),
    (vary.inertia, ((-1.0, 1.0),), "inertia scale must be above 0, got -1"),
    (vary.friction, ((-0.1, 1.0),), "friction must be 0 or more, got -0.1"),
    (vary.joint_damping, ((-0.1, 1.0),), "damping scale must be 0 or more, got -0.1"),
    (vary.armature, ((0.5,),), r"armature scale needs a lowest and a highest number, got \(0.5,\)"),
    (vary.friction_loss, ((0.1, float("nan")),), "friction loss scale needs a lowest .* nan"),
    (vary.motor_strength, ((-1, 1),), "motor strength must be 0 or more, got -1"),
    (vary.gains, ((-1, 1),), "kp scale must be 0 or more, got -1"),
    (vary.gains, ((1, 1), (-2, 1)), "kd scale must be 0 or more, got -2"),
  ],
)
def test_an_impossible_range_is_refused_with_its_number(factory, arguments, message):
  with pytest.raises(ValueError, match=message):
    factory(*arguments)


@pytest.mark.parametrize("metres", [-0.1, (0.1, -0.2, 0.0), float("inf")])
def test_an_impossible_shift_is_refused(metres):
  with pytest.raises(ValueError, match="shifts by 0 m or more along each axis, got"):
    vary.center_of_mass(metres, body="upper")


@pytest.mark.parametrize(
  ("randomizer", "message"),
  [
    (vary.mass(bodies=["trunc"]), "no body 'trunc'; did you mean trunk?"),
    (vary.inertia(bodies=["leg"]), "no body 'leg'"),
    (vary.payload(body="upperr"), "no body 'upperr'; did you mean upper?"),
    (vary.payload((-2.0, 1.0), body="upper"), "'upper' has 2 kg; a payload of -2 kg leaves"),
    (vary.center_of_mass(0.1, body="hand"), "no body 'hand'"),
    (vary.friction((1, 1), geoms=["flor"]), "no geom 'flor'; did you mean floor?"),
    (vary.joint_damping(joints=["knee"]), "no joint 'knee'"),
    (vary.friction_loss(joints=["swing"]), "joint 'swing' has a friction loss of 0"),
    (vary.motor_strength(motors=["engine"]), "no actuator 'engine'"),
    (vary.gains(), "actuator 'thrust' is no servo and has no gains"),
  ],
)
def test_what_the_model_does_not_have_is_refused_by_name(arm, randomizer, message):
  with pytest.raises(ValueError, match=message):
    randomizer(KEY, arm, {})


def test_a_muscle_has_no_strength_to_scale():
  muscle = ARM.replace("</actuator>", '<muscle name="biceps" joint="hinge"/></actuator>')
  muscle = muscle.replace('name="hinge"', 'name="hinge" range="-1 1" limited="true"')
  model = mujoco.MjModel.from_xml_string(
    muscle.replace('name="biceps"', 'name="biceps" lengthrange="0 1"')
  )
  with pytest.raises(ValueError, match="'biceps' has gain type mjGAIN_MUSCLE"):
    vary.motor_strength()(KEY, model, {})
  vary.motor_strength(motors=["servo"])(KEY, model, {})


@pytest.mark.parametrize(
  "randomizer",
  [vary.mass(), vary.payload((0.0, 1.0), body="ball"), vary.inertia(), vary.armature()],
)
def test_an_inertia_that_mujoco_would_not_change_is_refused(randomizer):
  xml = '<mujoco><worldbody><body name="ball" simple="{}"><freejoint/><geom size=".1"/></body>'
  xml += "</worldbody></mujoco>"
  model = mujoco.MjModel.from_xml_string(xml.format("auto"))
  with pytest.raises(ValueError, match=r"body 'ball' cannot vary.*set simple=\"false\""):
    randomizer(KEY, model, {})
  randomizer(KEY, mujoco.MjModel.from_xml_string(xml.format("false")), {})


BOX = '<geom type="box" size=".1 .2 .3" pos=".2 0 0" euler="10 20 30"'


@pytest.mark.parametrize(
  ("body", "message"),
  [
    ('"auto"><freejoint/><geom size=".1"/>', r'simple; set simple="false" on it in the MJCF'),
    (
      '"false"><joint/><geom size=".1"/>',
      r"shares a frame with its body.*set model.body_sameframe to 0",
    ),
    (f'"false"><joint/>{BOX}/>', r"its geom.*set model.geom_sameframe to 0"),
  ],
)
def test_a_centre_of_mass_that_mujoco_would_not_move_is_refused(body, message):
  xml = f'<mujoco><worldbody><body name="ball" simple={body}</body></worldbody></mujoco>'
  model = mujoco.MjModel.from_xml_string(xml)
  with pytest.raises(ValueError, match=message):
    vary.center_of_mass(0.01, body="ball")(KEY, model, {})


@pytest.mark.parametrize(("geom", "at"), [('<geom size=".1"', 0.0), (BOX, 0.2)])
def test_a_centre_of_mass_moves_once_the_short_cuts_are_off(geom, at):
  xml = f"""<mujoco><worldbody><body name="ball" simple="false"><joint/>{geom}/></body>
    </worldbody></mujoco>"""
  model = mujoco.MjModel.from_xml_string(xml)
  model.body_sameframe[:] = 0
  model.geom_sameframe[:] = 0
  model.body_ipos[:] = once(vary.center_of_mass(0.01, body="ball"), model)["body_ipos"]
  data = mujoco.MjData(model)
  mujoco.mj_forward(model, data)
  np.testing.assert_allclose(data.geom_xpos[0], [at, 0.0, 0.0], atol=1e-12)
  np.testing.assert_allclose(data.xipos[1], model.body_ipos[1])
  assert np.abs(model.body_ipos[1] - [at, 0.0, 0.0]).max() > 1e-4
