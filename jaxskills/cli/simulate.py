"""Simulate a robot that speaks its own protocol, to run controllers against."""

import argparse

from jaxskills.cli.run import ROBOTS, add_robots, start


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares the arguments of `jaxskills simulate`, one robot each."""
  add_robots(parser, "simulate_command", ROBOTS)


def run(args: argparse.Namespace) -> int:
  """Hands over to the simulated robot."""
  return start(args)
