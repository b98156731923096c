"""Tasks by name: which ones a method learns from, and which one it is judged by.

The papers write `AB->C`: learned from tasks A and B, judged by C. Tasks with longer names are
joined: `pour+wipe->stack`.
"""

import hashlib
import re
from typing import NamedTuple

ARROW, JOINT = "->", "+"


class Column(NamedTuple):
  """A column of the papers' tables: two sets of tasks, as configurations write them."""

  train: str
  test: str

  @property
  def name(self) -> str:
    """As configurations and summaries write it."""
    return f"{self.train}{ARROW}{self.test}"

  @property
  def test_tasks(self) -> list[str]:
    """Names of the tasks that it is judged by."""
    return tasks_in(self.test)


def tasks_in(written: str) -> list[str]:
  """Names of the tasks of a set.

  Args:
    written: names with `+` between them; capital letters alone are a task each.
  """
  if JOINT not in written and re.fullmatch("[A-Z]+", written):
    return list(written)
  return written.split(JOINT)


def read_column(written: str) -> Column:
  """A column of the form `AB->C` or `pour+wipe->stack`.

  Raises:
    ValueError: for any other, or tasks that are not each named once and in order.
  """
  train, arrow, test = (part.strip() for part in written.partition(ARROW))
  found = (tasks_in(train), tasks_in(test))
  if not arrow or not all(name and name == name.strip() for names in found for name in names):
    raise ValueError(f"config.columns takes such as AB->C or pour+wipe->stack, not {written!r}")
  for names in found:
    if sorted(set(names)) != names:
      raise ValueError(f"name each task of {written!r} once, in alphabetical order")
  return Column(train, test)


def in_file_names(written: str) -> str:
  """A set as a part of the names of folders: letters, digits, `+` and `-`, so never `_`.

  Sets that differ have names that differ.
  """
  safe = re.sub("[^A-Za-z0-9+-]", "-", written)[:60]
  if safe == written:
    return safe
  return f"{safe}-{hashlib.sha256(written.encode()).hexdigest()[:8]}"
