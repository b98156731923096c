"""Seven ways to fail on purpose, from the same starts and before the same cameras as successes.

Most do part of the task as it should be done, so that only what happens tells a failure. Each task
has all seven; where things are pushed, what is dropped elsewhere is left behind halfway, and what
topples elsewhere is pushed out of its zone again.
"""

from collections.abc import Callable, Iterator

import numpy as np

from jaxskills.envs.tabletop.demonstrator import Command, Demonstrator
from jaxskills.envs.tabletop.motions import OPEN, Style, grip, hop, move, wait
from jaxskills.envs.tabletop.scripts import (
  Step,
  build,
  do,
  free_spot,
  go_to_rest,
  highest,
  perform,
  pick,
  plan,
  push_to,
  put,
  scaled,
)

_OVERSHOOT = (0.07, 0.1)  # m beyond its zone's centre, where a thing is pushed to a wrong place
_ASIDE = (0.05, 0.07)  # m beside an object, where a hand misses it
_TOO_HIGH = (0.035, 0.05)  # m, likewise
_LOST = (0.3, 0.65)  # share of the way to where it belongs
_WANDERING = (90, 140)  # frames; once over the first it may end, once over the second it does
_SWEEP = 0.11  # m of a hand that knocks something over


def fake(arm: Demonstrator, style: Style, kind: str) -> Iterator[Command]:
  """A script that fails; progress does not grow any more once nothing good can come of it.

  Args:
    arm: that fails.
    style: how it moves.
    kind: one of `FAKES`.
  """
  yield from wait(arm, int(style.rng.integers(1, 6)), "rest", 0.0)
  yield from _SCRIPTS[kind](arm, style)


def dropped(arm: Demonstrator, style: Style) -> Iterator[Command]:
  """Loses an object on the way, or leaves it halfway to its zone."""
  steps = plan(arm, style)
  number = _which(style, steps)
  step, share = steps[number], style.rng.uniform(*_LOST)
  yield from perform(arm, style, steps[:number], of=len(steps))
  start, reached = arm.place(step.item)[:2], 0.0
  goal = arm.place(step.onto)[:2] if step.onto is not None else np.array(step.spot)
  for command in scaled(do(arm, style, step), number, len(steps)):
    if np.linalg.norm(arm.place(step.item)[:2] - start) > share * np.linalg.norm(goal - start):
      break
    reached = command.progress
    yield command
  if not step.pushed:
    yield from grip(arm, OPEN, "carry", (reached, reached), hold=int(style.rng.integers(3, 9)))
  yield from go_to_rest(arm, style, reached)


def wrong_order(arm: Demonstrator, style: Style) -> Iterator[Command]:
  """Does all of it with the colours mixed up."""
  task, steps = arm.scene.goal, plan(arm, style)
  if task.sorts:
    first, second = style.rng.choice(len(steps), 2, replace=False)
    spots = {steps[first].item: steps[second].spot, steps[second].item: steps[first].spot}
    steps = [
      step._replace(spot=spots.get(step.item, step.spot), counts=step.item not in spots)
      for step in steps
    ]
  elif task.separates:
    lowers, uppers = zip(*task.towers, strict=True)
    pairs = zip(lowers, uppers[::-1], strict=True)
    steps = [steps[0], *(_worthless(step) for pair in pairs for step in build(pair))]
  else:
    tower = list(task.towers[0])
    while (order := [int(index) for index in style.rng.permutation(tower)])[:2] == tower[:2]:
      pass
    steps = [_worthless(step) for step in build(order)]
  yield from perform(arm, style, steps)
  yield from go_to_rest(arm, style, sum(step.counts for step in steps) / len(steps))


def toppled(arm: Demonstrator, style: Style) -> Iterator[Command]:
  """Undoes at the end what was done: knocks a tower over, or pushes something out of its zone."""
  steps = plan(arm, style)
  yield from perform(arm, style, steps)
  item = steps[-1].item
  away = style.rng.uniform(0.0, 2 * np.pi)
  along = np.array([np.cos(away), np.sin(away), 0.0])
  place = arm.place(item)
  low = place[2] if not steps[-1].pushed else max(0.02, place[2])
  start = np.array([*(place - 0.07 * along)[:2], low])
  yaw = float(np.arctan2(along[1], along[0]))
  yaw = yaw if abs(yaw) <= np.pi / 2 else yaw - np.sign(yaw) * np.pi
  above = start + [0.0, 0.0, 0.08]
  apex = highest(arm) + 0.05
  phases, span = ("retreat", "reach"), (1.0, 1.0)
  yield from hop(arm, style, above, yaw, phases, span, apex=apex, opening=0.0)
  yield from move(arm, style, start, yaw, "reach", span)
  yield from move(arm, style, start + _SWEEP * along, yaw, "retreat", span)
  yield from go_to_rest(arm, style, 1.0)


def wrong_zone(arm: Demonstrator, style: Style) -> Iterator[Command]:
  """Brings one object to a wrong place, and the others where they belong if they still can be."""
  steps = plan(arm, style)
  number = _which(style, steps)
  step, last = steps[number], number
  yield from perform(arm, style, steps[:number], of=len(steps))
  if step.pushed:
    goal = np.array(step.spot)
    along = goal - arm.place(step.item)[:2]
    goal = goal + style.rng.uniform(*_OVERSHOOT) * along / np.linalg.norm(along)
    astray = Step(step.item, spot=(float(goal[0]), float(goal[1])), pushed=True)
    later = steps[number + 1 :]
  else:
    astray = Step(step.item, spot=free_spot(arm, style, step.item, near=False))
    later = [other for other in steps[number + 1 :] if other.onto != step.item]
  yield from scaled(do(arm, style, astray), number, len(steps), counts=False)
  for following in later:
    yield from scaled(do(arm, style, following), last, len(steps))
    last += 1
  yield from go_to_rest(arm, style, last / len(steps))


def missed(arm: Demonstrator, style: Style) -> Iterator[Command]:
  """Closes the hand beside or above an object, or passes beside it, and goes on as if it had it."""
  steps = plan(arm, style)
  number = _which(style, steps)
  step, reached = steps[number], number / len(steps)
  yield from perform(arm, style, steps[:number], of=len(steps))
  beside = style.rng.choice((-1.0, 1.0)) * style.rng.uniform(*_ASIDE)
  if step.pushed:
    miss = push_to(arm, style, step.item, np.array(step.spot), beside=beside)
  elif style.rng.uniform() < 0.5:
    miss = pick(arm, style, step.item, miss=(0.0, 0.0, float(style.rng.uniform(*_TOO_HIGH))))
  else:
    angle = style.rng.uniform(0.0, np.pi)
    miss = pick(arm, style, step.item, miss=(beside * np.cos(angle), beside * np.sin(angle), 0.0))
  yield from scaled(miss, number, len(steps), counts=False)
  if not step.pushed:
    yield from scaled(put(arm, style, step, held=False), number, len(steps), counts=False)
  yield from go_to_rest(arm, style, reached)


def random_reach(arm: Demonstrator, style: Style) -> Iterator[Command]:
  """Reaches for nothing in particular."""
  low, high = _WANDERING
  frames = 0
  while frames < low or style.rng.uniform() < 0.5 and frames < high:
    clear = highest(arm) + 0.04
    spot = style.rng.uniform((0.36, -0.2, clear), (0.64, 0.2, clear + 0.12))
    yaw, opening = style.rng.uniform(-1.2, 1.2), style.rng.uniform(0.0, OPEN)
    for command in move(arm, style, spot, yaw, "reach", (0.0, 0.0), opening=opening, pace=0.7):
      frames += 1
      yield command


def abandoned(arm: Demonstrator, style: Style) -> Iterator[Command]:
  """Stops halfway and stays there, whatever it holds."""
  steps = plan(arm, style)
  share, phase, reached = style.rng.uniform(0.3, 0.75), "rest", 0.0
  for command in perform(arm, style, steps):
    if command.progress > share:
      break
    phase, reached = command.phase, command.progress
    yield command
  yield from wait(arm, int(style.rng.integers(10, 30)), phase, reached)


_SCRIPTS: dict[str, Callable[[Demonstrator, Style], Iterator[Command]]] = {
  "dropped": dropped,
  "wrong_order": wrong_order,
  "toppled": toppled,
  "wrong_zone": wrong_zone,
  "missed": missed,
  "random_reach": random_reach,
  "abandoned": abandoned,
}
FAKES = tuple(_SCRIPTS)
"""The kinds; every task has all of them."""


def _which(style: Style, steps: list[Step]) -> int:
  """The step that goes wrong."""
  return int(style.rng.integers(len(steps)))


def _worthless(step: Step) -> Step:
  return step._replace(counts=False)
