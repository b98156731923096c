"""`jaxskills simulate h1`: a simulated Unitree H1 on the robot's own DDS topics."""

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares the arguments."""
  parser.add_argument("--interface", default="lo", help="network interface (lo)")
  parser.add_argument("--domain", type=int, default=0, help="DDS domain (0)")
  parser.add_argument(
    "--loss", type=float, default=0.0, help="share of packets lost, both ways (0)"
  )
  parser.add_argument("--delay-ms", type=float, default=0.0, help="of every packet, both ways (0)")
  parser.add_argument("--jitter-ms", type=float, default=0.0, help="at most so much more (0)")
  parser.add_argument("--seconds", type=float, help="to run (until Ctrl-C)")
  parser.add_argument("--json", type=Path, metavar="FILE", help="write what happened")
  parser.add_argument(
    "--harness",
    default="policy",
    help="lets go when the 'policy' moves the legs (default), so many seconds after the robot "
    "stands on the floor, or 'never'",
  )
  parser.add_argument(
    "--freeze-at", type=float, metavar="S", help="states stop S seconds after the motors hold"
  )
  parser.add_argument(
    "--tilt-at", type=float, metavar="S", help="the robot is tipped over S seconds after"
  )
  parser.add_argument("--seed", type=int, default=0, help="of network and first pose (0)")
  parser.add_argument("--viewer", choices=("none",), default="none", help="only 'none' (none)")


def run(args: argparse.Namespace) -> int:
  """Runs the simulated robot."""
  from jaxskills.deploy.h1.network import Faults
  from jaxskills.deploy.h1.simulated import Plan, simulate
  from jaxskills.errors import UserError

  if not 0.0 <= args.loss < 1.0 or args.delay_ms < 0.0 or args.jitter_ms < 0.0:
    raise UserError("--loss must be from 0 to 1, --delay-ms and --jitter-ms not negative.")
  plan = Plan(
    interface=args.interface,
    domain=args.domain,
    faults=Faults(args.loss, args.delay_ms / 1000.0, args.jitter_ms / 1000.0),
    seconds=args.seconds,
    harness=_harness(args.harness),
    freeze_at=args.freeze_at,
    tip_at=args.tilt_at,
    seed=args.seed,
  )
  if args.json is not None and not args.json.parent.is_dir():
    raise UserError(f"{args.json.parent} is no folder; name another --json.")
  report = simulate(plan, lambda line: print(line, flush=True))
  text = json.dumps(report, indent=2, allow_nan=False)
  if args.json is not None:
    args.json.write_text(text + "\n", encoding="utf-8")
  print(text)
  return 0


def _harness(text: str):
  from jaxskills.deploy.h1.body import Harness
  from jaxskills.errors import UserError

  if text in ("policy", "never"):
    return Harness(text)
  try:
    seconds = float(text)
  except ValueError:
    seconds = -1.0
  if not 0.0 <= seconds < float("inf"):
    raise UserError(f"--harness is 'policy', 'never' or a number of seconds, not '{text}'.")
  return Harness("seconds", seconds)
