"""Motions of a hand, a command a frame: move, grip, wait, push.

Each is a generator that looks at the world while it runs. How fast, how evenly and with how many
pauses is a matter of style, which differs from demonstration to demonstration and from motion to
motion: otherwise the pose of the arm would tell the time, and aligning videos would be trivial.
"""

from collections.abc import Iterator

import numpy as np

from jaxskills.envs.tabletop.demonstrator import Command, Demonstrator
from jaxskills.envs.tabletop.scene import FRAMES_PER_SECOND

OPEN = 0.04  # m; of each finger
_SPEED = (0.6, 1.6)  # of the usual pace; the reference's range
_START_UP = 0.15  # s; of a motion, whatever its length
_TURN_RATE = 2.0  # rad/s at the usual pace
_FINGERS = 0.009  # m a frame; .11 m/s
_TIP = 0.009  # m; half thickness of a closed fingertip pair along the push
_PUSH_HEIGHT = (0.02, 0.026)  # m; over the table at least, and below the object's top at least
_SLIPPED = 0.025  # m between the middle of the hand and of the object: it got away
_STEER = 0.08  # rad a frame
_THERE = 0.008  # m; where a push ends
_BRAKE = 0.035  # m before the end from where a push slows down


class Style:
  """How one demonstrator moves.

  Attributes:
    rng: of behaviour.
    pace: usual speed of the hand, m/s.
    speed: of this demonstrator, as a factor.
    pause: chance of a pause after a motion.
  """

  def __init__(self, rng: np.random.Generator, pace: float):
    """Draws the style around a task's usual pace."""
    self.rng = rng
    self.pace = pace
    self.speed = float(rng.uniform(0.8, 1.3))
    self.pause = float(rng.uniform(0.0, 0.3))

  def factor(self) -> float:
    """On the pace, for one motion."""
    low, high = _SPEED
    return float(np.clip(self.speed * self.rng.uniform(0.75, 1.3), low, high))

  def pausing(self) -> int:
    """Frames to wait after a motion."""
    return int(self.rng.integers(2, 7)) if self.rng.uniform() < self.pause else 0


def move(
  arm: Demonstrator,
  style: Style,
  position: np.ndarray | tuple[float, ...],
  yaw: float,
  phase: str,
  span: tuple[float, float],
  *,
  opening: float | None = None,
  pace: float = 1.0,
) -> Iterator[Command]:
  """Moves in a straight line that starts and ends at rest.

  Args:
    arm: whose hand moves.
    style: how.
    position: to be at in the end, m.
    yaw: to have in the end, rad.
    phase: name.
    span: progress at the start and in the end.
    opening: of the fingers in the end; as it is if None.
    pace: factor on the pace.
  """
  begin, end = arm.position, np.asarray(position, float)
  begin_yaw, begin_opening = arm.yaw, arm.opening
  opening = begin_opening if opening is None else opening
  length = float(np.linalg.norm(end - begin))
  seconds = max(length / (style.pace * pace), abs(yaw - begin_yaw) / _TURN_RATE) + _START_UP
  frames = max(2, round(seconds / style.factor() * FRAMES_PER_SECOND))
  skew = style.rng.uniform(0.8, 1.25)
  for frame in range(1, frames + 1):
    share = _smooth((frame / frames) ** skew)
    yield Command(
      begin + share * (end - begin),
      begin_yaw + share * (yaw - begin_yaw),
      begin_opening + min(1.0, 2.0 * share) * (opening - begin_opening),
      phase,
      span[0] + share * (span[1] - span[0]),
    )
  yield from wait(arm, style.pausing(), phase, span[1])


def hop(
  arm: Demonstrator,
  style: Style,
  position: np.ndarray,
  yaw: float,
  phases: tuple[str, str],
  span: tuple[float, float],
  *,
  apex: float,
  opening: float | None = None,
) -> Iterator[Command]:
  """Goes up, over and down without a stop, so that nothing in between is touched.

  Args:
    arm: whose hand moves.
    style: how.
    position: to be at in the end, m.
    yaw: to have in the end, rad.
    phases: what it is called on the way up and after that.
    span: progress at the start and in the end.
    apex: least height of the gripper halfway, m.
    opening: of the fingers in the end; as it is if None.
  """
  begin, begin_yaw, begin_opening = arm.position, arm.yaw, arm.opening
  end = np.asarray(position, float)
  opening = begin_opening if opening is None else opening
  apex = max(apex, begin[2], end[2])
  across, rise = float(np.linalg.norm((end - begin)[:2])), 2 * apex - begin[2] - end[2]
  length = max(across, rise) + 0.4 * min(across, rise)
  seconds = max(length / style.pace, abs(yaw - begin_yaw) / _TURN_RATE) + _START_UP
  frames = max(4, round(seconds / style.factor() * FRAMES_PER_SECOND))
  skew = style.rng.uniform(0.85, 1.2)
  # Down is where one comes from: the share of the time that the way up takes.
  middle = (apex - begin[2] + 0.05) / (rise + 0.1)
  early = 0.75 * middle if apex - begin[2] > 0.02 else 0.0
  late = 1.0 - 0.4 * (1.0 - middle)
  for frame in range(1, frames + 1):
    time = (frame / frames) ** skew
    share = _smooth(min(1.0, max(0.0, (time - early) / (late - early))))
    up, down = _smooth(min(1.0, time / middle)), _smooth(max(0.0, (time - middle) / (1 - middle)))
    place = begin + share * (end - begin)
    place[2] = begin[2] + up * (apex - begin[2]) + down * (end[2] - apex)
    yield Command(
      place,
      begin_yaw + share * (yaw - begin_yaw),
      begin_opening + min(1.0, 2.0 * share) * (opening - begin_opening),
      phases[0] if time < early else phases[1],
      span[0] + time * (span[1] - span[0]),
    )
  yield from wait(arm, style.pausing(), phases[1], span[1])


def grip(
  arm: Demonstrator, opening: float, phase: str, span: tuple[float, float], *, hold: int = 2
) -> Iterator[Command]:
  """Opens or closes the fingers, then waits `hold` frames."""
  change = opening - arm.opening
  frames = max(1, round(abs(change) / _FINGERS))
  begin = arm.opening
  for frame in range(1, frames + 1 + hold):
    share = min(1.0, frame / frames)
    done = frame / (frames + hold)
    progress = span[0] + done * (span[1] - span[0])
    yield Command(arm.position, arm.yaw, begin + share * change, phase, progress)


def wait(arm: Demonstrator, frames: int, phase: str, progress: float) -> Iterator[Command]:
  """Stays."""
  for _ in range(frames):
    yield Command(arm.position, arm.yaw, arm.opening, phase, progress)


def behind(arm: Demonstrator, index: int, goal: np.ndarray) -> tuple[np.ndarray, float]:
  """Where a hand's fingertips lie flat on an object that is to be pushed to a place, and how.

  Args:
    arm: whose hand.
    index: of the object.
    goal: x and y, m.

  Returns:
    The hand's place, m, behind the middle of the side that faces away from the goal most; and the
    direction, rad, from there to the object's centre.
  """
  item, place = arm.scene.items[index], arm.place(index)
  left = goal - place[:2]
  direction, half = float(np.arctan2(left[1], left[0])), item.half_extents[0]
  if item.kind == "box":
    heading = arm.heading(index)
    quarters = int(np.round((direction - heading) / (np.pi / 2)))
    direction, half = heading + quarters * np.pi / 2, item.half_extents[quarters % 2]
  ahead = np.array([np.cos(direction), np.sin(direction)])
  low, below = _PUSH_HEIGHT
  height = max(low, 2 * item.half_extents[2] - below)
  return np.array([*(place[:2] - (half + _TIP) * ahead), height]), direction


def push(
  arm: Demonstrator,
  style: Style,
  index: int,
  goal: np.ndarray,
  phase: str,
  span: tuple[float, float],
) -> Iterator[Command]:
  """Pushes an object to a place; the hand is behind it, a little away, fingertips closed.

  An object goes where the fingertips face, and turns with them while they lie flat on its side, so
  the hand steers like a car: it turns towards the goal bit by bit and keeps behind the object. Ends
  when the object is there, has got away sideways, or after more than twice the time that it should
  take.
  """
  speed = 0.55 * style.pace * style.factor() / FRAMES_PER_SECOND  # m a frame
  first = float(np.linalg.norm(goal - arm.place(index)[:2]))
  position, heading = arm.position.copy(), behind(arm, index, goal)[1]
  offset = arm.yaw - heading
  for _ in range(12 + round(2.5 * first / speed)):
    center = arm.place(index)[:2]
    left = goal - center
    distance = float(np.linalg.norm(left))
    astray = _wrapped(float(np.arctan2(left[1], left[0])) - heading)
    heading += float(np.clip(0.5 * astray, -_STEER, _STEER))
    ahead = np.array([np.cos(heading), np.sin(heading)])
    aside = np.array([-ahead[1], ahead[0]])
    beside = float((center - arm.hand()[:2]) @ aside)
    if distance < _THERE or left @ ahead < 0.0 or abs(beside) > _SLIPPED:
      return
    step = speed * min(max(0.4, np.cos(2.0 * astray)), max(0.25, distance / _BRAKE))
    position[:2] += step * ahead + 0.5 * beside * aside
    done = float(np.clip(1.0 - distance / max(first, 1e-9), 0.0, 1.0))
    progress = span[0] + done * (span[1] - span[0])
    yield Command(position.copy(), heading + offset, arm.opening, phase, progress)


def _wrapped(angle: float) -> float:
  """Within half a turn, rad."""
  return (angle + np.pi) % (2 * np.pi) - np.pi


def nearest_yaw(yaw: float, to: float, period: float) -> float:
  """Of yaws that differ by whole periods, the one within a quarter turn that is nearest to another.

  A hand turns no further: what it grasps or pushes with looks the same after half a turn.
  """
  turns = np.arange(-6, 7)
  options = yaw + turns * period
  options = options[np.abs(options) <= np.pi / 2 + 1e-6]
  return float(options[np.argmin(np.abs(options - to))])


def _smooth(share: float) -> float:
  """Minimum jerk: at rest at both ends."""
  return share**3 * (10.0 - 15.0 * share + 6.0 * share**2)
