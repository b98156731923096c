"""The report of a walking robot: its film, how it follows commands, its gait, and its training.

Reads what is there and says what is not, as every report does (`report_page.py`). Nothing is
trained or simulated here; the film is drawn from the recorded walk.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from jaxskills.evaluation import (
  page,
  report_page,
  report_sections,
  robot_film,
  walk_gait,
  walk_plots,
  walk_record,
  walk_setting,
  walk_training,
)
from jaxskills.evaluation.report_record import Report, as_object, picture, reason


def write_report(workdir: str | Path) -> Path:
  """Writes `report/` of a walking run.

  Args:
    workdir: of the run; whatever is missing there is left out and noted on the page.

  Returns:
    Path of `report/index.html`.

  Raises:
    UserError: if there is no such folder or it cannot be written to.
  """
  return report_page.write_page(workdir, SECTIONS, lead)


def lead(report: Report) -> str:
  """Title, headline and the facts of the task."""
  name = report_page.title(report)
  html = f"<h1>{page.escape(name)}</h1>" + page.paragraph("jaxskills run report", "soft")
  html += _headline(report)
  figures, summary = report.figures, report.summary
  calm, pushed = as_object(figures.get("undisturbed")), as_object(figures.get("pushed"))
  pairs = [
    ("Yaw rate error", _number(figures.get("yaw_rate_error"), "{:.2f} rad/s")),
    ("Falls, undisturbed", _percent(calm.get("fall_rate"), 1)),
    ("Velocity error, undisturbed", _number(calm.get("velocity_error"), "{:.2f} m/s")),
    ("Episode", _number(figures.get("episode_seconds"), "{:g} s")),
    ("Shoves in the film", _shoves(pushed)),
    ("Seed", summary.get("seed", report.runs[0].config.get("seed"))),
    ("Device", summary.get("device")),
    ("Wall time", page.duration(summary.get("wall_seconds"))),
  ]
  html += page.facts([(label, value) for label, value in pairs if value not in (None, "")])
  return html + page.notes(report.notes)


def walk(report: Report) -> str:
  """The film of the scripted walk, and one cycle of its gait."""
  record = walk_record.load(report.data / walk_record.WALK)
  end, strip = " It falls." if record.fell.any() else "", "filmstrip.png"
  try:
    robot_film.cycle(record)
  except ValueError as error:
    strip = ""
    report.notes.append(f"No filmstrip: {reason(error)}")
  html = _film(
    report,
    walk_record.WALK,
    "walk.mp4",
    "The trained policy in real time, drawn with C MuJoCo: the nominal robot with the noise and "
    f"latency of training. 'Does' is a mean over one gait cycle; L and R are filled while the left "
    f"and the right foot are on the ground; the disc under a foot fades as it rises.{end}",
    strip,
  )
  if html and strip:
    with Image.open(report.folder / strip) as image:
      html += page.picture(
        strip,
        "Eight pictures of one gait cycle",
        "One turn of the gait clock at the fastest straight command, from the robot's right.",
        image.size,
      )
  return html


def tracking(report: Report) -> str:
  """Commands against truth, in a picture and in a table."""
  record = walk_record.load(report.data / walk_record.WALK)
  html = picture(
    report,
    walk_plots.tracking(record),
    "tracking.png",
    "Commanded and true velocity over time",
    "The commands of the film and what the robot did. A hip sways and turns with every step, so "
    "the thick line is a mean over one gait cycle.",
  )
  rows = [
    (name, *(f"{round(done[key], 2) + 0.0:.2f}" for key in ("forward", "sideways", "yaw_rate")))
    for name, done in walk_gait.tracking(record).items()
  ]
  header = ("Command", "Forward (m/s)", "To the left (m/s)", "Turning to the left (rad/s)")
  caption = "True means of each command, without its first second."
  return html + page.table(header, rows, numbers=(1, 2, 3), caption=caption)


def gait(report: Report) -> str:
  """Feet against the clock, and the gait in numbers."""
  record = walk_record.load(report.data / walk_record.WALK)
  found = walk_gait.diagnose(record)
  pairs = [
    ("Steps a second", _number(found["step_frequency"], "{:.2f}")),
    ("Both feet in the air", _percent(found["flight_share"], 1, " of the time")),
    ("Steps that alternate", _percent(found["alternation"])),
    ("Contacts as the clock wants", _percent(found["clock_agreement"], 0, " of the time")),
    ("Speed of soles on the ground", _number(found["foot_slip"], "{:.3f} m/s")),
  ]
  return page.facts([pair for pair in pairs if pair[1]]) + picture(
    report,
    walk_plots.gait(record, walk_plots.gait_window(record)),
    "gait.png",
    "Contacts, heights and speeds of both feet over time",
    "The last seconds of the fastest straight command. Walking is left and right in turn with "
    "never both in the air; a foot that slides is fast while it is on the ground (a landing shows "
    "as a spike of one control step).",
  )


def joints(report: Report) -> str:
  """Torques and ranges of all joints."""
  record = walk_record.load(report.data / walk_record.WALK)
  return picture(
    report,
    walk_plots.joints(record),
    "joints.png",
    "Torque and range of every joint",
    "The walk of the film. What the motors are asked for is clipped to their limits; joints that "
    "the policy does not control are held at the default pose.",
  )


def pushes(report: Report) -> str:
  """A film of the robot being shoved."""
  record = walk_record.load(report.data / walk_record.PUSHED)
  end = "it stays on its feet"
  if record.fell.any():
    was_pushed = record.push[walk_gait.upright(record)].any()
    end = "it falls" if was_pushed else "it falls before it is pushed"
  html = _film(report, walk_record.PUSHED, "pushed.mp4", f"Shoved as hard as in training: {end}.")
  return html + picture(
    report,
    walk_plots.tracking(record),
    "pushed.png",
    "Velocity over time while being pushed",
    "A push changes the velocity of the base at once; the dotted lines mark them.",
  )


SECTIONS = {
  "The walk": walk,
  "Following commands": tracking,
  "Gait": gait,
  "Torques and joint ranges": joints,
  "Pushes": pushes,
  "Learning curves": walk_training.learning,
  "Reward": walk_training.reward_terms,
  "What was left to chance": walk_setting.randomised,
  "Run": report_sections.run_facts,
}


def _headline(report: Report) -> str:
  """How often it falls and how well it follows; of the last evaluation if there is no other."""
  figures, during = report.figures, ""
  if figures.get("fall_rate") is None:
    rows = [row for run in report.runs for row in run.rows if row.get("eval/fall_rate") is not None]
    last = rows[-1] if rows else {}
    names = ("fall_rate", "velocity_error")
    figures = {name: last.get(f"eval/{name}") for name in names}
    during = ", at the last evaluation during training"
  falls = _percent(figures.get("fall_rate"), 1)
  error = _number(figures.get("velocity_error"), "{:.2f} m/s")
  if not falls or not error:
    return ""
  episodes = page.count(figures.get("episodes"))
  of = "episodes" if episodes == page.UNKNOWN else f"{episodes} episodes"
  bounds = _interval(figures.get("fall_rate_ci"))
  return (
    f'<p class="headline"><b>Falls in {falls}</b> of {of}{bounds}, <b>mean velocity error {error}'
    f"</b>{during}.</p>"
  )


def _interval(bounds: Any) -> str:
  try:
    low, high = (100 * float(bound) for bound in bounds)
  except (TypeError, ValueError):
    return ""
  return f" (95 % interval {low:.1f} to {high:.1f} %)"


def _film(report: Report, recording: str, file: str, caption: str, strip: str = "") -> str:
  """HTML of a film, or nothing and a note why; a reason that was noted already is not repeated."""
  still = report.folder / strip if strip else None
  try:
    robot_film.film_walk(report.data / recording, report.folder / file, still)
  except Exception as error:
    note = f"No film: {reason(error)}"
    if note not in report.notes:
      report.notes.append(note)
    return ""
  return page.film(file, caption)


def _shoves(pushed: Mapping[str, Any]) -> str:
  number = page.count(pushed.get("pushes"))
  if number == page.UNKNOWN:
    return ""
  if number == "0" and pushed.get("fell"):
    return "none, it fell before"
  return f"{number}, {'falls' if pushed.get('fell') else 'no fall'}"


def _percent(share: Any, digits: int = 0, of: str = "") -> str:
  """A share in percent; nothing for what is none."""
  number = _number(share, "{}")
  return f"{100 * float(number):.{digits}f} %{of}" if number else ""


def _number(value: Any, form: str) -> str:
  """A number in words; nothing for what is none."""
  try:
    number = float(value)
  except (TypeError, ValueError):
    return ""
  return form.format(number) if math.isfinite(number) else ""
