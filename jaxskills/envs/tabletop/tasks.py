"""The four tasks of ASN's multi-task sets, and what it truly means to have done one.

Tower building, sorting by pushing, and taking apart what has to be built anew (Mees et al. 2020,
section IV; colours, sizes and tolerances are ours). Success is a pure function of where objects
and gripper are and how objects move. It takes NumPy or JAX arrays with any leading axes, so that
demonstrations and a jitted environment are judged by the same lines.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

COLORS = ("red", "green", "blue", "yellow")
HUES = {"red": 0.0, "green": 0.35, "blue": 0.6, "yellow": 0.14}
"""Of the colour classes, in turns."""

Verdict = Bool[Array | np.ndarray, "*batch"] | np.bool_
"""Of each instant; NumPy makes a plain one of a single instant."""

UPRIGHT = 0.97  # cosine of the greatest tilt of what stands: 14 degrees
_LEVEL = 0.008  # m; from the height at which a thing rests
_OVERHANG = 0.75  # of the lower one's half width, from centre to centre
_BESIDE = 2.0  # of the distance at which two touch, from centre to centre
_STILL, _STILL_TURN = 0.03, 0.5  # m/s, rad/s
_CLEAR = 0.03  # m beyond an object's half diagonal that the gripper is away once it has let go


class Task(NamedTuple):
  """What is to be done.

  Attributes:
    name: one letter, as in the paper.
    title: in words.
    colors: of the objects, in the order in which they are in `qpos`.
    towers: object numbers from bottom to top, of each tower that there shall be.
    sorts: whether each object belongs in the zone of its colour.
    joins: whether the objects belong side by side, each next to the one before it.
    separates: whether what stands on one another at the start has to be taken apart first.
  """

  name: str
  title: str
  colors: tuple[str, ...]
  towers: tuple[tuple[int, ...], ...] = ()
  sorts: bool = False
  joins: bool = False
  separates: bool = False

  @property
  def subgoals(self) -> tuple[str, ...]:
    """Names of what has to be true at the end, in the order of `subgoals_met`."""
    if self.sorts:
      return tuple(f"{color} in its zone" for color in self.colors)
    if self.joins:
      return tuple(f"{a} beside {b}" for a, b in zip(self.colors, self.colors[1:], strict=False))
    apart = ("taken apart",) if self.separates else ()
    return apart + tuple(
      f"{self.colors[upper]} on {self.colors[lower]}"
      for tower in self.towers
      for lower, upper in zip(tower, tower[1:], strict=False)
    )


TASKS = {
  task.name: task
  for task in (
    Task("A", "two-block stack", ("red", "blue"), towers=((1, 0),)),
    Task("B", "three-block colour push-sort", ("red", "green", "blue"), sorts=True),
    Task("C", "three-block colour stack-sort", ("red", "green", "blue"), towers=((2, 1, 0),)),
    Task(
      "D",
      "four blocks: separate, then stack",
      ("red", "green", "blue", "yellow"),
      towers=((2, 0), (1, 3)),
      separates=True,
    ),
  )
}
"""A: red on blue. B: red, green and blue each into its own zone, in any order. C: red on green on
blue. D: red on blue and yellow on green, where two stand on one another at the start such that
blue or green would be off the table."""


class Layout(NamedTuple):
  """What judging has to know of a scene.

  Attributes:
    half_extents: of the objects along their own axes, m; of a cylinder radius, radius, half height.
    zones: centre and half extents in x and y of each object's zone, m; zeros where nothing is
      sorted.
  """

  half_extents: Float[np.ndarray, "objects 3"]
  zones: Float[np.ndarray, "objects 4"]


class Situation(NamedTuple):
  """One instant, or many with leading axes.

  Attributes:
    positions: of the objects' centres, world frame, m.
    quaternions: their attitudes, w x y z.
    velocities: linear (m/s), then angular (rad/s).
    gripper: place between the fingertips, world frame, m.
  """

  positions: Float[Array | np.ndarray, "*batch objects 3"]
  quaternions: Float[Array | np.ndarray, "*batch objects 4"]
  velocities: Float[Array | np.ndarray, "*batch objects 6"]
  gripper: Float[Array | np.ndarray, "*batch 3"]


def situation(
  qpos: Float[Array | np.ndarray, "*batch nq"],
  qvel: Float[Array | np.ndarray, "*batch nv"],
  gripper: Float[Array | np.ndarray, "*batch 3"],
  objects: int,
) -> Situation:
  """Takes apart the state of a scene's model: robot first, then one free joint per object."""
  poses = qpos[..., -7 * objects :].reshape((*qpos.shape[:-1], objects, 7))
  velocities = qvel[..., -6 * objects :].reshape((*qvel.shape[:-1], objects, 6))
  return Situation(poses[..., :3], poses[..., 3:], velocities, gripper)


def is_success(task: Task, layout: Layout, now: Situation) -> Verdict:
  """Whether the task is done: every sub-goal met, all at rest, and the gripper has let go."""
  met = subgoals_met(task, layout, now).all(axis=-1)
  for base in {tower[0] for tower in task.towers}:
    met = met & on_table(layout, now, base)
  return met & is_still(now) & has_let_go(layout, now)


def subgoals_met(
  task: Task, layout: Layout, now: Situation
) -> Bool[Array | np.ndarray, "*batch subgoals"]:
  """Each of `Task.subgoals`, whether or not anything moves or is held."""
  space = now.positions.__array_namespace__()
  met = []
  if task.sorts:
    met += [in_zone(layout, now, index) for index in range(len(task.colors))]
  if task.joins:
    met += [are_beside(layout, now, index) for index in range(len(task.colors) - 1)]
  if task.separates:
    apart = [on_table(layout, now, tower[0]) for tower in task.towers]
    met.append(space.stack(apart, axis=-1).all(axis=-1))
  for tower in task.towers:
    pairs = zip(tower[1:], tower, strict=False)
    met += [stands_on(layout, now, upper, lower) for upper, lower in pairs]
  return space.stack(met, axis=-1)


def stands_on(layout: Layout, now: Situation, upper: int, lower: int) -> Verdict:
  """Whether one object stands upright on another that does, its centre well above it."""
  between = now.positions[..., upper, :] - now.positions[..., lower, :]
  heights, widths = layout.half_extents[:, 2], layout.half_extents[:, :2].min(axis=-1)
  reach = float(_OVERHANG * widths[lower])
  level = abs(between[..., 2] - float(heights[upper] + heights[lower])) < _LEVEL
  centred = (between[..., :2] ** 2).sum(axis=-1) < reach**2
  return level & centred & _is_upright(now, upper) & _is_upright(now, lower)


def on_table(layout: Layout, now: Situation, index: int) -> Verdict:
  """Whether an object stands upright on the table."""
  rest = float(layout.half_extents[index, 2])
  return (abs(now.positions[..., index, 2] - rest) < _LEVEL) & _is_upright(now, index)


def in_zone(layout: Layout, now: Situation, index: int) -> Verdict:
  """Whether an object stands on the table with its centre in its own zone."""
  x, y, half_x, half_y = (float(value) for value in layout.zones[index])
  place = now.positions[..., index, :]
  inside = (abs(place[..., 0] - x) < half_x) & (abs(place[..., 1] - y) < half_y)
  return inside & on_table(layout, now, index)


def are_beside(layout: Layout, now: Situation, index: int) -> Verdict:
  """Whether an object and the next one stand on the table, less than a width apart."""
  between = now.positions[..., index, :2] - now.positions[..., index + 1, :2]
  widths = layout.half_extents[:, :2].min(axis=-1)
  reach = _BESIDE * float(widths[index] + widths[index + 1])
  near = (between**2).sum(axis=-1) < reach**2
  return near & on_table(layout, now, index) & on_table(layout, now, index + 1)


def is_still(now: Situation) -> Verdict:
  """Whether no object moves."""
  squared = now.velocities**2
  linear, angular = squared[..., :3].sum(axis=-1), squared[..., 3:].sum(axis=-1)
  return ((linear < _STILL**2) & (angular < _STILL_TURN**2)).all(axis=-1)


def has_let_go(layout: Layout, now: Situation) -> Verdict:
  """Whether the gripper is away from every object."""
  space = now.positions.__array_namespace__()
  away = now.positions - now.gripper[..., None, :]
  reach = np.linalg.norm(layout.half_extents, axis=-1) + _CLEAR
  return ((away**2).sum(axis=-1) > space.asarray(reach**2)).all(axis=-1)


def stack_height(layout: Layout, now: Situation) -> Int[np.ndarray, "*batch"] | np.integer:
  """How many objects the tallest stack on the table has; NumPy only."""
  count = len(layout.half_extents)
  level = np.stack([on_table(layout, now, index) for index in range(count)], axis=-1).astype(int)
  for _ in range(count - 1):
    for upper in range(count):
      for lower in set(range(count)) - {upper}:
        on = stands_on(layout, now, upper, lower) & (level[..., lower] > 0)
        level[..., upper] = np.maximum(level[..., upper], np.where(on, level[..., lower] + 1, 0))
  return level.max(axis=-1)


def _is_upright(now: Situation, index: int) -> Verdict:
  """By the cosine between its own z axis and the world's."""
  x, y = now.quaternions[..., index, 1], now.quaternions[..., index, 2]
  return 1.0 - 2.0 * (x**2 + y**2) > UPRIGHT
