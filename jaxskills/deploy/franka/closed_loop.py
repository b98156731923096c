"""A Panda's policy in closed loop from the exported files alone: C MuJoCo, a tick at a time.

The loop is the robot's: graph through onnxruntime, `controller.py` in every tick with the safety
filter as its last word, and the simulated arm with all its reflexes. Time is that of the ticks, so
the outcome is the same on every machine.
"""

from typing import Any, NamedTuple

import numpy as np

from jaxskills.deploy import safety
from jaxskills.deploy.bundle import Bundle
from jaxskills.deploy.franka import controller, motion
from jaxskills.deploy.franka.arm import Arm
from jaxskills.deploy.franka.controller import Inputs
from jaxskills.deploy.franka.motion import JOINTS, TICK_SECONDS
from jaxskills.deploy.franka.simulated import Goals, visits
from jaxskills.deploy.runtime import Policy

DWELL_SECONDS = 4.0
_SEED = 4


class Outcome(NamedTuple):
  """What a trial found.

  Attributes:
    passed: no reflex, no brake of the safety filter, every target reached.
    figures: JSON values; `limits` are shares of the robot's, 1 is all.
    lines: the same for people.
  """

  passed: bool
  figures: dict[str, Any]
  lines: tuple[str, ...]


def targets(bundle: Bundle, count: int, seed: int = _SEED) -> np.ndarray:
  """Places to reach `[count, 3]`, drawn evenly from where the policy was trained, m."""
  task = bundle.manifest["parts"]["task"]
  return np.random.default_rng(seed).uniform(task["target_low"], task["target_high"], (count, 3))


def check(bundle: Bundle, seconds: float = 20.0, *, loss: float = 0.0) -> Outcome:
  """Lets the policy reach one place after the other.

  Args:
    bundle: as it was read.
    seconds: of the robot's time, `DWELL_SECONDS` a place.
    loss: share of packets that are lost, in either direction.

  Raises:
    ValueError: if the policy sees what is not finite.
    FloatingPointError: if its action is not.
  """
  constants = motion.constants_of(bundle.manifest)
  limits = safety.from_json(bundle.manifest["parts"]["safety"])
  dwell = min(DWELL_SECONDS, seconds)
  goals = Goals(
    targets(bundle, max(1, int(seconds / dwell))),
    dwell,
    bundle.manifest["parts"]["task"]["tolerance"],
  )
  policy, random = Policy(bundle), np.random.default_rng(_SEED)
  arm, state, action, last = Arm(), None, None, 0
  arm.start()
  distances, told = [], None
  for tick in range(round(seconds / TICK_SECONDS)):
    place = goals.places[int(tick * TICK_SECONDS / dwell + 1e-9) % len(goals.places)]
    command = None
    if state is None or random.random() >= loss:
      inputs = _inputs(arm, tick, tick - last, place, action)
      if state is None:
        state, told = controller.begin(constants, limits, inputs)
      else:
        state, told = controller.tick(constants, limits, state, inputs)
      last, action, command = tick, None, told.position
      if told.sight is not None:
        decided = policy.step({"state": motion.observe(constants, told.sight)})
        action = decided.astype(np.float64), told.sight.joint_position
      if tick and random.random() < loss:
        command = None
    arm.tick(command)
    distances.append(float(np.linalg.norm(arm.gripper - place)))
    if arm.reflex or (told is not None and told.mode == safety.DAMP):
      break
  found = visits(np.array(distances), goals)
  reason = "none" if told is None else safety.REASONS[told.reason]
  return _outcome(arm, reason, found, goals)


def _inputs(
  arm: Arm, tick: int, period: int, place: np.ndarray, action: tuple[np.ndarray, np.ndarray] | None
) -> Inputs:
  return Inputs(
    period=period,
    milliseconds=tick,
    joints=np.stack([arm.position, arm.velocity, *arm.desired]),
    target=place,
    action=None if action is None else action[0],
    action_position=np.zeros(JOINTS) if action is None else action[1],
    is_stopping=False,
    late=False,
  )


def _outcome(arm: Arm, reason: str, found: list[dict[str, Any]], goals: Goals) -> Outcome:
  count, reached = len(goals.places), sum(visit["reached"] for visit in found)
  settled = sum(visit["settled"] for visit in found)
  use = arm.use._asdict()
  worst = max(use, key=lambda name: use[name])
  passed = arm.reflex is None and reason == "none" and reached == count and use[worst] <= 1.0
  distance = max((visit["mean_distance"] for visit in found), default=float("inf"))
  return Outcome(
    passed,
    {
      "seconds": arm.ticks * TICK_SECONDS,
      "reflex": arm.reflex,
      "safety": reason,
      "missed": arm.missed_in_all,
      "limits": use,
      "reached": reached / count,
      "settled": settled / count,
      "targets": found,
    },
    (
      f"{reached} of {count} targets reached once, {settled} settled (within "
      f"{100 * goals.tolerance:.0f} cm on average in the second half of their time, the worst "
      f"{100 * distance:.1f} cm)",
      f"reflex {arm.reflex or 'none'}, safety filter {reason}",
      f"limits: {worst} used most, {use[worst]:.2f} of it",
    ),
  )
