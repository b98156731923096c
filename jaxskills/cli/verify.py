"""Check a bundle on this machine: same policy, safe in closed loop, fast enough.

  jaxskills verify bundles/h1

Prints a line for each check and writes verification.json into the bundle's folder, without which
no controller takes the bundle. Ends with 0 if every check passed, and with 2 if one failed.
"""

import argparse
from pathlib import Path

from jaxskills.cli import catalog
from jaxskills.deploy.verification import Check
from jaxskills.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares the arguments of `jaxskills verify`."""
  parser.add_argument("bundle", type=Path, metavar="DIR", help="the --out of a 'jaxskills export'")


def run(args: argparse.Namespace) -> int:
  """Verifies, and prints each check when it is done.

  Raises:
    UserError: if a check failed, naming all that did.
  """
  try:
    from jaxskills.deploy.verify import verify

    record = verify(args.bundle, show=_print)
  except ModuleNotFoundError as error:
    raise catalog.missing_extra(error, "export") from error
  failed = [check["name"] for check in record["checks"] if check["passed"] is False]
  if failed:
    raise UserError(f"{args.bundle} failed: {', '.join(failed)}; no controller will take it.")
  print(f"verified {args.bundle}")
  return 0


def _print(check: Check) -> None:
  verdict = {True: "pass", False: "FAIL", None: "-"}[check.passed]
  print(f"{verdict:5} {check.name:20} {check.text}", flush=True)
