"""The entry point `jaxskills`, and the one place where errors become messages and exit codes.

0: done, or stopped on request after saving. 1: a fault of ours, with its traceback. 2: something
the user can put right, as one line without a traceback. 130 and 143: ended by SIGINT or SIGTERM
where nothing was in hand that could be saved, with one line too.
"""

import argparse
import errno
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import jaxskills
from jaxskills.cli import bench, data, doctor, export, run, simulate, sweep, train, verify
from jaxskills.cli import eval as evaluate
from jaxskills.cli import list as catalogue
from jaxskills.config import is_override, nearest
from jaxskills.errors import Interrupted, UserError
from jaxskills.training.signals import Terminated, termination_raises

COMMANDS = {
  "train": train,
  "eval": evaluate,
  "bench": bench,
  "data": data,
  "export": export,
  "verify": verify,
  "run": run,
  "simulate": simulate,
  "sweep": sweep,
  "list": catalogue,
  "doctor": doctor,
}
_USERS_TO_MEND = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


class _Parser(argparse.ArgumentParser):
  """An argument parser whose complaints are `UserError`s."""

  def error(self, message: str) -> NoReturn:
    raise UserError(f"{message}; see '{self.prog} --help'")


def main(argv: Sequence[str] | None = None) -> int:
  """Runs one command and returns its exit code.

  Args:
    argv: the arguments after the program's name; those of the process if not given.
  """
  try:
    with termination_raises():
      code = _run([*(sys.argv[1:] if argv is None else argv)])
      sys.stdout.flush()
      return code
  except Interrupted as stop:
    print(f"jaxskills: {stop}", file=sys.stderr)
    return 0
  except UserError as error:
    return _complain(str(error), code=2)
  except KeyboardInterrupt as stop:
    number = signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT
    message = f"stopped by {number.name}; run the same command again"
    return _complain(message, code=128 + number)
  except BrokenPipeError:  # the reader, such as `head`, has seen enough
    _release_stdout()
    return 0
  except OSError as error:
    if error.errno not in _USERS_TO_MEND:
      raise
    _release_stdout()
    place = f"{error.filename}: " if error.filename else ""
    return _complain(f"{place}{error.strerror}; make room or choose another folder", code=2)


def build_parser() -> argparse.ArgumentParser:
  """The parser of the whole command line."""
  parser = _Parser(prog="jaxskills", description=jaxskills.__doc__, allow_abbrev=False)
  parser.add_argument("--version", action="version", version=f"jaxskills {jaxskills.__version__}")
  commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
  for name, module in COMMANDS.items():
    command = commands.add_parser(
      name,
      help=(module.__doc__ or "").partition("\n")[0],
      description=module.__doc__,
      formatter_class=argparse.RawDescriptionHelpFormatter,
      allow_abbrev=False,
    )
    command.set_defaults(run=module.run, takes_overrides=False)
    module.add_arguments(command)
  return parser


def _run(argv: list[str]) -> int:
  """Parses and runs; what asks for help or the version ends here too."""
  parser = build_parser()
  try:
    named = next((word for word in argv if not word.startswith("-")), None)
    if named is not None and named not in COMMANDS:
      raise UserError(
        f"unknown command '{named}'{nearest(named, [*COMMANDS])}; see 'jaxskills --help'"
      )
    args, rest = parser.parse_known_args(argv)
  except SystemExit as end:
    return int(end.code or 0)
  if args.command is None:
    parser.print_help()
    return 0
  args.overrides = [word for word in rest if is_override(word)]
  if unknown := [word for word in rest if not is_override(word)]:
    raise UserError(_unknown_argument(unknown[0], rest, args.command))
  if args.overrides and not args.takes_overrides:
    raise UserError(f"'jaxskills {args.command}' takes no {args.overrides[0]}")
  return args.run(args)


def _unknown_argument(word: str, rest: Sequence[str], command: str) -> str:
  position = rest.index(word)
  if position and is_override(rest[position - 1]) and "=" not in rest[position - 1]:
    return f"write {rest[position - 1]}={word}, with an equals sign"
  return f"unknown argument '{word}'; see 'jaxskills {command} --help'"


def _complain(message: str, code: int) -> int:
  print(f"jaxskills: {message}", file=sys.stderr)
  return code


def _release_stdout() -> None:
  """Writes out what is still buffered, or drops it, so that closing the stream cannot fail."""
  try:
    sys.stdout.flush()
  except OSError:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
