"""`jaxskills run h1`: the controller of a Unitree H1, or of a simulated one."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares the arguments."""
  parser.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="a verified bundle")
  parser.add_argument("--interface", default="lo", help="network interface of the robot (lo)")
  parser.add_argument("--domain", type=int, default=0, help="DDS domain (0, as the robot's)")
  who = parser.add_mutually_exclusive_group()
  who.add_argument("--joystick", action="store_true", help="the wireless remote commands (default)")
  who.add_argument("--keyboard", action="store_true", help="this terminal's keys command")
  who.add_argument(
    "--command", dest="velocity", metavar="VX,VY,WZ", help="one velocity, m/s, m/s, rad/s"
  )
  who.add_argument("--commands", type=Path, metavar="FILE", help="lines 'seconds vx,vy,wz'")
  parser.add_argument(
    "--start-after",
    type=float,
    metavar="S",
    help="with --command or --commands: stand by itself after so many seconds, then walk",
  )
  parser.add_argument("--seconds", type=float, metavar="S", help="of walking, then damp and end")
  parser.add_argument("--log", type=Path, metavar="FILE", help="record every tick")
  parser.add_argument(
    "--replay", type=Path, metavar="FILE", help="no robot: prove that a log gives the same commands"
  )


def run(args: argparse.Namespace) -> int:
  """Runs the controller, or a replay."""
  from jaxskills.deploy.h1 import checks, session
  from jaxskills.errors import UserError

  if args.replay is not None:
    return _replay(args)
  if args.seconds is not None and not 0.0 < args.seconds < float("inf"):
    raise UserError(f"--seconds must be a positive number, got {args.seconds}.")
  if args.start_after is not None and not 0.0 <= args.start_after < float("inf"):
    raise UserError(f"--start-after must be a number of seconds, got {args.start_after}.")
  bundle = checks.require_bundle(args.bundle)
  settings = session.Settings(args.interface, args.domain, args.log, args.seconds)
  session.run(bundle, _operator(args, bundle.manifest), settings, _say)
  return 0


def _operator(args: argparse.Namespace, manifest):
  """Who says where to go."""
  import sys

  from jaxskills.deploy.h1 import commands
  from jaxskills.deploy.h1.machine import read_contract
  from jaxskills.errors import UserError

  ranges = read_contract(manifest).ranges
  scripted = args.velocity is not None or args.commands is not None
  if scripted != (args.start_after is not None):
    raise UserError(
      "--command and --commands need --start-after=S (the robot stands up by itself then), and "
      "only they take it; or use --joystick or --keyboard."
    )
  if args.velocity is not None:
    velocity = commands.parse_velocity(args.velocity, ranges)
    return commands.Script(ranges, (0.0,), (velocity,), args.start_after)
  if args.commands is not None:
    times, velocities = commands.read_script(args.commands, ranges)
    return commands.Script(ranges, times, velocities, args.start_after)
  if args.keyboard:
    if not sys.stdin.isatty():
      raise UserError("--keyboard needs a terminal; use --joystick or --command here.")
    return commands.Keyboard(ranges)
  return commands.Joystick(ranges)


def _replay(args: argparse.Namespace) -> int:
  from jaxskills.deploy import bundle as bundles
  from jaxskills.deploy.h1 import checks, record, replay, session
  from jaxskills.errors import UserError

  bundle = checks.require_bundle(args.bundle)
  log = record.read_log(args.replay)
  found = replay.replay(
    log, bundle.manifest, bundles.digest(bundle.manifest), session.own_policy(bundle)
  )
  _say(f"replay   {found.ticks} ticks and {found.decisions} decisions of {args.replay}")
  if not found.is_same:
    raise UserError(
      f"{found.differing_decisions} actions and {found.differing_ticks} commands differ from the "
      "log's: it was altered, or another machine or version made it."
    )
  _say(f"same     {found.decisions} actions and {found.ticks} commands, to the bit")
  if not found.is_whole:
    _say("part     the log ends before its run did: what came after is not in it")
  return 0


def _say(line: str) -> None:
  print(line, flush=True)
