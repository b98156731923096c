"""Reach and push, alone: a part of task A for computers without a GPU, in which nothing is stacked.

The scenes are those of task A in which blue lies ahead of red, as seen from the robot; both are
turned so that one of their sides faces the way, and a hand need not turn to push. Red is pushed up
to blue. The fingers are a little open: two contacts apart keep a block straight that one in the
middle lets turn away. The demonstration needs a single push, and is over once it has been a success
for half a second. It is a reduced task: whoever learns it has reached and pushed, no more.
"""

import math
from collections.abc import Iterator

import numpy as np

from jaxskills.envs.tabletop import tasks
from jaxskills.envs.tabletop.demonstration import HELD_FRAMES, Demonstration
from jaxskills.envs.tabletop.demonstrator import Command, Demonstrator
from jaxskills.envs.tabletop.labels import judged
from jaxskills.envs.tabletop.motions import Style, wait
from jaxskills.envs.tabletop.sampling import sample_scene, streams
from jaxskills.envs.tabletop.scene import Item, Scene
from jaxskills.envs.tabletop.scripts import go_to_rest, push_to
from jaxskills.envs.tabletop.tasks import Task

PUSH_TOGETHER = Task("push_together", "red pushed up to blue", ("red", "blue"), joins=True)

_WHOLE = "A"  # the task of which this is a part
_PACE = 0.24  # m/s; usual speed of the hand
_STRAIGHT = 0.15  # rad; greatest angle between the way of the block and straight ahead
_FAR = 0.16  # m; least from centre to centre at the start
_NEAREST = 0.42  # m before the base, of red: a hand behind what is nearer folds the elbow too far
_CROOKED = 0.15  # share that is left of the angle between a block's side and the way
_OPENING = 0.012  # m, of each finger: what is pushed may be 2.7 cm off the middle, not 1.5
_GAP = 0.07  # m; a hand that comes down too far ahead is still behind the block
_HELD = 6  # frames that the hand stays at the end: whoever follows a little late gets there too
_AT_MOST = 100  # frames
_ATTEMPTS = 10_000  # one scene of A in six hundred has both where they are wanted


def demonstrate_push(seed: int, *, condition: str = "train") -> Demonstration:
  """A demonstration that succeeds: the same one for the same arguments, bit for bit.

  Its scene's `task` is that of the whole; its `labels` have `success` alone.

  Args:
    seed: not negative.
    condition: one of `scene.CONDITIONS`.

  Raises:
    RuntimeError: if no attempt succeeded.
  """
  for attempt in range(_ATTEMPTS):
    drawn = streams(_WHOLE, seed, condition, attempt)
    scene = sample_scene(_WHOLE, seed, condition, attempt, drawn)
    far, way = _way(scene)
    if scene.items[0].position[0] < _NEAREST or far < _FAR or abs(way) > _STRAIGHT:
      continue
    scene = scene._replace(items=tuple(_faced(item, way) for item in scene.items))
    style = Style(drawn.behaviour, _PACE)
    style.pause = 0.0
    arm = Demonstrator(scene)
    recording = arm.follow(_script(arm, style), at_most=_AT_MOST)
    now = judged(scene, recording)
    success = np.asarray(tasks.is_success(PUSH_TOGETHER, scene.layout, now))
    held = np.convolve(success, np.ones(HELD_FRAMES), "valid") == HELD_FRAMES
    if held.any() and _pushes(recording.phases) == 1:
      end = int(np.argmax(held)) + HELD_FRAMES
      states = (recording.qpos[:end], recording.qvel[:end], recording.ctrl[:end])
      return Demonstration(scene, *states, {"success": success[:end]}, True, "")
  raise RuntimeError(f"none of {_ATTEMPTS} attempts of seed {seed} pushed red up to blue")


def _way(scene: Scene) -> tuple[float, float]:
  """From red to blue: m, and the direction in rad, where 0 is straight ahead."""
  (x, y), (goal_x, goal_y) = (item.position[:2] for item in scene.items)
  return math.hypot(goal_x - x, goal_y - y), math.atan2(goal_y - y, goal_x - x)


def _faced(item: Item, way: float) -> Item:
  """Turned so that one of its sides nearly faces the way."""
  return item._replace(yaw=way + _CROOKED * math.remainder(item.yaw - way, math.pi / 2))


def _script(arm: Demonstrator, style: Style) -> Iterator[Command]:
  yield from wait(arm, 1, "rest", 0.0)
  _, way = _way(arm.scene)
  touching = sum(item.half_extents[0] for item in arm.scene.items)
  goal = arm.place(1)[:2] - touching * np.array([math.cos(way), math.sin(way)])
  yield from push_to(arm, style, 0, goal, opening=_OPENING, gap=_GAP, held=_HELD)
  yield from go_to_rest(arm, style, 1.0)


def _pushes(phases: tuple[str, ...]) -> int:
  """How often a push begins."""
  return sum(now == "push" != before for before, now in zip(phases, phases[1:], strict=False))
