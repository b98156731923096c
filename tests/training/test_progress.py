"""Progress on a terminal and where there is none."""

from io import StringIO

import pytest

from jaxskills.training.progress import ProgressReport, clock_time


class Clock:
  """Time that a test moves by hand."""

  now = 100.0

  def __call__(self) -> float:
    """Seconds."""
    return self.now


class Terminal(StringIO):
  """A stream that says it is one."""

  def isatty(self) -> bool:
    """Always."""
    return True


def test_without_a_terminal_there_is_one_line_a_minute_with_rate_and_time_left():
  stream, clock = StringIO(), Clock()
  with ProgressReport(stream, clock=clock) as report:
    report.start("rl/spirl", "environment steps", done=0, total=100_000)
    for second in range(1, 131):
      clock.now = 100.0 + second
      report.update(second * 500, {"success_rate": 0.25, "missing": None})
    report.finish("done")
  lines = stream.getvalue().splitlines()
  assert lines == [
    "rl/spirl: 100,000 environment steps to go",
    "rl/spirl: 30,000 of 100,000 environment steps, 500/s, 2:20 left, success_rate 0.25",
    "rl/spirl: 60,000 of 100,000 environment steps, 500/s, 1:20 left, success_rate 0.25",
    "rl/spirl: done",
  ]


def test_the_rate_of_a_resumed_stage_counts_only_what_was_done_now():
  stream, clock = StringIO(), Clock()
  with ProgressReport(stream, clock=clock) as report:
    report.start("rl", "steps", done=900, total=1000)
    clock.now += 70.0
    report.update(970, {})
  assert stream.getvalue().splitlines()[-1] == "rl: 970 of 1,000 steps, 1/s, 0:30 left"


def test_results_that_come_in_bursts_are_not_overrated():
  stream, clock = StringIO(), Clock()
  with ProgressReport(stream, clock=clock) as report:
    report.start("demos", "records", done=0, total=200)
    for done in range(1, 101):  # two at once every two seconds
      clock.now += 1.999 if done % 2 else 0.001
      report.update(done, {})
  rate = float(stream.getvalue().splitlines()[-1].split(", ")[1].removesuffix("/s"))
  assert rate == pytest.approx(1.0, abs=0.15)


def test_a_terminal_gets_a_bar_and_notes_above_it(monkeypatch):
  monkeypatch.setenv("TERM", "xterm")
  stream = Terminal()
  with ProgressReport(stream) as report:
    report.start("rl", "steps", done=0, total=10)
    report.note("checkpoint [3] is damaged")
    report.update(5, {"loss": 0.125})
    report.finish("done")
  assert "checkpoint [3] is damaged" in stream.getvalue()
  assert "━" in stream.getvalue()
  assert "\x1b[?25h" in stream.getvalue()  # the cursor is shown again


def test_a_counter_takes_its_first_report_for_what_was_there_before():
  stream = StringIO()
  with ProgressReport(stream) as report:
    count = report.counter("demos", "records")
    count(500, 2_000)
    count(501, 2_000)
    report.finish("complete")
  assert stream.getvalue().splitlines() == ["demos: 1,500 records to go", "demos: complete"]


def test_a_counter_of_work_that_was_done_before_says_so_and_never_that_any_is_left():
  stream = Terminal()
  with ProgressReport(stream) as report:
    count = report.counter("demos", "records")
    count(2_000, 2_000)
    count(2_000, 2_000)
    report.finish("complete")
  said = stream.getvalue().splitlines()
  assert said == ["demos: all 2,000 records are there, undamaged", "demos: complete"]


@pytest.mark.parametrize(
  ("seconds", "text"), [(0.0, "0:00"), (59.2, "1:00"), (61.0, "1:01"), (3725.0, "1:02:05")]
)
def test_times_read_like_a_clock(seconds, text):
  assert clock_time(seconds) == text
