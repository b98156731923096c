"""Draws scenes: where objects lie, what they are like, how the arm starts.

All of it comes from one seed, in separate streams for physics, looks and behaviour, so that
another look or another demonstrator leaves the physics of a scene as it was.
"""

import math
from typing import NamedTuple

import numpy as np

from jaxskills.envs.tabletop.looks import sample_look, shade
from jaxskills.envs.tabletop.scene import CONDITIONS, Arm, Item, Scene, Zone
from jaxskills.envs.tabletop.tasks import HUES, TASKS, Task

START_JOINTS = (0.0, -0.1648, 0.0, -2.3426, 0.0, 2.1777, math.pi / 4)
"""The gripper 30 cm over the table and 48 cm before the base, pointing down."""

LOW, HIGH = (0.39, -0.17), (0.61, 0.17)
"""Between which objects' centres lie at the start, m."""

_EDGES = {"train": (0.040, 0.055), "shapes": (0.040, 0.055), "looks": (0.034, 0.038, 0.057, 0.061)}
_APART = 0.125  # m; from centre to centre: a hand fits in between
_SINK = 1e-4  # m into what a thing stands on; whether it touches at 0 depends on rounding
_ZONE_X, _ZONE_Y = 0.61, (-0.15, 0.0, 0.15)  # m
_STARTS_X = (0.40, 0.47)  # m; of what is pushed, between the robot and the zones
_PUSHER = 0.075  # m; room around the line along which something is pushed
_FARTHEST = 0.25  # m that something is pushed
_TRIES = 2000


class Streams(NamedTuple):
  """Independent random numbers of one demonstration."""

  physics: np.random.Generator
  looks: np.random.Generator
  behaviour: np.random.Generator


def streams(task: str, seed: int, condition: str, attempt: int, fake: int = 0) -> Streams:
  """The streams of a seed.

  Args:
    task: name.
    seed: not negative.
    condition: one of `CONDITIONS`.
    attempt: another one gives another scene.
    fake: another number gives another behaviour in the same scene.
  """
  own = [seed, sorted(TASKS).index(task), CONDITIONS.index(condition), attempt]
  physics, looks = (np.random.default_rng([*own, part]) for part in (1, 2))
  return Streams(physics, looks, np.random.default_rng([*own, 3, fake]))


def sample_scene(task: str, seed: int, condition: str, attempt: int, drawn: Streams) -> Scene:
  """A scene of a task.

  Raises:
    RuntimeError: if no room was found for the objects, which no seed should bring about.
  """
  goal, rng = TASKS[task], drawn.physics
  zones = _zones(rng) if goal.sorts else ()
  ranges = np.reshape(_EDGES[condition], (-1, 2))
  low, high = ranges[rng.integers(len(ranges))]  # one for all: no large one on a small one
  sizes = [_half_extents(rng, low, high, round=condition == "shapes") for _ in goal.colors]
  places = _places(rng, goal, zones)
  heights = [half[2] - _SINK for half in sizes]
  if goal.separates:
    _stack_some(rng, goal, places, heights, sizes)
  items = []
  for index, color in enumerate(goal.colors):
    x, y = (float(value) for value in places[index])
    items.append(
      Item(
        kind="cylinder" if condition == "shapes" else "box",
        color=color,
        rgb=_shade(drawn.looks, color),
        half_extents=sizes[index],
        mass=float(rng.uniform(0.05, 0.12)),
        friction=float(rng.uniform(0.6, 0.9)),
        position=(x, y, float(heights[index])),
        yaw=float(rng.uniform(-np.pi, np.pi)),
      )
    )
  arm = Arm(
    joints=tuple(float(angle) for angle in START_JOINTS + rng.uniform(-0.12, 0.12, 7)),
    opening=float(rng.uniform(0.0, 0.04)),
    stiffness=float(rng.uniform(0.75, 1.3)),
    damping=float(rng.uniform(0.8, 1.3)),
  )
  shaded = tuple(zone._replace(rgb=_shade(drawn.looks, zone.color, pale=True)) for zone in zones)
  look = sample_look(drawn.looks, unseen=condition == "looks")
  return Scene(task, condition, seed, attempt, tuple(items), shaded, arm, look)


def _zones(rng: np.random.Generator) -> tuple[Zone, ...]:
  """In a row beyond the objects, in any order of colours."""
  colors = TASKS["B"].colors
  order, shift = rng.permutation(len(colors)), rng.uniform(-0.015, 0.015, 2)
  half_x, half_y = (float(value) for value in rng.uniform(0.045, 0.055, 2))
  slots = np.argsort(order)
  return tuple(
    Zone(
      color,
      rgb=(0.0, 0.0, 0.0),
      center=(float(_ZONE_X + shift[0]), float(_ZONE_Y[slot] + shift[1])),
      half=(half_x, half_y),
    )
    for color, slot in zip(colors, slots, strict=True)
  )


def _half_extents(
  rng: np.random.Generator, low: float, high: float, *, round: bool
) -> tuple[float, float, float]:
  """Nearly a cube, or nearly as high as wide; edges from `low` to `high`, m."""
  edges = np.clip(rng.uniform(low, high) * rng.uniform(0.95, 1.05, 3), low, high)
  if round:
    edges[1] = edges[0]
  x, y, z = (float(edge) / 2 for edge in edges)
  return (x, y, z)


def _places(rng: np.random.Generator, goal: Task, zones: tuple[Zone, ...]) -> np.ndarray:
  """Where objects lie, x and y, far enough apart."""
  count = len(goal.colors)
  low, high = np.array(LOW), np.array(HIGH)
  if goal.sorts:
    low, high = np.array((_STARTS_X[0], LOW[1])), np.array((_STARTS_X[1], HIGH[1]))
  for _ in range(_TRIES):
    places = rng.uniform(low, high, (count, 2))
    gaps = np.linalg.norm(places[:, None] - places[None], axis=-1) + np.eye(count)
    if gaps.min() < _APART * (0.85 if goal.sorts else 1.0):
      continue
    if all(_is_free(places, zones, index) for index in range(len(zones))):
      return places
  raise RuntimeError(f"no room for the objects of task {goal.name} in {_TRIES} tries")


def _is_free(places: np.ndarray, zones: tuple[Zone, ...], index: int) -> bool:
  """Whether an object's way into its zone is short and free of the others, wherever they are."""
  start, end = places[index], np.array(zones[index].center)
  distance = float(np.linalg.norm(end - start))
  if distance > _FARTHEST:
    return False
  along = (end - start) / distance
  start = start - 0.06 * along
  length = float(np.linalg.norm(end - start))
  for other in set(range(len(zones))) - {index}:
    for place in (places[other], np.array(zones[other].center)):
      nearest = start + along * np.clip((place - start) @ along, 0.0, length)
      if np.linalg.norm(place - nearest) < _PUSHER:
        return False
  return True


def _stack_some(
  rng: np.random.Generator,
  goal: Task,
  places: np.ndarray,
  heights: list[float],
  sizes: list[tuple[float, float, float]],
) -> None:
  """Puts what a tower shall stand on onto another object, in place."""
  bases = [tower[0] for tower in goal.towers]
  upper = int(rng.choice(bases))
  lower = int(rng.choice([index for index in range(len(heights)) if index != upper]))
  places[upper] = places[lower] + rng.uniform(-0.004, 0.004, 2)
  heights[upper] = heights[lower] + sizes[lower][2] + sizes[upper][2] - _SINK


def _shade(
  rng: np.random.Generator, color: str, *, pale: bool = False
) -> tuple[float, float, float]:
  hue = HUES[color] + rng.uniform(-0.02, 0.02)
  if pale:
    return shade(hue, rng.uniform(0.45, 0.6), rng.uniform(0.75, 0.95))
  return shade(hue, rng.uniform(0.75, 1.0), rng.uniform(0.65, 0.95))
