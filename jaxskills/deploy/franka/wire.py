"""What goes over the wire between the simulated Panda and a stand-in for libfranka.

Not Franka's protocol, which libfranka keeps to itself: fixed packets over UDP that carry what its
`Robot` class offers. `tests/deploy/franka/standin` speaks the other side.
"""

import struct
from enum import IntEnum
from typing import NamedTuple

import numpy as np

PORT = 45211
MAGIC = 0x4A535031
_COMMAND = struct.Struct("<IIQ7d")
_PACKET = struct.Struct("<IIQQQd7d7d7d7d7d64s")


class Request(IntEnum):
  """What a client says."""

  HELLO = 0
  START = 1
  MOVE = 2
  FINISH = 3
  RECOVER = 4
  BYE = 5


class Answer(IntEnum):
  """What the robot says."""

  STATE = 0
  WELCOME = 1
  REFUSED = 2


class Mode(IntEnum):
  """What the robot does, by libfranka's numbers."""

  IDLE = 1
  MOVE = 2
  REFLEX = 4


class Command(NamedTuple):
  """A client's packet.

  Attributes:
    kind: of `Request`.
    tick: of the state that it answers.
    position: desired joints, rad.
  """

  kind: int
  tick: int
  position: np.ndarray


class State(NamedTuple):
  """The robot's packet.

  Attributes:
    kind: of `Answer`.
    tick: of the robot.
    milliseconds: of the robot's clock.
    mode: of `Mode`.
    success_rate: of the last 100 commands.
    joints: measured positions and velocities, desired positions, velocities and accelerations,
      `[5, joints]`, rad and s.
    reflex: that ended the motion, or "".
  """

  kind: int
  tick: int
  milliseconds: int
  mode: int
  success_rate: float
  joints: np.ndarray
  reflex: str


def pack_state(state: State) -> bytes:
  """The packet of a state."""
  numbers = (state.tick, state.milliseconds, state.mode, state.success_rate)
  values, reflex = state.joints.reshape(-1).tolist(), state.reflex.encode()[:63]
  return _PACKET.pack(MAGIC, state.kind, *numbers, *values, reflex)


def unpack_state(packet: bytes) -> State | None:
  """The state in a packet, or None if it is none."""
  if len(packet) != _PACKET.size:
    return None
  magic, kind, tick, milliseconds, mode, rate, *values, reflex = _PACKET.unpack(packet)
  if magic != MAGIC:
    return None
  text = reflex.split(b"\0")[0].decode()
  return State(kind, tick, milliseconds, mode, rate, np.array(values).reshape(5, -1), text)


def pack_command(command: Command) -> bytes:
  """The packet of a command."""
  return _COMMAND.pack(MAGIC, command.kind, command.tick, *command.position.tolist())


def unpack_command(packet: bytes) -> Command | None:
  """The command in a packet, or None if it is none."""
  if len(packet) != _COMMAND.size:
    return None
  magic, kind, tick, *position = _COMMAND.unpack(packet)
  return Command(kind, tick, np.array(position)) if magic == MAGIC else None
