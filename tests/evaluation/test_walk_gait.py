"""Walking, hopping, sliding and limping have different numbers."""

import numpy as np
import pytest

from jaxskills.evaluation import walk_gait
from tests.evaluation import fake_walk


def changed(**fields):
  return fake_walk.walk()._replace(**fields)


def test_a_perfect_walk_has_perfect_figures():
  found = walk_gait.diagnose(fake_walk.walk())
  assert found["step_frequency"] == pytest.approx(2.5, abs=0.2)  # two a turn of .8 s
  assert found["flight_share"] == 0.0
  assert found["clock_agreement"] == found["alternation"] == 1.0
  assert found["foot_slip"] == pytest.approx(0.02)
  assert found["max_torque_share"] == pytest.approx(0.5)
  assert found["fell"] is False and found["seconds"] == 7.0


def test_what_happens_while_standing_is_no_gait():
  record = fake_walk.walk()
  record.contact[:50], record.foot_speed[:50] = False, 9.0
  found = walk_gait.diagnose(record)
  assert found["flight_share"] == 0.0 and found["foot_slip"] == pytest.approx(0.02)
  assert found["clock_agreement"] == 1.0


@pytest.mark.parametrize("apart", [0, 2])
def test_a_hop_is_seen_in_flight_and_alternation(apart):
  contact = fake_walk.walk().contact
  both = np.stack([contact[:, 0], np.roll(contact[:, 0], apart)], axis=1)
  found = walk_gait.diagnose(changed(contact=both))
  assert found["flight_share"] > 0.3 and found["alternation"] == 0.0
  assert found["clock_agreement"] < 0.65


def test_two_steps_of_one_foot_do_not_alternate():
  contact = fake_walk.walk().contact.copy()
  contact[:, 1] = True  # it drags the right foot
  found = walk_gait.diagnose(changed(contact=contact))
  assert found["alternation"] == 0.0 and found["step_frequency"] == pytest.approx(1.25, abs=0.2)


def test_a_bounce_is_no_step():
  contact = fake_walk.walk().contact.copy()
  steps = walk_gait.touchdowns(changed(contact=contact))
  for row, foot in steps[1:]:
    contact[row + 2 : row + 5, foot] = False  # off again for .06 s
  assert walk_gait.touchdowns(changed(contact=contact)) == steps


def test_nothing_after_a_fall_counts():
  found, whole = (walk_gait.diagnose(fake_walk.fallen(at)) for at in (300, 350))
  assert found["fell"] and not whole["fell"]
  assert found["flight_share"] == 0.0 and found["foot_slip"] == pytest.approx(0.02)
  assert found["max_torque_share"] == pytest.approx(0.5 * 299 / 349)
  assert found["tracking_by_command"]["forward 1 m/s"]["forward"] == pytest.approx(1.0)


def test_tracking_leaves_out_the_first_second_of_a_command():
  record = fake_walk.walk()
  record.velocity[50:100, 0] = 7.0
  record.velocity[100:200] = (0.45, -0.05, 0.0)
  found = walk_gait.tracking(record)
  assert list(found) == ["stand", "forward 0.5 m/s", "forward 1 m/s"]
  assert found["forward 0.5 m/s"]["forward"] == pytest.approx(0.45)
  assert found["forward 0.5 m/s"]["sideways"] == pytest.approx(-0.05)


def test_a_command_that_comes_twice_is_one():
  stand = (100, (0.0, 0.0, 0.0))
  record = fake_walk.walk((stand, (100, (0.5, 0.0, -0.5)), stand))
  record.velocity[:100, 0], record.velocity[200:, 0] = 0.1, 0.3
  found = walk_gait.tracking(record)
  assert list(found) == ["stand", "forward 0.5 m/s, right turn 0.5 rad/s"]
  assert found["stand"]["forward"] == pytest.approx(0.2)
  assert found["forward 0.5 m/s, right turn 0.5 rad/s"]["yaw_rate"] == pytest.approx(-0.5)


def test_a_robot_that_falls_at_once_or_only_stands_has_no_gait():
  for record in (fake_walk.fallen(0), fake_walk.walk(((60, (0.0, 0.0, 0.0)),))):
    found = walk_gait.diagnose(record)
    for name in ("step_frequency", "flight_share", "foot_slip", "clock_agreement", "alternation"):
      assert found[name] is None
  assert walk_gait.diagnose(fake_walk.fallen(0))["tracking_by_command"] == {}


def test_the_period_of_the_clock_is_found():
  assert walk_gait.clock_seconds(fake_walk.walk()) == pytest.approx(0.8)
  assert walk_gait.clock_seconds(fake_walk.walk(((60, (0.0, 0.0, 0.0)),))) == pytest.approx(0.8)
  assert np.isnan(walk_gait.clock_seconds(fake_walk.walk(((1, (0.0, 0.0, 0.0)),))))


def test_a_mean_over_a_period_takes_it_away_and_keeps_lines():
  time = np.arange(200) * 0.02
  wave = walk_gait.smoothed(np.sin(2 * np.pi * time / 0.8), 0.8, 0.02)
  assert np.abs(wave[20:-20]).max() < 0.06
  np.testing.assert_allclose(walk_gait.smoothed(time, 0.8, 0.02)[20:-20], time[20:-20])
  np.testing.assert_allclose(walk_gait.smoothed(time, float("nan"), 0.02), time, atol=1e-12)


def test_the_mean_over_a_gait_cycle_knows_nothing_of_a_fall():
  record, whole = fake_walk.fallen(100), fake_walk.walk()
  mean = walk_gait.gait_mean(record, record.velocity)
  assert mean.shape == record.velocity.shape
  assert np.isfinite(mean[:100]).all() and np.isnan(mean[100:]).all()
  assert np.abs(mean[:100]).max() <= np.abs(whole.velocity).max() + 1e-9
  assert np.isnan(walk_gait.gait_mean(fake_walk.fallen(0), record.yaw_rate)).all()


@pytest.mark.parametrize(
  ("command", "words"),
  [
    ((0, 0, 0), "stand"),
    ((-0.3, 0, 0), "backward 0.3 m/s"),
    ((0, 0.25, 0), "left 0.25 m/s"),
    ((1, -0.4, 0.5), "forward 1 m/s, right 0.4 m/s, left turn 0.5 rad/s"),
  ],
)
def test_commands_read_as_words(command, words):
  assert walk_gait.describe(command) == words
