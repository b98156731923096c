"""`jaxskills run franka`: a policy on a Franka Emika Panda, through libfranka."""

import argparse
from pathlib import Path
from typing import Any

_EXITS = {
  3: "the robot or its network ended the motion; it says why above.",
  4: "the safety filter braked and held the robot; it says why above.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares the arguments."""
  from jaxskills.deploy.franka import places

  parser.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="a verified bundle")
  parser.add_argument("--ip", metavar="ADDRESS", help="of the robot's control unit")
  parser.add_argument(
    "--libfranka",
    type=Path,
    metavar="PREFIX",
    help="where libfranka is installed (/usr/local, /usr)",
  )
  places.add_arguments(parser)
  parser.add_argument("--seconds", type=float, default=20.0, metavar="S", help="of motion (20)")
  parser.add_argument("--log", type=Path, metavar="FILE", help="record every callback")
  parser.add_argument(
    "--recover", action="store_true", help="let go of a reflex of the robot before moving"
  )
  parser.add_argument(
    "--no-realtime", action="store_true", help="do without a real-time kernel; expect lost packets"
  )
  parser.add_argument(
    "--replay", type=Path, metavar="FILE", help="no robot: prove that a log gives the same commands"
  )


def run(args: argparse.Namespace) -> int:
  """Runs the controller, or a replay."""
  from jaxskills.deploy import verification
  from jaxskills.deploy.franka import motion
  from jaxskills.errors import UserError

  bundle = verification.require(args.bundle)
  motion.constants_of(bundle.manifest)
  if args.replay is not None:
    return _replay(args, bundle)
  if args.ip is None:
    raise UserError("name the robot: --ip=ADDRESS; or --replay=FILE without one.")
  if not 0.0 < args.seconds < float("inf"):
    raise UserError(f"--seconds must be a positive number, got {args.seconds}.")
  return _drive(args, bundle)


def _drive(args: argparse.Namespace, bundle: Any) -> int:
  """Compiles the bundle's program in a temporary folder, and runs it there."""
  import subprocess
  import tempfile

  from jaxskills.deploy.franka import build, places
  from jaxskills.errors import UserError

  targets, task = places.read(args), bundle.manifest["parts"]["task"]
  places.check(targets, task["target_low"], task["target_high"])
  with tempfile.TemporaryDirectory(prefix="jaxskills-franka-") as folder:
    program = build.compile_program(bundle, Path(folder), libfranka=args.libfranka)
    command = [
      str(program),
      f"--ip={args.ip}",
      f"--bundle={bundle.path.resolve()}",
      f"--seconds={args.seconds}",
      f"--dwell={args.dwell}",
      *(f"--target={','.join(map(repr, place))}" for place in targets.tolist()),
      *([f"--log={args.log.resolve()}"] if args.log is not None else []),
      *(["--recover"] if args.recover else []),
      *(["--no-realtime"] if args.no_realtime else []),
    ]
    with subprocess.Popen(command) as process:
      code = _wait(process)
  if code in (0, 2):
    return code
  raise UserError(_EXITS.get(code, f"the controller's program ended with {code}."))


def _wait(process: Any) -> int:
  """The program's exit code; what interrupts us, it is told too, and brakes before it ends."""
  import signal

  asked = 0
  while True:
    try:
      return process.wait()
    except KeyboardInterrupt:
      asked += 1
      process.send_signal(signal.SIGINT if asked < 3 else signal.SIGKILL)


def _replay(args: argparse.Namespace, bundle: Any) -> int:
  from jaxskills.deploy.franka import replay
  from jaxskills.errors import UserError

  found = replay.replay(bundle, replay.read(args.replay, bundle))
  median, most, nearly_all, slowest = found.microseconds
  print(f"callbacks  {found.callbacks}, {found.differing} with another command than in the log")
  print(f"actions    {found.actions}, off the graph's by at most {found.action_difference:.1e}")
  times = f"p99 {most:.1f}, p99.9 {nearly_all:.1f}, slowest {slowest:.0f}"
  print(f"callback   median {median:.1f} us, {times}")
  median, most, nearly_all, slowest = found.processor_microseconds
  times = f"p99 {most:.1f}, p99.9 {nearly_all:.1f}, slowest {slowest:.0f}"
  print(f"  running  median {median:.1f} us, {times}")
  if not found.is_same:
    where = "" if found.first_differing is None else f" from callback {found.first_differing} on"
    raise UserError(f"{args.replay} is not what {bundle.path} does{where}.")
  return 0
