"""A demonstration by seed: a scene, a script, what happened, and whether it truly worked."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxskills.config import nearest
from jaxskills.envs.tabletop import fakes
from jaxskills.envs.tabletop.demonstrator import Command, Demonstrator
from jaxskills.envs.tabletop.fakes import FAKES
from jaxskills.envs.tabletop.labels import label
from jaxskills.envs.tabletop.motions import Style, wait
from jaxskills.envs.tabletop.sampling import sample_scene, streams
from jaxskills.envs.tabletop.scene import CONDITIONS, Scene
from jaxskills.envs.tabletop.scripts import PACES, go_to_rest, perform, plan
from jaxskills.envs.tabletop.tasks import TASKS

LENGTH = (96, 180)
"""Frames of a demonstration, least and most: 8 to 15 s."""

HELD_FRAMES = 7
"""At the end, that have to be a success for a demonstration to be one: .5 s from first to last."""

_FAKE_LENGTH = (96, 140)  # frames; failing early would tell by the length
_ATTEMPTS = 12


class Demonstration(NamedTuple):
  """One recorded demonstration; time runs at `FRAMES_PER_SECOND`.

  Attributes:
    scene: all that is static.
    qpos: `[time, nq]`: 7 joints, 2 fingers, then place and quaternion of each object.
    qvel: `[time, nv]`.
    ctrl: `[time, nu]`: what the servos had been led to (`demonstrator.controls_between`).
    labels: of each frame (`labels.label`); for evaluation only.
    success: whether the task was done at the end and stayed so.
    fake: how it failed on purpose, or "".
  """

  scene: Scene
  qpos: np.ndarray
  qvel: np.ndarray
  ctrl: np.ndarray
  labels: dict[str, np.ndarray]
  success: bool
  fake: str


def demonstrate(
  task: str, seed: int, *, condition: str = "train", fake: str | None = None
) -> Demonstration:
  """A demonstration: the same one for the same arguments, bit for bit.

  Where one does not end as it should, or takes too long, another scene of the same seed is tried.

  Args:
    task: name, of `tasks.TASKS`.
    seed: not negative.
    condition: one of `scene.CONDITIONS`.
    fake: kind of failure, of `fakes.FAKES`; None for one that succeeds.

  Raises:
    ValueError: for an unknown name or a negative seed.
    RuntimeError: if no attempt ended as it should.
  """
  kinds = ("", *FAKES)
  for value, names in ((task, tuple(TASKS)), (condition, CONDITIONS), (fake or "", kinds)):
    if value not in names:
      raise ValueError(f"{value!r} is none of {', '.join(names)}{nearest(value, names)}")
  if seed < 0:
    raise ValueError(f"a seed is not negative; it is {seed}")
  for attempt in range(_ATTEMPTS):
    tried = attempt_once(task, seed, condition, attempt, fake or "")
    low, high = LENGTH
    if tried.success == (fake is None) and low <= len(tried.qpos) <= high:
      return tried
  raise RuntimeError(
    f"none of {_ATTEMPTS} scenes of task {task}, seed {seed}, condition {condition} ended as"
    f" {fake or 'success'} should"
  )


def attempt_once(task: str, seed: int, condition: str, attempt: int, kind: str) -> Demonstration:
  """One attempt, however it ends; arguments as in `demonstrate`."""
  drawn = streams(task, seed, condition, attempt, ("", *FAKES).index(kind))
  scene = sample_scene(task, seed, condition, attempt, drawn)
  arm = Demonstrator(scene)
  style = Style(drawn.behaviour, PACES[task])
  script = fakes.fake(arm, style, kind) if kind else _success(arm, style)
  at_least = int(style.rng.integers(*_FAKE_LENGTH)) if kind else LENGTH[0]
  recording = arm.follow(_filled(arm, script, at_least), at_most=LENGTH[1] + 1)
  labels = label(scene, recording)
  return Demonstration(
    scene,
    recording.qpos,
    recording.qvel,
    recording.ctrl,
    labels,
    bool(labels["success"][-HELD_FRAMES:].all()),
    kind,
  )


def _success(arm: Demonstrator, style: Style) -> Iterator[Command]:
  yield from wait(arm, int(style.rng.integers(1, 6)), "rest", 0.0)
  yield from perform(arm, style, plan(arm, style))
  yield from go_to_rest(arm, style, 1.0)


def _filled(arm: Demonstrator, script: Iterator[Command], at_least: int) -> Iterator[Command]:
  """Waits at the end where a script is over too soon."""
  frames, command = 1, None
  for command in script:
    frames += 1
    yield command
  assert command is not None
  yield from wait(arm, at_least - frames, "rest", command.progress)
