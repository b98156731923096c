"""`jaxskills simulate franka`: a Panda with its reflexes, for a controller that speaks to it.

Clients use the stand-in for libfranka of this package's tests; a program that was linked with the
real libfranka needs a real robot.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares the arguments."""
  from jaxskills.deploy.franka import places

  parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
  parser.add_argument("--port", type=int, default=45211, help="UDP port (45211)")
  parser.add_argument("--loss", type=float, default=0.0, help="share of packets lost, each way (0)")
  parser.add_argument(
    "--jitter-ms",
    type=float,
    default=0.0,
    help="packets are late by up to this; over 1 is lost (0)",
  )
  parser.add_argument("--freeze-at", type=float, metavar="S", help="of a motion: the state freezes")
  parser.add_argument(
    "--lock-step", action="store_true", help="wait for every command, whatever the machine does"
  )
  parser.add_argument("--seed", type=int, default=0, help="of losses and delays (0)")
  parser.add_argument("--seconds", type=float, metavar="S", help="of real time, then end")
  parser.add_argument("--motions", type=int, metavar="N", help="end after so many motions")
  parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
  places.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
  """Simulates until it is interrupted or over, and reports."""
  import json
  import time

  from jaxskills.deploy.franka import places
  from jaxskills.deploy.franka.simulated import Goals, Network, Server
  from jaxskills.errors import UserError

  if not 0.0 <= args.loss <= 1.0 or not 0.0 <= args.jitter_ms < float("inf"):
    raise UserError("--loss lies in [0, 1] and --jitter-ms is not negative.")
  network = Network(
    loss=args.loss,
    jitter_seconds=1e-3 * args.jitter_ms,
    freeze_at=args.freeze_at,
    is_lock_step=args.lock_step,
    seed=args.seed,
  )
  targets = places.read(args)
  goals = Goals(targets, args.dwell) if len(targets) else None
  server = Server(args.host, args.port, network=network, goals=goals)
  if args.json is not None and not args.json.parent.is_dir():
    raise UserError(f"{args.json.parent} is no folder; name another --json.")
  begun = time.monotonic()
  print(f"simulated Panda at {server.address[0]}:{server.address[1]}", flush=True)

  def is_over(server: Server) -> bool:
    is_late = args.seconds is not None and time.monotonic() - begun >= args.seconds
    is_done = args.motions is not None and len(server.motions) >= args.motions
    return is_late or (is_done and not server.has_client)

  try:
    server.run(is_over)
  except KeyboardInterrupt:
    pass
  report = json.dumps(server.report(), indent=2)
  if args.json is not None:
    args.json.write_text(report + "\n")
  print(report)
  return 0
