"""What a demonstrator does for each task, as sub-goals and the motions that reach them."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from jaxskills.envs.tabletop.demonstrator import Command, Demonstrator
from jaxskills.envs.tabletop.motions import (
  OPEN,
  Style,
  behind,
  grip,
  hop,
  move,
  nearest_yaw,
  push,
  wait,
)
from jaxskills.envs.tabletop.sampling import HIGH, LOW

PHASES = ("rest", "reach", "grasp", "lift", "carry", "place", "retreat", "push")
"""Of all tasks; "grasp" lowers the hand and closes it, "place" lowers and opens it. What pushes
never lifts and the other way round, so no task has all of them."""

PACES = {"A": 0.13, "B": 0.41, "C": 0.26, "D": 0.42}
"""Usual speed of the hand, m/s: a demonstration of any task takes 8 to 15 s."""

_DEEP = 0.018  # m below an object's top that the gripper closes
_SQUEEZE = 0.012  # m that each finger would go on if nothing were between them
_ABOVE = 0.07  # m over an object's top from where the hand comes down
_CLEARANCE = 0.05  # m over the highest object, of the gripper on its way
_HEADROOM = 0.1  # m likewise, with an object in it
_OVER = 0.03  # m over its place to where an object is carried
_LET_GO = 0.021  # m that each finger opens to let go, the squeeze included
_TOUCHDOWN = 0.0015  # m over its place where an object is let go
_GAP = 0.035  # m between object and fingertips from where a push begins
_PUSHES = 4  # at most, into one zone
_WITHIN = 0.033  # m from a zone's centre, in x and in y, that are good enough
_ROOM = 0.135  # m from every other object, of a place for one
_FINGER_ROOM = 0.08  # m beside a hand's long axis in which nothing may be taller


class Step(NamedTuple):
  """A sub-goal.

  Attributes:
    item: number of the object.
    onto: of the object it shall stand on, or None.
    spot: x and y where it shall stand on the table, m, if on no object.
    pushed: whether it is pushed there.
    counts: whether it brings the task nearer to its end.
  """

  item: int
  onto: int | None = None
  spot: tuple[float, float] | None = None
  pushed: bool = False
  counts: bool = True


def plan(arm: Demonstrator, style: Style) -> list[Step]:
  """The sub-goals in an order that is legal."""
  task = arm.scene.goal
  if task.sorts:
    order = style.rng.permutation(len(task.colors))
    zones = [zone.center for zone in arm.scene.zones]
    return [Step(int(index), spot=zones[index], pushed=True) for index in order]
  steps = [set_apart(arm, style)] if task.separates else []
  for tower in style.rng.permutation(len(task.towers)):
    steps += build(task.towers[tower])
  return steps


def build(tower: Iterable[int]) -> list[Step]:
  """A tower from bottom to top, whose bottom stays where it is."""
  tower = list(tower)
  pairs = zip(tower[1:], tower, strict=False)
  return [Step(int(upper), onto=int(lower)) for upper, lower in pairs]


def set_apart(arm: Demonstrator, style: Style) -> Step:
  """Puts what stands on something onto the table."""
  upper = max(range(len(arm.scene.items)), key=arm.top)
  return Step(upper, spot=free_spot(arm, style, upper))


def free_spot(
  arm: Demonstrator, style: Style, item: int, *, near: bool = True
) -> tuple[float, float]:
  """A place on the table away from every other object.

  Args:
    arm: whose hand brings it there.
    style: whose whim decides.
    item: number of the object that needs it.
    near: as near to the object as may be, or anywhere but there.
  """
  others = [arm.place(index)[:2] for index in range(len(arm.scene.items)) if index != item]
  spots = style.rng.uniform(LOW, HIGH, (300, 2))
  gaps = np.linalg.norm(spots[:, None] - np.stack(others)[None], axis=-1).min(axis=1)
  away = np.linalg.norm(spots - arm.place(item)[:2], axis=1)
  if not near:
    gaps = np.minimum(gaps, away)
  fit = gaps >= min(_ROOM, float(np.sort(gaps)[-5]))
  spots, away = spots[fit], away[fit]
  x, y = spots[np.argmin(away)] if near else spots[0]
  return (float(x), float(y))


def perform(
  arm: Demonstrator, style: Style, steps: list[Step], *, of: int | None = None
) -> Iterator[Command]:
  """Does steps one after another; they are all there are, or the first ones of `of`."""
  count, done = of or len(steps), 0
  for step in steps:
    yield from scaled(do(arm, style, step), done, count, counts=step.counts)
    done += step.counts


def scaled(
  commands: Iterable[Command], done: int, count: int, *, counts: bool = True
) -> Iterator[Command]:
  """Makes progress of one step progress of all `count`, of which `done` are done.

  What does not count makes none.
  """
  for command in commands:
    yield command._replace(progress=(done + (command.progress if counts else 0.0)) / count)


def do(arm: Demonstrator, style: Style, step: Step) -> Iterator[Command]:
  """One step; `progress` is that of the step."""
  if step.pushed:
    assert step.spot is not None
    yield from push_to(arm, style, step.item, np.array(step.spot))
  else:
    yield from pick(arm, style, step.item)
    yield from put(arm, style, step)


def pick(
  arm: Demonstrator,
  style: Style,
  item: int,
  *,
  miss: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Iterator[Command]:
  """Takes an object, or closes the hand beside it by as much as `miss`, m."""
  miss_by = np.array(miss)
  target = arm.place(item) + miss_by
  top, yaw = arm.top(item), grasp_yaw(arm, item)
  above = np.array([*target[:2], top + miss_by[2] + _ABOVE + style.rng.uniform(0.0, 0.03)])
  yield from hop(
    arm,
    style,
    above,
    yaw,
    ("retreat" if arm.position[2] < 0.2 else "reach", "reach"),
    (0.0, 0.25),
    apex=highest(arm) + _CLEARANCE,
    opening=OPEN,
  )
  target = np.array([*(arm.place(item) + miss_by)[:2], top + miss_by[2] - _DEEP])
  yield from move(arm, style, target, yaw, "grasp", (0.25, 0.35), pace=0.7)
  width = min(arm.scene.items[item].half_extents[:2])
  yield from grip(arm, max(0.0, width - _SQUEEZE), "grasp", (0.35, 0.4))


def put(arm: Demonstrator, style: Style, step: Step, *, held: bool = True) -> Iterator[Command]:
  """Brings what the hand holds to its place and lets go; `held` is false if it holds nothing."""
  rest, turn = arm.scene.items[step.item].half_extents[2] + _TOUCHDOWN, arm.yaw
  if step.onto is not None:
    lower = arm.place(step.onto)
    goal = np.array([*lower[:2], arm.top(step.onto) + rest])
    if arm.scene.items[step.item].kind == "box":
      yaw = arm.heading(step.onto) + style.rng.normal(0.0, 0.06)
      own = arm.heading(step.item)
      turn = nearest_yaw(arm.yaw + yaw - own, arm.yaw, np.pi / 2)
  else:
    assert step.spot is not None
    goal = np.array([*step.spot, rest])
  start = arm.place(step.item)
  offset = start - arm.position if held else np.zeros(3)
  over = goal - offset + [0.0, 0.0, _OVER + style.rng.uniform(0.0, 0.03)]
  apex = highest(arm, but=step.item) + _HEADROOM + style.rng.uniform(0.0, 0.04)
  yield from hop(arm, style, over, turn, ("lift", "carry"), (0.4, 0.75), apex=apex)
  yield from wait(arm, 2, "carry", 0.75)
  offset = arm.place(step.item) - arm.position if held else offset
  yield from move(arm, style, goal - offset, arm.yaw, "place", (0.75, 0.87), pace=0.7)
  yield from wait(arm, 1, "place", 0.87)
  opening = min(OPEN, arm.opening + _LET_GO + style.rng.uniform(0.0, 0.01))
  yield from grip(arm, opening, "place", (0.87, 1.0), hold=1)


def push_to(
  arm: Demonstrator,
  style: Style,
  item: int,
  goal: np.ndarray,
  *,
  beside: float = 0.0,
  opening: float = 0.0,
  gap: float = _GAP,
  held: int = 0,
) -> Iterator[Command]:
  """Pushes an object to a place, fingers closed or nearly, again where a push went astray.

  Args:
    arm: whose hand.
    style: how.
    item: number of the object.
    goal: x and y, m.
    beside: by how much the hand passes the object instead, m.
    opening: of each finger from the middle, m.
    gap: between object and fingertips where a push begins, m.
    held: frames that the hand stays where a push has ended.
  """
  for attempt in range(_PUSHES):
    if attempt and np.abs(goal - arm.place(item)[:2]).max() < _WITHIN:
      return
    spot, direction = behind(arm, item, goal)
    yaw = nearest_yaw(direction, arm.yaw, np.pi)
    along = np.array([np.cos(direction), np.sin(direction)])
    spot[:2] -= gap * along
    aside = beside * np.array([-along[1], along[0], 0.0])
    above = spot + aside + [0.0, 0.0, 0.09 + style.rng.uniform(0.0, 0.03)]
    phases = ("retreat" if arm.position[2] < 0.1 else "reach", "reach")
    apex = highest(arm) + _CLEARANCE
    yield from hop(arm, style, above, yaw, phases, (0.0, 0.25), apex=apex, opening=opening)
    yield from move(arm, style, spot + aside, yaw, "reach", (0.25, 0.35), pace=0.8)
    if beside:
      past = np.array([*goal, spot[2]]) + aside
      yield from move(arm, style, past, yaw, "push", (0.35, 0.95), pace=0.5)
    else:
      yield from push(arm, style, item, goal, "push", (0.35, 0.95))
    yield from wait(arm, held, "push", 0.95)
    back = arm.position + [*(-0.02 * along), 0.01]
    yield from move(arm, style, back, arm.yaw, "retreat", (0.95, 1.0))
    if beside:
      return


def go_to_rest(arm: Demonstrator, style: Style, progress: float) -> Iterator[Command]:
  """Leaves the hand beside the scene, so that all can be seen, and stays a little."""
  away = np.array([0.4, 0.0, 0.27]) + style.rng.uniform(-0.04, 0.04, 3)
  span, phases = (progress, progress), ("retreat", "rest")
  apex = highest(arm) + _CLEARANCE
  yield from hop(arm, style, away, 0.5 * arm.yaw, phases, span, apex=apex)
  yield from wait(arm, int(style.rng.integers(9, 16)), "rest", progress)


def grasp_yaw(arm: Demonstrator, item: int) -> float:
  """Of the ways to take an object the one for which the hand turns least and nothing is in it."""
  if arm.scene.items[item].kind == "box":
    first = arm.heading(item)
    options = [nearest_yaw(first + turn, arm.yaw, np.pi) for turn in (0.0, np.pi / 2)]
  else:
    options = [arm.yaw + turn for turn in (0.0, -0.7, 0.7, -1.4, 1.4)]
    options = [nearest_yaw(option, arm.yaw, np.pi) for option in options]
  place, low = arm.place(item), arm.top(item) - _DEEP

  def cost(yaw: float) -> float:
    beside = np.array([np.cos(yaw), np.sin(yaw)])
    blocked = 0.0
    for index in range(len(arm.scene.items)):
      way = arm.place(index)[:2] - place[:2]
      near = np.linalg.norm(way) < 0.17 and abs(way @ beside) < _FINGER_ROOM
      blocked += index != item and near and arm.top(index) > low + 0.02
    return 10.0 * float(blocked) + abs(yaw - arm.yaw) + 0.5 * abs(yaw)

  return min(options, key=cost)


def highest(arm: Demonstrator, but: int = -1) -> float:
  """Top of the highest object, m."""
  return max(arm.top(index) for index in range(len(arm.scene.items)) if index != but)
