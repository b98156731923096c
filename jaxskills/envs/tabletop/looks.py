"""What differs to the eye from one demonstration to the next and touches nothing.

Textures, lights, cameras and distractors are drawn once and stay as they are within a
demonstration. Textures are painted here pixel by pixel, so that a scene looks the same whatever
renders it. Of the condition "looks" a learner has seen neither the patterns nor the colours.
"""

import math
from typing import NamedTuple

import numpy as np

CAMERAS = ("front", "left", "right", "high")
"""`high` is the one that learners do not see."""

Rgb = tuple[float, float, float]
Vector = tuple[float, float, float]

PATTERNS = ("flat", "gradient", "checker")
"""Of what a learner sees."""
UNSEEN_PATTERNS = ("stripes", "dots", "clouds")
"""Of the condition "looks"."""

_PIXELS = 64  # edge of a texture
_AIM = (0.5, 0.0, 0.07)  # m; where cameras look
# Distance in m, azimuth from the robot's forward axis and elevation in degrees, field of view.
_STANDS = {
  "front": (1.02, 0.0, 27.0, 32.0),
  "left": (1.02, 62.0, 30.0, 32.0),
  "right": (1.02, -62.0, 30.0, 32.0),
  "high": (1.05, 0.0, 62.0, 32.0),
}
_DISTRACTORS = ("box", "sphere", "cylinder", "capsule", "ellipsoid")


class Texture(NamedTuple):
  """A square picture that repeats.

  Attributes:
    pattern: one of `PATTERNS` or `UNSEEN_PATTERNS`.
    colors: that it is made of, red, green, blue in [0, 1].
    repeat: times per metre.
    seed: of what is random about it.
  """

  pattern: str
  colors: tuple[Rgb, Rgb]
  repeat: float
  seed: int


class Light(NamedTuple):
  """A lamp that throws no shadow.

  Attributes:
    position: m.
    direction: it shines in.
    brightness: of its diffuse light, in [0, 1].
  """

  position: Vector
  direction: Vector
  brightness: float


class View(NamedTuple):
  """Where a camera stands.

  Attributes:
    name: one of `CAMERAS`.
    position: m.
    right: its x axis.
    up: its y axis.
    fovy: vertical field of view, degrees.
  """

  name: str
  position: Vector
  right: Vector
  up: Vector
  fovy: float


class Distractor(NamedTuple):
  """A thing on the table, out of reach, that nothing can touch.

  Attributes:
    kind: of geom.
    size: as MuJoCo wants it for the kind, m.
    position: of its centre, m.
    yaw: rad.
    color: red, green, blue.
  """

  kind: str
  size: Vector
  position: Vector
  yaw: float
  color: Rgb


class Look(NamedTuple):
  """All of it.

  Attributes:
    table: of the table's top.
    wall: of the three walls.
    floor: of the floor around the table.
    item_pattern: on the objects, within their own colour.
    ambient: light from everywhere, in [0, 1].
    lights: one to three.
    views: in the order of `CAMERAS`.
    distractors: none to three.
  """

  table: Texture
  wall: Texture
  floor: Texture
  item_pattern: str
  ambient: float
  lights: tuple[Light, ...]
  views: tuple[View, ...]
  distractors: tuple[Distractor, ...]


def sample_look(rng: np.random.Generator, *, unseen: bool) -> Look:
  """Draws how a scene looks.

  Args:
    rng: of looks alone: physics and behaviour do not depend on what is drawn here.
    unseen: for the condition "looks".
  """
  patterns = UNSEEN_PATTERNS if unseen else PATTERNS
  return Look(
    table=_texture(rng, patterns, unseen),
    wall=_texture(rng, patterns, unseen),
    floor=_texture(rng, patterns, unseen),
    item_pattern=str(rng.choice(("stripes", "dots"))) if unseen else "flat",
    ambient=float(rng.uniform(0.4, 0.6)),
    lights=tuple(_light(rng) for _ in range(rng.integers(1, 4))),
    views=tuple(_view(rng, name) for name in CAMERAS),
    distractors=tuple(_distractor(rng, unseen) for _ in range(rng.integers(0, 4))),
  )


def paint(texture: Texture) -> np.ndarray:
  """The picture, uint8 `[64, 64, 3]`, the same for the same texture."""
  y, x = np.mgrid[0:_PIXELS, 0:_PIXELS] / _PIXELS
  rng = np.random.default_rng(texture.seed)
  match texture.pattern:
    case "flat":
      share = np.zeros_like(x)
    case "gradient":
      share = 0.5 - 0.5 * np.cos(2 * np.pi * y)  # comes back to where it began, so no seams
    case "checker":
      share = ((x < 0.5) ^ (y < 0.5)).astype(float)
    case "stripes":
      share = ((4 * (x + y)) % 1.0 < 0.4).astype(float)
    case "dots":
      share = (((4 * x) % 1.0 - 0.5) ** 2 + ((4 * y) % 1.0 - 0.5) ** 2 < 0.09).astype(float)
    case "clouds":
      share = np.zeros_like(x)
      for waves in (1, 2, 3):
        phase, angle = rng.uniform(0, 2 * np.pi, 2)
        along = np.round(waves * np.cos(angle)) * x + np.round(waves * np.sin(angle)) * y
        share = share + np.cos(2 * np.pi * along + phase) / 6
      share = share + 0.5
    case other:
      raise ValueError(f"no texture has the pattern {other!r}")
  first, second = (np.asarray(color) for color in texture.colors)
  mixed = (1 - share[..., None]) * first + share[..., None] * second
  return np.round(255 * np.clip(mixed, 0.0, 1.0)).astype(np.uint8)


def shade(hue: float, saturation: float, value: float) -> Rgb:
  """Red, green, blue of a colour whose hue is in turns."""
  sector = (hue % 1.0) * 6.0
  parts = [abs((sector + shift) % 6.0 - 3.0) - 1.0 for shift in (0.0, 4.0, 2.0)]
  red, green, blue = (
    value * (1 - saturation + saturation * min(max(part, 0.0), 1.0)) for part in parts
  )
  return (red, green, blue)


def _texture(rng: np.random.Generator, patterns: tuple[str, ...], unseen: bool) -> Texture:
  """Pale or greyish, so that blocks stand out; what is unseen is stronger in colour."""
  hue = rng.uniform()
  saturation = rng.uniform(0.3, 0.5) if unseen else rng.uniform(0.0, 0.25)
  value = rng.uniform(0.35, 0.6) if unseen else rng.uniform(0.45, 0.9)
  first = shade(hue, saturation, value)
  second = shade(hue + rng.normal(0.0, 0.08), saturation, value * rng.uniform(0.6, 0.85))
  pattern = patterns[rng.integers(len(patterns))]
  return Texture(pattern, (first, second), float(rng.uniform(1.0, 5.0)), int(rng.integers(2**31)))


def _light(rng: np.random.Generator) -> Light:
  angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 1.2)
  position = (0.5 + reach * math.cos(angle), reach * math.sin(angle), rng.uniform(1.4, 2.2))
  to = np.asarray(_AIM) - position
  direction = to / np.linalg.norm(to)
  return Light(_vector(position), _vector(direction), float(rng.uniform(0.25, 0.5)))


def _view(rng: np.random.Generator, name: str) -> View:
  """Where the camera stands, a few centimetres and degrees from where it should."""
  distance, azimuth, elevation, fovy = _STANDS[name]
  distance *= rng.uniform(0.95, 1.05)
  turn = math.radians(azimuth + rng.uniform(-5.0, 5.0))
  rise = math.radians(elevation + rng.uniform(-3.0, 3.0))
  aim = np.asarray(_AIM) + rng.uniform(-0.015, 0.015, 3)
  back = np.array(
    [math.cos(rise) * math.cos(turn), math.cos(rise) * math.sin(turn), math.sin(rise)]
  )
  right = np.cross([0.0, 0.0, 1.0], back)
  right /= np.linalg.norm(right)
  up = np.cross(back, right)
  roll = math.radians(rng.uniform(-2.0, 2.0))
  right, up = (
    math.cos(roll) * right + math.sin(roll) * up,
    math.cos(roll) * up - math.sin(roll) * right,
  )
  fovy = fovy * rng.uniform(0.95, 1.05)
  return View(name, _vector(aim + distance * back), _vector(right), _vector(up), float(fovy))


def _distractor(rng: np.random.Generator, unseen: bool) -> Distractor:
  """Beside or behind where the task happens."""
  side = rng.choice((-1.0, 1.0))
  place = (rng.uniform(0.1, 0.85), side * rng.uniform(0.36, 0.5))
  kind = str(rng.choice(_DISTRACTORS))
  size = rng.uniform(0.02, 0.05, 3)
  height = {"sphere": size[0], "cylinder": size[1], "capsule": size[0] + size[1]}.get(kind, size[2])
  saturation = rng.uniform(0.4, 0.8) if unseen else rng.uniform(0.0, 0.5)
  color = shade(rng.uniform(), saturation, rng.uniform(0.2, 0.8))
  return Distractor(
    kind, _vector(size), _vector((*place, height)), float(rng.uniform(-np.pi, np.pi)), color
  )


def _vector(values: np.ndarray | tuple[float, ...]) -> Vector:
  x, y, z = (float(value) for value in values)
  return (x, y, z)
