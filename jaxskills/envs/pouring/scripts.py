"""How a hand pours: reach, hold, carry, tilt about the lip, bring back, let go.

A script looks at the world while it runs: it stops tilting when as much has left the container as
should. How fast, how evenly, how far and with how many pauses differs from demonstration to
demonstration, so that the pose of the hand does not tell the time.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np

from jaxskills.envs.pouring import attributes, hand
from jaxskills.envs.pouring.pourer import Command, Pourer
from jaxskills.envs.pouring.sampling import PACKING
from jaxskills.envs.pouring.scene import FRAMES_PER_SECOND, Scene

FAKES = ("beside", "withheld", "moved")
"""Ways not to pour: onto the table, without tilting far enough, and without coming near."""

_FURTHEST = math.radians(128.0)
_CLEAR = 0.016  # m between the recipient's rim and the hand or the container


class Style:
  """How one demonstrator moves and what it is up to.

  Attributes:
    rng: of behaviour.
    speed: as a factor on all motions.
    pause: chance of a pause after a motion.
    side: 1 if it pours to the left of the hand, -1 to the right.
    yaw: of the hand when it pours, rad.
    inward: from the recipient's axis back to the lip, as a share of its opening's radius.
    drop: from the lip to the recipient's rim when it pours, m.
    rate: of tilting while it pours, rad/s.
    stream: how many beads may fall at a time before it stops tilting further.
    keep: shares of the beads that are to be left after each go.
    steep: tilt at which something is about to flow, rad.
    shake: rad that it tips the container back after pouring; 0 if it does not.
  """

  def __init__(self, rng: np.random.Generator, scene: Scene):
    """Draws the style."""
    self.rng = rng
    self.speed = float(rng.uniform(1.0, 1.7))
    self.pause = float(rng.uniform(0.0, 0.3))
    container, recipient = (
      np.array(vessel.position) for vessel in (scene.container, scene.recipient)
    )
    towards = math.atan2(*(recipient - container)[::-1])
    self.side = 1.0 if math.sin(towards - scene.hand.yaw) > 0 else -1.0
    self.yaw = towards - self.side * math.pi / 2 + float(rng.uniform(-0.15, 0.15))
    self.inward = float(rng.uniform(0.35, 0.7))
    self.drop = float(rng.uniform(0.02, 0.045))
    self.rate = math.radians(rng.uniform(22.0, 65.0))
    self.stream = int(rng.integers(1, 4))
    rest = 0.0 if rng.uniform() < 0.55 else float(rng.uniform(0.3, 0.7))
    first = float(rng.uniform(0.7, 0.85))
    self.keep = (first, rest) if rng.uniform() < 0.25 else (rest,)
    self.steep = _brimming(scene) - math.radians(rng.uniform(3.0, 12.0))
    self.shake = math.radians(rng.uniform(26.0, 45.0)) if rng.uniform() < 0.65 else 0.0

  def frames(self, seconds: float) -> int:
    """How many frames a motion takes that usually takes so long."""
    factor = np.clip(self.speed * self.rng.uniform(0.8, 1.25), 0.8, 2.0)
    return max(2, round(seconds / factor * FRAMES_PER_SECOND))


def pour(world: Pourer, style: Style, fake: str = "") -> Iterator[Command]:
  """All of it, from rest to rest.

  Args:
    world: whose hand moves.
    style: how.
    fake: one of `FAKES`, or "" for pouring well.
  """
  scene, rng = world.scene, style.rng
  home = world.command
  yield from _wait(world, int(rng.integers(1, 5)))
  yield from _reach(world, style)
  start = np.append(np.asarray(scene.container.position), scene.grip)
  left = np.array([-math.sin(style.yaw), math.cos(style.yaw), 0.0]) * style.side
  end = start + rng.uniform(-0.03, 0.02) * left
  if fake == "moved":
    ahead = np.array([math.cos(style.yaw), math.sin(style.yaw), 0.0])
    end = start - rng.uniform(0.0, 0.06) * left + rng.uniform(-0.12, 0.08) * ahead
    aloft = (start + end) / 2 + np.append(rng.uniform(-0.04, 0.04, 2), rng.uniform(0.05, 0.12))
    yield from _carry(world, style, aloft, style.yaw)
    yield from _wait(world, int(rng.integers(4, 20)))
    yield from _carry(world, style, end, style.yaw + rng.uniform(-0.2, 0.2))
  else:
    lip = _lip(scene, style, fake)
    yield from _carry(world, style, lip(0.0), style.yaw)
    yield from _tilt_all(world, style, lip, fake)
    yield from _carry(world, style, end, style.yaw + rng.uniform(-0.2, 0.2))
  yield from _grip(world, hand.OPEN, holds=False)
  back = np.array([math.cos(world.command.yaw), math.sin(world.command.yaw), 0.0])
  retreat = world.command.place - rng.uniform(0.12, 0.2) * back
  retreat[2] = home.place[2] + rng.uniform(-0.03, 0.03)
  middle = world.command.place - 0.1 * back
  yield from _curve(world, style, (middle, retreat), 0.4, home.yaw)
  yield from _wait(world, int(rng.integers(1, 7)))


def _reach(world: Pourer, style: Style) -> Iterator[Command]:
  """To the container, from behind, and around it."""
  place = np.append(np.asarray(world.scene.container.position), world.scene.grip)
  yaw = style.yaw + style.rng.uniform(-0.25, 0.25)
  back = np.array([math.cos(yaw), math.sin(yaw), 0.0])
  yield from _curve(world, style, (place - 0.1 * back, place), 0.6, yaw)
  yield from _wait(world, 1)
  yield from _grip(world, 0.0, holds=True)


def _carry(world: Pourer, style: Style, place: np.ndarray, yaw: float) -> Iterator[Command]:
  """Up, over and down, held upright."""
  begin = world.command.place
  high = max(begin[2], place[2]) + 0.02
  over = (np.array([*begin[:2], high]), np.array([*(0.25 * begin + 0.75 * place)[:2], high]), place)
  yield from _curve(world, style, over, 0.75, yaw)
  yield from _wait(world, int(style.rng.integers(1, 4)) if style.rng.uniform() < style.pause else 0)


def _tilt_all(
  world: Pourer, style: Style, lip: Callable[[float], np.ndarray], fake: str
) -> Iterator[Command]:
  """Pours in one go or two, then tips back."""
  rng, scene = style.rng, world.scene
  if fake == "withheld":
    yield from _tilt(world, style, lip, rng.uniform(0.4, 0.75) * style.steep, 0.5)
    yield from _wait(world, int(rng.integers(4, 14)))
    yield from _tilt(world, style, lip, 0.0, 0.5)
    return
  for go, share in enumerate(style.keep):
    yield from _tilt(world, style, lip, style.steep, 0.45)
    angle, patience = style.steep, style.frames(0.4)
    while patience > 0 and attributes.left_over(scene, world.now()) > share * scene.beads.number:
      if attributes.falling(scene, world.now()) <= style.stream:
        angle = min(_FURTHEST, angle + style.rate / FRAMES_PER_SECOND)
        patience -= angle >= _FURTHEST
      yield _turned(world, style, lip, angle)
    last = go == len(style.keep) - 1
    yield from _tilt(world, style, lip, 0.0 if last else 0.7 * style.steep, 0.45)
    yield from _wait(world, 0 if last else int(rng.integers(1, 5)))
  if style.shake:
    yield from _tilt(world, style, lip, -style.shake, 0.35)
    yield from _wait(world, int(rng.integers(1, 6)))
    yield from _tilt(world, style, lip, 0.0, 0.35)


def _tilt(
  world: Pourer,
  style: Style,
  lip: Callable[[float], np.ndarray],
  angle: float,
  seconds: float,
) -> Iterator[Command]:
  """To a tilt, in rad towards the recipient, at rest before and after."""
  begin, frames = -style.side * world.command.roll, style.frames(seconds)
  for frame in range(1, frames + 1):
    yield _turned(world, style, lip, begin + _smooth(frame / frames) * (angle - begin))


def _turned(
  world: Pourer, style: Style, lip: Callable[[float], np.ndarray], angle: float
) -> Command:
  return world.command._replace(place=lip(angle), roll=-style.side * angle, yaw=style.yaw)


def _brimming(scene: Scene) -> float:
  """The tilt at which a liquid of the beads' volume would reach the container's rim, rad."""
  container, beads = scene.container, scene.beads
  volume = beads.number * 4 / 3 * math.pi * beads.radius**3 / PACKING
  free = max(0.0, 1.0 - volume / container.volume)
  return math.atan(free * container.height / container.radius)


def _lip(scene: Scene, style: Style, fake: str) -> Callable[[float], np.ndarray]:
  """Where the hand has to be at a tilt, such that the container's lip is where it should be.

  The lip is over the recipient, as low as the parts of container and hand that hang lower than it
  allow, since what is tilted less than a right angle is beside its lip and below.
  """
  container, recipient = scene.container, scene.recipient
  across = recipient.outer(recipient.height)
  ahead = np.array([math.cos(style.yaw), math.sin(style.yaw), 0.0])
  left = np.array([-ahead[1], ahead[0], 0.0])
  target = np.array([*recipient.position, recipient.height])
  target -= style.side * style.inward * float(recipient.inner(recipient.height)) * left
  if fake == "beside":
    astray = across + style.rng.uniform(0.03, 0.06)
    if style.rng.uniform() < 0.5:
      target -= style.side * astray * left
    else:
      target += style.rng.choice((-1.0, 1.0)) * astray * ahead
  reach = across - style.inward * float(recipient.inner(recipient.height))
  local = (style.side * container.outer(container.height), container.height - scene.grip)

  def place(angle: float) -> np.ndarray:
    deepest = container.height * math.cos(angle)
    if angle < 0.0:
      deepest -= 2 * container.outer(0.0) * math.sin(angle)
    elif angle > 0.1:
      deepest = min(deepest, reach / math.tan(angle))
    height = max(style.drop, deepest + hand.THICKNESS + _CLEAR)
    roll = -style.side * angle
    beside = local[0] * math.cos(roll) - local[1] * math.sin(roll)
    above = local[0] * math.sin(roll) + local[1] * math.cos(roll)
    return target + np.array([0.0, 0.0, height - above]) - beside * left

  return place


def _curve(
  world: Pourer, style: Style, points: tuple[np.ndarray, ...], seconds: float, yaw: float
) -> Iterator[Command]:
  """Along a Bezier curve from where the hand is to the last point, at rest before and after."""
  begin = world.command
  frames, skew = style.frames(seconds), style.rng.uniform(0.85, 1.2)
  stops = np.array([begin.place, *points])
  order = len(stops) - 1
  chosen = np.array([math.comb(order, index) for index in range(order + 1)])
  powers = np.arange(order + 1)
  for frame in range(1, frames + 1):
    share = _smooth((frame / frames) ** skew)
    place = (chosen * share**powers * (1.0 - share) ** (order - powers)) @ stops
    turned = begin.yaw + share * (yaw - begin.yaw)
    yield begin._replace(place=place, yaw=turned, roll=(1.0 - share) * begin.roll)


def _grip(world: Pourer, opening: float, *, holds: bool) -> Iterator[Command]:
  """Closes fingers and thumb and then holds, or lets go and then opens them."""
  begin, frames = world.command, 2
  for frame in range(1, frames + 1):
    share = frame / frames
    yield begin._replace(
      opening=begin.opening + share * (opening - begin.opening), holds=holds and frame == frames
    )


def _wait(world: Pourer, frames: int) -> Iterator[Command]:
  for _ in range(frames):
    yield world.command


def _smooth(share: float) -> float:
  """From 0 to 1, with least jerk."""
  return share**3 * (10.0 - 15.0 * share + 6.0 * share**2)
