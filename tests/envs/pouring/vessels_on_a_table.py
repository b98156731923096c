"""A scene and states of it made by hand."""

import numpy as np

from jaxskills.envs.pouring import hand
from jaxskills.envs.pouring.attributes import Situation
from jaxskills.envs.pouring.sampling import sample_scene, streams

BEADS = 4
_DRAWN = sample_scene(0, "train", 0, streams(0, "train", 0))
SCENE = _DRAWN._replace(
  container=_DRAWN.container._replace(radius=0.03, flare=0.0, height=0.1, wall=0.004, sides=8),
  recipient=_DRAWN.recipient._replace(radius=0.05, flare=0.0, height=0.08, wall=0.004, sides=8),
  beads=_DRAWN.beads._replace(number=BEADS, radius=0.006),
  grip=0.05,
)
RECIPIENT = (0.5, 0.0)  # x and y
OUTSIDE = (0.9, 0.3, 0.006)  # on the table, beside everything


def pose(x, y, z=0.0, tilt=0.0):
  """Of a vessel, tilted by so many degrees towards positive y."""
  half = -np.deg2rad(tilt) / 2
  return np.array([x, y, z, np.cos(half), np.sin(half), 0.0, 0.0])


def make(
  *, container=(0.5, -0.2), opening=hand.OPEN, hand_at=(0.3, -0.2, 0.1), beads=(), speeds=()
):
  """An instant: where things are and how fast beads go down; missing beads lie on the table."""
  places, velocities = np.tile(OUTSIDE, (BEADS, 1)), np.zeros((BEADS, 3))
  places[: len(beads)] = np.reshape(beads, (-1, 3))
  velocities[: len(speeds), 2] = [-speed for speed in speeds]
  joints = np.array([*hand_at, 0.0, 0.0, opening, opening])
  return Situation(joints, pose(*container), pose(*RECIPIENT), places, velocities)
