"""The type checker that `conftest.py` puts on every function of jaxskills."""

from collections.abc import Callable
from typing import Any

from beartype import beartype
from beartype.roar import BeartypeDecorHintException


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
  """Checks arguments and result at every call.

  beartype cannot read a few hints (protocols, generic named tuples); functions with one of those
  take no arrays and stay as they are.
  """
  try:
    return beartype(function)
  except BeartypeDecorHintException:
    return function
