"""What an embedding must beat, as embeddings of the same shape: pixels, joints, objects.

*Pixels* are the frame itself, made small. *Random features* need no code of their own: they are an
untrained network, given to the same scoring as a trained one.

*Joint angles* test for a leak: where demonstrators move alike, the arm's pose tells the time, and
an embedding that looked at nothing but the arm would align as well. *Object positions* know what
is done but not what the arm is about to do. *State* is both, the ceiling.

A state has no views: two cameras of one instant share it, and the alignment of one demonstration's
views would be perfect by construction, which says nothing. So a row "state" is a state that was
*measured*, once per view, with independent noise: `JOINT_NOISE` and `POSITION_NOISE`. What it fails
to tell apart are pauses and moments that look alike to a good sensor, and that is an honest ceiling
for cameras too. The amounts of noise are ours: a camera that is calibrated well, and a gear's play.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

JOINT_NOISE = 0.01
"""Standard deviation of a measured joint angle, rad."""
POSITION_NOISE = 0.005
"""Standard deviation of a measured coordinate of an object, m."""
PIXELS_SIDE = 16
"""Of a frame as the pixel baseline sees it."""

State = Literal["joint_angles", "object_positions", "state"]
STATES: tuple[State, ...] = ("joint_angles", "object_positions", "state")
_POSE = 7  # numbers of an object's pose: place (m), then a quaternion


def pixels(frames: Any, side: int = PIXELS_SIDE) -> Any:
  """Frames made small by area and laid out in a row, in [0, 1].

  Works on NumPy's and on JAX's arrays alike, so that a reward can be made of it too.

  Args:
    frames: uint8 `[..., rows, columns, 3]`, no smaller than `side`.
    side: rows and columns that remain.

  Returns:
    float32 `[..., side * side * 3]`.
  """
  *batch, rows, columns, channels = frames.shape
  narrow = _area_weights(columns, side) @ (frames.astype("float32") / np.float32(255.0))
  small = _area_weights(rows, side) @ narrow.reshape(*batch, rows, side * channels)
  return small.reshape(*batch, side * side * channels)


def measured_state(
  labels: Mapping[str, np.ndarray], kind: State, views: int, seed: int | Sequence[int]
) -> Float[np.ndarray, "time view dim"]:
  """A state as `views` independent measurements of it, each coordinate in units of its noise.

  Dividing by the noise makes radians and metres comparable in one distance.

  Args:
    labels: of one video's frames: `joints` `[time, 7]` in rad, `objects` `[time, 7 n]`, for each
      object its place (m) and attitude; a place that is not finite stands for no object.
    kind: which of them.
    views: measurements of each instant.
    seed: of the noise.

  Raises:
    KeyError: if a label that it needs is missing.
  """
  rng, parts = np.random.default_rng(seed), []
  if kind in ("joint_angles", "state"):
    parts.append(labels["joints"] / JOINT_NOISE)
  if kind in ("object_positions", "state"):
    poses = np.asarray(labels["objects"])
    places = poses.reshape(len(poses), -1, _POSE)[:, :, :3].reshape(len(poses), -1)
    parts.append(np.nan_to_num(places, nan=0.0, posinf=0.0, neginf=0.0) / POSITION_NOISE)
  state = np.concatenate(parts, axis=1).astype(np.float64)
  noise = rng.standard_normal((len(state), views, state.shape[1]))
  return state[:, None] + noise


def _area_weights(size: int, side: int) -> np.ndarray:
  """Shares of old pixels that make up each new one, `[side, size]`; rows add up to 1."""
  edges = np.linspace(0, size, side + 1)
  low, high = np.maximum.outer(edges[:-1], np.arange(size)), edges[1:, None]
  covered = np.minimum(high, np.arange(1, size + 1)) - low
  return (np.maximum(covered, 0.0) * side / size).astype(np.float32)
