"""Reach and push, alone: a part of task B with one block and its zone, for computers without a GPU.

The scene is that of a demonstration of task B from which all other blocks and zones are taken away,
and the demonstrator is the same. The block's way into its zone lies nearly straight ahead of the
robot and one of its sides faces it, so that a hand need not turn to push. The fingers are a little
open: two contacts apart keep a block straight that one in the middle lets turn away. The demonstration
needs a single push, and is over once it has been a success for half a second. It is a reduced task: whoever
learns it has reached and pushed, and neither sorted nor stacked.
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
from jaxskills.envs.tabletop.scene import Scene
from jaxskills.envs.tabletop.scripts import go_to_rest, push_to
from jaxskills.envs.tabletop.tasks import Task

PUSH_ONE = Task("push_one", "one block pushed into its zone", ("red",), sorts=True)

_WHOLE = "B"  # the task of which this is a part
_PACE = 0.24  # m/s; usual speed of the hand
_STRAIGHT = 0.3  # rad; greatest angle between the way of the block and straight ahead
_CROOKED = 0.15  # share that is left of the angle between the block's side and its way
_OPENING = 0.012  # m, of each finger: what is pushed may be 2.7 cm off the middle, not 1.5
_HELD = 6  # frames that the hand stays at the end: whoever follows a little late gets there too
_AT_MOST = 90  # frames
_ATTEMPTS = 60


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
    scene = only_first(sample_scene(_WHOLE, seed, condition, attempt, drawn))
    if abs(_way(scene)) > _STRAIGHT:
      continue
    style = Style(drawn.behaviour, _PACE)
    style.pause = 0.0
    arm = Demonstrator(scene)
    recording = arm.follow(_script(arm, style), at_most=_AT_MOST)
    now = judged(scene, recording)
    success = np.asarray(tasks.is_success(PUSH_ONE, scene.layout, now))
    held = np.convolve(success, np.ones(HELD_FRAMES), "valid") == HELD_FRAMES
    if held.any() and _pushes(recording.phases) == 1:
      end = int(np.argmax(held)) + HELD_FRAMES
      states = (recording.qpos[:end], recording.qvel[:end], recording.ctrl[:end])
      return Demonstration(scene, *states, {"success": success[:end]}, True, "")
  raise RuntimeError(f"none of {_ATTEMPTS} attempts of seed {seed} pushed the block into its zone")


def only_first(scene: Scene) -> Scene:
  """The scene with the first of its objects, turned towards its zone, and no others."""
  scene = scene._replace(items=scene.items[:1], zones=scene.zones[:1])
  item, way = scene.items[0], _way(scene)
  aside = math.remainder(item.yaw - way, math.pi / 2)
  return scene._replace(items=(item._replace(yaw=way + _CROOKED * aside),))


def _way(scene: Scene) -> float:
  """Direction from the first object to the middle of its zone, rad; 0 is straight ahead."""
  (x, y), (goal_x, goal_y) = scene.items[0].position[:2], scene.zones[0].center
  return math.atan2(goal_y - y, goal_x - x)


def _script(arm: Demonstrator, style: Style) -> Iterator[Command]:
  yield from wait(arm, 1, "rest", 0.0)
  goal = np.array(arm.scene.zones[0].center)
  yield from push_to(arm, style, 0, goal, opening=_OPENING, held=_HELD)
  yield from go_to_rest(arm, style, 1.0)


def _pushes(phases: tuple[str, ...]) -> int:
  """How often a push begins."""
  return sum(now == "push" != before for before, now in zip(phases, phases[1:], strict=False))
