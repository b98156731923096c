"""Moves a Panda's gripper to one place after the other with the policy of this bundle, by franky.

  pip install franky-control     # the wheel for your robot's libfranka
  jaxskills verify DIR
  python franky_example.py --ip=ADDRESS --bundle=DIR --target=.5,0,.3

Slower and less exact than `franka_example.cpp`, and easier to change: franky plans from where the
robot is to every new target with its own limits of jerk, and has the thousand commands a second off
Python's hands. The policy acts 20 times a second; its command generator (the package's own) makes
joint positions of its actions, a period ahead.
"""

import argparse
import importlib
import time

import numpy as np

from jaxskills.deploy import verification
from jaxskills.deploy.franka import motion, places
from jaxskills.deploy.runtime import Graphs
from jaxskills.errors import UserError

DYNAMICS = 0.5  # share of the robot's limits that franky may use; targets keep to half as well


class Mover:
  """The policy and its command generator, a step every control period."""

  def __init__(self, bundle, pose):
    self.constants, self._graphs = motion.constants_of(bundle.manifest), Graphs(bundle)
    self._motion = motion.begin(self.constants, pose)
    self._links = bundle.manifest["graphs"]["policy"].get("state", [])
    self._memory = {link["input"]: np.zeros((1, link["size"]), np.float32) for link in self._links}

  def step(self, position, velocity, place):
    """Where the joints shall be at the end of the next control period, and how fast; rad, rad/s."""
    constants = self.constants
    ended = self._motion._replace(ticks=constants.period_ticks)
    sight = motion.look(constants, ended, position, velocity, place)
    seen = motion.observe(constants, sight)[None]
    answer = self._graphs.run("policy", {"state": seen, **self._memory})
    self._memory = {link["input"]: answer[link["output"]] for link in self._links}
    action = answer["action"][0]
    if not np.isfinite(action).all():
      raise FloatingPointError(f"the policy's action is {action}, not finite")
    self._motion = motion.follow(constants, ended, action, position)
    ends = motion.look(constants, self._motion, position, velocity, place)
    return ends.joint_target, ends.commanded_velocity


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

  franky = importlib.import_module("franky")
  robot = franky.Robot(args.ip)
  robot.relative_dynamics_factor = DYNAMICS
  robot.set_collision_behavior(20.0, 20.0)
  try:
    move(franky, robot, Mover(bundle, np.array(robot.state.q)), targets, args)
  finally:
    robot.move(franky.JointStopMotion())


def move(franky, robot, mover, targets, args):
  """A motion that is replaced by the next before it ends, at absolute times."""
  period, begun = mover.constants.period, time.monotonic()
  for step in range(round(args.seconds / period)):
    place = targets[int(step * period / args.dwell + 1e-9) % len(targets)]
    state = robot.state
    position, velocity = mover.step(np.array(state.q), np.array(state.dq), place)
    goal = franky.JointState(position, velocity)
    robot.move(franky.JointMotion(goal), asynchronous=True)
    time.sleep(max(0.0, begun + (step + 1) * period - time.monotonic()))


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    raise SystemExit(f"jaxskills: {error}") from error
