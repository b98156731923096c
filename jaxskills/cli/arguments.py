"""Types of command-line arguments that several commands share."""

import argparse


def positive(text: str) -> int:
  """A whole number from 1 on.

  Raises:
    argparse.ArgumentTypeError: for anything else.
  """
  try:
    value = int(text)
  except ValueError:
    value = 0
  if value < 1:
    raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, got '{text}'")
  return value
