"""Run a bundle's policy on a robot, or on a simulated one."""

import argparse

from jaxskills.cli import catalog

ROBOTS = {
  "h1": "Unitree H1 over CycloneDDS",
  "franka": "Franka Emika Panda through libfranka",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares the arguments of `jaxskills run`, one robot each."""
  add_robots(parser, "command", ROBOTS)


def run(args: argparse.Namespace) -> int:
  """Hands over to the robot's controller."""
  return start(args)


def add_robots(parser: argparse.ArgumentParser, module: str, robots: dict[str, str]) -> None:
  """Declares a subcommand for each robot, from `jaxskills.deploy.ROBOT.MODULE`."""
  import importlib

  choices = parser.add_subparsers(title="robots", dest="robot", metavar="ROBOT", required=True)
  for name, text in robots.items():
    own = importlib.import_module(f"jaxskills.deploy.{name}.{module}")
    robot = choices.add_parser(name, help=text, description=own.__doc__, allow_abbrev=False)
    robot.set_defaults(run_robot=own.run)
    own.add_arguments(robot)


def start(args: argparse.Namespace) -> int:
  """Runs what the robot's subcommand is; a package that is missing is one line."""
  try:
    return args.run_robot(args)
  except ModuleNotFoundError as error:
    raise catalog.missing_extra(error, args.robot) from error
