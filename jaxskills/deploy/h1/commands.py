"""What the operator wants: how fast to go, and when to stand, walk, stop or begin anew.

The wireless remote's bytes come with every `LowState_`; their layout is Unitree's. A script (a
constant, or a file of times and velocities) stands and walks by itself after a stated time, for
simulations and for robots on a gantry.
"""

import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from jaxskills.errors import UserError

Velocity = tuple[float, float, float]
STILL: Velocity = (0.0, 0.0, 0.0)
_BUTTONS = ("R1", "L1", "start", "select", "R2", "L2", "F1", "F2", "A", "B", "X", "Y")
_DEAD_ZONE = 0.05  # of a stick, ours
_KEY_STEP = 0.1  # m/s or rad/s a key press, ours


class Wish(NamedTuple):
  """What an operator asks for at one instant.

  Attributes:
    velocity: forward and sideways, m/s, and yaw rate, rad/s.
    stand: get up from zero torque.
    walk: hand over to the policy.
    stop: damp.
    reset: back to zero torque after damping.
  """

  velocity: Velocity = STILL
  stand: bool = False
  walk: bool = False
  stop: bool = False
  reset: bool = False


class Operator(Protocol):
  """Somebody or something that says where to go."""

  @property
  def help(self) -> str:
    """What the operator can do, in one line."""
    ...

  def wish(self, remote: bytes, elapsed: float, walking: float) -> Wish:
    """What is asked now.

    Args:
      remote: the remote's bytes in the newest state.
      elapsed: seconds since the controller heard the robot first.
      walking: seconds since the policy began; 0 before.
    """
    ...


class Ranges(NamedTuple):
  """Velocities that the policy was trained for; what is beyond is cut off."""

  low: Velocity
  high: Velocity

  def clip(self, velocity: Sequence[float]) -> Velocity:
    """The nearest velocity within; a value that is not finite is 0."""
    finite = [value if math.isfinite(value) else 0.0 for value in velocity]
    x, y, turn = (
      min(max(value, low), high)
      for value, low, high in zip(finite, self.low, self.high, strict=True)
    )
    return x, y, turn

  def of_sticks(self, sticks: Sequence[float]) -> Velocity:
    """The velocity of stick positions from -1 to 1: all of a range at its end."""
    x, y, turn = (
      (high if stick > 0.0 else -low) * stick if abs(stick) > _DEAD_ZONE else 0.0
      for stick, low, high in zip(sticks, self.low, self.high, strict=True)
    )
    return self.clip((x, y, turn))


class Joystick(NamedTuple):
  """The wireless remote: start stands, A walks, select or B stops, X begins anew."""

  ranges: Ranges
  help: str = (
    "remote   start: stand   A: walk   B or select: damp   X: begin anew   "
    "left stick: forward, sideways   right stick: turn"
  )

  def wish(self, remote: bytes, elapsed: float, walking: float) -> Wish:
    """See `Operator`."""
    pressed, (left_x, right_x, _, left_y) = read_remote(remote)
    return Wish(
      velocity=self.ranges.of_sticks((left_y, -left_x, -right_x)),
      stand="start" in pressed,
      walk="A" in pressed,
      stop=bool(pressed & {"select", "B"}),
      reset="X" in pressed,
    )


class Script(NamedTuple):
  """Velocities over time; stands and walks by itself.

  Attributes:
    ranges: that the policy was trained for.
    times: from which each velocity holds, seconds since the policy began, increasing from 0.
    velocities: one for each time.
    start_after: seconds before it stands up.
    help: for the operator.
  """

  ranges: Ranges
  times: tuple[float, ...]
  velocities: tuple[Velocity, ...]
  start_after: float
  help: str = "script   the robot stands up and walks BY ITSELF; the remote's B or select damps it"

  def wish(self, remote: bytes, elapsed: float, walking: float) -> Wish:
    """See `Operator`; the remote's select and B stop a script too."""
    pressed, _ = read_remote(remote)
    index = int(np.searchsorted(self.times, walking, side="right")) - 1
    return Wish(
      velocity=self.ranges.clip(self.velocities[max(index, 0)]),
      stand=elapsed >= self.start_after,
      walk=True,
      stop=bool(pressed & {"select", "B"}),
    )


class Keyboard:
  """Keys of a terminal: Enter stands, then walks; w/s, a/d, q/e set velocities; x stops."""

  help = (
    "keys     Enter: stand, then walk   w/s: forward   a/d: turn   q/e: sideways   "
    "space: stand still   x: damp   r: begin anew"
  )
  _MOVES = {"w": (0, 1), "s": (0, -1), "q": (1, 1), "e": (1, -1), "a": (2, 1), "d": (2, -1)}

  def __init__(self, ranges: Ranges) -> None:
    """Starts at rest."""
    self._ranges, self._wish = ranges, Wish()
    self._heard = self._wish

  def press(self, key: str) -> None:
    """Takes one key; others than those in `help` do nothing."""
    before = self._wish._replace(reset=False)
    if key in self._MOVES:
      axis, sign = self._MOVES[key]
      velocity = list(before.velocity)
      velocity[axis] = round(velocity[axis] + sign * _KEY_STEP, 6)
      self._wish = before._replace(velocity=self._ranges.clip(velocity))
    elif key == " ":
      self._wish = before._replace(velocity=STILL)
    elif key in ("\n", "\r"):
      self._wish = before._replace(stand=True, walk=before.stand)
    elif key == "x":
      self._wish = Wish(stop=True)
    elif key == "r":
      self._wish = Wish(reset=True)

  def wish(self, remote: bytes, elapsed: float, walking: float) -> Wish:
    """See `Operator`; the remote's select and B stop here too. One press of r asks once."""
    pressed, _ = read_remote(remote)
    wish = self._wish
    stop = wish.stop or bool(pressed & {"select", "B"})
    reset = wish.reset and wish is not self._heard
    self._heard = wish
    return wish._replace(stop=stop, reset=reset)


def read_remote(remote: bytes) -> tuple[set[str], tuple[float, float, float, float]]:
  """Pressed buttons, and the sticks left x, right x, right y, left y from -1 to 1."""
  keys, left_x, right_x, right_y, _, left_y = struct.unpack_from("<2xH5f", remote)
  pressed = {name for bit, name in enumerate(_BUTTONS) if keys >> bit & 1}
  x, rx, ry, y = (
    value if math.isfinite(value) else 0.0 for value in (left_x, right_x, right_y, left_y)
  )
  return pressed, (x, rx, ry, y)


def pack_remote(pressed: Sequence[str] = (), sticks: Sequence[float] = (0.0,) * 4) -> bytes:
  """The bytes that `read_remote` reads."""
  keys = sum(1 << _BUTTONS.index(name) for name in pressed)
  left_x, right_x, right_y, left_y = sticks
  return struct.pack("<2xH5f16x", keys, left_x, right_x, right_y, 0.0, left_y)


def parse_velocity(text: str, ranges: Ranges) -> Velocity:
  """A velocity from `forward,sideways,yaw rate`.

  Raises:
    UserError: if it is none, or beyond what the policy was trained for.
  """
  try:
    x, y, turn = (float(part) for part in text.split(","))
  except ValueError as error:
    raise UserError(f"'{text}' is no velocity; write m/s,m/s,rad/s such as 0.5,0,0.") from error
  if ranges.clip((x, y, turn)) != (x, y, turn):
    raise UserError(
      f"the policy was trained for velocities from {list(ranges.low)} to {list(ranges.high)} "
      f"(m/s, m/s, rad/s); {text} is beyond."
    )
  return x, y, turn


def read_script(path: Path, ranges: Ranges) -> tuple[tuple[float, ...], tuple[Velocity, ...]]:
  """Times and velocities of a text file with lines `seconds forward,sideways,yaw rate`.

  Raises:
    UserError: if it cannot be read, or a line is wrong, naming it.
  """
  try:
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
  except (OSError, UnicodeDecodeError) as error:
    raise UserError(
      f"{path} is not readable as text; name a file of lines '0.0 0.5,0,0'."
    ) from error
  times, velocities = [], []
  for number, line in enumerate(lines, 1):
    try:
      time, velocity = line
      times.append(float(time))
    except ValueError as error:
      raise UserError(f"{path}, line {number}: write 'seconds forward,sideways,yaw'.") from error
    velocities.append(parse_velocity(velocity, ranges))
  if not times or times[0] != 0.0 or any(b <= a for a, b in zip(times, times[1:], strict=False)):
    raise UserError(f"{path}: times must begin at 0 and increase.")
  return tuple(times), tuple(velocities)
