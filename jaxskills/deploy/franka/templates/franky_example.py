"""Moves a Panda's gripper to one place after the other with the policy of this bundle, by franky.

  pip install franky-control     # the wheel for your robot's libfranka
  jaxskills verify DIR
  python franky_example.py --ip=ADDRESS --bundle=DIR --target=.5,0,.3

Slower and less exact than `franka_example.cpp`, and easier to change: franky plans from where the
robot is to every new target with its own limits of jerk, and has the thousand commands a second off
Python's hands. The policy acts 20 times a second; its command generator (the package's own) makes
joint positions of its actions, a period ahead. Every motion ends at rest, a braking distance after
its period, so that a Python that stalls leaves a robot that stops.

What this example does NOT have: the bundle's safety filter, and any check that the state which
franky hands out is a fresh one. What is left are franky's limits and the robot's own reflexes. Use
`jaxskills run franka` (`franka_example.cpp`) for anything but trying out.
"""

import argparse
import importlib
import sys
import time

import numpy as np

from jaxskills.deploy import verification
from jaxskills.deploy.franka import motion, places
from jaxskills.deploy.runtime import Policy
from jaxskills.errors import UserError

DYNAMICS = 0.5  # share of the robot's limits that franky may use; targets keep to half as well
WARNING = (
  "franky_example: no safety filter and no check for stale states here, only franky's limits and "
  "the robot's reflexes; 'jaxskills run franka' has both. Keep a hand on the stop button."
)


class Mover:
  """The policy and its command generator, a step every control period."""

  def __init__(self, bundle, pose):
    self.constants, self._policy = motion.constants_of(bundle.manifest), Policy(bundle)
    self._motion = motion.begin(self.constants, pose)
    robot = bundle.manifest["parts"]["robot"]
    self._acceleration = DYNAMICS * np.array(robot["acceleration_limit"])
    self._jerk = DYNAMICS * np.array(robot["jerk_limit"])

  def step(self, position, velocity, place):
    """Where the joints shall be at the end of the next control period, and how fast; rad, rad/s."""
    constants = self.constants
    ended = self._motion._replace(ticks=constants.period_ticks)
    sight = motion.look(constants, ended, position, velocity, place)
    action = self._policy.step({"state": motion.observe(constants, sight)})
    self._motion = motion.follow(constants, ended, action, position)
    ends = motion.look(constants, self._motion, position, velocity, place)
    return ends.joint_target, ends.commanded_velocity

  def rest(self, position, velocity):
    """Where joints that are here (rad) and as fast (rad/s) can be at rest, within the limits."""
    speed, most = np.abs(velocity), self._acceleration
    way = 0.5 * velocity * (speed / most + most / self._jerk)
    return np.clip(position + way, self.constants.lower, self.constants.upper)


def main(argv=None):
  """Connects, moves, and stops the robot whatever happens."""
  parser = argparse.ArgumentParser(description="A policy moves a Panda by franky.")
  parser.add_argument("--ip", required=True)
  parser.add_argument("--bundle", required=True)
  parser.add_argument("--seconds", type=float, default=20.0)
  places.add_arguments(parser)
  args = parser.parse_args(argv)
  bundle = verification.require(args.bundle)
  task, targets = bundle.manifest["parts"]["task"], places.read(args)
  places.check(targets, task["target_low"], task["target_high"])
  print(WARNING, file=sys.stderr)

  franky = importlib.import_module("franky")
  robot = franky.Robot(args.ip)
  robot.relative_dynamics_factor = DYNAMICS
  robot.set_collision_behavior(20.0, 20.0)
  try:
    move(franky, robot, Mover(bundle, np.array(robot.state.q)), targets, args)
  finally:
    robot.move(franky.JointStopMotion())


def move(franky, robot, mover, targets, args):
  """A motion to rest that is replaced by the next before it ends, at absolute times."""
  period, begun = mover.constants.period, time.monotonic()
  for step in range(round(args.seconds / period)):
    place = targets[int(step * period / args.dwell + 1e-9) % len(targets)]
    state = robot.state
    position, velocity = mover.step(np.array(state.q), np.array(state.dq), place)
    goals = [
      franky.JointWaypoint(franky.JointState(position, velocity)),
      franky.JointWaypoint(franky.JointState(mover.rest(position, velocity), np.zeros(7))),
    ]
    robot.move(franky.JointWaypointMotion(goals), asynchronous=True)
    time.sleep(max(0.0, begun + (step + 1) * period - time.monotonic()))


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    raise SystemExit(f"jaxskills: {error}") from error
