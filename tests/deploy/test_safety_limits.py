"""Tests of where the safety filter's limits come from, and of how they are kept in a bundle."""

import json
import math
from typing import Any

import numpy as np
import pytest

from jaxskills.assets.h1 import H1
from jaxskills.assets.panda import PANDA
from jaxskills.deploy import safety
from jaxskills.errors import UserError
from tests.deploy.safety_robots import ROBOTS, h1, panda


def as_json(name: str = "h1") -> dict[str, Any]:
  return json.loads(json.dumps(safety.to_json(ROBOTS[name]()), allow_nan=False))


@pytest.mark.parametrize("name", ROBOTS)
def test_limits_come_back_from_json_to_the_bit(name):
  limits = ROBOTS[name]()
  again = safety.from_json(as_json(name))
  for field, value in limits._asdict().items():
    np.testing.assert_array_equal(getattr(again, field), value, err_msg=field)
    assert type(getattr(again, field)) is type(value), field


def test_no_limit_is_null():
  values = as_json("panda")
  assert values["torque"] == [None] * 7
  assert values["least_height"] is None and values["greatest_height"] is None
  again = safety.from_json(values)
  assert again.least_height == -math.inf and again.greatest_height == math.inf


def test_a_robot_may_be_read_from_json_too():
  record = json.loads(json.dumps(H1._asdict()))
  settings = {"controlled": [0], "scale": [1.0], "offset": [0.0]}
  one, other = (
    safety.limits_of(source, **settings, action_limit=4.0, policy_seconds=0.02)
    for source in (record, H1._asdict())
  )
  np.testing.assert_array_equal(one.torque_rate, other.torque_rate)


def test_the_panda_keeps_to_what_libfranka_publishes():
  limits = panda()
  np.testing.assert_allclose(limits.acceleration[0], 15.0 - 1e-3, rtol=1e-15)
  np.testing.assert_allclose(limits.velocity[0], 2.175 - 1e-3 - 3e-3 * 14.999, rtol=1e-15)
  np.testing.assert_allclose(limits.jerk[1], 3750.0 - 1e-3, rtol=1e-15)
  np.testing.assert_allclose(limits.upper, np.array(PANDA.upper) - 0.04)
  assert limits.window == 4 and limits.tick == 0.001 and limits.brakes


def test_the_h1_keeps_to_its_record_and_to_the_middle_of_its_range():
  limits = h1()
  np.testing.assert_array_equal(limits.velocity, H1.velocity_limit)
  np.testing.assert_allclose(limits.torque, 0.95 * np.array(H1.torque_limit), rtol=1e-12)
  np.testing.assert_allclose(limits.upper - limits.lower, 0.95 * np.subtract(H1.upper, H1.lower))
  np.testing.assert_allclose(limits.upper + limits.lower, np.add(H1.upper, H1.lower), atol=1e-15)
  assert limits.window == 3 and limits.tick == 0.002 and not limits.brakes


def test_the_torque_rate_slows_no_leg():
  limits = h1()
  np.testing.assert_array_equal(limits.speed[:10], limits.velocity[:10])
  assert (limits.speed[10:] < limits.velocity[10:]).all()


@pytest.mark.parametrize("name", ROBOTS)
def test_the_default_pose_may_be_commanded(name):
  limits = ROBOTS[name]()
  assert (limits.lower <= limits.default_pose).all()
  assert (limits.default_pose <= limits.upper).all()


def test_the_average_is_as_long_as_the_jerk_asks_for():
  for name in ROBOTS:
    limits = ROBOTS[name]()
    change = 2.0 * limits.acceleration / limits.tick
    assert (change / limits.window <= limits.jerk * (1.0 + 1e-9)).all()
    assert not (change / (limits.window - 1) <= limits.jerk).all()


def test_a_robot_without_known_limits_is_refused():
  with pytest.raises(UserError, match="'fr3'"):
    safety.limits_of(
      {**PANDA._asdict(), "name": "fr3"},
      controlled=[0],
      scale=[1.0],
      offset=[0.0],
      action_limit=1.0,
      policy_seconds=0.05,
    )


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("velocity", [1.0] * 18, "velocity needs 19"),
    ("velocity", [0.0] + [1.0] * 18, "velocity must be positive"),
    ("jerk", [None] * 19, "jerk must be finite"),
    ("stiffness", [-1.0] * 19, "stiffness must not be negative"),
    ("stiffness", ["a"] * 19, "stiffness is no"),
    ("tick", "soon", "tick is no"),
    ("tick", None, "tick must be finite"),
    ("lower", [-9.0] * 19, "within the joints' ranges"),
    ("controlled", [0, 0, 1, 2, 3, 4, 5, 6, 7, 8], "controlled"),
    ("controlled", [0, 19, 1, 2, 3, 4, 5, 6, 7, 8], "controlled"),
    ("action_scale", [1.0] * 9, "action_scale needs 10"),
    ("stale_seconds", None, "stale_seconds must be finite"),
    ("torque", [float("nan")] * 19, "torque is not a number"),
    ("brakes", "no", "brakes is no"),
    ("surprise", 1.0, "unknown field 'surprise'"),
  ],
)
def test_limits_that_make_no_sense_are_refused_by_name(field, value, message):
  with pytest.raises(UserError, match=message):
    safety.from_json({**as_json(), field: value})


def test_limits_that_lack_a_field_are_refused_by_name():
  values = as_json()
  del values["jerk"]
  with pytest.raises(UserError, match="lack 'jerk'"):
    safety.from_json(values)
