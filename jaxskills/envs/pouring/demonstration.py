"""A pouring demonstration by seed: a scene, a script, what happened, whether it truly worked."""

from typing import NamedTuple

import numpy as np

from jaxskills.config import nearest
from jaxskills.envs.pouring import attributes
from jaxskills.envs.pouring.pourer import Pourer, Recording, UnstablePhysics
from jaxskills.envs.pouring.sampling import sample_scene, streams
from jaxskills.envs.pouring.scene import CONDITIONS, Scene
from jaxskills.envs.pouring.scripts import FAKES, Style, pour

LENGTH = (36, 100)
"""Frames of a demonstration, least and most: 3 to 8.3 s."""

HELD_FRAMES = 3
"""At the end, that have to be a success for a demonstration to be one."""

PHASES = ("before contact", "before flow", "flow", "after flow", "after contact")
"""What lies between the four events that TCN's alignment goes by (section IV-A5)."""

_LULL = 3  # frames without a falling bead that do not interrupt a flow: .25 s
_ATTEMPTS = 12
_WILD = 4.0  # m/s; what no bead does that only falls


class Demonstration(NamedTuple):
  """One recorded demonstration; time runs at `FRAMES_PER_SECOND`.

  Attributes:
    scene: all that is static.
    qpos: `[time, nq]`: the hand's 7 joints, place and quaternion of container and of recipient,
      and the place of each bead.
    qvel: `[time, nv]`.
    ctrl: `[time, 7]`: what the hand's servos had been led to.
    labels: of each frame (`label`); for evaluation only.
    success: whether the beads were in the recipient at the end.
    fake: how it failed on purpose, or "".
  """

  scene: Scene
  qpos: np.ndarray
  qvel: np.ndarray
  ctrl: np.ndarray
  labels: dict[str, np.ndarray]
  success: bool
  fake: str


def demonstrate(seed: int, *, condition: str = "train", fake: str | None = None) -> Demonstration:
  """A demonstration: the same one for the same arguments, bit for bit.

  Where one does not end as it should, or takes too long, another scene of the same seed is tried.

  Args:
    seed: not negative.
    condition: one of `scene.CONDITIONS`.
    fake: kind of failure, of `scripts.FAKES`; None for one that succeeds.

  Raises:
    ValueError: for an unknown name or a negative seed.
    RuntimeError: if no attempt ended as it should.
  """
  for value, names in ((condition, CONDITIONS), (fake or "", ("", *FAKES))):
    if value not in names:
      raise ValueError(f"{value!r} is none of {', '.join(names)}{nearest(value, names)}")
  if seed < 0:
    raise ValueError(f"a seed is not negative; it is {seed}")
  for attempt in range(_ATTEMPTS):
    try:
      tried = attempt_once(seed, condition, attempt, fake or "")
    except UnstablePhysics:
      continue
    low, high = LENGTH
    right = tried.success == (fake is None) and is_tame(tried)
    if right and low <= len(tried.qpos) <= high:
      return tried
  raise RuntimeError(
    f"none of {_ATTEMPTS} scenes of seed {seed}, condition {condition} ended as"
    f" {fake or 'success'} should"
  )


def attempt_once(
  seed: int, condition: str, attempt: int, kind: str, *, at_most: int = LENGTH[1] + 1
) -> Demonstration:
  """One attempt, however it ends; arguments as in `demonstrate`, cut after `at_most` frames.

  Raises:
    UnstablePhysics: where the simulation broke down.
  """
  drawn = streams(seed, condition, attempt, ("", *FAKES).index(kind))
  scene = sample_scene(seed, condition, attempt, drawn)
  style = Style(drawn.behaviour, scene)
  world = Pourer(scene)
  recording = world.follow(pour(world, style, kind), at_most=at_most)
  labels = label(scene, recording)
  success = bool(labels["success"][-HELD_FRAMES:].all())
  return Demonstration(scene, recording.qpos, recording.qvel, recording.ctrl, labels, success, kind)


def is_tame(made: Demonstration) -> bool:
  """Whether nothing was squeezed out of a wall or thrown about, as contacts in physics can do."""
  now = attributes.situation(made.qpos, made.qvel)
  slow = np.abs(now.velocities).max() < _WILD
  stands = attributes.stands(now.recipient).all() and attributes.stands(now.container[-1])
  return bool(slow and stands and np.isfinite(made.qpos).all())


def label(scene: Scene, recording: Recording) -> dict[str, np.ndarray]:
  """Labels, each `[time]`.

  Returns:
    the five of `attributes.ATTRIBUTES` ("angle" int32, an index into `attributes.ANGLES`, the
    others bool; a flow is not interrupted by a quarter of a second without a falling bead), and
    `tilt` (float32, degrees), `poured` (int32, beads in the recipient), `phase` (int32, index into
    `PHASES`), `progress` (float32, in [0, 1]: each phase is a fifth and goes by evenly; where
    nothing flows, three phases are a third each), `success` (bool, by the true predicate).
  """
  now = attributes.situation(recording.qpos.astype(float), recording.qvel.astype(float))
  contact = attributes.in_contact(scene, now)
  flowing = fill_lulls(attributes.is_flowing(scene, now))
  degrees = attributes.tilt(now)
  there = attributes.poured(scene, now)
  phase, progress = phases(contact, flowing)
  return {
    "contact": contact,
    "distance": attributes.within_distance(scene, now),
    "angle": attributes.angle_class(degrees).astype(np.int32),
    "flowing": flowing,
    "has_liquid": there > 0,
    "tilt": degrees.astype(np.float32),
    "poured": there.astype(np.int32),
    "phase": phase,
    "progress": progress,
    "success": attributes.is_success(scene, now),
  }


def fill_lulls(flowing: np.ndarray) -> np.ndarray:
  """A flow `[time]`, bool, of which gaps of up to `_LULL` frames are part."""
  filled, (falls,) = flowing.copy(), np.nonzero(flowing)
  for before, after in zip(falls, falls[1:], strict=False):
    if after - before <= _LULL + 1:
      filled[before:after] = True
  return filled


def phases(contact: np.ndarray, flowing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Phase and progress from when the hand holds on and when it flows.

  TCN's four key frames, "first frame with hand contact, first frame where liquid is flowing, last
  frame where liquid is flowing, last frame with hand contact", and even progress between them.

  Args:
    contact: `[time]`, bool.
    flowing: `[time]`, bool.

  Returns:
    Phase, int32 `[time]`, index into `PHASES`, and progress, float32 `[time]` in [0, 1].
  """
  times = len(contact)
  bounds, kinds = [0, times], [0]
  if contact.any():
    first, last = (int(frame) for frame in np.flatnonzero(contact)[[0, -1]])
    bounds, kinds = [0, first, last + 1, times], [0, 1, 4]
    if flowing.any():
      begin, end = np.clip(np.flatnonzero(flowing)[[0, -1]] + (0, 1), first, last + 1)
      bounds, kinds = [0, first, int(begin), int(end), last + 1, times], [0, 1, 2, 3, 4]
  phase, progress = np.zeros(times, np.int32), np.zeros(times, np.float32)
  for number, kind in enumerate(kinds):
    span = range(bounds[number], bounds[number + 1])
    phase[span.start : span.stop] = kind
    share = np.arange(len(span)) / max(len(span), 1)
    progress[span.start : span.stop] = (number + share) / len(kinds)
  return phase, progress
