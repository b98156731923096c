"""A log of every tick and every decision of an H1's controller, and its replay to the same bits.

A file is `JSKH1LOG`, the length of a JSON header, the header, and frames of fixed size: a decision
(`D`) with what the policy measured and answered, a tick (`T`) with all that went into the states
and the filter and what came out, and the end (`E`) of a run that ended in order, by which a log
that lacks something is told. A frame that a crash cut off is left out. Writing is for a thread of
its own; a full disk or a slow one ends the log and never the run.
"""

import json
import struct
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from jaxskills.deploy.h1 import priority
from jaxskills.deploy.h1.commands import Wish
from jaxskills.deploy.h1.machine import Decision, Fault, Order
from jaxskills.errors import UserError

_MAGIC, SCHEMA = b"JSKH1LOG", "jaxskills-h1-log/1"
_HEADER_LIMIT = 1 << 16
_QUEUE_FRAMES = 5000  # 9 s of a disk that does not answer
_WAIT_SECONDS = 0.05

SENSORS = np.dtype(
  [
    ("tick", "<u4"),
    ("wireless_remote", "u1", 40),
    ("imu_state", [("quaternion", "<f4", 4), ("gyroscope", "<f4", 3)]),
    ("motor_state", [("q", "<f4"), ("dq", "<f4")], 20),
  ]
)
"""What of a `LowState_` the controller looks at, under the same names."""

DECISION = np.dtype(
  [
    ("kind", "S1"),
    ("step", "<i8"),
    ("stamp", "<f8"),
    ("velocity", "<f8", 3),
    ("sensors", SENSORS),
    ("action", "<f4", 32),
  ]
)
TICK = np.dtype(
  [
    ("kind", "S1"),
    ("now", "<f8"),
    ("stamp", "<f8"),
    ("late", "u1"),
    ("fault", "u1"),
    ("wish", "u1", 4),
    ("decided", "<f8"),
    ("sensors", SENSORS),
    ("state", "u1"),
    ("mode", "u1"),
    ("crc", "<u4"),
    ("motor_cmd", [("q", "<f4"), ("kp", "<f4"), ("kd", "<f4")], 20),
  ]
)
UNDECIDED = -1.0  # a tick's `decided` before the first decision
END = np.dtype([("kind", "S1"), ("frames", "<i8")])
"""How many frames came before; nothing comes after."""

_FRAMES = {b"D": DECISION, b"T": TICK, b"E": END}


def sensors_of(state: np.ndarray) -> np.ndarray:
  """The part of a `LowState_` record that a log keeps."""
  kept = np.zeros((), SENSORS)
  for name in ("tick", "wireless_remote"):
    kept[name] = state[name]
  for name in ("quaternion", "gyroscope"):
    kept["imu_state"][name] = state["imu_state"][name]
  for name in ("q", "dq"):
    kept["motor_state"][name] = state["motor_state"][name]
  return kept


def tick_frame(
  now: float,
  stamp: float,
  sensors: np.ndarray,
  wish: Wish,
  decision: Decision | None,
  late: bool,
  fault: Fault,
  order: Order,
  message: np.ndarray,
) -> np.ndarray:
  """What went into one tick and came out of it, as a frame `[]`.

  Args:
    now: of the tick, s.
    stamp: of the newest state, s.
    sensors: of that state.
    wish: the operator's.
    decision: the policy's newest.
    late: as the machine's; the others likewise.
    fault: that the controller found.
    order: what the machine answered.
    message: what was sent.
  """
  frame = np.zeros((), TICK)
  frame["kind"], frame["now"], frame["stamp"] = b"T", now, stamp
  frame["late"], frame["fault"] = late, fault
  frame["wish"] = (wish.stand, wish.walk, wish.stop, wish.reset)
  frame["decided"] = UNDECIDED if decision is None else decision.stamp
  frame["sensors"] = sensors
  frame["state"], frame["mode"], frame["crc"] = order.state, order.mode, message["crc"]
  for name in ("q", "kp", "kd"):
    frame["motor_cmd"][name] = message["motor_cmd"][name]
  return frame


def decision_frame(
  stamp: float, step: int, velocity: Sequence[float], sensors: np.ndarray, action: np.ndarray
) -> np.ndarray:
  """What the policy measured at one decision and what it answered, as a frame `[]`."""
  frame = np.zeros((), DECISION)
  frame["kind"], frame["step"], frame["stamp"], frame["velocity"] = b"D", step, stamp, velocity
  frame["sensors"] = sensors
  frame["action"][: action.size] = action
  return frame


def check_place(path: Path) -> None:
  """Refuses a place where no log can begin, before anything else is done.

  Raises:
    UserError: if something is there already, or its folder is not.
  """
  if path.exists():
    raise UserError(f"{path} exists; name another --log.")
  if not path.parent.is_dir():
    raise UserError(f"{path.parent} is no folder; name another --log.")


class Recorder:
  """Writes frames while the robot moves; made once, closed at the end.

  Attributes:
    ended: why the log ended early, or "".
    frames: how many were handed to the disk.
  """

  def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
    """Creates the file.

    Raises:
      UserError: if it is there already or cannot be written.
    """
    self.path, self.ended, self.frames = path, "", 0
    content = json.dumps({"schema": SCHEMA, **header}).encode()
    try:
      self._file: BinaryIO = open(path, "xb")
      self._file.write(_MAGIC + struct.pack("<I", len(content)) + content)
      self._file.flush()
    except FileExistsError as error:
      raise UserError(f"{path} exists; name another --log.") from error
    except OSError as error:
      raise UserError(f"cannot write {path}: {error.strerror}; name another --log.") from error
    self._queue: deque[bytes] = deque()
    self._closing = threading.Event()
    self._thread = threading.Thread(target=self._drain, name="log", daemon=True)
    self._thread.start()

  def add(self, frame: np.ndarray) -> None:
    """Takes a frame at once; never waits and never raises."""
    if self.ended:
      return
    if len(self._queue) >= _QUEUE_FRAMES:
      self.ended = "the disk was too slow"
      return
    self._queue.append(frame.tobytes())

  def close(self) -> None:
    """Writes what is left and closes the file."""
    self._closing.set()
    self._thread.join(timeout=5.0)

  def _drain(self) -> None:
    priority.lower()
    last = False
    while not last:
      last = self._closing.wait(_WAIT_SECONDS)
      frames = [self._queue.popleft() for _ in range(len(self._queue))]
      end = b""
      if last and not self.ended:
        end = np.array((b"E", self.frames + len(frames)), END).tobytes()
      try:
        self._file.write(b"".join(frames) + end)
        self._file.flush()
      except (OSError, ValueError) as error:
        self.ended = getattr(error, "strerror", None) or str(error)
        break
      self.frames += len(frames)
    try:
      self._file.close()
    except OSError as error:
      self.ended = self.ended or error.strerror or str(error)


class Log(NamedTuple):
  """A log on disk.

  Attributes:
    header: what the run was.
    content: the frames' bytes.
  """

  header: Mapping[str, Any]
  content: bytes

  def frames(self) -> Iterator[np.ndarray]:
    """Frames in the order in which they were written.

    Raises:
      UserError: at bytes that are no frame.
    """
    begin = 0
    while begin < len(self.content):
      kind = _FRAMES.get(self.content[begin : begin + 1])
      if kind is None:
        raise UserError(
          f"the log is damaged at byte {begin} of its frames; what is before it is whole."
        )
      if begin + kind.itemsize > len(self.content):
        return
      yield np.frombuffer(self.content, kind, count=1, offset=begin).reshape(())
      begin += kind.itemsize


def read_log(path: Path) -> Log:
  """Reads a log.

  Raises:
    UserError: if it is none, or cannot be read.
  """
  try:
    content = path.read_bytes()
  except OSError as error:
    raise UserError(f"{path} is not readable: {error.strerror}.") from error
  start = len(_MAGIC) + 4
  if not content.startswith(_MAGIC) or len(content) < start:
    raise UserError(f"{path} is no log of an H1; name the --log of a 'jaxskills run h1'.")
  (length,) = struct.unpack_from("<I", content, len(_MAGIC))
  try:
    if length > _HEADER_LIMIT:
      raise ValueError("too long")
    header = json.loads(content[start : start + length])
  except ValueError as error:
    raise UserError(f"{path} has a damaged header.") from error
  if not isinstance(header, dict) or header.get("schema") != SCHEMA:
    raise UserError(f"{path} is a log of another version of jaxskills.")
  return Log(header, content[start + length :])
