"""The trial that verification runs, from the bundle's files alone."""

import numpy as np

from jaxskills.deploy import bundle as bundles
from jaxskills.deploy.franka import closed_loop, motion
from jaxskills.deploy.franka.simulated import Goals, visits
from jaxskills.deploy.verification import Check, attempt


def test_a_policy_that_reaches_passes(reaching_bundle):
  outcome = closed_loop.check(bundles.read(reaching_bundle), seconds=2.5)
  assert outcome.passed, outcome.lines
  assert outcome.figures["reflex"] is None and len(outcome.figures["targets"]) == 1
  assert max(outcome.figures["limits"].values()) < 1.0
  assert outcome.figures["reached"] == outcome.figures["settled"] == 1.0
  assert "1 of 1 targets reached once, 1 settled" in outcome.lines[0]


def test_a_policy_that_does_not_reach_fails(panda_bundle):
  outcome = closed_loop.check(bundles.read(panda_bundle), seconds=0.5)
  assert not outcome.passed and "0 of 1 targets" in outcome.lines[0]


def test_a_place_is_settled_at_where_the_second_half_is_within_the_tolerance_on_average():
  goals = Goals(np.zeros((2, 3)), dwell_seconds=0.004, tolerance=0.02)
  (good, bad) = visits(np.array([1.0, 1.0, 0.025, 0.015, 1.0, 0.0, 0.02, 0.021]), goals)
  assert good["settled"] and bad["reached"] and not bad["settled"]


def test_a_policy_that_sees_or_decides_nonsense_fails_with_its_message(
  reaching_bundle, constants, monkeypatch
):
  bundle = bundles.read(reaching_bundle)

  def check() -> Check:
    return Check("closed loop", closed_loop.check(bundle, seconds=0.1).passed, "")

  seen = np.full(len(constants.scale), np.nan, np.float32)
  monkeypatch.setattr(motion, "observe", lambda constants, sight: seen)
  found = attempt("closed loop", check)
  assert found.passed is False and found.text == "ValueError: observation 'state' is not finite"


def test_targets_are_where_the_policy_was_trained(reaching_bundle):
  bundle = bundles.read(reaching_bundle)
  task, found = bundle.manifest["parts"]["task"], closed_loop.targets(bundle, 100)
  assert (found >= task["target_low"]).all() and (found <= task["target_high"]).all()


def test_a_place_is_reached_once_the_gripper_is_within_the_tolerance():
  goals = Goals(np.zeros((2, 3)), dwell_seconds=0.004, tolerance=0.02)
  near, far = visits(np.array([1.0, 0.02, 0.03, 0.05, 0.1, 0.1, 0.021, 0.1, 0.0]), goals)
  assert near["reached"] and near["seconds"] == 0.001
  assert not near["settled"]  # it went through
  assert near["mean_distance"] == 0.04 and near["greatest_distance"] == near["distance"] == 0.05
  assert not far["reached"] and far["seconds"] is None
