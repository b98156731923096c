"""What a person sees while a run works: a bar on a terminal, else one line a minute."""

import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

LINE_SECONDS = 60.0


class ProgressReport:
  """Tells about one stage at a time; use it as a context."""

  def __init__(self, stream: Any = None, *, clock: Callable[[], float] = time.monotonic) -> None:
    """Chooses the bar if `stream` is a terminal.

    Args:
      stream: text stream to write to; the standard error stream if None.
      clock: seconds, from any origin.
    """
    self._console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=True)
    self._clock = clock
    self._bar: Bar | None = None
    self._name = self._unit = ""
    self._total = 0
    self._pace: float | None = None  # s a unit: averaged rates would overrate results in bursts
    self._last = (0.0, 0)  # when the pace was last measured, and what was done by then
    self._next_line = 0.0

  def __enter__(self) -> "ProgressReport":
    """Nothing is shown before `start`."""
    return self

  def __exit__(self, *error: object) -> None:
    """Leaves the terminal in order."""
    self._stop_bar()

  def note(self, text: str) -> None:
    """Prints a line above the bar."""
    self._console.print(text, markup=False)

  def start(self, name: str, unit: str, *, done: int, total: int) -> None:
    """Begins with a stage of `total` units, of which `done` were done before."""
    self._stop_bar()
    self._name, self._unit, self._total = name, unit, total
    self._pace, self._last = None, (self._clock(), done)
    self._next_line = self._clock() + LINE_SECONDS
    if self._console.is_terminal:
      columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
      bar = Bar(*columns, console=self._console, transient=True)
      bar.add_task(name, total=total, completed=done, said="compiling")
      bar.start()
      self._bar = bar
    else:
      self.note(f"{name}: {total - done:,} {unit} to go")

  def update(self, done: int, metrics: Mapping[str, Any]) -> None:
    """Tells how far the stage is, at most once a minute where there is no terminal.

    Args:
      done: units done.
      metrics: the figures to show.
    """
    now = self._clock()
    since, before = self._last
    if now > since and done > before:
      measured = (now - since) / (done - before)
      self._pace = measured if self._pace is None else 0.9 * self._pace + 0.1 * measured
    self._last = (now, done)
    if self._bar is not None:
      self._bar.update(self._bar.task_ids[0], completed=done, said=self._say(done, metrics))
    elif now >= self._next_line:
      self._next_line = now + LINE_SECONDS
      self.note(f"{self._name}: {self._say(done, metrics)}")

  def counter(self, name: str, unit: str) -> Callable[[int, int], None]:
    """`(done, total)` for work that says its total only when it reports.

    The first report is what was there before; if that is all, one line says so.
    """
    is_at_work: bool | None = None  # not known before the first report

    def count(done: int, total: int) -> None:
      nonlocal is_at_work
      if is_at_work:
        self.update(done, {})
      elif is_at_work is None:
        is_at_work = done < total
        if is_at_work:
          self.start(name, unit, done=done, total=total)
        else:
          self._name = name
          self.note(f"{name}: all {total:,} {unit} are there, undamaged")

    return count

  def finish(self, text: str) -> None:
    """Ends the stage with a line."""
    self._stop_bar()
    self.note(f"{self._name}: {text}")

  def _say(self, done: int, metrics: Mapping[str, Any]) -> str:
    parts = [f"{done:,} of {self._total:,} {self._unit}"]
    if self._pace:
      rate = 1.0 / self._pace
      parts.append(f"{rate:,.0f}/s" if rate >= 10.0 else f"{rate:.2g}/s")
      parts.append(f"{clock_time((self._total - done) * self._pace)} left")
    parts += [f"{name} {value:.4g}" for name, value in metrics.items() if value is not None]
    return ", ".join(parts)

  def _stop_bar(self) -> None:
    if self._bar is not None:
      self._bar.stop()
      self._bar = None


def clock_time(seconds: float) -> str:
  """Seconds as `m:ss` or `h:mm:ss`."""
  whole = math.ceil(seconds)
  hours, minutes = whole // 3600, whole // 60 % 60
  return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
