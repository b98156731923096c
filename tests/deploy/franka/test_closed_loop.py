"""The trial that verification runs, from the bundle's files alone."""

import numpy as np

from jaxskills.deploy import bundle as bundles
from jaxskills.deploy.franka import closed_loop
from jaxskills.deploy.franka.simulated import Goals, visits


def test_a_policy_that_reaches_passes(reaching_bundle):
  outcome = closed_loop.check(bundles.read(reaching_bundle), seconds=2.5)
  assert outcome.passed, outcome.lines
  assert outcome.figures["reflex"] is None and len(outcome.figures["targets"]) == 1
  assert max(outcome.figures["limits"].values()) < 1.0


def test_a_policy_that_does_not_reach_fails(panda_bundle):
  outcome = closed_loop.check(bundles.read(panda_bundle), seconds=0.5)
  assert not outcome.passed and "0 of 1 targets" in outcome.lines[0]


def test_targets_are_where_the_policy_was_trained(reaching_bundle):
  bundle = bundles.read(reaching_bundle)
  task, found = bundle.manifest["parts"]["task"], closed_loop.targets(bundle, 100)
  assert (found >= task["target_low"]).all() and (found <= task["target_high"]).all()


def test_a_place_is_reached_once_the_gripper_is_within_the_tolerance():
  goals = Goals(np.zeros((2, 3)), dwell_seconds=0.004, tolerance=0.02)
  near, far = visits(np.array([1.0, 0.02, 0.03, 0.05, 0.1, 0.1, 0.021, 0.1, 0.0]), goals)
  assert near["reached"] and near["seconds"] == 0.001
  assert near["mean_distance"] == 0.04 and near["greatest_distance"] == near["distance"] == 0.05
  assert not far["reached"] and far["seconds"] is None
