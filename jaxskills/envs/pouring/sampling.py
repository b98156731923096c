"""Scenes by seed: where vessels stand and what they are like, how much is in, how all looks."""

from typing import NamedTuple

import numpy as np

from jaxskills.envs.pouring.hand import HALF_WIDTH, Hand
from jaxskills.envs.pouring.scene import CONDITIONS, Beads, Scene
from jaxskills.envs.pouring.vessels import Vessel
from jaxskills.envs.tabletop.looks import Look, Rgb, View, sample_look, shade

_MIDDLE = (0.52, 0.0)  # m; between the vessels, give or take
_APART = (0.16, 0.23)  # m; from vessel to vessel along the direction of pouring
PACKING = 0.58  # share of a room that beads poured into it fill
_FULL = 0.62  # share of the container at most
_CLOSER = 0.76  # of the distance at which `tabletop` has its cameras
_HIGHER = 0.05  # m; of what they look at


class Streams(NamedTuple):
  """Independent random numbers of one demonstration."""

  physics: np.random.Generator
  looks: np.random.Generator
  behaviour: np.random.Generator


def streams(seed: int, condition: str, attempt: int, fake: int = 0) -> Streams:
  """The streams of a seed; see `tabletop.sampling.streams`."""
  own = [seed, CONDITIONS.index(condition), attempt]
  physics, looks = (np.random.default_rng([*own, part]) for part in (11, 12))
  return Streams(physics, looks, np.random.default_rng([*own, 13, fake]))


def sample_scene(seed: int, condition: str, attempt: int, drawn: Streams) -> Scene:
  """A scene in which the hand can reach the container and the recipient holds all the beads."""
  rng, looks = drawn.physics, drawn.looks
  yaw, side = rng.uniform(-0.45, 0.45), rng.choice((-1.0, 1.0))
  ahead, left = np.array([np.cos(yaw), np.sin(yaw)]), np.array([-np.sin(yaw), np.cos(yaw)])
  middle = np.array(_MIDDLE) + rng.uniform(-0.03, 0.03, 2)
  between = rng.uniform(*_APART) * side * left + rng.uniform(-0.05, 0.05) * ahead
  clear = condition != "train" or bool(looks.uniform() < 0.5)
  container = _vessel(rng, looks, (0.028, 0.034), (0.088, 0.112), clear, middle - between / 2)
  recipient = _vessel(rng, looks, (0.042, 0.054), (0.06, 0.09), clear, middle + between / 2)
  recipient = recipient._replace(mass=2.5 * recipient.mass)
  radius = float(rng.uniform(0.006, 0.0075))
  room = _FULL * container.volume * PACKING / (4 / 3 * np.pi * radius**3)
  count = int(min(rng.integers(30, 61), room))
  hue, strength, value = looks.uniform(), looks.uniform(0.6, 1.0), looks.uniform(0.6, 0.95)
  colors = tuple(
    shade(hue + looks.normal(0.0, 0.02), strength, value * share) for share in (1.0, 0.85, 0.7)
  )
  start = np.array(container.position) + rng.uniform(-0.04, 0.04) * left
  home = start - rng.uniform(0.15, 0.22) * ahead
  hand = Hand(
    skin=_skin(looks, unseen=condition == "looks"),
    sleeve=shade(looks.uniform(), looks.uniform(0.0, 0.6), looks.uniform(0.2, 0.8)),
    home=(float(home[0]), float(home[1]), float(rng.uniform(0.08, 0.16))),
    yaw=float(yaw + rng.uniform(-0.2, 0.2)),
  )
  lowest = HALF_WIDTH + 0.008
  grip = float(rng.uniform(lowest, max(lowest, container.height - HALF_WIDTH - 0.006)))
  look = _closer(sample_look(looks, unseen=condition == "looks"))
  beads = Beads(count, radius, colors)
  return Scene(condition, seed, attempt, container, recipient, beads, hand, grip, look)


def _vessel(
  rng: np.random.Generator,
  looks: np.random.Generator,
  radius: tuple[float, float],
  height: tuple[float, float],
  clear: bool,
  place: np.ndarray,
) -> Vessel:
  strength = looks.uniform(0.0, 0.25) if clear else looks.uniform(0.1, 0.9)
  color = shade(looks.uniform(), strength, looks.uniform(0.7, 1.0))
  alpha = float(looks.uniform(0.22, 0.4)) if clear else 1.0
  return Vessel(
    radius=float(rng.uniform(*radius)),
    flare=float(rng.uniform(0.0, 0.006)),
    height=float(rng.uniform(*height)),
    wall=0.004,
    sides=int(rng.integers(6, 13)),
    mass=float(rng.uniform(0.08, 0.15)),
    rgb=color,
    alpha=alpha,
    position=(float(place[0]), float(place[1])),
    yaw=float(rng.uniform(-np.pi, np.pi)),
  )


def _skin(rng: np.random.Generator, *, unseen: bool) -> Rgb:
  """From pale to dark; where looks are unseen, gloves."""
  if unseen:
    return shade(rng.uniform(0.3, 0.8), rng.uniform(0.3, 0.8), rng.uniform(0.3, 0.9))
  return shade(rng.uniform(0.04, 0.08), rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.95))


def _closer(look: Look) -> Look:
  """Cameras nearer to what is smaller and higher than blocks on a table."""
  middle = np.array([*_MIDDLE, 0.0])

  def move(view: View) -> View:
    x, y, z = (float(part) for part in middle + _CLOSER * (np.array(view.position) - middle))
    return view._replace(position=(x, y, z + _HIGHER))

  return look._replace(views=tuple(move(view) for view in look.views))
