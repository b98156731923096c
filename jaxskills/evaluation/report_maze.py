"""Sections of a report that show the maze: a rollout, and exploration."""

from collections.abc import Mapping
from typing import Any

from jaxskills.evaluation import maze_maps, page, recordings, video
from jaxskills.evaluation.report_record import Report, as_object, picture, reason

HOLD_SECONDS = 2.0  # shown of a rollout after the goal is reached


def rollout(report: Report) -> str:
  """A film and a map of one evaluation episode."""
  recorded = recordings.load_rollout(report.data)
  is_reached = bool((recorded.goal_distance <= recorded.goal_radius).any())
  end = (
    f"until {HOLD_SECONDS:g} seconds after the goal is reached"
    if is_reached
    else "which does not reach the goal"
  )
  html = ""
  try:
    video.film_rollout(report.folder / "rollout.mp4", recorded, hold_seconds=HOLD_SECONDS)
    html += page.film(
      "rollout.mp4",
      f"One evaluation episode in real time, {end}. The ball is drawn larger than it is. On the "
      "right, the view that agents with the input 'view' act on (walls dark), and what shows them "
      "the ball's speed: its change within one control step.",
    )
  except Exception as error:  # without ffmpeg the map still tells the story
    report.notes.append(f"Rollout: no film, {reason(error)}")
  return html + picture(
    report,
    maze_maps.rollout_map(recorded, HOLD_SECONDS),
    "rollout.png",
    "Path of one evaluation episode",
    "The path of the same episode, coloured by time.",
  )


def exploration(report: Report) -> str:
  """Where the priors and the random ways of acting go."""
  recorded = recordings.load_exploration(report.data)
  shapes = {value.shape[:2] for value in recorded.positions.values()}
  each = "each panel states its episodes"
  if len(shapes) == 1:
    episodes, time = shapes.pop()
    each = f"{episodes:,} episodes of {time:,} recorded steps each"
  html = picture(
    report,
    maze_maps.exploration_map(recorded),
    "exploration.png",
    "Maps of the maze with the paths of each way of acting",
    f"Exploration before any reinforcement learning, on the layout of the task ({each}; compare "
    "the paper's Fig. 5).",
  )
  try:
    html += picture(
      report,
      maze_maps.displacement_figure(recorded),
      "displacement.png",
      "Cumulative distribution of the displacement per skill",
      f"How far one skill of {recorded.skill_horizon} steps moves the ball. A prior that is stuck "
      "at walls rises early, far left of the demonstrations.",
    )
  except ValueError as error:
    report.notes.append(f"Exploration: no displacements, {reason(error)}")
  return html + _coverage_facts(as_object(report.figures.get("coverage")))


def _coverage_facts(found: Mapping[str, Any]) -> str:
  """The prior's check in words; nothing if it was not made."""
  words = [
    ("Cells seen by prior rollouts", "{cells:,.0f} of {free_cells:,.0f}"),
    (
      "Displacement per skill",
      "{displacement_per_skill:.2f} m (demonstrations {demonstrated_displacement_per_skill:.2f} m)",
    ),
    (
      "Direction kept from skill to skill (cosine)",
      "{direction_kept:.2f} (demonstrations {demonstrated_direction_kept:.2f})",
    ),
  ]
  try:
    return page.facts([(name, text.format(**found)) for name, text in words])
  except (KeyError, ValueError, TypeError):
    return ""
